"""How busy the machine is, for the line under the live view. Nothing is decided by it."""

from __future__ import annotations

import os


class Pulse:
    """Call it at most a few times a second; each call tells of the time since the one before."""

    def __init__(self) -> None:
        self._busy = self._all = 0
        self._cores = os.cpu_count() or 1
        self()

    def __call__(self) -> tuple[float, float] | None:
        """Cores in use and cores there are; None where the system does not say."""
        try:
            fd = os.open("/proc/stat", os.O_RDONLY | os.O_CLOEXEC)
            try:
                words = os.read(fd, 512).split(b"\n", 1)[0].split()
            finally:
                os.close(fd)
            numbers = [int(word) for word in words[1:9]]
        except (OSError, ValueError):
            return None
        everything = sum(numbers)
        busy = everything - numbers[3] - numbers[4]
        spent, passed = busy - self._busy, everything - self._all
        self._busy, self._all = busy, everything
        return (self._cores * spent / passed, float(self._cores)) if passed > 0 else None
