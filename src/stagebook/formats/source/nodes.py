"""Bytes to nodes: YAML as it stands in files of CI systems, every node with its place in the text. No meaning.

Beside plain YAML there are tags of the systems' own (`!reference`), anchors given twice (the later one holds from there
on, as the specification says and PyYAML refuses), merge keys, and several documents. What is wrong and can be read past
is a problem; what cannot is an InputError.
"""

from __future__ import annotations

from stagebook.formats.native import grammar
from stagebook.formats.native.nodes import decoded, parser, shorten, yaml_error
from stagebook.model.problem import InputError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, NoReturn

MAP, LIST, SCALAR = "map", "list", "scalar"
MERGE = "<<"
BYTES_MAX = 2 << 20  #: what GitLab takes by default, and twice what GitHub's runner does
NODES_MAX = 400_000  #: far above the largest files there are, and read in seconds
_CORE_TAGS = "tag:yaml.org,2002:"


class Node:
    """`kind` is `map`, `list` or `scalar`. `start` and `end` are offsets into the text of the source, an anchor or a
    tag before it included; of a block the end is that of its last value. `value` is the text of a scalar, the entries
    (key, value) of a map in file order without those merged in, or the nodes of a list. `merged` has what `<<` brings
    and the map does not say itself. A node that an alias stands for is the very node of the anchor, so `is` tells what
    is shared; `aliased` counts how often. `file` is for readers of several files to set: where it stands, if not in the
    one that was asked for.
    """

    __slots__ = (
        "_found", "aliased", "anchor", "col", "end", "end_line", "file", "flow", "kind", "line", "merged", "merges",
        "plain", "start", "tag", "value",
    )  # fmt: skip

    def __init__(self, kind: str, value: Any, start: int, line: int, col: int) -> None:
        self.kind = kind
        self.value = value
        self.start = start
        self.end = start
        self.line = line
        self.end_line = line
        self.col = col
        self.tag: str | None = None
        self.anchor: str | None = None
        self.plain = False  #: a scalar without quotes
        self.flow = False  #: in brackets or braces
        self.aliased = 0
        self.file: str | None = None
        self.merged: list[tuple[Node, Node]] = []
        self.merges: list[Node] = []  #: the keys `<<` themselves
        self._found: dict[str, tuple[Node, Node]] | None = None

    def __repr__(self) -> str:
        return f"<{self.kind} {self.line}:{self.col} {str(self.value)[:40]!r}>"

    # Maps ---------------------------------------------------------------------------------------------------------

    def entry(self, key: str) -> tuple[Node, Node] | None:
        """Key and value of an entry, own or merged in; None where there is none, or where this is no map."""
        if self.kind != MAP:
            return None
        if self._found is None:
            self._found = {str(name.value): (name, value) for name, value in self.entries() if name.kind == SCALAR}
        return self._found.get(key)

    def get(self, key: str) -> Node | None:
        found = self.entry(key)
        return None if found is None else found[1]

    def entries(self) -> Iterator[tuple[Node, Node]]:
        """All entries, own ones in file order, then those merged in. Empty for what is no map."""
        if self.kind == MAP:
            yield from self.value
            yield from self.merged

    def items(self) -> Iterator[tuple[str, Node, Node]]:
        """The same with the text of each key before it."""
        for key, value in self.entries():
            yield str(key.value), key, value

    # Lists and scalars --------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Node]:
        return iter(self.value if self.kind == LIST else ())

    @property
    def text(self) -> str | None:
        """The text of a scalar as it was written, without quotes; None for maps, lists and a plain null."""
        if self.kind != SCALAR or self.is_null:
            return None
        return str(self.value)

    @property
    def is_null(self) -> bool:
        return self.kind == SCALAR and self.plain and self.value in ("", "~", "null", "Null", "NULL")

    @property
    def texts(self) -> list[str]:
        """The text of a scalar, or those of the scalars in a list, nested lists included."""
        if self.kind == SCALAR:
            return [] if self.text is None else [self.text]
        return [text for each in self for text in each.texts]


class Source:
    """A file as text and nodes. `documents` has the root of each document, in order; an empty one is left out."""

    __slots__ = ("documents", "eol", "file", "line_starts", "problems", "text")

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        starts = [0]
        for line in text.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        self.line_starts = starts
        self.eol = "\r\n" if "\r\n" in text else "\n"
        self.documents: list[Node] = []
        self.problems: list[Problem] = []

    def problem(self, node: Node | None, code: str, message: str, level: str = "error") -> None:
        """Take down what is wrong at a node, or with the file as a whole."""
        line, col = (node.line, node.col) if node is not None else (0, 0)
        self.problems.append(Problem(self.file, line, col, code, level, message))


def read(data: bytes, file: str) -> Source:
    """All documents of a file. InputError where it is not YAML at all or goes beyond the limits: those of
    `formats.native`, and BYTES_MAX before anything is read."""
    if len(data) > BYTES_MAX:
        said = f"the file has {len(data)} bytes, the limit for files of CI systems is {BYTES_MAX} (2 MiB)"
        raise InputError(said, [Problem(file, 0, 0, "limit", "error", said)])
    source = Source(file, decoded(data, file))
    try:
        _Composer(source, parser(source.text.encode("utf-8"))).compose()
    except InputError:
        raise
    except Exception as error:
        raise yaml_error(error, source.text, file) from None
    return source


class _Composer:
    """Documents from events. `sizes` counts the nodes below an anchor, aliases expanded."""

    def __init__(self, source: Source, events: Any) -> None:
        self.source = source
        self.get_event = events.get_event
        self.anchors: dict[str, tuple[Node, int, int]] = {}
        self.count = 0
        self.aliased = 0

    def refuse(self, line: int, col: int, code: str, message: str) -> NoReturn:
        raise InputError(message, [Problem(self.source.file, line, col, code, "error", message)])

    def compose(self) -> None:
        import yaml

        while True:
            event = self.get_event()
            kind = type(event)
            if kind is yaml.StreamEndEvent:
                return
            if kind is yaml.DocumentStartEvent:
                self.anchors = {}
                node, _ = self.node(self.get_event(), yaml, 1)
                if not node.is_null:
                    self.source.documents.append(node)

    def node(self, event: Any, yaml: Any, depth: int) -> tuple[Node, int]:
        """A node and its height. Recursion is bounded by the limit on depth."""
        mark = event.start_mark
        line, col = mark.line + 1, mark.column + 1
        self.count += 1
        if self.count > NODES_MAX:
            self.refuse(line, col, "limit", f"the file has more than {NODES_MAX} values, the limit")
        kind = type(event)
        if kind is yaml.AliasEvent:
            return self.alias(event, line, col, depth)
        if depth > grammar.DEPTH_MAX:
            self.refuse(line, col, "limit", f"nested deeper than {grammar.DEPTH_MAX} levels, the limit")
        start = self.offset(mark)
        height, before = 1, self.count + self.aliased
        if kind is yaml.ScalarEvent:
            node = Node(SCALAR, event.value, start, line, col)
            node.plain = bool(event.implicit[0])
            self.ends(node, event.end_mark)
        elif kind is yaml.SequenceStartEvent:
            node = Node(LIST, [], start, line, col)
            node.flow = bool(event.flow_style)
            while type(inner := self.get_event()) is not yaml.SequenceEndEvent:
                child, high = self.node(inner, yaml, depth + 1)
                node.value.append(child)
                height = max(height, high + 1)
            self.closes(node, inner, node.value[-1] if node.value else None)
        else:
            node = Node(MAP, [], start, line, col)
            node.flow = bool(event.flow_style)
            height = self.map(node, yaml, depth)
        if event.tag is not None and not event.tag.startswith(_CORE_TAGS) and event.tag != "!":
            node.tag = event.tag
        if event.anchor is not None:
            node.anchor = event.anchor
            self.anchors[event.anchor] = (node, self.count + self.aliased - before + 1, height)
        return node, height

    def map(self, node: Node, yaml: Any, depth: int) -> int:
        height = 1
        merges: list[Node] = []
        seen: dict[str, Node] = {}
        last = None
        while type(inner := self.get_event()) is not yaml.MappingEndEvent:
            key, _ = self.node(inner, yaml, depth + 1)
            value, high = self.node(self.get_event(), yaml, depth + 1)
            height = max(height, high + 1)
            last = value
            if key.kind != SCALAR:
                self.source.problem(key, "key", "a key must be text, not a list or a mapping")
            elif key.value == MERGE and key.plain:
                node.merges.append(key)
                merges += self.merged(value)
            elif key.value in seen:
                said = f"`{shorten(key.value)}` is given twice, first on line {seen[key.value].line}"
                self.source.problem(key, "duplicate-key", said)
                node.value = [(name, each) for name, each in node.value if name.value != key.value] + [(key, value)]
            else:
                seen[key.value] = key
                node.value.append((key, value))
        for each in merges:
            for key, value in each.entries():
                if key.value not in seen:
                    seen[key.value] = key
                    node.merged.append((key, value))
            self.count += len(each.value)
        self.closes(node, inner, last)
        return height

    def merged(self, value: Node) -> list[Node]:
        found = list(value) if value.kind == LIST else [value]
        for each in found:
            if each.kind != MAP:
                self.source.problem(each, "key", "`<<` takes a mapping or a list of mappings")
        return [each for each in found if each.kind == MAP]

    def alias(self, event: Any, line: int, col: int, depth: int) -> tuple[Node, int]:
        known = self.anchors.get(event.anchor)
        if known is None:
            self.refuse(line, col, "alias", f"alias `*{shorten(event.anchor)}` has no anchor before it")
        node, size, height = known
        node.aliased += 1
        self.aliased += size
        if self.aliased > grammar.ALIASED_MAX:
            self.refuse(line, col, "limit", f"aliases expand to more than {grammar.ALIASED_MAX} values, the limit")
        if depth + height > grammar.DEPTH_MAX:
            self.refuse(line, col, "limit", f"nested deeper than {grammar.DEPTH_MAX} levels through aliases, the limit")
        return node, height

    def offset(self, mark: Any) -> int:
        return int(self.source.line_starts[mark.line] + mark.column)

    def ends(self, node: Node, mark: Any) -> None:
        """Where a scalar ends; of a block scalar the parser says where the next token stands."""
        end = min(self.offset(mark), len(self.source.text))
        body = self.source.text[node.start : end]
        node.end = node.start + len(body.rstrip()) if body[:1] in ("|", ">") or node.plain else end
        node.end_line = node.line + self.source.text.count("\n", node.start, node.end)

    def closes(self, node: Node, event: Any, last: Node | None) -> None:
        if node.flow or last is None:
            node.end = self.offset(event.end_mark)
            node.end_line = event.end_mark.line + 1
        else:  # an alias at the end is further up: the parser then knows the line at least
            node.end = last.end if last.start >= node.start else self.offset(event.start_mark)
            node.end_line = last.end_line if last.start >= node.start else event.start_mark.line + 1
