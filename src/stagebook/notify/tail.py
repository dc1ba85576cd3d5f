"""The lines that come to a journal, as they come, in constant memory; and a descriptor that tells of them. Reads only.

Only lines of the events that matter are decoded: a run writes many others.
"""

from __future__ import annotations

import ctypes
import os
import select

from stagebook.record.line import BrokenLine, decode
from stagebook.record.shapes import fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Collection, Iterator

_CHUNK = 1 << 20
_EVENT = b'"event":"'
_IN_MODIFY, _IN_CLOSE_WRITE = 2, 8
_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK  # as inotify's own flags are


class Tail:
    """A journal that grows, or (a torn end is cut before a run goes on) gets shorter and is read again."""

    def __init__(self, path: str, events: Collection[str], lock: str) -> None:
        """`lock` is a file that whoever writes the journal has open: that it is closed is told too."""
        self._path = path
        self._events = {event.encode() for event in events}
        self._at = 0
        self._rest = b""
        self.bell = _watched(
            (path, _IN_MODIFY), (lock, _IN_MODIFY | _IN_CLOSE_WRITE)
        )  #: None where the kernel does not tell

    def want(self, event: str) -> None:
        """Give lines of this event too, from the next one on."""
        self._events.add(event.encode())

    def read(self) -> Iterator[dict[str, Any]]:
        """What has come since, in order. A line that is not whole, or not sound, is passed over."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return
        try:
            if os.fstat(fd).st_size < self._at:
                self._at, self._rest = 0, b""
            while data := os.pread(fd, _CHUNK, self._at):
                self._at += len(data)
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    if _event(line) in self._events:
                        try:
                            record = decode(line)
                        except BrokenLine:
                            continue
                        if fault(record) is None:
                            yield record
        finally:
            os.close(fd)

    def wait(self, seconds: float, others: Collection[int] = ()) -> None:
        """Until there is more, one of the descriptors can be read, or so long."""
        bells = () if self.bell is None else (self.bell,)
        ready = select.select((*bells, *others), (), (), max(0.0, seconds))[0]
        if self.bell in ready and self.bell is not None:
            try:
                os.read(self.bell, 1 << 16)
            except BlockingIOError:
                pass


def _event(line: bytes) -> bytes:
    at = line.find(_EVENT, 0, 400)
    return line[at + len(_EVENT) : line.find(b'"', at + len(_EVENT))] if at >= 0 else b""


def _watched(*files: tuple[str, int]) -> int | None:
    """An inotify descriptor that can be read when one of these things was done to one of these files."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        fd: int = libc.inotify_init1(_FLAGS)
        if fd < 0:
            return None
        for path, what in files:
            if libc.inotify_add_watch(fd, os.fsencode(path), what) < 0:
                os.close(fd)
                return None
    except (OSError, AttributeError):
        return None
    return fd
