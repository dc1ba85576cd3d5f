"""Output that is read through a pipe, as it has a limit: its head and its tail are kept, the gap is stated.

Knows nothing of processes. Memory is bounded by the tail, at most a MiB, whatever is printed.
"""

from __future__ import annotations

import os

TAIL_MAX = 1 << 20
CHUNK = 1 << 18


class Capture:
    """Copies one pipe into one log."""

    __slots__ = ("_head_left", "_limit", "_log", "_tail", "_tail_max", "_total", "is_incomplete", "pipe")

    def __init__(self, pipe: int, log: str, limit: int) -> None:
        self.pipe = pipe
        self._limit = limit
        self._tail_max = min(limit // 2, TAIL_MAX)
        self._head_left = limit - self._tail_max
        self._tail = bytearray()
        self._total = 0
        self.is_incomplete = False
        self._log: int | None = None
        try:
            self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
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
            self._take(data)
        return True

    def _take(self, data: bytes) -> None:
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
        tail = self._tail[-self._tail_max :] if self._tail_max else b""
        gap = self._total - (self._limit - self._tail_max) - len(tail)
        if gap > 0:
            self._put(b"\n[stagebook: %d bytes left out here, log-limit %d]\n" % (gap, self._limit))
        if self._tail:
            self._put(bytes(tail))
        if self._log is not None:
            os.close(self._log)

    def _put(self, data: bytes) -> None:
        if self._log is None:
            return
        try:
            while data:
                data = data[os.write(self._log, data) :]
        except OSError:
            self.is_incomplete = True
