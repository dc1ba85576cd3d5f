"""What an expression speaks of: contexts, by path, and functions. Evaluates nothing."""

from __future__ import annotations

from stagebook.formats.github.expression.grammar import CALL, INDEX, LITERAL, NAME, STAR, STATUS, Node
from stagebook.formats.github.expression.value import to_text
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator


class Reference(NamedTuple):
    """`path`: names as they are written, the context's first. `*` stands for a filter, `[]` for an index that has to
    be evaluated."""

    path: tuple[str, ...]
    offset: int


class Call(NamedTuple):
    name: str  #: in lower case
    offset: int
    arguments: int


def references(tree: Node) -> list[Reference]:
    """All paths into contexts, longest ones only, in order of place."""
    found: list[Reference] = []
    _collect(tree, found)
    return sorted(found, key=lambda each: each.offset)


def _collect(node: Node, found: list[Reference]) -> None:
    path: list[str] = []
    while node.kind == INDEX:
        node, key = node.below
        if key.kind == LITERAL:
            path.append(to_text(key.value))
        elif key.kind == STAR:
            path.append("*")
        else:
            path.append("[]")
            _collect(key, found)
    if node.kind == NAME:
        found.append(Reference((node.value, *reversed(path)), node.offset))
        return
    for each in node.below:
        _collect(each, found)


def calls(tree: Node) -> list[Call]:
    """All calls, in order of place."""
    found = [Call(node.value, node.offset, len(node.below)) for node in _all(tree) if node.kind == CALL]
    return sorted(found, key=lambda each: each.offset)


def _all(node: Node) -> Iterator[Node]:
    yield node
    for each in node.below:
        yield from _all(each)


def has_status(tree: Node) -> bool:
    """Whether it asks how things went: without that, a condition has `success() &&` before it."""
    return any(node.kind == CALL and node.value in STATUS for node in _all(tree))
