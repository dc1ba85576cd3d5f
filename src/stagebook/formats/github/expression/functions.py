"""The functions of the language that need nobody else: text, lists, JSON. What they make counts against a budget."""

from __future__ import annotations

import re

from stagebook.formats.github.expression.grammar import ExpressionError
from stagebook.formats.github.expression.value import (
    JSON_DEPTH_MAX,
    MEMORY_MAX,
    folded,
    is_equal,
    to_json,
    to_text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

_PLACE = re.compile(r"\{\{|\}\}|\{([0-9]{1,9})\}|[{}]")


class Budget:
    """How much one expression may still make."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MEMORY_MAX

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise ExpressionError(f"it makes more than {MEMORY_MAX >> 20} MiB, the limit", None, "evaluation")


def _is_plain(value: Any) -> bool:
    return not isinstance(value, (list, dict))


def _contains(budget: Budget, where: Any, what: Any) -> bool:
    if isinstance(where, list):
        return any(is_equal(each, what) for each in where)
    return _is_plain(where) and _is_plain(what) and folded(to_text(what)) in folded(to_text(where))


def _starts_with(budget: Budget, text: Any, start: Any) -> bool:
    return _is_plain(text) and _is_plain(start) and folded(to_text(text)).startswith(folded(to_text(start)))


def _ends_with(budget: Budget, text: Any, end: Any) -> bool:
    return _is_plain(text) and _is_plain(end) and folded(to_text(text)).endswith(folded(to_text(end)))


def _format(budget: Budget, pattern: Any, *values: Any) -> str:
    text = to_text(pattern)
    pieces: list[str] = []

    def put(piece: str) -> None:
        budget.spend(len(piece))
        pieces.append(piece)

    at = 0
    for found in _PLACE.finditer(text):
        put(text[at : found.start()])
        at = found.end()
        if found.group(1) is not None:
            place = int(found.group(1))
            if place >= len(values):
                raise ExpressionError(f"`format` has no value for {{{place}}}", None, "evaluation")
            put(to_text(values[place]))
        elif len(found.group()) == 2:
            put(found.group()[0])
        else:
            said = f"`format` cannot read `{found.group()}` at character {found.start() + 1}; double it to mean itself"
            raise ExpressionError(said, None, "evaluation")
    put(text[at:])
    return "".join(pieces)


def _join(budget: Budget, values: Any, separator: Any = ",") -> str:
    if not isinstance(values, list):
        return to_text(values) if _is_plain(values) else ""
    between = to_text(separator) if _is_plain(separator) else ","
    pieces = [to_text(each) for each in values]
    budget.spend(sum(map(len, pieces)) + len(between) * max(0, len(pieces) - 1))
    return between.join(pieces)


def _to_json(budget: Budget, value: Any) -> str:
    text = to_json(value)
    budget.spend(len(text))
    return text


def _from_json(budget: Budget, value: Any) -> Any:
    from json import loads

    text = to_text(value)
    budget.spend(len(text))
    if not text.strip():
        raise ExpressionError("`fromJSON` is given an empty text", None, "evaluation")
    try:
        found = loads(text, parse_int=_number, parse_float=_number)
    except RecursionError:
        raise ExpressionError(f"`fromJSON`: nested deeper than {JSON_DEPTH_MAX} levels", None, "evaluation") from None
    except ValueError as error:
        said = " ".join(str(error).split())[:120]
        raise ExpressionError(f"`fromJSON` is given what is no JSON: {said}", None, "evaluation") from None
    return found


def _number(text: str) -> float | int:
    """A whole number stays whole, as far as a double would keep it."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 1 << 53 else value


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "contains": _contains,
    "startswith": _starts_with,
    "endswith": _ends_with,
    "format": _format,
    "join": _join,
    "tojson": _to_json,
    "fromjson": _from_json,
}
