"""Logs of steps, one a slot, that go on from item to item: what grows too large is cut to its newest part, also while
it is written to. Who writes there is not known here, and does not notice: all open such a log for appending. Its first
line then says how much is left out in all, so that whoever follows it finds the place again.
"""

from __future__ import annotations

import os

from stagebook.record.cut import LOG_MAX, NOTE_MAX, left_out, note

LOG_KEPT = 1 << 20  #: a log that is larger than LOG_MAX is cut to so much
LOOK_US = 100_000  #: how often it is looked for them
HURRY_US = 5_000  #: and while one grows fast
_ROUNDS_MAX = 16
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
        """Cut a log to its newest part, and return by how many bytes it has become shorter. What is written between
        the last look and the cut, a few microseconds, is lost with the rest."""
        try:
            fd = os.open(f"{self.directory}/{log}", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return 0
        try:
            size = os.fstat(fd).st_size
            before, noted = left_out(os.pread(fd, NOTE_MAX, 0))
            begin = max(0, size - LOG_KEPT)
            kept = os.pread(fd, 2 * LOG_KEPT, begin)
            begin += kept.find(b"\n") + 1
            kept = kept[kept.find(b"\n") + 1 :]
            text = note(before + begin - noted)
            for _ in range(_ROUNDS_MAX):  # what came while that was read: the last look is right before the cut
                more = os.pread(fd, LOG_KEPT, begin + len(kept))
                if not more:
                    break
                kept += more
            left = len(text) + len(kept)
            os.ftruncate(fd, left)  # and not to nothing: what comes now must not come before the text
            os.pwrite(fd, kept, len(text))
            os.pwrite(fd, text, 0)
            self._sizes[log] = left
            return begin + len(kept) - left
        except OSError:
            return 0
        finally:
            os.close(fd)
