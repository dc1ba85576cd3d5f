"""What files hold, as BLAKE3, and when a file can be taken for unchanged without reading it. Keeps nothing.

A file is taken for unchanged if all of its stamp is what it was, the stamp was old enough when it was read (whatever
is written later then gets another one), and the clock of this machine has not been set since. Restoring the time of
a file does not help: the kernel notes the time of that as well.

Nothing here can end the process it is called in: where files are mapped into memory, which ends a process if they
shrink meanwhile, that is a child's. Threads are a child's too, since they do not survive a fork.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from stagebook.artifact.paths import Folders, Unsound, kind_of
from stagebook.model.value import NamedTuple
from stagebook.record import faults
from stagebook.record.clock import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, Sequence

    Progress = Callable[[int, int], None]
    _Read = tuple[str, tuple[int, ...], int]

#: A stamp tells apart what is written so long after each other: file systems keep times as coarse as two seconds.
RACY_NS = 2_000_000_000
_STEP_NS = 1_000_000_000  #: less than that is how two looks at two clocks differ, not somebody who sets one
TRIES = 3
#: Opening a file costs about as much as hashing so many bytes.
FILE_COST = 16 * 1024
#: Work from which on children share it; below, to make them takes longer.
SHARED_COST = 24 * 2**20
_MAPPED_MIN = 4 * 2**20
_WINDOW = 128 * 2**20  #: so much of a file is mapped at a time: memory stays flat, cores seldom wait for others
_CHUNK = 2**20
_SMALL = 128 * 1024

PLAIN, EXECUTABLE, LINK = 0o100644, 0o100755, 0o120000
_MARKS = {EXECUTABLE: "+x", LINK: "+l"}


class Stamp(NamedTuple):
    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int


class Moment(NamedTuple):
    """When files were looked at: the clock of the day, what it is ahead of the time since boot, and which boot."""

    ns: int
    ahead_ns: int
    boot: str


class File(NamedTuple):
    """`digest` is the BLAKE3 of the content, 64 hexadecimal digits; of a link, that of what `linked` gives. `mode` is
    PLAIN, EXECUTABLE or LINK. `at` is just before it was read; None for a link, whose stamp does not tell whether what
    it leads to is the same."""

    path: str
    size: int
    digest: str
    stamp: Stamp
    mode: int = PLAIN
    at: Moment | None = None

    @property
    def word(self) -> str:
        """What of the file a stage can notice, as one word."""
        return self.digest + _MARKS.get(self.mode, "")


_boot: str | None = None


def moment() -> Moment:
    global _boot
    if _boot is None:
        _boot = (boot_id() or "").replace("-", "")[:16]
    ns = time.time_ns()
    return Moment(ns, ns - time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)), _boot)


def is_settled(file: File, now: Moment) -> bool:
    """Whether a stamp that is still the same says that the content is."""
    return file.at is not None and is_old_enough(file.stamp.ctime_ns, file.at, now)


def is_old_enough(ctime_ns: int, at: Sequence[Any], now: Moment) -> bool:
    """Whether what was read at that moment, plain or not, cannot have been written after it and kept its stamp."""
    ns, ahead_ns, boot = at
    now_ns, now_ahead_ns, now_boot = now
    return bool(
        ctime_ns + RACY_NS <= ns <= now_ns and -_STEP_NS < ahead_ns - now_ahead_ns < _STEP_NS and boot == now_boot != ""
    )


def total_bytes(root: str, paths: Sequence[str], known: Mapping[str, File] | None = None) -> int:
    """What `hash_files` would have to read, in bytes; a file counts at least as many as it costs to open one.

    Where there are very many, they are not looked at for this. Raises Unsound for what is missing or no file.
    """
    files: list[File | None] = [None] * len(paths)
    return _cost(root, paths, _unknown(root, paths, known or {}, moment(), files))


def bytes_to_read(root: str, paths: Sequence[str], known: Mapping[str, File]) -> int:
    """The sizes of all that `hash_files` reads, for people. What cannot be looked at counts nothing."""
    files: list[File | None] = [None] * len(paths)
    size = 0
    try:
        for number in _unknown(root, paths, known, moment(), files):
            size += os.lstat(os.path.join(root, paths[number])).st_size
    except (OSError, Unsound):
        pass
    return size


def hash_files(
    root: str,
    paths: Sequence[str],
    known: Mapping[str, File] | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
) -> list[File]:
    """The files at these paths, in their order. What is `known`, by path, and unchanged for sure is not read again.

    `progress` is told the files and the bytes read until now, of large files in between as well. Much work is shared
    among `workers` forked children (1: none); without the word, as many as there are cores. Raises Unsound, which names
    a file that is missing, is no file, cannot be read, or changes each time it is read.
    """
    now = moment()
    files: list[File | None] = [None] * len(paths)
    todo = _unknown(root, paths, known or {}, now, files)
    if todo:
        if workers == 1 or _cost(root, paths, todo) < SHARED_COST:
            _read_here(root, paths, todo, now, files, progress)
        else:
            _read_shared(root, paths, todo, now, files, progress, workers or _cores())
    return files  # type: ignore[return-value]


def hash_program(path: str, known: File | None = None) -> File:
    """A program outside of any root, by its absolute path with links resolved. Raises Unsound."""
    end = os.path.realpath(path)
    name = end.lstrip("/")
    before = {} if known is None or known.path != end else {name: known}
    return hash_files("/", [name], before)[0]._replace(path=end)


def linked(root: str, path: str) -> bytes:
    """What the digest of a link is of: `link:`, its text and, behind a NUL, the word of the file to which it leads, or
    `/` for a folder; without these where it leads nowhere, or out of the root. Raises Unsound."""
    with _folders(root) as folders:
        found = _Reader(folders, False).linked(path)
    if found is None:
        raise Unsound(path, "it changed while it was read")
    return found[0]


def digest_of(data: bytes) -> str:
    from blake3 import blake3

    text: str = blake3(data).hexdigest()
    return text


def stamp_of(status: os.stat_result) -> Stamp:
    return Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _unknown(
    root: str, paths: Sequence[str], known: Mapping[str, File], now: Moment, files: list[File | None]
) -> Sequence[int]:
    """Numbers of the paths that have to be read; what is known is put into `files`."""
    if not known:
        return range(len(paths))
    base = root.rstrip("/") + "/"
    todo = []
    for number, path in enumerate(paths):
        file = known.get(path)
        if file is not None and is_settled(file, now):
            try:
                status = os.lstat(base + path)
            except OSError as error:
                raise _unsound(path, error) from None
            if file.stamp == stamp_of(status):
                files[number] = file
                continue
        todo.append(number)
    return todo


def _cost(root: str, paths: Sequence[str], numbers: Sequence[int]) -> int:
    cost = FILE_COST * len(numbers)
    if cost >= SHARED_COST:
        return cost
    base = root.rstrip("/") + "/"
    for number in numbers:
        try:
            status = os.lstat(base + paths[number])
        except OSError as error:
            raise _unsound(paths[number], error) from None
        size = status.st_size
        if stat.S_ISLNK(status.st_mode):
            try:
                size = os.stat(base + paths[number]).st_size
            except OSError:
                pass
        if size > FILE_COST:
            cost += size - FILE_COST
    return cost


def _unsound(path: str, error: OSError) -> Unsound:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Unsound(path, "it is missing")
    return Unsound(path, os.strerror(error.errno) if error.errno else str(error))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read_here(
    root: str, paths: Sequence[str], todo: Sequence[int], now: Moment, files: list[File | None], progress: Any
) -> None:
    count = done = 0
    with _folders(root) as folders:
        reader = _Reader(folders, False)
        if progress is not None:
            reader.tell = lambda more: progress(count - 1, done + more)
        for count, number in enumerate(todo, 1):
            path = paths[number]
            digest, stamp, mode = reader.read(path)
            files[number] = File(path, stamp[2], digest, Stamp._make(stamp), mode, now if mode != LINK else None)
            done += stamp[2]
            if progress is not None:
                progress(count, done)


def _read_shared(
    root: str, paths: Sequence[str], todo: Sequence[int], now: Moment, files: list[File | None],
    progress: Progress | None, workers: int,
) -> None:  # fmt: skip
    """Children read, each its share, and say what they found through a pipe."""
    from stagebook.artifact.share import shared

    done = [0, 0]

    def took(number: int, answer: _Read) -> None:
        digest, stamp, mode = answer
        at = now if mode != LINK else None
        files[number] = File(paths[number], stamp[2], digest, Stamp._make(stamp), mode, at)
        done[0] += 1
        done[1] += stamp[2]

    def told(more: int) -> None:
        if progress is not None:
            progress(done[0], done[1] + more)

    with _folders(root) as folders:
        reader = _Reader(folders, True)
        shared([todo[start::workers] for start in range(min(workers, len(todo)))], paths, reader.read, took, told)


def _folders(root: str) -> Folders:
    try:
        return Folders(root)
    except OSError as error:
        raise Unsound(root, error.strerror or str(error)) from None


class _Reader:
    """Reads files below a root. `is_child`: in a process that may die of it, and may have threads. `tell` is told the
    bytes read of a large file until now."""

    __slots__ = ("_folders", "_hasher", "_is_child", "tell")

    def __init__(self, folders: Folders, is_child: bool) -> None:
        from blake3 import blake3

        self._folders = folders
        self._is_child = is_child
        self._hasher: Any = blake3
        self.tell: Callable[[int], None] | None = None

    def read(self, path: str) -> _Read:
        """Digest, stamp and mode of one file, which did not change while it was read. Raises Unsound."""
        for _ in range(TRIES):
            try:
                fd = self._folders.open(path)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.EMLINK, errno.ENXIO):
                    raise _unsound(path, error) from None
                made = self._link(path)
            else:
                try:
                    made = self._file(fd, path)
                except OSError as error:
                    raise _unsound(path, error) from None
                finally:
                    os.close(fd)
            if made is not None:
                return made
        raise Unsound(path, f"it changed while it was read, {TRIES} times")

    def _file(self, fd: int, path: str) -> _Read | None:
        before = os.fstat(fd)
        mode, size = before.st_mode, before.st_size
        if not stat.S_ISREG(mode):
            raise Unsound(path, f"it is {kind_of(mode)}")
        if size <= _SMALL:
            data = os.read(fd, size + 1)
            if len(data) != size:
                return None
            digest = self._hasher(data).hexdigest()
        elif self._is_child and size >= _MAPPED_MIN:
            digest = self._mapped(fd, size)
        else:
            hasher = self._hasher()
            buffer = bytearray(min(size, _CHUNK))
            view = memoryview(buffer)
            rest = size
            while rest >= 0 and (count := os.readv(fd, [buffer])):  # of a file that grows there may be no end
                hasher.update(view[:count])
                rest -= count
                faults.hit("artifact.read")
                if self.tell is not None:
                    self.tell(size - rest)
            if rest != 0:
                return None
            digest = hasher.hexdigest()
        after = os.fstat(fd)
        ctime = before.st_ctime_ns
        if size != after.st_size or ctime != after.st_ctime_ns:  # which no change leaves as it was
            return None
        stamp = (before.st_dev, before.st_ino, size, before.st_mtime_ns, ctime)
        return digest, stamp, EXECUTABLE if mode & 0o111 else PLAIN

    def _mapped(self, fd: int, size: int) -> str:
        """With all cores. If the file shrinks meanwhile, this ends the process."""
        import mmap

        from stagebook.artifact import share

        assert share.here is not None
        share.here.flush()
        hasher = self._hasher(max_threads=self._hasher.AUTO)
        for start in range(0, size, _WINDOW):
            if share.here.is_orphan:
                os._exit(1)
            length = min(_WINDOW, size - start)
            with mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ, offset=start) as window:
                hasher.update(window)
            faults.hit("artifact.read")
            share.here.part(start + length)
        text: str = hasher.hexdigest()
        return text

    def _link(self, path: str) -> _Read | None:
        found = self.linked(path)
        return found and (digest_of(found[0]), found[1], LINK)

    def linked(self, path: str) -> tuple[bytes, tuple[int, ...]] | None:
        """What the digest of a link is of, and its stamp. Raises Unsound."""
        try:
            fd, name = self._folders.of(path)
            before = os.lstat(name, dir_fd=fd)
            if not stat.S_ISLNK(before.st_mode):
                raise Unsound(path, f"it is {kind_of(before.st_mode) or 'no longer a link'}")
            target = os.readlink(name, dir_fd=fd)
            end = self._end(path)
            fd, name = self._folders.of(path)
            stamp = tuple(stamp_of(before))
            if end is None or stamp != stamp_of(os.lstat(name, dir_fd=fd)):
                return None
        except OSError as error:
            raise _unsound(path, error) from None
        return b"link:" + os.fsencode(target) + end, stamp

    def _end(self, path: str) -> bytes | None:
        """What a link leads to. Raises OSError."""
        home = os.path.join(os.path.realpath(self._folders.path), "")
        end = os.path.realpath(home + path)
        try:
            mode = os.lstat(end).st_mode
        except OSError:
            return b""
        if stat.S_ISDIR(mode):
            return b"\0/"
        if not stat.S_ISREG(mode) or not end.startswith(home):
            return b""
        fd = self._folders.open(end[len(home) :])
        try:
            read = self._file(fd, path)
        finally:
            os.close(fd)
        return read and b"\0" + (read[0] + _MARKS.get(read[2], "")).encode()
