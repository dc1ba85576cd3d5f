"""Where things stand in the text of a YAML file, and edits of it that leave all else as it is. No key's meaning."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_END = re.compile(r"\r\n|\n|\r")


class Spots:
    """A file's nodes, as PyYAML composes them, with their places in its text; edits are gathered, then made at once."""

    __slots__ = ("_edits", "_line_starts", "eol", "is_json", "root", "shared", "text")

    def __init__(self, data: bytes) -> None:
        import yaml

        self.text = data.decode("utf-8")
        self._line_starts = [0, *(found.end() for found in _END.finditer(self.text))]
        first = _END.search(self.text)
        self.eol = first[0] if first else "\n"
        loader: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
        self.root: Any = yaml.compose(data, Loader=loader)
        self.shared = _shared(self.root)
        self.is_json = self.text.lstrip()[:1] == "{" and _is_json(self.text)
        self._edits: list[tuple[int, int, str]] = []

    def entry(self, mapping: Any, key: str) -> tuple[Any, Any] | None:
        """Key and value nodes of an entry that a mapping has itself."""
        for name, value in mapping.value:
            if name.value == key:
                return name, value
        return None

    def source(self, node: Any) -> str:
        return self.text[self.at(node.start_mark) : self.at(node.end_mark)]

    def at(self, mark: Any) -> int:
        return int(self._line_starts[mark.line] + mark.column)

    def replace(self, start: int, end: int, by: str) -> None:
        self._edits.append((start, end, by))

    def made(self) -> bytes:
        """The text with all edits. Those at one place stand in the order in which they were asked for."""
        parts, done = [], 0
        for start, end, by in sorted(self._edits, key=lambda edit: edit[:2]):
            parts += [self.text[done:start], by]
            done = max(done, end)
        return "".join([*parts, self.text[done:]]).encode("utf-8")

    def delete_line(self, line: int) -> None:
        stop = self._line_starts[line + 1] if line + 1 < len(self._line_starts) else len(self.text)
        self.replace(self._line_starts[line], stop, "")

    def entry_text(self, key: str, value: str) -> str:
        """Key and value, of which the latter may be empty: in a file that is JSON as JSON has them."""
        return f"{self.word(key)}: {self.word(value)}"

    def word(self, text: str) -> str:
        """YAML of one line as this file writes it."""
        if not self.is_json or not text:
            return text
        import json

        import yaml

        return json.dumps(yaml.safe_load(text), ensure_ascii=False)

    def add_key(self, mapping: Any, key: str, value: str) -> None:
        """A further entry: in a mapping of lines before its second one (where a comment above that stays with it), else
        below its only one; between braces as the last."""
        if mapping.flow_style:
            inside = self.at(mapping.end_mark) - 1
            last = self.at(mapping.value[-1][1].end_mark) if mapping.value else inside
            by = self.entry_text(key, value)
            if "," in self.text[last:inside]:
                self.replace(inside, inside, f" {by}" if self.text[inside - 1] != " " else f"{by} ")
            else:
                self.replace(last, last, f", {by}" if mapping.value else by)
            return
        name = mapping.value[0][0]
        start = self.at(name.start_mark)
        mark = len(self.text[:start].rstrip(" ")) - 1
        if mark >= 0 and self.text[mark] == "?":  # a key that says that it is one
            start, column = mark, name.start_mark.column - (start - mark)
            self.replace(start, start, f"{key}: {value}{self.eol}{' ' * column}")
            return
        indent = " " * name.start_mark.column
        first = mapping.value[0][1]
        if first.start_mark.line == first.end_mark.line and name.start_mark.line == first.start_mark.line:
            self.after_line(first.end_mark.line, f"{indent}{key}: {value}")
        else:
            self.replace(start, start, f"{key}: {value}{self.eol}{indent}")

    def after_line(self, line: int, text: str) -> None:
        """A line of its own below a line."""
        if line + 1 < len(self._line_starts):
            self.replace(self._line_starts[line + 1], self._line_starts[line + 1], text + self.eol)
        else:
            self.replace(len(self.text), len(self.text), self.eol + text)

    def items(self, value: Any, kept: list[Any], added: list[str], key: Any) -> None:
        """A list or a single name becomes `kept` of its items, and `added` after them. `key` is what it belongs to."""
        if value.id != "sequence" or value.flow_style:
            self._flow_items(value, kept, added)
            return
        if not kept:
            self._keep_comments(key, value.value[-1])
            self.replace(self.at(key.end_mark), self.at(value.value[-1].end_mark), f": [{', '.join(added)}]")
            return
        for item in value.value:
            if item not in kept:
                self.delete_line(item.start_mark.line)
        last = value.value[-1]
        start = self._line_starts[last.start_mark.line]
        head = self.text[start : self.at(last.start_mark)]
        for text in added:
            self.after_line(last.start_mark.line, head + text)

    def _keep_comments(self, key: Any, last: Any) -> None:
        """Comments of lines that go, but for those of a single item, stand below instead."""
        first, *lines = self.text[self.at(key.end_mark) + 1 : self.at(last.start_mark)].split(self.eol)
        kept = [line for line in lines if line.lstrip().startswith("#")]
        if first.strip().startswith("#"):
            kept.insert(0, " " * key.start_mark.column + first.strip())
        if kept:
            self.after_line(last.end_mark.line, self.eol.join(kept))

    def _flow_items(self, value: Any, kept: list[Any], added: list[str]) -> None:
        own = value.value if value.id == "sequence" else [value]
        added = [self.word(text) for text in added]
        if value.id != "sequence" or not kept or not own:
            texts = [*map(self.source, kept), *added]
            self.replace(self.at(value.start_mark), self.at(value.end_mark), f"[{', '.join(texts)}]")
            return
        places = [(self.at(item.start_mark), self.at(item.end_mark)) for item in own]
        is_kept = [item in kept for item in own]
        last_kept = max(number for number, stays in enumerate(is_kept) if stays)
        for number, stays in enumerate(is_kept):
            if not stays and number < last_kept:
                self.replace(places[number][0], places[number + 1][0], "")
        if last_kept < len(own) - 1:
            self.replace(places[last_kept][1], places[-1][1], "")
        if added:
            end = places[-1][1]
            self.replace(end, end, "".join(f", {text}" for text in added))


def _is_json(text: str) -> bool:
    import json

    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _shared(root: Any) -> set[int]:
    """The ids of nodes that stand in more than one place, by an anchor, and of all below them."""
    seen: set[int] = set()
    shared: set[int] = set()
    todo = [(root, False)]
    while todo:
        node, is_below = todo.pop()
        again = id(node) in seen
        if id(node) in shared:
            continue
        if again or is_below:
            shared.add(id(node))
        seen.add(id(node))
        todo += [(child, again or is_below) for child in _children(node)]
    return shared


def _children(node: Any) -> list[Any]:
    if node.id == "mapping":
        return [each for pair in node.value for each in pair]
    return list(node.value) if node.id == "sequence" else []
