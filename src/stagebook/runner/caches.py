"""Caches of jobs: files kept under a key from one run to the next, in the state directory. The least used go first when
they are too many.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from contextlib import contextmanager

from stagebook.runner import matching
from stagebook.runner.artifacts import Put
from stagebook.runner.copying import Copier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator

BYTES_MAX = 5 << 30
_KEY = "key"
_FILES = "files"


class Caches:
    """The store below a state directory."""

    def __init__(self, state_directory: str, limit_bytes: int = BYTES_MAX) -> None:
        self._folder = os.path.join(state_directory, "cache", "ci")
        self._limit_bytes = limit_bytes

    def find(self, key: str, restore_keys: list[str] | None = None) -> str | None:
        """The key under which something is kept: this one, else the latest that begins with the first of
        `restore_keys` that any begins with."""
        kept = self._kept()
        if key in kept:
            return key
        for prefix in (key, *(restore_keys or ())):
            near = [each for each in kept if each.startswith(prefix)]
            if prefix and near and restore_keys:
                return max(near, key=kept.__getitem__)
        return None

    def restore(self, key: str, into: str, restore_keys: list[str] | None = None) -> str | None:
        """Copy what is kept under a key, as `find` has it, into a folder: that key, or None. Raises OSError."""
        with self._locked(fcntl.LOCK_SH):
            found = self.find(key, restore_keys)
            if found is None:
                return None
            files = os.path.join(self._entry(found), _FILES)
            os.makedirs(into, exist_ok=True)
            copier = Copier(files, into)
            for each in matching.find(files, ["."], folders=True)[0]:
                copier.take(each)
            os.utime(os.path.join(self._entry(found), _KEY))
        return found

    def save(self, key: str, root: str, globs: list[str], replace: bool = True) -> Put | None:
        """Keep files of `root` under a key. None where something is kept under it already and stays, as `replace` says,
        or where there is nothing to keep. Raises OSError."""
        if not replace and self.find(key) is not None:
            return None
        names, barren = matching.find(root, globs, folders=True)
        if not names:
            return None
        entry = self._entry(key)
        fresh = os.path.join(self._folder, f".new-{os.getpid()}-{os.path.basename(entry)}")
        shutil.rmtree(fresh, ignore_errors=True)
        os.makedirs(os.path.join(fresh, _FILES), 0o700)
        copier = Copier(root, os.path.join(fresh, _FILES))
        for each in names:
            copier.take(each)
        with open(os.path.join(fresh, _KEY), "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(key)
        with self._locked(fcntl.LOCK_EX):
            shutil.rmtree(entry, ignore_errors=True)
            os.rename(fresh, entry)
            self._prune(entry)
        return Put(copier.count, copier.size_bytes, barren, copier.notes)

    def unused(self, age_s: float) -> dict[str, int]:
        """Those that nobody has used for so long: keys to bytes."""
        before_s = time.time() - age_s
        return {key: _size_bytes(self._entry(key)) for key, used_s in self._kept().items() if used_s < before_s}

    def forget(self, keys: Iterable[str]) -> None:
        """Remove what is kept under these. Raises OSError."""
        with self._locked(fcntl.LOCK_EX):
            for key in keys:
                shutil.rmtree(self._entry(key), ignore_errors=True)

    def _prune(self, kept: str) -> None:
        """Whoever calls holds the lock."""
        rows = []
        for name in os.listdir(self._folder):
            path = os.path.join(self._folder, name)
            if name.startswith(".new-"):
                pid = name.split("-")[1]
                if not os.path.isdir(f"/proc/{pid}"):
                    shutil.rmtree(path, ignore_errors=True)
            elif os.path.isdir(path):
                rows.append((_used_s(path), _size_bytes(path), path))
        total = sum(size for _, size, _ in rows)
        for _, size, path in sorted(rows):
            if total <= self._limit_bytes:
                break
            if path != kept:
                shutil.rmtree(path, ignore_errors=True)
                total -= size

    def _kept(self) -> dict[str, float]:
        """All keys, with when each was last used."""
        found = {}
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return {}
        for name in names:
            path = os.path.join(self._folder, name)
            try:
                with open(os.path.join(path, _KEY), encoding="utf-8", errors="surrogateescape") as file:
                    key = file.read()
            except (FileNotFoundError, NotADirectoryError):
                continue
            if not name.startswith("."):
                found[key] = _used_s(path)
        return found

    def _entry(self, key: str) -> str:
        digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        return os.path.join(self._folder, digest)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        if os.path.islink(self._folder):
            raise OSError(40, "it is a link", self._folder)
        os.makedirs(self._folder, 0o700, exist_ok=True)
        fd = os.open(os.path.join(self._folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, how)
            yield
        finally:
            os.close(fd)


def _size_bytes(path: str) -> int:
    return sum(os.lstat(os.path.join(folder, file)).st_size for folder, _, files in os.walk(path) for file in files)


def _used_s(path: str) -> float:
    try:
        return os.stat(os.path.join(path, _KEY)).st_mtime
    except OSError:
        return 0.0
