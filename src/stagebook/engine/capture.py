"""Output that is read through a pipe, as it may hold secrets or has a limit: what is secret is masked; of more than
the limit head and tail are kept, and the gap is stated.

Knows nothing of processes. Memory is bounded by the tail, at most a MiB, and by the longest secret.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.record.mask import Mask

TAIL_MAX = 1 << 20
CHUNK = 1 << 18


class Capture:
    """Copies one pipe into one log."""

    __slots__ = ("_head_left", "_limit", "_log", "_stream", "_tail", "_tail_max", "_total", "is_incomplete", "pipe")

    def __init__(
        self, pipe: int, log: str, limit: int | None, mask: Mask | None = None, goes_on: bool = False
    ) -> None:  # fmt: skip
        """`goes_on`: behind what is in the log."""
        self.pipe = pipe
        self._stream = mask.stream() if mask else None
        self._limit = limit
        self._tail_max = 0 if limit is None else min(limit // 2, TAIL_MAX)
        self._head_left = 0 if limit is None else limit - self._tail_max
        self._tail = bytearray()
        self._total = 0
        self.is_incomplete = False
        self._log: int | None = None
        try:
            fresh = 0 if goes_on else os.O_TRUNC
            self._log = os.open(log, os.O_WRONLY | os.O_CREAT | fresh | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError:
            self.is_incomplete = True

    def pump(self) -> bool:
        """Take what is there now; False at the end of the output."""
        for _ in range(8):
            try:
                data = os.read(self.pipe, CHUNK)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            self._take(data if self._stream is None else self._stream.feed(data))
        return True

    def _take(self, data: bytes) -> None:
        if self._limit is None:
            self._put(data)
            return
        self._total += len(data)
        if self._head_left:
            head, data = data[: self._head_left], data[self._head_left :]
            self._head_left -= len(head)
            self._put(head)
        if data:
            self._tail += data
            if len(self._tail) > 2 * self._tail_max:
                del self._tail[: len(self._tail) - self._tail_max]

    def close(self) -> None:
        """Write the tail after a line that states the gap."""
        os.close(self.pipe)
        if self._stream is not None:
            self._take(self._stream.end())
        if self._limit is not None:
            self._put_tail(self._limit)
        if self._log is not None:
            os.close(self._log)

    def _put_tail(self, limit: int) -> None:
        tail = self._tail[-self._tail_max :] if self._tail_max else b""
        gap = self._total - (limit - self._tail_max) - len(tail)
        if gap > 0:
            self._put(b"\n[stagebook: %d bytes left out here, log-limit %d]\n" % (gap, limit))
        if self._tail:
            self._put(bytes(tail))

    def _put(self, data: bytes) -> None:
        if self._log is None:
            return
        try:
            while data:
                data = data[os.write(self._log, data) :]
        except OSError:
            self.is_incomplete = True
