"""Files of the kernel that are read again and again: opened once, read from the start. Nothing is understood here."""

from __future__ import annotations

import os


class Kept:
    """Descriptors of such files, for as long as they are looked at."""

    def __init__(self) -> None:
        self._fds: list[int] = []

    def open(self, path: str) -> int | None:
        """None where there is no such file, or it cannot be read."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        self._fds.append(fd)
        return fd

    def close(self) -> None:
        """Give them back; may be called twice."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()


def peek(fd: int | None) -> bytes:
    """The beginning of the file, as it is now; empty where it is gone, or never was there."""
    if fd is None:
        return b""
    try:
        return os.pread(fd, 512, 0)
    except OSError:
        return b""
