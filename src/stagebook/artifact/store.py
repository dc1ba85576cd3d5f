"""What stages made, kept by what it holds: `.stagebook/cache/objects/ab/REST`. Names nothing, decides no freshness.

An object is written under a temporary name, held against its digest while it is copied, and renamed: it is there whole
or not at all, also where two put the same one. The store is a convenience: where it cannot be written, a run goes on,
and what it gets is a sentence to warn with.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from stagebook.artifact.digest import LINK, File
from stagebook.artifact.paths import Folders, Unsound
from stagebook.model.value import NamedTuple
from stagebook.record import faults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import AbstractSet, Callable, Iterator, Mapping

LIMIT_BYTES = 10 * 2**30
AGE_S = 30 * 86_400
_FICLONE = 0x40049409
_CHUNK = 2**20
_TEMPORARY_AGE_S = 3_600  #: no copy takes longer than that: what is older was left by somebody who was killed
_HEX = frozenset("0123456789abcdef")


class Entry(NamedTuple):
    """One object. `used` is when it was last put or got, in seconds since the epoch."""

    digest: str
    size: int
    used: float


class Collected(NamedTuple):
    """What was removed, or would be: objects, temporary files, their bytes. `kept_bytes` is what remains of objects."""

    objects: tuple[Entry, ...]
    temporaries: tuple[str, ...]
    freed_bytes: int
    kept_bytes: int


class Verified(NamedTuple):
    """`damaged`: digests of the objects that held something else, and what that was; they are removed."""

    objects: int
    size: int
    damaged: Mapping[str, str]


class Store:
    def __init__(self, cache: str, limit_bytes: int = LIMIT_BYTES) -> None:
        """`cache` is `.stagebook/cache`, there or not."""
        self.objects = os.path.join(cache, "objects")
        self._temporaries = os.path.join(self.objects, "tmp")
        self._limit = limit_bytes
        self._count = 0

    def path(self, digest: str) -> str:
        return os.path.join(self.objects, digest[:2], digest[2:])

    def has(self, digest: str) -> bool:
        return os.path.exists(self.path(digest))

    def put(self, root: str, file: File) -> str | None:
        """Keep what lies at `file.path` below `root`; a sentence to warn with where that could not be done.

        A file larger than the limit of the whole store is not kept. What is kept already is used again.
        """
        if file.size > self._limit:
            return None
        end = self.path(file.digest)
        try:
            if os.stat(end, follow_symlinks=False).st_size == _size(file):
                os.utime(end)
                return None
        except OSError:
            pass
        draft = ""
        try:
            draft = self._draft()
            got = self._fill(draft, root, file)
            if got != file.digest:
                return f"{file.path} is not kept in the cache: it changed after it was hashed"
            os.makedirs(os.path.dirname(end), 0o700, exist_ok=True)
            os.rename(draft, end)
            draft = ""
        except Unsound as error:
            return f"{file.path} is not kept in the cache: {error.why}"
        except OSError as error:
            return f"{file.path} is not kept in {self.objects}: {os.strerror(error.errno or errno.EIO)}"
        finally:
            if draft:
                _remove(draft)
        return None

    def get(self, root: str, file: File) -> str | None:
        """Put a file where it was, whole, by rename; why that cannot be done, else None.

        `corrupt: expected … got …` says that the object was damaged; it is removed.
        """
        from blake3 import blake3

        source = self.path(file.digest)
        hasher = blake3()
        try:
            with Folders(root) as folders:
                folder, name = folders.of(file.path)
                draft = f".{name[:100]}.{os.getpid()}.stagebook"
                try:
                    if file.mode == LINK:
                        with open(source, "rb") as kept:
                            data = kept.read()
                        hasher.update(data)
                        os.symlink(os.fsdecode(data.removeprefix(b"link:")), draft, dir_fd=folder)
                    else:
                        fd = os.open(
                            draft,
                            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
                            file.mode & 0o777,
                            dir_fd=folder,
                        )
                        try:
                            copied = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                            try:
                                _copy(copied, fd, hasher.update)
                            finally:
                                os.close(copied)
                        finally:
                            os.close(fd)
                    if hasher.hexdigest() != file.digest:
                        _remove(source)
                        return f"corrupt: expected {file.digest} got {hasher.hexdigest()}"
                    os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
                    draft = ""
                finally:
                    if draft:
                        _remove(draft, folder)
            os.utime(source)
        except OSError as error:
            return os.strerror(error.errno or errno.EIO)
        return None

    def entries(self) -> Iterator[Entry]:
        """All objects, in the order of their digests."""
        for folder in _names(self.objects):
            if len(folder) != 2 or not _HEX.issuperset(folder):
                continue
            for name in _names(os.path.join(self.objects, folder)):
                if len(name) != 62 or not _HEX.issuperset(name):
                    continue
                try:
                    status = os.lstat(os.path.join(self.objects, folder, name))
                except OSError:
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield Entry(folder + name, status.st_size, status.st_mtime)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> Verified:
        """Read every object; those that do not hold what they are named by are removed."""
        from stagebook.artifact.digest import hash_files

        entries = list(self.entries())
        damaged: dict[str, str] = {}
        if entries:
            paths = [f"{entry.digest[:2]}/{entry.digest[2:]}" for entry in entries]
            for entry, file in zip(entries, hash_files(self.objects, paths, progress=progress)):
                if file.digest != entry.digest:
                    damaged[entry.digest] = file.digest
                    _remove(self.path(entry.digest))
        return Verified(len(entries), sum(entry.size for entry in entries), damaged)

    def collect(
        self,
        limit_bytes: int = LIMIT_BYTES,
        max_age_s: float = AGE_S,
        dry_run: bool = False,
        named: AbstractSet[str] = frozenset(),
        now: float | None = None,
    ) -> Collected:
        """Remove objects that were not used for longer than `max_age_s`, then those used least recently until the rest
        is within the limit. Objects in `named` do not age, and go last."""
        now = time.time() if now is None else now
        ordered = sorted(self.entries(), key=lambda entry: (entry.digest in named, entry.used, entry.digest))
        kept = sum(entry.size for entry in ordered)
        going = []
        for entry in ordered:
            is_old = entry.digest not in named and now - entry.used > max_age_s
            if is_old or kept > limit_bytes:
                going.append(entry)
                kept -= entry.size
        stale, size = self._stale(now)
        if not dry_run:
            for entry in going:
                _remove(self.path(entry.digest))
            for path in stale:
                _remove(path)
        return Collected(tuple(going), tuple(stale), sum(entry.size for entry in going) + size, kept)

    def _stale(self, now: float) -> tuple[list[str], int]:
        found, size = [], 0
        for name in _names(self._temporaries):
            path = os.path.join(self._temporaries, name)
            try:
                status = os.lstat(path)
            except OSError:
                continue
            if now - status.st_mtime > _TEMPORARY_AGE_S:
                found.append(path)
                size += status.st_size
        return found, size

    def _draft(self) -> str:
        os.makedirs(self._temporaries, 0o700, exist_ok=True)
        self._count += 1
        return os.path.join(self._temporaries, f"{os.getpid()}-{self._count}-{time.time_ns():x}")

    def _fill(self, draft: str, root: str, file: File) -> str:
        """Write what lies at `file.path` to `draft`; the digest of what was written."""
        from blake3 import blake3

        faults.hit("cache.write")
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o444)
        try:
            hasher = blake3()
            with Folders(root) as folders:
                if file.mode == LINK:
                    folder, name = folders.of(file.path)
                    data = b"link:" + os.fsencode(os.readlink(name, dir_fd=folder))
                    os.write(fd, data)
                    hasher.update(data)
                else:
                    source = folders.open(file.path)
                    try:
                        if not stat.S_ISREG(os.fstat(source).st_mode):
                            raise Unsound(file.path, "it is no regular file")
                        _keep(source, fd, hasher.update)
                    finally:
                        os.close(source)
            os.fchmod(fd, 0o444)
            text: str = hasher.hexdigest()
            return text
        finally:
            os.close(fd)


def _keep(source: int, fd: int, update: Callable[[memoryview], object]) -> None:
    """By sharing the blocks where the file system can, else by copying. What is hashed is what was written."""
    if _cloned(source, fd):
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        while count := os.readv(fd, [buffer]):
            update(view[:count])
    else:
        _copy(source, fd, update)


def _cloned(source: int, fd: int) -> bool:
    import fcntl

    try:
        fcntl.ioctl(fd, _FICLONE, source)
    except OSError:
        return False
    return True


def _copy(source: int, fd: int, update: Callable[[memoryview], object]) -> None:
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    while count := os.readv(source, [buffer]):
        update(view[:count])
        rest = view[:count]
        while rest:
            rest = rest[os.write(fd, rest) :]


def _size(file: File) -> int:
    return file.size + len(b"link:") if file.mode == LINK else file.size


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _remove(path: str, folder: int | None = None) -> None:
    try:
        os.unlink(path, dir_fd=folder)
    except OSError:
        pass
