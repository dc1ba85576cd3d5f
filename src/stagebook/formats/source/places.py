"""Where entries, items and comments of a file stand in its text, aliases and merge keys included. Changes nothing.

A node that an alias stands for is elsewhere; what is asked here is where it is spoken of.
"""

from __future__ import annotations

import re

from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node, Source
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

_ALIAS = re.compile(r"\*[^\s,\[\]{}]+")
_BETWEEN = re.compile(r"(?:[\s,]|-(?=\s)|(?:(?<=\s)|^)#[^\n]*)*")
_GAP = re.compile(r"(?:\s|(?<=\s)#[^\n]*)*")
_COMMENT = re.compile(r"(?:(?<=[\s,\]}])|^)#[^\n\r]*", re.MULTILINE)
_HEAD = re.compile(r"(?:[&!]\S*\s+)*")


class Span(NamedTuple):
    start: int
    end: int


def is_block_text(source: Source, node: Node) -> bool:
    """Whether a scalar is a block of lines, `|` or `>`."""
    return node.kind == SCALAR and node.end > node.start and source.text[body(source, node)] in "|>"


def body(source: Source, node: Node) -> int:
    """Where a node begins behind its anchor and tag."""
    found = _HEAD.match(source.text, node.start, node.end)
    return found.end() if found else node.start


def value(source: Source, key: Node, node: Node) -> Span:
    """Where the value of an entry stands: that of its alias where it is one."""
    colon = source.text.find(":", key.end)
    behind = colon + 1 if colon >= 0 else key.end
    there = _GAP.match(source.text, behind)
    found = _ALIAS.match(source.text, there.end() if there else behind)
    if found is not None and node.start != found.start():
        return Span(found.start(), found.end())
    if node.is_null and not node.value:
        return Span(behind, behind)
    return Span(node.start, end(source, node))


def end(source: Source, node: Node) -> int:
    """Where a node ends, whatever stands last in it."""
    if node.kind == SCALAR or node.flow:
        return node.end
    last = node.end
    if node.kind == MAP and node.value:
        last = max(value(source, key, each).end for key, each in node.value if key.start >= node.start)
    elif node.kind == LIST and node.value:
        spans = items(source, node)
        last = spans[-1].end if spans else node.end
    return last


def items(source: Source, node: Node) -> list[Span]:
    """Where each item of a list stands."""
    at = body(source, node) + (1 if node.flow else 0)
    found = []
    for each in node:
        if at <= each.start <= len(source.text) and each.start >= node.start and _is_next(source, at, each.start):
            span = Span(each.start, end(source, each))
        else:
            there = _BETWEEN.match(source.text, at)
            alias = _ALIAS.match(source.text, there.end() if there else at)
            if alias is None:
                return []
            span = Span(alias.start(), alias.end())
        found.append(span)
        at = max(at, span.end)
    return found


def _is_next(source: Source, at: int, start: int) -> bool:
    there = _BETWEEN.match(source.text, at)
    return there is not None and there.end() >= start


def line_start(source: Source, at: int) -> int:
    return source.text.rfind("\n", 0, at) + 1


def line_end(source: Source, at: int) -> int:
    """Behind the line end of the line in which `at` lies; at the end of the text where it has none."""
    found = source.text.find("\n", at)
    return len(source.text) if found < 0 else found + 1


def indent(source: Source, at: int) -> str:
    """The white space before the first word of the line in which `at` lies."""
    start = line_start(source, at)
    found = re.compile(r"[ \t]*").match(source.text, start)
    return found[0] if found else ""


def entry_lines(source: Source, key: Node, node: Node) -> Span:
    """The whole lines of an entry in a block, without comments and empty lines behind it."""
    start = line_start(source, key.start)
    last = line_end(source, max(value(source, key, node).end, key.end) - 1)
    column = key.col - 1
    best = at = last
    while at < len(source.text):
        stop = line_end(source, at)
        line = source.text[at:stop]
        text = line.strip()
        deeper = len(line) - len(line.lstrip(" ")) > column
        if text and not text.startswith("#"):
            if not deeper:
                break
            best = stop
        elif text and not deeper:
            break
        at = stop
    return Span(start, best)


def shared(source: Source) -> set[int]:
    """The ids of all nodes that an alias or a merge key brings in elsewhere too."""
    found: set[int] = set()
    seen: set[tuple[int, bool]] = set()
    waiting = [(root, False) for root in source.documents]
    while waiting:
        node, is_shared = waiting.pop()
        is_shared = is_shared or node.aliased > 0
        if (id(node), is_shared) in seen:
            continue
        seen.add((id(node), is_shared))
        if is_shared:
            found.add(id(node))
        if node.kind == MAP:
            waiting += [(each, is_shared) for _, each in node.value]
        elif node.kind == LIST:
            waiting += [(each, is_shared) for each in node.value]
    return found


def in_flow(source: Source) -> set[int]:
    """The ids of all nodes between brackets or braces."""
    found: set[int] = set()
    waiting = [(root, False) for root in source.documents]
    while waiting:
        node, is_inside = waiting.pop()
        if is_inside:
            if id(node) in found:
                continue
            found.add(id(node))
        inside = is_inside or node.flow
        if node.kind == MAP:
            waiting += [(each, inside) for _, each in node.value if each.start >= node.start]
        elif node.kind == LIST:
            waiting += [(each, inside) for each in node.value if each.start >= node.start]
    return found


def comments(source: Source) -> list[Span]:
    """All comments, but for those in the head of a block of lines."""
    found = []
    at = 0
    for start, stop in [*sorted(_scalars(source)), (len(source.text), len(source.text))]:
        if start > at or stop == start:
            found += [Span(*each.span()) for each in _COMMENT.finditer(source.text, at, max(at, start))]
        at = max(at, stop)
    return found


def _scalars(source: Source) -> Iterator[tuple[int, int]]:
    seen: set[int] = set()
    waiting = list(source.documents)
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.kind == SCALAR:
            if node.end > node.start:
                yield node.start, node.end
        elif node.kind == MAP:
            for key, each in node.entries():
                waiting += [key, each]
        else:
            waiting += node.value
