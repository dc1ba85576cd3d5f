"""What a value without quotes is to GitLab, whose YAML is 1.1: `yes` is true, `0644` is 420, `3.10` is 3.1. Not where
that matters.
"""

from __future__ import annotations

import re

from stagebook.formats.source.nodes import LIST, SCALAR, Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.formats.gitlab.reading import Reading

_TRUE = re.compile(r"\A(?:yes|true|on)\Z", re.I)
_FALSE = re.compile(r"\A(?:no|false|off)\Z", re.I)
_WHOLE = re.compile(
    r"\A(?P<sign>[-+]?)(?:0b(?P<two>[01_]+)|0x(?P<hex>[0-9a-fA-F_]+)|0o?(?P<eight>[0-7_]+)|(?P<ten>0|[1-9][0-9_,]*))\Z"
)
_SIXTY = re.compile(r"\A[-+]?[0-9][0-9_]*(?::[0-5]?[0-9]){1,2}\Z")
_FLOAT = re.compile(
    r"\A[-+]?(?:[0-9][0-9_,]*)?\.[0-9]+(?:[eE][-+][0-9]+)?\Z|\A[-+]?[0-9][0-9_,]*\.(?:[eE][-+][0-9]+)?\Z"
)
_LENGTH_MAX = 40


def truth(node: Node | None) -> bool | None:
    """What a value says of yes or no; None where it says neither."""
    if node is None or node.kind != SCALAR:
        return None
    text = str(node.value)
    if node.plain:
        return True if _TRUE.match(text) else False if _FALSE.match(text) else None
    return {"true": True, "false": False}.get(text)


def said(node: Node, reading: Reading | None = None) -> str | None:
    """The text that GitLab makes of a value; None of a null, a list or a mapping. Where the value is hardly meant so,
    the reading has a warning; where it is only written otherwise, as `40_000`, a note."""
    text = node.text
    if text is None or not node.plain or len(text) > _LENGTH_MAX:
        return text
    made = _number(text)
    if made is None:
        sure = truth(node)
        return text if sure is None else "true" if sure else "false"
    if made != text and reading is not None:
        hint = f'write "{text}" if that is meant'
        level = "note" if text.replace("_", "").replace(",", "") == made else "warning"
        reading.problem(node, "number", f"{text} without quotes is the number {made} to GitLab; {hint}", level)
    return made


def texts(node: Node, reading: Reading | None = None) -> list[str]:
    """Of a value or of all in a list, lists in it included."""
    if node.kind == LIST:
        return [text for each in node for text in texts(each, reading)]
    text = said(node, reading)
    return [] if text is None else [text]


def _number(text: str) -> str | None:
    if text[:1] not in "+-.0123456789":
        return None
    whole = _WHOLE.match(text)
    if whole is not None:
        for name, base in (("two", 2), ("hex", 16), ("eight", 8), ("ten", 10)):
            digits = (whole[name] or "").replace("_", "").replace(",", "")
            if digits:
                return str(int(digits, base) * (-1 if whole["sign"] == "-" else 1))
        return None
    if _SIXTY.match(text):
        total = 0
        for part in text.lstrip("+-").replace("_", "").split(":"):
            total = total * 60 + int(part)
        return f"-{total}" if text[0] == "-" else str(total)
    if _FLOAT.match(text):
        return repr(float(text.replace("_", "").replace(",", "")))
    return None
