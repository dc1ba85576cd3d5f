"""Reads what stages printed, for those who show it: the end of a log with line numbers, or what is new in it.

Only as much is read as is shown, whatever the log's size; reports take what this gives and read no files.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator

_CHUNK = 1 << 16
_COUNT_MAX = 64 << 20  #: a log that is larger gets no line numbers
_LINE_MAX = 4000  #: bytes of one line that are shown
_BATCH = 1 << 20  #: of new output, so much is taken at a time


class Excerpts:
    """`path_of(stage, attempt)` is the path of a log, or None where there is none."""

    def __init__(self, path_of: Callable[[str, int], str | None]) -> None:
        self._path_of = path_of
        self._counted: dict[str, tuple[int, int]] = {}  #: path to (offset, newlines before it)
        self._given: dict[tuple[str, int], tuple[int, bytes]] = {}  #: (offset, the beginning of an unfinished line)

    def tail(self, stage: str, attempt: int, count: int) -> list[tuple[int, bytes]]:
        """The last `count` lines with their numbers; 0 where they were not counted. Nothing where nothing is."""
        path = self._path_of(stage, attempt)
        try:
            fd = os.open(path or "", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError):  # no name of a file, perhaps
            return []
        try:
            return self._tail(fd, path or "", count)
        except OSError:
            return []
        finally:
            os.close(fd)

    def _tail(self, fd: int, path: str, count: int) -> list[tuple[int, bytes]]:
        size = os.fstat(fd).st_size
        start = max(0, size - _CHUNK)
        data = os.pread(fd, size - start, start)
        lines = data.split(b"\n")
        if lines and not lines[-1]:
            lines.pop()
        if start and len(lines) > 1:
            dropped = lines.pop(0)
            start += len(dropped) + 1
        first = 0
        if count > 1 and size <= _COUNT_MAX:
            first = self._newlines(fd, path, start) + 1
        kept = lines[-count:]
        if first:
            first += len(lines) - len(kept)
        return [(first and first + index, shortened(line)) for index, line in enumerate(kept)]

    def _newlines(self, fd: int, path: str, end: int) -> int:
        """Line ends before `end`; what was counted once is not counted again."""
        at, number = self._counted.get(path, (0, 0))
        if at > end:
            at, number = 0, 0
        while at < end:
            data = os.pread(fd, min(_BATCH, end - at), at)
            if not data:
                break
            number += data.count(b"\n")
            at += len(data)
        self._counted[path] = (at, number)
        return number

    def more(self, stage: str, attempt: int, is_over: bool) -> Iterator[bytes]:
        """Whole lines that were not given before; with `is_over` also the last one, whole or not. To be read to its
        end; a line of more than a megabyte comes in parts."""
        key = (stage, attempt)
        offset, rest = self._given.get(key, (0, b""))
        try:
            fd = os.open(self._path_of(stage, attempt) or "", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return
        try:
            while data := os.pread(fd, _BATCH, offset):
                offset += len(data)
                *whole, rest = (rest + data).split(b"\n")
                yield from whole
                if len(rest) > _BATCH:
                    yield rest
                    rest = b""
                if not is_over:
                    break
        except OSError:
            pass
        finally:
            os.close(fd)
        if not is_over:
            self._given[key] = (offset, rest)
            return
        self._given.pop(key, None)
        if rest:
            yield rest


def shortened(line: bytes) -> bytes:
    if len(line) <= _LINE_MAX:
        return line
    return line[: _LINE_MAX // 2] + f" … {len(line) - _LINE_MAX} bytes … ".encode() + line[-_LINE_MAX // 2 :]
