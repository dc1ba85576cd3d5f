"""Notes of when which log grew, so that the logs of parallel stages can be put in order of time.

`logs/growth` holds one line a note, four numbers in decimal: microseconds since the run began, stage as its number
in the plan, attempt, size of the log in bytes at that time. It is a help for reading logs and no part of the record:
it is never synced, and what cannot be written is counted as lost and does not disturb the run.
"""

from __future__ import annotations

import os

from stagebook.model.value import NamedTuple
from stagebook.record.state import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

NAME = "growth"


class Note(NamedTuple):
    us: int
    stage: int
    attempt: int
    size: int


class Growth:
    """The notes of one run, open for appending. `lost` counts notes that could not be written."""

    __slots__ = ("_fd", "_notes", "_torn", "lost", "path")

    def __init__(self, logs_directory: str) -> None:
        self.path = os.path.join(logs_directory, NAME)
        self.lost = 0
        self._fd = -1
        self._notes: list[str] = []
        self._torn = False  #: the file ends within a line, which the next write has to close

    def add(self, us: int, stage: int, attempt: int, size: int) -> None:
        """Take one note; it goes out with the next `write`."""
        self._notes.append(f"{us} {stage} {attempt} {size}\n")

    def write(self) -> None:
        """Put out what was added, in one write."""
        notes = self._notes
        if not notes:
            return
        try:
            if self._fd < 0:
                self._fd = os.open(
                    self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o600
                )
            data = (b"\n" if self._torn else b"") + "".join(notes).encode()
            self._torn = os.write(self._fd, data) != len(data)
            self.lost += self._torn
        except OSError:
            self.lost += len(notes)
        notes.clear()

    def close(self) -> None:
        self.write()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read(logs_directory: str) -> Iterator[Note]:
    """All notes in order; lines that are not whole are passed over, and no file means no notes."""
    try:
        file = open_regular(os.path.join(logs_directory, NAME))
    except OSError:
        return
    with file:
        for line in file:
            words = line.split()
            if len(words) == 4 and line.endswith(b"\n") and all(word.isdigit() for word in words):
                yield Note(*map(int, words))
