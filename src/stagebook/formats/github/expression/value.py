"""Values of the language and what becomes of them: text, number, truth, JSON, equality. Knows no trees."""

from __future__ import annotations

from stagebook.formats.github.expression.grammar import ExpressionError, number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Most characters that one expression, or a text of several, may make. The vendor's runner allows a MiB of UTF-16.
MEMORY_MAX = 10 << 20
JSON_DEPTH_MAX = 100


class Unknown:
    """The one value that is known only later. It has no truth of its own."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        raise TypeError("what is unknown is neither true nor false")


UNKNOWN = Unknown()


class Open(dict):  # type: ignore[type-arg]
    """An object of which some keys are known: the value of any other is UNKNOWN, not null."""


class Filtered(list):  # type: ignore[type-arg]
    """What `.*` makes: an index into it is one into each of its values."""


def kind_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, dict) else "array"


def to_bool(value: Any) -> bool:
    if value is None or value is False or value == "":
        return False
    if isinstance(value, (int, float)):
        return value == value and value != 0
    return True


def to_number(value: Any) -> float:
    """NaN for what is no number."""
    if value is None:
        return 0.0
    if isinstance(value, (bool, int, float)):
        return float(value)
    if isinstance(value, str):
        text = value.strip()
        found = number_of(text) if text else 0.0
        return float("nan") if found is None else found
    return float("nan")


def to_text(value: Any) -> str:
    """As it stands in a text around it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_text(float(value))
    return "Object" if isinstance(value, dict) else "Array"


def number_text(value: float) -> str:
    """Fifteen digits, as .NET's `G15` writes them."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    text = format(value, ".15g")
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    return f"{mantissa}E{'-' if int(exponent) < 0 else '+'}{abs(int(exponent)):02d}"


def folded(text: str) -> str:
    """What is equal for texts that differ in case only: letter by letter and in no country's way, so `ı` is no `I`."""
    if text.isascii():
        return text.upper()
    return "".join(up if len(up := each.upper()) == 1 and up.isascii() == each.isascii() else each for each in text)


def is_equal(left: Any, right: Any) -> bool:
    a, b = kind_of(left), kind_of(right)
    if a == b:
        if a == "string":
            return folded(left) == folded(right)
        return left is right if a in ("array", "object") else bool(left == right)
    if a in ("array", "object") or b in ("array", "object"):
        return False
    return to_number(left) == to_number(right)


def is_less(left: Any, right: Any) -> bool | None:
    """None where the two cannot be compared."""
    a, b = kind_of(left), kind_of(right)
    if a in ("array", "object") or b in ("array", "object"):
        return None
    if a == b == "string":
        return folded(left) < folded(right)
    x, y = to_number(left), to_number(right)
    return None if x != x or y != y else x < y


def has_unknown(value: Any) -> bool:
    """Whether there is anything unknown in a value, at any depth. Looks once at what it holds several times."""
    todo, seen = [value], set()
    while todo:
        each = todo.pop()
        if each is UNKNOWN or isinstance(each, Open):
            return True
        if isinstance(each, (dict, list)) and id(each) not in seen:
            seen.add(id(each))
            todo += each.values() if isinstance(each, dict) else each
    return False


def to_json(value: Any) -> str:
    """Indented by two, as `toJSON` writes. ExpressionError where it would be too much."""
    pieces: list[str] = []
    _write(value, "\n", pieces, [0], 0)
    return "".join(pieces)


def _write(value: Any, eol: str, pieces: list[str], size: list[int], depth: int) -> None:
    if depth > JSON_DEPTH_MAX:
        raise ExpressionError(f"a value nested deeper than {JSON_DEPTH_MAX} levels", None, "evaluation")
    if isinstance(value, dict) and value:
        _put("{", pieces, size)
        for number, (key, each) in enumerate(value.items()):
            _put(f"{',' if number else ''}{eol}  {_quoted(str(key))}: ", pieces, size)
            _write(each, eol + "  ", pieces, size, depth + 1)
        _put(eol + "}", pieces, size)
    elif isinstance(value, list) and value:
        _put("[", pieces, size)
        for number, each in enumerate(value):
            _put(f"{',' if number else ''}{eol}  ", pieces, size)
            _write(each, eol + "  ", pieces, size, depth + 1)
        _put(eol + "]", pieces, size)
    elif isinstance(value, str):
        _put(_quoted(value), pieces, size)
    elif isinstance(value, (dict, list)):
        _put("{}" if isinstance(value, dict) else "[]", pieces, size)
    else:
        _put("null" if value is None else to_text(value), pieces, size)


def _put(text: str, pieces: list[str], size: list[int]) -> None:
    size[0] += len(text)
    if size[0] > MEMORY_MAX:
        raise ExpressionError(f"it makes more than {MEMORY_MAX >> 20} MiB, the limit", None, "evaluation")
    pieces.append(text)


def _quoted(text: str) -> str:
    from json import dumps

    return dumps(text, ensure_ascii=False)
