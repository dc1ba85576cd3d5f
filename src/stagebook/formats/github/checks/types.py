"""Types of the language of expressions, as far as a file tells them: what an object has, what a list is of. No
places."""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any as Anything
    from typing import Mapping

DEPTH_MAX = 20
ITEMS_MAX = 300  #: of a list that are looked at


class Type(NamedTuple):
    """`kind`: any, null, boolean, number, string, object or array. `props` of an object, by names in lower case, and
    `rest`, what all others are: None says that there are none. `rest` of an array is what it holds."""

    kind: str
    props: Mapping[str, Type] = {}
    rest: Type | None = None
    is_filtered: bool = False  #: made by `.*`: what is asked of it is asked of each


ANY = Type("any")
NULL = Type("null")
BOOLEAN = Type("boolean")
NUMBER = Type("number")
STRING = Type("string")
OPEN = Type("object", {}, ANY)
TEXTS = Type("object", {}, STRING)
SCALARS = ("null", "boolean", "number", "string")


def object_of(props: Mapping[str, Type], rest: Type | None = None) -> Type:
    return Type("object", {name.lower(): each for name, each in props.items()}, rest)


def array_of(item: Type) -> Type:
    return Type("array", {}, item)


def merged(one: Type, other: Type) -> Type:
    """What a value is that may be either."""
    if one == other:
        return one
    if one.kind == other.kind == "object":
        names = {**one.props, **other.props}
        props = {
            name: merged(one.props[name], other.props[name]) if name in one.props and name in other.props else each
            for name, each in names.items()
        }
        rest = one.rest or other.rest
        if one.rest is not None and other.rest is not None:
            rest = merged(one.rest, other.rest)
        return Type("object", props, rest)
    if one.kind == other.kind == "array":
        return array_of(merged(one.rest or ANY, other.rest or ANY))
    return ANY


def of_value(value: Anything, depth: int = 0) -> Type:
    """The type of a value of the file. A text with an expression may become anything."""
    if depth > DEPTH_MAX:
        return ANY
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, (int, float)):
        return NUMBER
    if isinstance(value, str):
        return ANY if "${{" in value else STRING
    if isinstance(value, dict):
        if any("${{" in key for key in value):
            return OPEN
        return object_of({key: of_value(each, depth + 1) for key, each in value.items()})
    item: Type | None = None
    for each in value[:ITEMS_MAX]:
        found = of_value(each, depth + 1)
        item = found if item is None else merged(item, found)
    return array_of(item or ANY)


def told(type_: Type) -> str:
    """In words: `a string`, `an object`."""
    words = {"any": "anything", "null": "null", "object": "an object", "array": "a list"}
    return words.get(type_.kind, f"a {type_.kind}")


def is_comparable(one: Type, other: Type) -> bool:
    """Whether `==` can hold between them at all."""
    if "any" in (one.kind, other.kind):
        return True
    if one.kind in SCALARS and other.kind in SCALARS:
        return True
    if one.kind != other.kind:
        return "null" in (one.kind, other.kind)
    if one.kind == "array":
        return is_comparable(one.rest or ANY, other.rest or ANY)
    return True


def is_ordered(type_: Type) -> bool:
    """Whether `<` means something for it."""
    return type_.kind in ("any", "number", "string")
