"""What jobs of CI systems leave about their steps, for the line that tells of an attempt's end. A file an attempt, in
the run's folder: JSON lines of name, outcome, and nanoseconds of the monotonic clock from when to when; a line of one
text alone is a warning.
"""

from __future__ import annotations

import json
import os
from time import monotonic_ns

from stagebook.engine.clock import Clock
from stagebook.record.state import open_regular

BYTES_MAX = 1 << 18
STEPS_MAX = 1000
WARNINGS_MAX, WARNING_MAX = 20, 500  #: warnings of an attempt; characters of one
FOLDER = "steps"


class Steps:
    """Of one run."""

    def __init__(self, directory: str, clock: Clock) -> None:
        self._folder = os.path.join(directory, FOLDER)
        self._clock = clock

    def of(self, index: int, number: int) -> str:
        """The steps of an attempt as a JSON list of name, outcome, and seconds of the run from when to when; empty
        where it has left none."""
        lines = self._lines(index, number)
        ahead_ns = monotonic_ns() - self._clock.us() * 1000
        found = []
        for line in lines:
            try:
                name, outcome, began_ns, ended_ns = json.loads(line)
                found.append(
                    [
                        str(name),
                        str(outcome),
                        *(max(0, int(ns) - ahead_ns) // 1000 / 1e6 for ns in (began_ns, ended_ns)),
                    ]
                )
            except (ValueError, TypeError, RecursionError, OverflowError):
                continue
        return json.dumps(found[:STEPS_MAX], ensure_ascii=True, separators=(",", ":")) if found else ""

    def warnings(self, index: int, number: int) -> list[str]:
        """What an attempt leaves to be said of its run."""
        found = []
        for line in self._lines(index, number):
            try:
                said = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(said, list) and len(said) == 1 and isinstance(said[0], str):
                found.append(said[0][:WARNING_MAX])
        return found[:WARNINGS_MAX]

    def _lines(self, index: int, number: int) -> list[bytes]:
        try:
            with open_regular(os.path.join(self._folder, f"{index}.{number}")) as file:
                return file.read(BYTES_MAX).splitlines()[: STEPS_MAX + WARNINGS_MAX]
        except (OSError, ValueError):
            return []
