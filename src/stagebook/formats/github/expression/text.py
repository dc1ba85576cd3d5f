"""Texts with `${{ }}` in them: their parts, and what they become. Knows no YAML."""

from __future__ import annotations

import re

from stagebook.formats.github.expression.evaluate import NONE, evaluate
from stagebook.formats.github.expression.grammar import CALL, LITERAL, ExpressionError, Node, parse
from stagebook.formats.github.expression.value import MEMORY_MAX, UNKNOWN, to_text
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Collection, Mapping, Sequence

OPENING, CLOSING = "${{", "}}"
#: What may stand in an expression up to its end: quoted text, in which `}}` is text too, or anything else.
_inside = re.compile(r"(?:'(?:[^']|'')*'|[^'}]|\}(?!\}))*")


class Part(NamedTuple):
    """Text as it is (`tree` None), or an expression without its `${{ }}`. `offset`: where `text` begins."""

    text: str
    offset: int
    tree: Node | None = None


def template(
    text: str, contexts: Collection[str] | None = None, functions: Mapping[str, tuple[int, int]] | None = None
) -> list[Part]:
    """The parts of a text, in order; empty text has none. `contexts` and `functions` as `parse` takes them.
    ExpressionError with an offset into the whole text."""
    parts: list[Part] = []
    at = 0
    while True:
        opening = text.find(OPENING, at)
        if opening < 0:
            if at < len(text):
                parts.append(Part(text[at:], at))
            return parts
        if opening > at:
            parts.append(Part(text[at:opening], at))
        start = opening + len(OPENING)
        end = _inside.match(text, start).end()  # type: ignore[union-attr]
        if not text.startswith(CLOSING, end):
            raise ExpressionError(f"`{OPENING}` without a closing `{CLOSING}`", opening, "lexing")
        parts.append(Part(text[start:end], start, _read(text[start:end], start, contexts, functions)))
        at = end + len(CLOSING)


def _read(
    text: str, start: int, contexts: Collection[str] | None, functions: Mapping[str, tuple[int, int]] | None
) -> Node:
    try:
        if not text.strip():
            raise ExpressionError("there is nothing between `${{` and `}}`", 0)
        return parse(text, contexts, functions)
    except ExpressionError as error:
        raise ExpressionError(error.message, start + (error.offset or 0), error.kind) from None


def render(
    parts: Sequence[Part], contexts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] = NONE
) -> Any:
    """What parts become: of one expression alone its value, else text. UNKNOWN where any of them is."""
    if len(parts) == 1 and parts[0].tree is not None:
        return _value(parts[0], contexts, functions)
    pieces, size = [], 0
    for part in parts:
        value = part.text if part.tree is None else _value(part, contexts, functions)
        if value is UNKNOWN:
            return UNKNOWN
        pieces.append(to_text(value))
        size += len(pieces[-1])
        if size > MEMORY_MAX:
            raise ExpressionError(f"it makes more than {MEMORY_MAX >> 20} MiB, the limit", part.offset, "evaluation")
    return "".join(pieces)


def _value(part: Part, contexts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> Any:
    assert part.tree is not None
    try:
        return evaluate(part.tree, contexts, functions)
    except ExpressionError as error:
        raise ExpressionError(error.message, part.offset + (error.offset or 0), error.kind) from None


def fill(text: str, contexts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] = NONE) -> Any:
    """`template` and `render` at once."""
    return render(template(text), contexts, functions) if OPENING in text else text


def condition(
    text: str, contexts: Collection[str] | None = None, functions: Mapping[str, tuple[int, int]] | None = None
) -> Node:
    """The tree of an `if:`, which is an expression with or without `${{ }}` around it. Where `${{ }}` is a part of it
    only, be the rest a line end, it is a text, as the system has it: true whatever it says. ExpressionError."""
    if OPENING not in text:
        return parse(text, contexts, functions)
    parts = template(text, contexts, functions)
    if len(parts) == 1 and parts[0].tree is not None:
        return parts[0].tree
    pattern = "".join(
        part.text.replace("{", "{{").replace("}", "}}") if part.tree is None else f"{{{place}}}"
        for place, part in _numbered(parts)
    )
    trees = tuple(part.tree for part in parts if part.tree is not None)
    return Node(CALL, "format", 0, (Node(LITERAL, pattern, 0), *trees), 2)


def _numbered(parts: Sequence[Part]) -> list[tuple[int, Part]]:
    found, place = [], 0
    for part in parts:
        found.append((place, part))
        place += part.tree is not None
    return found
