"""What an expression is, by the types of what it speaks of; and what cannot be right in it. Knows no files."""

from __future__ import annotations

import re

from stagebook.formats.github.checks.types import (
    ANY,
    BOOLEAN,
    NULL,
    NUMBER,
    STRING,
    Type,
    is_comparable,
    is_ordered,
    merged,
    of_value,
    told,
)
from stagebook.formats.github.expression import Node
from stagebook.formats.github.expression.value import to_text
from stagebook.formats.github.shape import nearest
from stagebook.formats.native.nodes import shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Mapping

    Say = Callable[[int, str], None]

_RESULTS = {
    "contains": BOOLEAN, "startswith": BOOLEAN, "endswith": BOOLEAN, "format": STRING, "join": STRING,
    "tojson": STRING, "hashfiles": STRING, "success": BOOLEAN, "failure": BOOLEAN, "always": BOOLEAN,
    "cancelled": BOOLEAN,
}  # fmt: skip
_TEXT_ARGUMENTS = {"startswith": (0, 1), "endswith": (0, 1), "format": (0,), "fromjson": (0,), "hashfiles": range(255)}
#: Why a context has nothing at all, by how it is written.
_BARE = {
    "`matrix`": ": this job has no matrix",
    "`needs`": ": this job needs no other",
    "`steps`": ": no step before this one has an id",
    "`inputs`": ": this workflow declares none",
}
_placeholder = re.compile(r"\{\{|\}\}|\{(\d{1,3})\}")


class Inference:
    """Of one expression. `say` takes what is wrong, with an offset into it."""

    def __init__(self, contexts: Mapping[str, Type], say: Say) -> None:
        self.contexts = contexts
        self.say = say

    def of(self, node: Node) -> Type:
        kind = node.kind
        if kind == "literal":
            value = node.value
            if value is None:
                return NULL
            return BOOLEAN if isinstance(value, bool) else STRING if isinstance(value, str) else NUMBER
        if kind == "name":
            return self.contexts.get(node.value.lower(), ANY)
        if kind == "not":
            self.of(node.below[0])
            return BOOLEAN
        if kind == "call":
            return self.call(node)
        if kind == "binary":
            return self.binary(node)
        if kind == "index":
            return self.index(node)
        return ANY

    def binary(self, node: Node) -> Type:
        parts = [self.of(each) for each in node.below]
        if node.value == "&&":
            # false or null of an earlier part, else the last
            return parts[-1] if all(each == BOOLEAN for each in parts) else merged_all(parts)
        if node.value == "||":
            return merged_all(parts)
        one, other = parts
        is_fit = is_comparable(one, other)
        if node.value not in ("==", "!="):
            is_fit = is_ordered(one) and is_ordered(other)
        if not is_fit:
            self.say(node.offset, f"`{node.value}` compares {told(one)} with {told(other)}, which never fits")
        return BOOLEAN

    def index(self, node: Node) -> Type:
        held, key = self.of(node.below[0]), node.below[1]
        if key.kind == "star":
            return self.filtered(held, key)
        if held.is_filtered:
            inner = self.property(held.rest or ANY, key, "each of a list")
            return Type("array", {}, inner, True)
        return self.property(held, key, _written(node.below[0]))

    def filtered(self, held: Type, key: Node) -> Type:
        if held.kind == "any":
            return Type("array", {}, ANY, True)
        if held.kind == "array":
            inner = held.rest or ANY
            if held.is_filtered and inner.kind == "array":
                inner = inner.rest or ANY
            elif held.is_filtered and inner.kind == "object":
                inner = merged_all([*inner.props.values(), *([inner.rest] if inner.rest is not None else [])])
            return Type("array", {}, inner, True)
        if held.kind == "object":
            values = [*held.props.values(), *([held.rest] if held.rest is not None else [])]
            return Type("array", {}, merged_all(values), True)
        self.say(key.offset, f"`.*` is of a list or an object, not of {told(held)}")
        return ANY

    def property(self, held: Type, key: Node, of: str) -> Type:
        asked = self.of(key)
        if held.kind == "any":
            return ANY
        if held.kind == "array":
            if asked.kind not in ("any", "number"):
                self.say(key.offset, f"a list is indexed by a number, not by {told(asked)}")
            return held.rest or ANY
        if held.kind != "object":
            name = f"`{shorten(to_text(key.value))}`" if key.kind == "literal" else "fields"
            self.say(key.offset, f"{of} is {told(held)}, and has no {name}")
            return ANY
        if asked.kind not in ("any", "string"):
            self.say(key.offset, f"an object is indexed by text, not by {told(asked)}")
        if key.kind != "literal" or not isinstance(key.value, str):
            return merged_all([*held.props.values(), *([held.rest] if held.rest is not None else [])])
        name = key.value.lower()
        if name in held.props:
            return held.props[name]
        if held.rest is None:
            near = nearest(name, held.props) if held.props else _BARE.get(of, "")
            self.say(key.offset, f"{of} has no `{shorten(key.value)}`{near}")
            return ANY
        return held.rest

    # Functions --------------------------------------------------------------------------------------------------------

    def call(self, node: Node) -> Type:
        name = node.value
        types = [self.of(each) for each in node.below]
        for place in _TEXT_ARGUMENTS.get(name, ()):
            if place < len(types) and types[place].kind in ("object", "array", "null"):
                self.say(node.below[place].offset, f"`{name}` takes text here, not {told(types[place])}")
        if name == "contains" and types and types[0].kind in ("object", "null"):
            self.say(node.below[0].offset, f"`contains` looks into text or a list, not into {told(types[0])}")
        if name == "join" and types and types[0].kind in ("object", "null"):
            self.say(node.below[0].offset, f"`join` takes a list or text, not {told(types[0])}")
        if name == "format" and node.below and node.below[0].kind == "literal":
            self.placeholders(node)
        if name == "fromjson" and node.below and node.below[0].kind == "literal":
            return self.json(node.below[0])
        if name == "case":
            return merged_all([*types[1::2], types[-1]]) if len(types) % 2 else ANY
        return _RESULTS.get(name, ANY)

    def placeholders(self, node: Node) -> None:
        text = to_text(node.below[0].value)
        used = {int(each) for each in _placeholder.findall(text) if each}
        given = len(node.below) - 1
        for place in sorted(used):
            if place >= given:
                self.say(node.offset, f"`{{{place}}}` stands in the format, for which there is no argument")
        for place in range(given):
            if place not in used:
                self.say(node.offset, f"argument {place + 1} of `format` is not used: `{{{place}}}` is not in it")

    def json(self, node: Node) -> Type:
        from json import loads

        try:
            return of_value(loads(to_text(node.value)))
        except (ValueError, RecursionError) as error:
            self.say(node.offset, f"this is no JSON: {shorten(str(error))}")
            return ANY


def _written(node: Node) -> str:
    """A part of an expression as it is written, where it is a path of names."""
    names: list[str] = []
    while node.kind == "index" and node.below[1].kind == "literal" and isinstance(node.below[1].value, str):
        names.append(node.below[1].value)
        node = node.below[0]
    return f"`{shorten('.'.join([node.value, *reversed(names)]))}`" if node.kind == "name" else "this"


def merged_all(types: list[Type]) -> Type:
    if not types:
        return ANY
    made = types[0]
    for each in types[1:]:
        made = merged(made, each)
    return made
