"""Nodes to values as GitHub has them: YAML 1.2 scalars with their types, places of expressions inside a text. No
meaning of keys."""

from __future__ import annotations

import re

from stagebook.formats.github.shape import FALSE, TRUE, number
from stagebook.formats.source.nodes import LIST, MAP, Node, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def value_of(node: Node | None) -> Any:
    """None, a boolean, a number, text, or lists and mappings of these. A whole number is an int."""
    if node is None:
        return None
    if node.kind == LIST:
        return [value_of(each) for each in node]
    if node.kind == MAP:
        return {name: value_of(value) for name, _, value in node.items()}
    text = str(node.value)
    if not node.plain:
        return text
    if node.is_null:
        return None
    if text in TRUE or text in FALSE:
        return text in TRUE
    found = number(text)
    if found is None:
        return text
    return int(found) if found == found and abs(found) < 1e15 and found == int(found) else found


def place_of(source: Source, node: Node, offset: int) -> tuple[int, int]:
    """Line and column of the character at `offset` in the text of a scalar. Exact but for folded lines and escapes
    before it on its line."""
    text = str(node.value)
    raw_start = node.start
    raw = source.text[raw_start : node.end]
    opening = text.rfind("${{", 0, offset + 1)
    if opening >= 0:
        nth = text.count("${{", 0, opening + 3)
        at = -1
        for _ in range(nth):
            at = raw.find("${{", at + 1)
            if at < 0:
                return node.line, node.col
        at += offset - opening
    else:
        word = text[offset : offset + 12].split("\n", 1)[0]
        at = raw.find(word, offset) if word else -1
        if at < 0:
            return node.line, node.col
    before = raw[:at]
    line = node.line + before.count("\n")
    col = at - before.rfind("\n") if "\n" in before else node.col + at
    return line, col


class At:
    """A place that a problem can be said at, as at a node."""

    __slots__ = ("col", "line")

    def __init__(self, line: int, col: int) -> None:
        self.line = line
        self.col = col


def clean(text: str) -> str:
    """A text of the file's for a name: one line, no control characters, not endless."""
    line = _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))
    return line if len(line) <= 1_000 else line[:999] + "…"
