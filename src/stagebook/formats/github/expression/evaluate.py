"""A tree and contexts to a value, or to UNKNOWN where it takes what is not known yet. Reads no text."""

from __future__ import annotations

import math

from stagebook.formats.github.expression import functions as built_in
from stagebook.formats.github.expression.grammar import BINARY, CALL, LITERAL, NAME, NOT, STAR, ExpressionError, Node
from stagebook.formats.github.expression.value import (
    UNKNOWN,
    Filtered,
    Open,
    folded,
    has_unknown,
    is_equal,
    is_less,
    to_bool,
    to_number,
    to_text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

NONE: Mapping[str, Callable[..., Any]] = {}


def evaluate(tree: Node, contexts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] = NONE) -> Any:
    """The value of an expression, or UNKNOWN. `contexts` has those that are known. `functions` answer where the
    language itself cannot, by names in lower case. ExpressionError (kind `evaluation`) where there is no value."""
    return _Evaluation(contexts, functions).value(tree)


def truth(tree: Node, contexts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] = NONE) -> bool | None:
    """Whether it holds; None where that is not known yet. Sees through `&&`, `||` and `!`, where a part that is known
    may decide though another is not."""
    return _Evaluation(contexts, functions).truth(tree)


class _Evaluation:
    def __init__(self, contexts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> None:
        self.contexts = contexts
        self.functions = functions
        self.budget = built_in.Budget()

    def truth(self, node: Node) -> bool | None:
        if node.kind == NOT:
            inner = self.truth(node.below[0])
            return None if inner is None else not inner
        if node.kind == BINARY and node.value in ("&&", "||"):
            decides = node.value == "||"
            is_open = False
            for each in node.below:
                known = self.truth(each)
                if known is decides:
                    return decides
                is_open = is_open or known is None
            return None if is_open else not decides
        value = self.value(node)
        return None if value is UNKNOWN else to_bool(value)

    def value(self, node: Node) -> Any:
        kind = node.kind
        if kind == LITERAL:
            return node.value
        if kind == NAME:
            return self.context(node.value)
        if kind == CALL:
            return self.call(node)
        if kind == NOT:
            inner = self.truth(node.below[0])
            return UNKNOWN if inner is None else not inner
        if kind == BINARY:
            return self.binary(node)
        return self.index(node)

    def context(self, name: str) -> Any:
        found = self.contexts.get(name, self)
        return _key(self.contexts, name, UNKNOWN) if found is self else found

    def binary(self, node: Node) -> Any:
        operator = node.value
        if operator in ("&&", "||"):
            value: Any = None
            for each in node.below:
                value = self.value(each)
                if value is UNKNOWN or to_bool(value) is (operator == "||"):
                    return value
            return value
        left, right = (self.value(each) for each in node.below)
        if left is UNKNOWN or right is UNKNOWN:
            return UNKNOWN
        if operator in ("==", "!="):
            return is_equal(left, right) is (operator == "==")
        less, more = is_less(left, right), is_less(right, left)
        if less is None or more is None:
            return False
        return {"<": less, "<=": not more, ">": more, ">=": not less}[operator]

    def index(self, node: Node) -> Any:
        base = self.value(node.below[0])
        key = node.below[1]
        if key.kind == STAR:
            return UNKNOWN if base is UNKNOWN or isinstance(base, Open) else self.all_of(base)
        at = self.value(key)
        if base is UNKNOWN or at is UNKNOWN:
            return UNKNOWN
        if isinstance(base, Filtered):
            found = [_at(each, at, _ABSENT) for each in base if isinstance(each, (dict, list))]
            if any(each is UNKNOWN for each in found):
                return UNKNOWN
            return Filtered(each for each in found if each is not _ABSENT)
        return _at(base, at, None)

    def all_of(self, base: Any) -> Any:
        if isinstance(base, Filtered):
            if any(each is UNKNOWN or isinstance(each, Open) for each in base):
                return UNKNOWN
            return Filtered(inner for each in base for inner in _values(each))
        return Filtered(_values(base))

    def call(self, node: Node) -> Any:
        name = node.value
        asked = self.functions.get(name)
        if name == "case" and asked is None:
            return self.case(node)
        arguments = [self.value(each) for each in node.below]
        if any(each is UNKNOWN for each in arguments):
            return UNKNOWN
        if asked is not None:
            return asked(*arguments)
        known = built_in.FUNCTIONS.get(name)
        if known is None or any(has_unknown(each) for each in arguments if isinstance(each, (dict, list))):
            return UNKNOWN
        try:
            return known(self.budget, *arguments)
        except ExpressionError as error:
            raise ExpressionError(error.message, node.offset, "evaluation") from None

    def case(self, node: Node) -> Any:
        for place in range(0, len(node.below) - 1, 2):
            held = self.value(node.below[place])
            if held is UNKNOWN:
                return UNKNOWN
            if not isinstance(held, bool):
                raise ExpressionError(
                    f"a condition of `case` must be true or false, not `{to_text(held)[:60]}`",
                    node.below[place].offset,
                    "evaluation",
                )
            if held:
                return self.value(node.below[place + 1])
        return self.value(node.below[-1])


_ABSENT = object()


def _values(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else []


def _at(base: Any, at: Any, absent: Any) -> Any:
    if isinstance(base, dict):
        if isinstance(at, (dict, list)):
            return absent
        return _key(base, to_text(at), UNKNOWN if isinstance(base, Open) else absent)
    if isinstance(base, list):
        place = to_number(at)
        if not math.isfinite(place) or place < 0 or math.floor(place) >= len(base):
            return absent
        return base[math.floor(place)]
    return absent


def _key(found: Mapping[str, Any], name: str, absent: Any) -> Any:
    """By its name, in whatever case."""
    if name in found:
        return found[name]
    wanted = folded(name)
    for key, value in found.items():
        if folded(key) == wanted:
            return value
    return absent
