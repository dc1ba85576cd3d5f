"""Bytes to nodes: YAML read by events from the C parser, under limits, every scalar kept as written. No meaning.

A node is a plain tuple `(value, place, plain)`: `value` is a str, a list of nodes, or a dict from key to
`(place of the key, node)`; `plain` is true for a scalar without quotes; a place is `line << 32 | column`, both from 1.
Tuples because a file of 100 000 stages makes millions of them. Composing ourselves instead of by PyYAML means that
depth, aliases, tags and duplicate keys are judged on the way, before they cost memory.
"""

from __future__ import annotations

import re
from sys import intern

from stagebook.formats.native import grammar
from stagebook.model.problem import InputError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn, TypeAlias

Node: TypeAlias = "tuple[Any, int, bool]"

_STR, _SEQ, _MAP = ("tag:yaml.org,2002:" + word for word in ("str", "seq", "map"))
_CONTROLS = bytes([*range(0, 9), 11, 12, *range(14, 32), 127])
#: Patterns stay text until one is needed, which a file in plain ASCII never does.
_CONTROL = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]"
#: What a name may not hold: control characters, and what ends a line for some readers.
_UNNAMEABLE = "[\x00-\x1f\x7f-\x9f\u2028\u2029]"
#: What a message does not repeat: the same, and marks that turn the direction of the text around them.
_UNSHOWN = "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"

#: Keys that are none without quotes, or mean something else.
_ODD = ("", "<<")


def place(line: int, col: int) -> int:
    return line << 32 | col


def line_of(place: int) -> int:
    return place >> 32


def col_of(place: int) -> int:
    return place & 0xFFFFFFFF


def read_nodes(data: bytes, file: str) -> tuple[Node, list[Problem]]:
    """The root node, and what was wrong but could be read past (duplicate keys). InputError for all else."""
    text = decoded(data, file)
    try:
        return _Composer(data, file).compose()
    except InputError:
        raise
    except Exception as error:
        raise yaml_error(error, text, file) from None


def decoded(data: bytes, file: str) -> str:
    if len(data) > grammar.BYTES_MAX:
        raise too_large(file, len(data))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        col = len(data[data.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8", "replace")) + 1
        hint = "; save the file as UTF-8" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        _refuse(file, line, col, "encoding", f"byte 0x{data[error.start]:02x} is not UTF-8{hint}")
    if len(data.translate(None, _CONTROLS)) != len(data) or not data.isascii():
        found = re.search(_CONTROL, text)
        if found:
            start = found.start()
            line, col = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
            name = "NUL" if found[0] == "\0" else f"U+{ord(found[0]):04X}"
            hint = "only tab and line ends may stand here"
            if found[0] in "\x85\u2028\u2029":
                hint = "YAML ends a line there, editors do not; write it as an escape in double quotes"
            _refuse(file, line, col, "control-character", f"control character {name}: {hint}")
    return text


def too_large(file: str, size: int) -> InputError:
    message = f"the file has {size} bytes, the limit is {grammar.BYTES_MAX} (16 MiB)"
    return InputError(message, [Problem(file, 0, 0, "limit", "error", message)])


def _refuse(file: str, line: int, col: int, code: str, message: str) -> NoReturn:
    raise InputError(message, [Problem(file, line, col, code, "error", message)])


def parser(data: bytes) -> Any:
    """The C parser, or PyYAML's own where it was built without libyaml: slower, the same events."""
    import yaml

    if yaml.__with_libyaml__:
        import yaml.cyaml

        return yaml.cyaml.CParser(data)  # type: ignore[attr-defined]
    return yaml.SafeLoader(data)


def yaml_error(error: Exception, text: str, file: str) -> Exception:
    """What the parser says, with a place and a hint where tabs are the cause; other exceptions as they are."""
    import yaml

    if not isinstance(error, yaml.YAMLError):
        return error
    line, col, said = 0, 0, " ".join(str(error).split())
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark, context = error.problem_mark, error.context or ""
        said = " ".join(f"{error.problem} {context}".split())
        around = text.splitlines()[mark.line : mark.line + 1]
        if around and "\t" in around[0][: len(around[0]) - len(around[0].lstrip())]:
            said = "a tab cannot indent; use spaces"
        elif "quoted" in context and error.context_mark is not None:
            mark = error.context_mark  # where the quote opens, not where the file ends without it
        line, col = mark.line + 1, mark.column + 1
    message = f"not valid YAML: {said}"
    return InputError(message, [Problem(file, line, col, "yaml", "error", message)])


class _Frame:
    """A list or mapping under way. `size` is the count of nodes when it began, aliases expanded."""

    __slots__ = ("items", "place", "key", "key_place", "height", "anchor", "size", "merges")

    def __init__(self, items: Any, place: int, anchor: str | None, size: int) -> None:
        self.items = items
        self.place = place
        self.key: str | None = None
        self.key_place = 0
        self.height = 1
        self.anchor = anchor
        self.size = size
        self.merges: list[Node] | None = None


class _Composer:
    """One document from events. `anchors` maps a name to (node, its size expanded, its height)."""

    def __init__(self, data: bytes, file: str) -> None:
        self.file = file
        self.get_event = parser(data).get_event
        self.problems: list[Problem] = []
        self.anchors: dict[str, tuple[Node, int, int]] = {}
        self.count = 0
        self.aliased = 0

    def refuse(self, place: int, code: str, message: str) -> NoReturn:
        _refuse(self.file, line_of(place), col_of(place), code, message)

    def note(self, place: int, code: str, message: str) -> None:
        if len(self.problems) < 200:
            self.problems.append(Problem(self.file, line_of(place), col_of(place), code, "error", message))

    def compose(self) -> tuple[Node, list[Problem]]:
        import yaml

        get = self.get_event
        get()
        event = get()
        if type(event) is yaml.StreamEndEvent:
            self.refuse(place(1, 1), "empty", "the file holds no pipeline; it needs `stages`")
        root = self.document(yaml)
        get()
        event = get()
        if type(event) is not yaml.StreamEndEvent:
            mark = event.start_mark
            self.refuse(
                place(mark.line + 1, mark.column + 1), "documents", "a second document; a file holds one pipeline"
            )
        return root, self.problems

    def document(self, yaml: Any) -> Node:
        """All events of one root node. One loop without calls for the common cases: this is where loading spends."""
        get = self.get_event
        scalar_event, mapping_start, sequence_start = yaml.ScalarEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent
        alias_event = yaml.AliasEvent
        limit = grammar.NODES_MAX
        frames: list[_Frame] = []
        frame: _Frame | None = None
        while True:
            event = get()
            kind = type(event)
            if kind is scalar_event:
                mark = event.start_mark
                here = (mark.line + 1) << 32 | mark.column + 1
                node: Node = (event.value, here, event.implicit[0])
                if event.tag is not None or event.anchor is not None or "\0" in node[0]:
                    node = self.special(event, node)
                self.count += 1
            elif kind is mapping_start or kind is sequence_start:
                mark = event.start_mark
                here = (mark.line + 1) << 32 | mark.column + 1
                if event.tag is not None:
                    self.tag(event.tag, _MAP if kind is mapping_start else _SEQ, here)
                if len(frames) >= grammar.DEPTH_MAX:
                    self.refuse(here, "limit", f"nested deeper than {grammar.DEPTH_MAX} levels, the limit")
                self.count += 1
                frame = _Frame({} if kind is mapping_start else [], here, event.anchor, self.count)
                frames.append(frame)
                continue
            elif kind is alias_event:
                node = self.alias(event, frames)
            else:
                node = self.close(frames)
                frame = frames[-1] if frames else None
            if frame is None:
                return node
            items, key = frame.items, frame.key
            if type(items) is list:
                items.append(node)
            elif key is None:
                text = node[0]
                frame.key = intern(text) if type(text) is str and text not in _ODD else self.odd_key(frame, node)
                frame.key_place = node[1]
                continue
            elif key == "<<":
                self.merge(frame, node)
                frame.key = None
                continue
            else:
                if key in items:
                    first = line_of(items[key][0])
                    said = f"`{shorten(key)}` is given twice, first on line {first}"
                    self.note(frame.key_place, "duplicate-key", said)
                else:
                    items[key] = (frame.key_place, node)
                frame.key = None
            if len(items) > grammar.ENTRIES_MAX or self.count > limit:
                self.too_many(frame)

    def special(self, event: Any, node: Node) -> Node:
        """A scalar with a tag, an anchor or a NUL."""
        if event.tag is not None:
            if event.tag != "!":
                self.tag(event.tag, _STR, node[1])
            node = (node[0], node[1], False)
        if "\0" in node[0]:
            self.note(node[1], "control-character", "NUL cannot stand in a value: no command could be given it")
            node = (node[0].replace("\0", ""), node[1], node[2])
        if event.anchor is not None:
            self.anchors[event.anchor] = (node, 1, 0)
        return node

    def tag(self, tag: str, allowed: str, here: int) -> None:
        if tag != allowed:
            shown = "!!" + tag[18:] if tag.startswith("tag:yaml.org,2002:") else tag
            self.note(here, "tag", f"tag `{shorten(shown)}`: values have no tags here; nothing was made from it")

    def odd_key(self, frame: _Frame, node: Node) -> str:
        """The key of the entry that follows, where it is not plainly one. A key that is no text is said, and its entry
        read past."""
        text = node[0]
        if type(text) is not str:
            self.note(node[1], "key", "a key must be text, not a list or a mapping")
            text = "\0"
        elif not text and node[2]:
            self.note(node[1], "key", "a key is missing here")
            text = "\0"
        elif text == "<<" and not node[2]:
            self.note(node[1], "key", "`<<` merges mappings and cannot be a key")
            text = "\0"
        if text == "\0":
            frame.items.pop("\0", None)
        return str(text)

    def alias(self, event: Any, frames: list[_Frame]) -> Node:
        mark = event.start_mark
        here = place(mark.line + 1, mark.column + 1)
        known = self.anchors.get(event.anchor)
        if known is None:
            self.refuse(here, "alias", f"alias `*{shorten(event.anchor)}` has no anchor before it")
        node, size, height = known
        self.count += size
        self.aliased += size
        if self.aliased > grammar.ALIASED_MAX:
            self.refuse(here, "limit", f"aliases expand to more than {grammar.ALIASED_MAX} values, the limit")
        if len(frames) + height > grammar.DEPTH_MAX:
            self.refuse(here, "limit", f"nested deeper than {grammar.DEPTH_MAX} levels through aliases, the limit")
        if frames and height >= frames[-1].height:
            frames[-1].height = height + 1
        return node

    def close(self, frames: list[_Frame]) -> Node:
        """The innermost list or mapping is complete."""
        frame = frames.pop()
        items = frame.items
        if type(items) is dict:
            items.pop("\0", None)
            for merged in frame.merges or ():
                for key, entry in merged[0].items():
                    items.setdefault(key, entry)
        node = (items, frame.place, False)
        if frame.anchor is not None:
            self.anchors[frame.anchor] = (node, self.count - frame.size + 1, frame.height)
        if frames and frame.height >= frames[-1].height:
            frames[-1].height = frame.height + 1
        return node

    def merge(self, frame: _Frame, node: Node) -> None:
        """`<<: *base` gives the keys that the mapping does not have itself; the first of several wins."""
        merged = node[0] if type(node[0]) is list else [node]
        for each in merged:
            if type(each[0]) is not dict:
                self.note(each[1], "key", "`<<` takes a mapping or a list of mappings")
                return
            self.count += len(each[0])
        frame.merges = [*(frame.merges or ()), *merged]

    def too_many(self, frame: _Frame) -> NoReturn:
        if self.count > grammar.NODES_MAX:
            self.refuse(frame.place, "limit", f"the file has more than {grammar.NODES_MAX} values, the limit")
        self.refuse(frame.place, "limit", f"more than {grammar.ENTRIES_MAX} entries in one list or mapping, the limit")


def is_nameable(text: str) -> bool:
    """Whether `text` can be, or be in, a name."""
    return (text.isascii() and text.isprintable()) or not re.search(_UNNAMEABLE, text)


def shorten(text: str) -> str:
    """Text of the user's for a message: one line, no control characters, at most 60 characters."""
    if len(text) <= 60 and text.isascii() and text.isprintable():
        return text
    line = re.sub(_UNSHOWN, "\N{REPLACEMENT CHARACTER}", text[:200])
    return line if len(line) <= 60 else line[:57] + "..."
