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

from stagebook.artifact.digest import LINK, File, digest_of, hash_files, linked
from stagebook.artifact.paths import Folders, Unsound, kind_of
from stagebook.model.value import NamedTuple
from stagebook.record import faults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import AbstractSet, Callable, Iterator, Mapping, Sequence

LIMIT_BYTES = 10 * 2**30
AGE_S = 30 * 86_400
_FICLONE = 0x40049409
_CLONED_MIN = 64 * 1024
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LINK = b"link:"
_CHUNK = 2**20
_TOGETHER = 4096  #: so many objects are read by one call
_TIDY_S = 86_400
_COUNTED = 2**20
_TEMPORARY_AGE_S = 3_600  #: no copy takes longer than that: what is older was left by somebody who was killed
_HEX = frozenset("0123456789abcdef")
_DRAFT = r"[0-9]+-[0-9]+-[0-9a-f]+"
_DRAFT_OF_STATE = r"stages-[0-9a-f]{16}\.jsonl\.[0-9]+\.tmp"


class Entry(NamedTuple):
    """One object. `used` is when it was last put or got, in seconds since the epoch."""

    digest: str
    size: int
    used: float


class Collected(NamedTuple):
    """What was removed, or would be: objects, and temporary files with their bytes. `kept_bytes`: of what remains."""

    objects: tuple[Entry, ...]
    temporaries: tuple[tuple[str, int], ...]
    kept_bytes: int


class Verified(NamedTuple):
    """`damaged`: digests of the objects that held something else, and what that was; they are removed."""

    objects: int
    size: int
    damaged: Mapping[str, str]


class Store:
    def __init__(self, cache: str, limit_bytes: int | None = None) -> None:
        """`cache` is `.stagebook/cache`, there or not; the limit is LIMIT_BYTES unless another is given."""
        self._cache = cache
        self.objects = os.path.join(cache, "objects")
        self._temporaries = os.path.join(self.objects, "tmp")
        self._limit = LIMIT_BYTES if limit_bytes is None else limit_bytes
        self._count = 0
        self._is_made = False
        self._uncounted = 0
        self._added = os.path.join(self.objects, "added")

    @property
    def _is_ours(self) -> bool:
        return _is_folder(self._cache) and _is_folder(self.objects)

    def path(self, digest: str) -> str:
        return os.path.join(self.objects, digest[:2], digest[2:])

    def has(self, digest: str) -> bool:
        return os.path.exists(self.path(digest))

    def put(self, root: str, file: File, tell: Callable[[int], None] | None = None) -> str | None:
        """Keep what lies at `file.path` below `root`; a sentence to warn with where that could not be done.

        A file larger than the limit of the whole store is not kept. What is kept already is used again. `tell` is told
        the bytes copied until now.
        """
        if file.size > self._limit:
            return None
        end = self.path(file.digest)
        try:
            if file.mode != LINK and os.stat(end, follow_symlinks=False).st_size == file.size:
                os.utime(end)
                return None
        except OSError:
            pass
        draft = ""
        try:
            draft = self._draft()
            got = self._fill(draft, root, file, tell)
            if got != file.digest:
                return f"{file.path} is not kept in the cache: it changed after it was hashed"
            _make(os.path.dirname(end))
            os.rename(draft, end)
            draft = ""
            self._note(file.size)
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
        source, draft = self.path(file.digest), ""
        try:
            draft = self._draft()
            got = _made(draft, source, file.mode)
            if got != file.digest:
                _remove(source)
                return f"corrupt: expected {file.digest} got {got}"
            with Folders(root) as folders:
                folders.make(file.path)
                folder, name = folders.of(file.path)
                os.rename(draft, name, dst_dir_fd=folder)
                draft = ""
            os.utime(source)
        except OSError as error:
            return os.strerror(error.errno or errno.EIO)
        finally:
            if draft:
                _remove(draft)
        return None

    def is_odd(self, digest: str) -> bool:
        """Whether what lies in the place of an object is no regular file, which no object ever was."""
        try:
            return not stat.S_ISREG(os.lstat(self.path(digest)).st_mode)
        except OSError:
            return False

    def entries(self) -> Iterator[Entry]:
        """All objects, in the order of their digests."""
        for digest, status in self._found():
            if stat.S_ISREG(status.st_mode):
                yield Entry(digest, status.st_size, status.st_mtime)

    def _found(self) -> Iterator[tuple[str, os.stat_result]]:
        """Whatever has the name of an object, by its digest."""
        for folder in _names(self.objects) if self._is_ours else ():
            if len(folder) != 2 or not _HEX.issuperset(folder):
                continue
            for name in _names(os.path.join(self.objects, folder)):
                if len(name) != 62 or not _HEX.issuperset(name):
                    continue
                try:
                    status = os.lstat(os.path.join(self.objects, folder, name))
                except OSError:
                    continue
                yield folder + name, status

    def verify(self, progress: Callable[[int, int, int], None] | None = None) -> Verified:
        """Read every object; those that do not hold what they are named by, or cannot be read, are removed. Raises
        OSError where one cannot be removed.

        `progress` is told the objects and bytes read until now, and the bytes of all.
        """
        entries = list(self.entries())
        total = sum(entry.size for entry in entries)
        damaged: dict[str, str] = {}
        for digest, status in [*self._found()]:
            if not stat.S_ISREG(status.st_mode):
                damaged[digest] = kind_of(status.st_mode) or "a link"
                _unlink(self.path(digest))
        odd = len(damaged)
        count = size = 0
        for start in range(0, len(entries), _TOGETHER):
            some = entries[start : start + _TOGETHER]
            for digest, got in self._read(some):
                if got != digest:
                    damaged[digest] = got
                    _unlink(self.path(digest))
            count, size = count + len(some), size + sum(entry.size for entry in some)
            if progress is not None:
                progress(count, size, total)
        return Verified(len(entries) + odd, total, damaged)

    def _read(self, entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
        """The digest of each and what it holds, or why that cannot be read; those that are gone are left out."""
        paths = [f"{entry.digest[:2]}/{entry.digest[2:]}" for entry in entries]
        try:
            for entry, file in zip(entries, hash_files(self.objects, paths)):
                yield entry.digest, file.digest
        except Unsound as trouble:
            for entry, path in zip(entries, paths):
                if path != trouble.path:
                    yield from self._read([entry])
                elif os.path.lexists(self.path(entry.digest)):
                    yield entry.digest, trouble.why

    def collect(
        self,
        limit_bytes: int = LIMIT_BYTES,
        max_age_s: float = AGE_S,
        dry_run: bool = False,
        named: AbstractSet[str] = frozenset(),
        now: float | None = None,
    ) -> Collected:
        """Remove objects that were not used for longer than `max_age_s`, then those used least recently until the rest
        is within the limit. Objects in `named` do not age, and go last. Raises OSError where one cannot be removed."""
        now = time.time() if now is None else now
        ordered = sorted(self.entries(), key=lambda entry: (entry.digest in named, entry.used, entry.digest))
        kept = sum(entry.size for entry in ordered)
        going = []
        for entry in ordered:
            is_old = entry.digest not in named and now - entry.used > max_age_s
            if is_old or kept > limit_bytes:
                going.append(entry)
                kept -= entry.size
        stale = self._stale(now)
        if not dry_run:
            for path in [*(self.path(entry.digest) for entry in going), *(path for path, _ in stale)]:
                _unlink(path)
        return Collected(tuple(going), tuple(stale), kept)

    def tidy(self, max_age_s: float = AGE_S) -> Collected | None:
        """Collect by the limit of this store if that was last done a day ago, or much has been put since; else None.

        So a cache keeps its limit, more or less, where nobody ever calls `gc`.
        """
        from stagebook.artifact.state import named

        mark = os.path.join(self.objects, "tidied")
        now = time.time()
        try:
            if not self._is_ours:
                return None
            is_due = _status(mark, "st_mtime") < now - _TIDY_S or _status(self._added, "st_size") > self._limit // 10
            if not is_due:
                return None
            for path in (mark, self._added):
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            os.utime(mark)
            return self.collect(self._limit, max_age_s, named=named(self._cache).keys(), now=now)
        except OSError:
            return None

    def _note(self, size: int) -> None:
        """Keep count of what is put: a file with holes, as long as all of that, but for a little at the end."""
        self._uncounted += size
        if self._uncounted < min(_COUNTED, self._limit // 10):
            return
        size, self._uncounted = self._uncounted, 0
        try:
            fd = os.open(self._added, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(fd, os.fstat(fd).st_size + size)
            finally:
                os.close(fd)
        except OSError:
            pass

    def _stale(self, now: float) -> list[tuple[str, int]]:
        """What was begun to be written so long ago that nobody is at it any more."""
        import re

        found: list[tuple[str, int]] = []
        if not self._is_ours:
            return found
        for path in [
            *(os.path.join(self._cache, name) for name in _names(self._cache) if re.fullmatch(_DRAFT_OF_STATE, name)),
            *(
                os.path.join(self._temporaries, name)
                for name in _names(self._temporaries)
                if re.fullmatch(_DRAFT, name)
            ),
        ]:
            try:
                status = os.lstat(path)
            except OSError:
                continue
            if now - status.st_mtime > _TEMPORARY_AGE_S:
                found.append((path, status.st_size))
        return found

    def _draft(self) -> str:
        """The path of a new temporary file. Raises OSError."""
        if not self._is_made:
            os.makedirs(os.path.dirname(self._cache), exist_ok=True)
            for folder in (self._cache, self.objects, self._temporaries):
                _make(folder)
            self._is_made = True
        self._count += 1
        return os.path.join(self._temporaries, f"{os.getpid()}-{self._count}-{time.time_ns():x}")

    def _fill(self, draft: str, root: str, file: File, tell: Callable[[int], None] | None) -> str:
        """Write what lies at `file.path` to `draft`; the digest of what was written. Raises OSError."""
        faults.hit("cache.write")
        if file.mode != LINK:
            with Folders(root) as folders:
                source = folders.open(file.path)
            try:
                return _kept(source, draft, 0o400, tell)
            finally:
                os.close(source)
        try:
            data = linked(root, file.path)
        except Unsound as trouble:
            raise OSError(errno.ENOENT, trouble.why) from None
        fd = os.open(draft, _NEW, 0o400)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)
        return digest_of(data)


def _made(draft: str, source: str, mode: int) -> str:
    """Make of an object what it was: a file of that mode, or a link; the digest of what was read. Raises OSError."""
    fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "")
        if mode != LINK:
            return _kept(fd, draft, mode & 0o777)
        data = os.read(fd, _CHUNK)
    finally:
        os.close(fd)
    os.symlink(os.fsdecode(data.removeprefix(_LINK).partition(b"\0")[0]), draft)
    return digest_of(data)


def _kept(source: int, draft: str, mode: int, tell: Callable[[int], None] | None = None) -> str:
    """Write a file's content to a new one, by sharing its blocks where the file system can; the digest of what was
    written. Raises OSError."""
    from blake3 import blake3

    status = os.fstat(source)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "")
    hasher = blake3()
    left = status.st_size
    buffer = bytearray(max(1, min(left, _CHUNK)))
    view = memoryview(buffer)
    fd = os.open(draft, _NEW, mode)
    try:
        is_shared = status.st_size >= _CLONED_MIN and _cloned(source, fd)
        while left >= 0 and (count := os.readv(fd if is_shared else source, [buffer])):
            hasher.update(view[:count])
            left -= count
            rest = view[:0] if is_shared else view[:count]
            while rest:
                rest = rest[os.write(fd, rest) :]
            if tell is not None:
                tell(status.st_size - left)
    finally:
        os.close(fd)
    text: str = hasher.hexdigest()
    return text


def _cloned(source: int, fd: int) -> bool:
    import fcntl

    try:
        fcntl.ioctl(fd, _FICLONE, source)
    except OSError:
        return False
    return True


def _names(folder: str) -> list[str]:
    """What is in a folder; nothing where it is none, or a link: a checkout may bring one that leads to the user's own
    files."""
    try:
        return sorted(os.listdir(folder)) if _is_folder(folder) else []
    except OSError:
        return []


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _status(path: str, name: str) -> float:
    """One figure of a file; 0 where there is none. Raises OSError for other trouble."""
    try:
        return float(getattr(os.stat(path), name))
    except FileNotFoundError:
        return 0.0


def _make(folder: str) -> None:
    """Raises OSError, also where a link is in its place."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        if not _is_folder(folder):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder) from None


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _unlink(path: str) -> None:
    """Raises OSError, but for what is gone already."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
