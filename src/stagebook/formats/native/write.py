"""A draft as the text of a native file. Everything that a reader could take for something else is quoted."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from stagebook.formats.native.draft import Draft, DraftStage

_WIDTH = 116
_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./@+-]*(?: [A-Za-z0-9_./@+-]+)*")
#: What YAML, or an old YAML, takes for something else than text.
_WORDS = frozenset("true false yes no on off y n null ~ . .. nan .nan inf .inf = <<".split())
_DURATION = re.compile(r"[0-9]+(?:ms|s|m|h|d)")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def write(draft: Draft) -> str:
    lines = [*_head(draft), *(line for stage in draft.stages for line in _stage(stage))]
    return "\n".join(lines) + "\n"


def lines(draft: Draft) -> list[int]:
    """The first line of each stage in the text, its comments included."""
    found, at = [], len(_head(draft)) + 1
    for stage in draft.stages:
        found.append(at)
        at += sum(1 for _ in _stage(stage))
    return found


def _head(draft: Draft) -> list[str]:
    made = [f"# {_shown(text)}".rstrip() for text in draft.head]
    made.append("version: 1")
    for key, value in draft.keys.items():
        made += _entry(key, value, "")
    return [*made, "", "stages:"]


def _stage(stage: DraftStage) -> Iterator[str]:
    for text in stage.comments:
        yield f"  # {_shown(text)}".rstrip()
    yield f"  {scalar(stage.name)}:"
    for key, value in stage.keys.items():
        yield from _entry(key, value, "    ")


def _entry(key: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, str) and "\n" in value:
        yield from _block(key, value, indent)
        return
    flow = f"{indent}{scalar(key)}: {_flow(value)}"
    if len(flow) <= _WIDTH or not isinstance(value, (dict, list)) or not value:
        yield flow
    elif isinstance(value, dict):
        yield f"{indent}{scalar(key)}:"
        for name, each in value.items():
            yield from _entry(name, each, indent + "  ")
    else:
        yield f"{indent}{scalar(key)}:"
        for each in value:
            yield f"{indent}  - {_flow(each)}"


def _block(key: str, text: str, indent: str) -> Iterator[str]:
    """A literal block where that says the text to the letter."""
    body = text.rstrip("\n") + "\n"
    lines = body[:-1].split("\n")
    is_plain = text == body and not lines[0].startswith((" ", "\t")) and lines[0] and all(
        line.replace("\t", "").isprintable() for line in lines
    )  # fmt: skip
    if not is_plain:
        yield f"{indent}{scalar(key)}: {quoted(text)}"
        return
    yield f"{indent}{scalar(key)}: |"
    for line in lines:
        yield f"{indent}  {line}" if line else ""


def _flow(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(str(key))}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return scalar(str(value))


def scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS and len(text) < _WIDTH:
        return text
    if _DURATION.fullmatch(text):
        return text
    if '"' in text and "'" not in text and "\\" not in text and text.isprintable():
        return f"'{text}'"
    return quoted(text)


def quoted(text: str) -> str:
    """In double quotes, with escapes as YAML has them."""
    made = []
    for letter in text:
        code = ord(letter)
        if letter in _ESCAPES:
            made.append(_ESCAPES[letter])
        elif letter.isprintable():
            made.append(letter)
        else:
            made.append(f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65_536 else f"\\U{code:08x}")
    return '"' + "".join(made) + '"'


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
