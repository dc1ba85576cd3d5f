"""JUnit reports of the parts of a suite made one: what they hold stands in it as it was, under the shard it came from.

Streamed, so that the size of a report does not matter. Which reports belong together: elsewhere.
"""

from __future__ import annotations

import os
from xml.parsers import expat

from stagebook.history import junit
from stagebook.model.problem import Problem
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Mapping, Sequence

_CHUNK = 1 << 18
_TIMES_S = 3  #: decimals
_COUNTED = {"failure": "failures", "error": "errors", "skipped": "skipped"}
_HEAD_ROOM = 64  #: bytes left for the figures, which are known in the end


class Merged(NamedTuple):
    """`damaged` are shards whose report was left out, with why; `twice` is how many tests several shards reported."""

    tests: int
    damaged: dict[str, str]
    twice: int


def merge(suite: str, reports: Sequence[tuple[str, str]], target: str) -> Merged:
    """Write one report made of those of the shards (number, path), in their order, as a whole or not at all.

    Each test is in it once, from the first shard that reports it. Raises OSError.
    """
    damaged: dict[str, str] = {}
    draft = os.path.join(os.path.dirname(target), f".{os.path.basename(target)}.{os.getpid()}.tmp")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        with open(fd, "w", encoding="utf-8", errors="replace", newline="\n") as out:
            out.write('<?xml version="1.0" encoding="utf-8"?>\n')
            at = out.tell()
            out.write(" " * (len(_head(suite, {}, 0.0).encode()) + _HEAD_ROOM))
            body = _Body(out)
            for shard, path in reports:
                why = damage(path)
                if why is None:
                    body.add(shard, path)
                else:
                    damaged[shard] = why
            out.write("\n</testsuites>\n")
            out.seek(at)
            out.write(_head(suite, body.counts, body.seconds))
        os.replace(draft, target)
    except BaseException:
        os.unlink(draft)
        raise
    return Merged(body.counts.get("tests", 0), damaged, body.twice)


def damage(path: str) -> str | None:
    """Why a report is not whole; None if it is."""
    notes: list[Problem] = []
    for _ in junit.read(path, notes):
        pass
    return notes[0].message.partition(": ")[2] or notes[0].message if notes else None


def _head(suite: str, counts: Mapping[str, int], seconds: float) -> str:
    figures = "".join(f' {key}="{counts.get(key, 0)}"' for key in ("tests", "failures", "errors", "skipped"))
    return f'<testsuites name="{_attribute(suite)}"{figures} time="{seconds:.{_TIMES_S}f}">'


class _Body:
    """Writes what is inside reports; counts what tests it writes."""

    def __init__(self, out: IO[str]) -> None:
        self.counts: dict[str, int] = {}
        self.seconds = 0.0
        self.twice = 0
        self._write = out.write
        self._first: dict[tuple[str, str, str], str] = {}  #: tests, and the shard that was the first to report each
        self._begin("")

    def _begin(self, shard: str) -> None:
        self._shard = shard
        self._path: list[str] = []
        self._suites: list[str] = []
        self._spaces: dict[str, str] = {}
        self._uncounted: set[str] = set()  #: what the test at hand has not been counted as yet
        self._owes_property = False
        self._is_open = False  #: the tag that was written last is not closed
        self._left_out = 0  #: how deep in what is not written

    def add(self, shard: str, path: str) -> None:
        self._begin(shard)
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                parser.Parse(chunk, False)
        parser.Parse(b"", True)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._path.append(tag)
        if self._left_out:
            self._left_out += 1
            return
        if len(self._path) == 1 and _plain(tag) == "testsuites":
            self._spaces = {key: value for key, value in attributes.items() if key.startswith("xmlns")}
            return
        if not self._suites and _plain(tag) != "testsuite":
            self._left_out = 1
            return
        kind = _plain(tag)
        if kind == "testcase" and not self._is_news(attributes):
            self._left_out = 1
            return
        if self._owes_property and kind != "properties":
            self._give_property(wrapped=True)
        self._close_tag()
        if kind == "testsuite":
            if not self._suites:
                attributes = {**self._spaces, **attributes}
                self._owes_property = True
                self._write("\n")
            self._suites.append(attributes.get("name", ""))
        elif len(self._path) > 1 and _plain(self._path[-2]) == "testcase" and kind in self._uncounted:
            self._uncounted.discard(kind)
            self._count(_COUNTED[kind])
        self._write(f"<{tag}" + "".join(f' {key}="{_attribute(value)}"' for key, value in attributes.items()))
        self._is_open = True
        if kind == "properties" and self._owes_property:
            self._give_property(wrapped=False)

    def _end(self, tag: str) -> None:
        self._path.pop()
        if self._left_out:
            self._left_out -= 1
            return
        if not self._path and _plain(tag) == "testsuites":
            return
        if _plain(tag) == "testsuite":
            if self._owes_property:
                self._give_property(wrapped=True)
            self._suites.pop()
        if self._is_open:
            self._write("/>")
            self._is_open = False
        else:
            self._write(f"</{tag}>")

    def _text(self, text: str) -> None:
        if self._left_out or not self._suites:
            return
        if self._owes_property and text.strip():
            self._give_property(wrapped=True)
        self._close_tag()
        self._write(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;"))

    def _close_tag(self) -> None:
        if self._is_open:
            self._write(">")
            self._is_open = False

    def _give_property(self, wrapped: bool) -> None:
        self._owes_property = False
        self._close_tag()
        mark = f'<property name="shard" value="{_attribute(self._shard)}"/>'
        self._write(f"<properties>{mark}</properties>" if wrapped else mark)

    def _is_news(self, attributes: Mapping[str, str]) -> bool:
        classname = attributes.get("classname") or self._suites[-1]
        test = classname, attributes.get("name", ""), attributes.get("file", "")
        if self._first.setdefault(test, self._shard) != self._shard:
            self.twice += 1
            return False
        self._count("tests")
        self._uncounted = set(_COUNTED)
        self.seconds += junit.seconds(attributes.get("time")) or 0.0
        return True

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


def _plain(tag: str) -> str:
    return tag.rpartition(":")[2]


def _attribute(text: str) -> str:
    for character, written in _WRITTEN:
        text = text.replace(character, written)
    return text


_WRITTEN = (
    ("&", "&amp;"),
    ("<", "&lt;"),
    (">", "&gt;"),
    ('"', "&quot;"),
    ("\n", "&#10;"),
    ("\r", "&#13;"),
    ("\t", "&#9;"),
)
