"""Keys of items that were done, in files that only grow: sixteen bytes each, so that a torn write costs the last one.

One file a stage lies in the cache. It is cut to its latest keys when it has grown far; what is lost with it is done
again, and no more than that.
"""

from __future__ import annotations

import os

from stagebook.engine.items.origin import KEY_BYTES

KEYS_MAX = 1 << 21  #: beyond so many in a file the older half is forgotten


class Done:
    """What was done before, by key."""

    def __init__(self, path: str) -> None:
        """A file that is not there, or cannot be read, holds none."""
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            data = b""
        self._keys = {data[at : at + KEY_BYTES] for at in range(0, len(data) - KEY_BYTES + 1, KEY_BYTES)}

    def __contains__(self, key: bytes) -> bool:
        return key in self._keys


class Doing:
    """Appends keys. What cannot be written is done again another time, so nothing is said of it."""

    def __init__(self, path: str) -> None:
        self._fd = _open(path)

    def add(self, keys: list[bytes]) -> None:
        try:
            os.write(self._fd, b"".join(keys))
        except OSError:
            pass

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _open(path: str) -> int:
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        _cut(path)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        torn = os.fstat(fd).st_size % KEY_BYTES
        if torn:
            os.write(fd, bytes(KEY_BYTES - torn))
        return fd
    except OSError:
        return -1


def _cut(path: str) -> None:
    """Forget the older half of a file that has grown too long."""
    try:
        size = os.stat(path).st_size
    except FileNotFoundError:
        return
    if size <= KEYS_MAX * KEY_BYTES:
        return
    with open(path, "rb") as file, open(f"{path}.new", "wb") as kept:
        file.seek(size // KEY_BYTES // 2 * KEY_BYTES)
        while data := file.read(1 << 20):
            kept.write(data)
    os.rename(f"{path}.new", path)
