"""Logs of steps, one a slot, that go on from item to item: what grows too large is cut to its newest part, also while
it is written to. Who writes there is not known here, and does not notice: all open such a log for appending.
"""

from __future__ import annotations

import os

LOG_MAX = 16 << 20  #: a log that is larger is cut
LOG_KEPT = 1 << 20  #: to so much
LOOK_US = 100_000  #: how often it is looked for them
HURRY_US = 5_000  #: and while one grows fast
FAST = 4 << 20  #: which is by more than this between two looks


class Logs:
    """Those of one stage, in a directory."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.look_at_us = 0  #: when to look again
        self._sizes: dict[str, int] = {}

    def size(self, log: str) -> int:
        """0 for one that is not there."""
        try:
            return os.stat(f"{self.directory}/{log}").st_size
        except OSError:
            return 0

    def look(self, us: int, logs: list[str]) -> dict[str, int]:
        """Cut those of these that are too large: by how much."""
        sizes = {log: self.size(log) for log in logs}
        is_fast = any(size - self._sizes.get(log, 0) > FAST for log, size in sizes.items())
        self.look_at_us = us + (HURRY_US if is_fast else LOOK_US)
        self._sizes = sizes
        return {log: self.cut(log) for log, size in sizes.items() if size > LOG_MAX}

    def cut(self, log: str) -> int:
        """By how much it has become shorter. What is written meanwhile may be lost with the rest."""
        try:
            fd = os.open(f"{self.directory}/{log}", os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return 0
        try:
            size = os.fstat(fd).st_size
            kept = os.pread(fd, LOG_KEPT, max(0, size - LOG_KEPT))
            kept = kept[kept.find(b"\n") + 1 :]
            os.ftruncate(fd, 0)
            text = b"[stagebook: %d bytes left out here, the log of a step keeps %d]\n" % (size - len(kept), LOG_MAX)
            self._sizes[log] = os.write(fd, text + kept)
            return size - self._sizes[log]
        except OSError:
            return 0
        finally:
            os.close(fd)
