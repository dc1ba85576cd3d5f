"""Small edits of a YAML file: entries and items in and out, scalars replaced, by ranges of its text. No meaning.

What stands outside of a changed range stays as it is, byte for byte: comments, quotes, indentation, line ends, anchors.
Comments within a range that goes are kept on lines of their own. What comes out is read again and has to be the old
tree with the asked changes and no other; else it is refused.
"""

from __future__ import annotations

import json
from functools import cached_property

from stagebook.formats.source import places
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node, Source, read
from stagebook.formats.source.words import block, flow, plain, scalar
from stagebook.model.problem import InputError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, Sequence

    from stagebook.formats.source.words import Plain, Value

_GONE: Plain = {"": "gone"}  #: told by `is`


class Edits:
    """The edits of one source. They are collected and made at once, so they must not touch each other."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.shared = places.shared(source)
        self.ranges: list[tuple[int, int, str]] = []
        self._values: dict[int, Plain] = {}  # nodes that become something else, by id
        self._more: dict[int, list[tuple[str, Plain]]] = {}  # entries that a map gets, or other values of its keys
        self._items: dict[int, list[Plain]] = {}
        self._less: set[tuple[int, int]] = set()  # list and place of items that go
        self._all_comments: list[places.Span] | None = None
        step = self._step()
        self.step = step if step else "  "

    # What is asked for --------------------------------------------------------------------------------------------

    def add_entry(self, node: Node, key: str, value: Value, after: Sequence[str] = ()) -> None:
        """Behind the first of the entries `after` that is there, else at the end; of a key that only a merge key
        brings this is the own entry, which goes before it."""
        self._open(node)
        if node.kind != MAP or any(name.value == key for name, _ in node.value):
            self.refuse(node, f"`{key}` cannot be added here")
        self._more.setdefault(id(node), []).append((key, plain(value)))
        if node.flow:
            said = scalar(key, True) if not self._is_quoted(node) else str(json.dumps(key, ensure_ascii=False))
            self._add_to_flow(node, f"{said}: {flow(value, self._is_quoted(node))}")
            return
        if not node.value:
            self.refuse(node, f"there is no entry of its own beside which `{key}` could stand")
        by_name = {str(name.value): (name, each) for name, each in node.value}
        found = next((by_name[name] for name in after if name in by_name), None) or max(
            node.value, key=lambda entry: entry[0].start
        )
        lines = places.entry_lines(self.source, *found)
        at = lines.end
        if at == len(self.source.text) and self.source.text[at - 1] != "\n" and self._is_alone(found[0]):
            at = lines.start  # behind a last line without its end, a block of text would become another one
        column = node.value[0][0].col - 1
        self._insert_lines(at, block(key, value, " " * column, self.step))

    def set_entry(self, node: Node, key: str, value: Value, after: Sequence[str] = ()) -> None:
        """The same, or another value for the entry that is there."""
        own = self.own(node, key)
        if own is None:
            self.add_entry(node, key, value, after)
            return
        name, each = own
        self._open(node)
        span = places.value(self.source, name, each)
        if span.start != each.start and span.end > span.start:  # an alias gives way to a value of its own
            self._replace(span, flow(value, self._is_quoted(node)))
            self._more.setdefault(id(node), []).append((key, plain(value)))
            return
        self.set_value(each, value)

    def set_value(self, node: Node, value: Value) -> None:
        """Of a scalar on one line, in the quotes that it has; of a list or map in brackets."""
        self._open(node)
        text, start = self.source.text, places.body(self.source, node)
        is_simple = isinstance(value, (str, int))
        if node.kind == SCALAR and is_simple and not places.is_block_text(self.source, node) and node.value:
            said = flow(value, self._is_json) if node.plain else self._quoted(text[start], str(plain(value)))
        elif (node.kind == SCALAR and node.value and not is_simple and node.plain) or node.flow:
            said = flow(value, self._is_quoted(node))
        else:
            self.refuse(node, "no small edit changes what stands here")
        self._values[id(node)] = plain(value)
        self._replace(places.Span(start, node.end), said)

    def append_to_line(self, node: Node, line: str, more: str) -> None:
        """Put more behind a line of text that a scalar has once, as it is written there."""
        self._open(node)
        text = self.source.text[node.start : node.end]
        if node.kind != SCALAR or text.count(line) != 1 or str(node.value).count(line) != 1:
            self.refuse(node, f"`{line}` is not there once, as it is")
        said = str(node.value).replace(line, line + more)
        self._values[id(node)] = said
        if node.plain and id(node) in places.in_flow(self.source):
            start = places.body(self.source, node)
            self._replace(places.Span(start, node.end), self._quoted('"', said))
        else:
            self._insert(node.start + text.index(line) + len(line), more)

    def remove_entry(self, node: Node, key: str) -> None:
        self._open(node)
        own = self.own(node, key)
        if own is None:
            self.refuse(node, f"`{key}` is not said here")
        name, each = own
        self._untouched_by_anchor(each)
        self._more.setdefault(id(node), []).append((key, _GONE))
        if node.flow:
            entry = places.Span(name.start, places.value(self.source, name, each).end)
            self._cut_from_flow(node, entry, len(node.value) == 1)
            return
        lines = places.entry_lines(self.source, name, each)
        if len(node.value) < 2 or not self._is_alone(name):
            self.refuse(name, f"`{key}` shares its line, or is all there is")
        self._cut_lines(lines, " " * (name.col - 1))

    def add_items(self, node: Node, values: Sequence[Value]) -> None:
        """At the end of a list; a scalar becomes a list with these behind it."""
        self._open(node)
        if node.kind == SCALAR and node.value and not places.is_block_text(self.source, node):
            start = places.body(self.source, node)
            self._insert(start, "[")
            said = ", ".join([flow(each, self._is_json) for each in values])
            self._insert(node.end, f", {said}]")
            self._values[id(node)] = [str(node.value), *map(plain, values)]
            return
        if node.kind != LIST:
            self.refuse(node, "a list was looked for here")
        self._items.setdefault(id(node), []).extend(map(plain, values))
        if node.flow:
            for each in values:
                self._add_to_flow(node, flow(each, self._is_quoted(node)))
            return
        spans = places.items(self.source, node)
        if not spans:
            self.refuse(node, "the places of its items are not clear")
        dash = places.indent(self.source, places.body(self.source, node))  # an item may begin below its dash
        self._insert_lines(
            places.line_end(self.source, spans[-1].end - 1), [f"{dash}- {flow(each)}" for each in values]
        )

    def remove_items(self, node: Node, which: Sequence[int]) -> None:
        """Those at these places; at least one has to be left."""
        self._open(node)
        spans = places.items(self.source, node)
        if node.kind != LIST or len(spans) != len(node.value) or len(set(which)) >= len(spans):
            self.refuse(node, "no small edit takes these out of it")
        for place in sorted(set(which)):
            self._untouched_by_anchor(node.value[place])
            self._less.add((id(node), place))
            if not node.flow:
                start = places.line_start(self.source, spans[place].start)
                head = self.source.text[start : spans[place].start]
                if head.strip() != "-":
                    self.refuse(node.value[place], "this item shares its line")
                stop = places.line_end(self.source, spans[place].end - 1)
                self._cut_lines(places.Span(start, stop), head[: head.index("-")])
        if node.flow:
            self._cut_items(node, spans, set(which))

    def clear_list(self, node: Node, key: str) -> None:
        """No item is left of a list that is an entry's value: `[]`."""
        own = self.own(node, key)
        if own is None:
            self.refuse(node, f"`{key}` is not said here")
        name, each = own
        if each.kind != LIST or each.flow or self.is_alias(name, each):
            self.set_entry(node, key, [])
            return
        self._open(node)
        self._open(each)
        self._untouched_by_anchor(each)
        spans = places.items(self.source, each)
        colon = self.source.text.find(":", name.end)
        start = places.line_start(self.source, spans[0].start) if spans else 0
        if not spans or each.anchor or each.tag or start <= colon:
            self.refuse(each, "no small edit empties this list")
        self._values[id(each)] = []
        self._insert(colon + 1, " []")
        stop = places.entry_lines(self.source, name, each).end
        self._cut_lines(places.Span(start, stop), places.indent(self.source, spans[0].start))

    def own(self, node: Node, key: str) -> tuple[Node, Node] | None:
        """An entry that a map says itself."""
        if node.kind != MAP:
            return None
        return next(((name, each) for name, each in node.value if name.value == key), None)

    def is_alias(self, key: Node, node: Node) -> bool:
        """Whether the value of an entry is an alias."""
        span = places.value(self.source, key, node)
        return span.end > span.start and span.start != node.start

    def refuse(self, node: Node | None, why: str) -> NoReturn:
        line, col = (node.line, node.col) if node is not None else (0, 0)
        text = f"change it by hand: {why}"
        raise InputError(text, [Problem(self.source.file, line, col, "patch", "error", text)])

    # What comes of it ---------------------------------------------------------------------------------------------

    def made(self) -> bytes:
        """The new text, read again and compared. InputError where it is not what was asked for."""
        text, parts, at = self.source.text, [], 0
        for start, stop, said in sorted(self.ranges, key=lambda each: (each[0], each[1])):
            if start < at:
                self.refuse(None, "two changes touch the same place; make them one after the other")
            parts += [text[at:start], said]
            at = stop
        data = "".join([*parts, text[at:]]).encode("utf-8")
        try:
            again = read(data, self.source.file)
        except InputError as refused:
            self.refuse(None, f"the file would be wrong: {refused}")
        if [self._expected(root, {}) for root in self.source.documents] != [tree(root, {}) for root in again.documents]:
            self.refuse(None, "no small edit of this file does it")
        return data

    def _expected(self, node: Node, known: dict[int, Plain]) -> Plain:
        """What a node has to be afterwards. What an alias stands for is made once."""
        if id(node) in known:
            return known[id(node)]
        found: Plain
        if id(node) in self._values:
            found = self._values[id(node)]
        elif node.kind == MAP:
            entries = {_name(key): self._expected(each, known) for key, each in node.entries()}
            merged = {_name(key): self._expected(each, known) for key, each in node.merged}
            for key, value in self._more.get(id(node), ()):
                entries[key] = value
                if value is _GONE:
                    entries.pop(key)
                    entries.update({key: merged[key]} if key in merged else {})
            found = _tagged(node, entries)
        elif node.kind == LIST:
            kept = [each for place, each in enumerate(node.value) if (id(node), place) not in self._less]
            found = _tagged(node, [*[self._expected(each, known) for each in kept], *self._items.get(id(node), ())])
        else:
            found = tree(node, known)
        known[id(node)] = found
        return found

    # Text ---------------------------------------------------------------------------------------------------------

    def _open(self, node: Node) -> None:
        if id(node) in self.shared:
            self.refuse(node, "an anchor shares this with other places, which the change would reach too")

    def _is_alone(self, key: Node) -> bool:
        """Whether nothing stands before a key on its line."""
        return not self.source.text[places.line_start(self.source, key.start) : key.start].strip()

    def _untouched_by_anchor(self, node: Node) -> None:
        waiting = [node]
        while waiting:
            each = waiting.pop()
            if each.anchor is not None and each.aliased and each.start >= node.start:
                self.refuse(each, f"the anchor `&{each.anchor}` that stands here is used elsewhere")
            if each.kind == MAP:
                waiting += [value for _, value in each.value]
            elif each.kind == LIST:
                waiting += each.value

    def _insert(self, at: int, text: str) -> None:
        self._replace(places.Span(at, at), text)

    def _replace(self, span: places.Span, text: str) -> None:
        for index, (start, stop, said) in enumerate(self.ranges):
            if start == stop == span.start == span.end:
                self.ranges[index] = (start, stop, said + text)
                return
        self.ranges.append((span.start, span.end, text))

    def _insert_lines(self, at: int, lines: list[str]) -> None:
        eol = self.source.eol
        text = "".join([line + eol for line in lines])
        before = self.source.text[at - 1 : at]
        if at == len(self.source.text) and before != "\n":
            text = eol + text.removesuffix(eol)
        self._insert(at, text)

    def _cut_lines(self, lines: places.Span, indent: str) -> None:
        kept = "".join([f"{indent}{said}{self.source.eol}" for said in self._comments(lines)])
        self._replace(lines, kept)

    def _comments(self, span: places.Span) -> list[str]:
        return [self.source.text[each.start : each.end].rstrip() for each in self._hidden(span)]

    def _hidden(self, span: places.Span) -> list[places.Span]:
        """The comments that begin in a stretch of the text."""
        if self._all_comments is None:
            self._all_comments = places.comments(self.source)
        return [each for each in self._all_comments if span.start <= each.start < span.end]

    def _add_to_flow(self, node: Node, said: str) -> None:
        text = self.source.text
        if node.kind == MAP:
            ends = [places.value(self.source, key, each).end or key.end for key, each in node.value]
            ends = [max(stop, key.end) for stop, (key, _) in zip(ends, node.value)]
        else:
            ends = [span.end for span in places.items(self.source, node)]
            if len(ends) != len(node.value):
                self.refuse(node, "the places of its items are not clear")
        if not ends:
            self._insert(places.body(self.source, node) + 1, said)
            return
        last = max(ends)
        comma = self._comma(last, node.end)
        if comma is not None:
            self._insert(comma + 1, f" {said},")
        else:
            self._insert(last, f", {said}")
        assert text[node.end - 1] in "]}"

    def _comma(self, start: int, stop: int) -> int | None:
        """The comma in a stretch of the text, comments aside."""
        hidden = self._hidden(places.Span(start, stop))
        for at in range(start, stop):
            if self.source.text[at] == "," and not any(each.start <= at < each.end for each in hidden):
                return at
        return None

    def _cut_from_flow(self, node: Node, entry: places.Span, is_all: bool) -> None:
        if self._comments(places.Span(node.start, node.end)):
            self.refuse(node, "there are comments between the braces")
        text = self.source.text
        comma = self._comma(entry.end, node.end - 1)
        if is_all or comma is not None and not text[entry.end : comma].strip():
            stop = entry.end if comma is None else comma + 1
            while not is_all and text[stop] == " ":
                stop += 1
            self._replace(places.Span(entry.start, stop), "")
        else:
            self._replace(places.Span(text.rindex(",", node.start, entry.start), entry.end), "")

    def _cut_items(self, node: Node, spans: list[places.Span], which: set[int]) -> None:
        """From each item that goes to the next one that stays; the last ones together with the comma before them."""
        if self._comments(places.Span(node.start, node.end)):
            self.refuse(node, "there are comments between the brackets")
        kept = [place for place in range(len(spans)) if place not in which]
        for place in sorted(which):
            if place > kept[-1]:
                continue
            self._replace(places.Span(spans[place].start, spans[place + 1].start), "")
        if kept[-1] < len(spans) - 1:
            self._replace(places.Span(spans[kept[-1]].end, spans[-1].end), "")

    def _quoted(self, quote: str, text: str) -> str:
        if quote == "'":
            return "'" + text.replace("'", "''") + "'"
        return str(json.dumps(text, ensure_ascii=False))

    def _is_quoted(self, node: Node) -> bool:
        """Whether text goes into quotes here, as in JSON: so are the keys of this map, or all of the file."""
        if node.kind == MAP and node.flow and node.value:
            return all(self.source.text[name.start] == '"' for name, _ in node.value)
        return self._is_json

    @cached_property
    def _is_json(self) -> bool:
        if self.source.text.lstrip()[:1] not in ("{", "["):
            return False
        try:
            json.loads(self.source.text)
        except (ValueError, RecursionError):
            return False
        return True

    def _step(self) -> str:
        """By how much the first map in a block is indented."""
        waiting = list(self.source.documents)
        while waiting:
            node = waiting.pop(0)
            for key, each in node.value if node.kind == MAP and not node.flow else ():
                if each.kind == MAP and not each.flow and each.value and each.start > key.start:
                    return " " * int(each.value[0][0].col - key.col)
        return ""


def tree(node: Node, known: dict[int, Plain]) -> Plain:
    """A node as plain lists, mappings and texts. What an alias stands for is made once."""
    if id(node) in known:
        return known[id(node)]
    found: Plain
    if node.kind == MAP:
        found = _tagged(node, {_name(key): tree(each, known) for key, each in node.entries()})
    elif node.kind == LIST:
        found = _tagged(node, [tree(each, known) for each in node.value])
    else:
        found = _tagged(node, None if node.is_null else str(node.value))
    known[id(node)] = found
    return found


def _tagged(node: Node, value: Plain) -> Plain:
    return value if node.tag is None else {f"!{node.tag}": value}


def _name(key: Node) -> str:
    return str(key.value)
