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
from stagebook.record.clock import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, Sequence

    Progress = Callable[[int, int], None]

#: A stamp tells apart what is written so long after each other: file systems keep times as coarse as two seconds.
RACY_NS = 2_000_000_000
_STEP_NS = 1_000_000_000  #: less than that is how two looks at two clocks differ, not somebody who sets one
TRIES = 3
#: Opening a file costs about as much as hashing so many bytes.
FILE_COST = 16 * 1024
#: Work from which on children share it; below, to make them takes longer.
SHARED_COST = 24 * 2**20
_MAPPED_MIN = 4 * 2**20
_WINDOW = 64 * 2**20  #: so much of a file is mapped at a time: memory stays flat
_CHUNK = 2**20
_SMALL = 128 * 1024

PLAIN, EXECUTABLE, LINK = 0o100644, 0o100755, 0o120000


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
    """`digest` is the BLAKE3 of the content, 64 hexadecimal digits; of a link, that of `link:` and its target.
    `mode` is PLAIN, EXECUTABLE or LINK. `at` is just before it was read."""

    path: str
    size: int
    digest: str
    stamp: Stamp
    mode: int = PLAIN
    at: Moment | None = None

    @property
    def word(self) -> str:
        """What of the file a stage can notice, as one word."""
        return self.digest + "+x" if self.mode == EXECUTABLE else self.digest


_boot: str | None = None


def moment() -> Moment:
    global _boot
    if _boot is None:
        _boot = boot_id() or ""
    ns = time.time_ns()
    return Moment(ns, ns - time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)), _boot)


def is_settled(file: File, now: Moment) -> bool:
    """Whether a stamp that is still the same says that the content is."""
    at = file.at
    return (
        at is not None
        and at.boot == now.boot != ""
        and file.stamp.ctime_ns + RACY_NS <= at.ns <= now.ns
        and -_STEP_NS < at.ahead_ns - now.ahead_ns < _STEP_NS
    )


def total_bytes(root: str, paths: Sequence[str], known: Mapping[str, File] | None = None) -> int:
    """What `hash_files` would have to read, in bytes; a file counts at least as many as it costs to open one."""
    now = moment()
    return sum(max(FILE_COST, size) for _, size in _unknown(root, paths, known or {}, now, [None] * len(paths)))


def hash_files(
    root: str,
    paths: Sequence[str],
    known: Mapping[str, File] | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
) -> list[File]:
    """The files at these paths, in their order. What is `known`, by path, and unchanged for sure is not read again.

    `progress` is told the files and the bytes read until now. Much work is shared among `workers` forked children (1:
    none); without the word, as many as there are cores. Raises Unsound, which names a file that is missing, is no
    file, cannot be read, or changes each time it is read.
    """
    now = moment()
    files: list[File | None] = [None] * len(paths)
    todo = _unknown(root, paths, known or {}, now, files)
    if todo:
        cost = sum(max(FILE_COST, size) for _, size in todo)
        if workers == 1 or cost < SHARED_COST:
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


def digest_of(data: bytes) -> str:
    from blake3 import blake3

    text: str = blake3(data).hexdigest()
    return text


def stamp_of(status: os.stat_result) -> Stamp:
    return Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _unknown(
    root: str, paths: Sequence[str], known: Mapping[str, File], now: Moment, files: list[File | None]
) -> list[tuple[int, int]]:
    """Numbers and sizes of the paths that have to be read; what is known is put into `files`."""
    base = os.path.join(root, "")
    todo = []
    for number, path in enumerate(paths):
        try:
            status = os.lstat(base + path)
        except OSError as error:
            raise _unsound(path, error) from None
        file = known.get(path)
        if file is not None and file.stamp == stamp_of(status) and is_settled(file, now):
            files[number] = file
            continue
        kind = kind_of(status.st_mode)
        if kind is not None:
            raise Unsound(path, f"it is {kind}")
        todo.append((number, status.st_size))
    return todo


def _unsound(path: str, error: OSError) -> Unsound:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Unsound(path, "it is missing")
    return Unsound(path, os.strerror(error.errno) if error.errno else str(error))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read_here(
    root: str, paths: Sequence[str], todo: list[tuple[int, int]], now: Moment, files: list[File | None], progress: Any
) -> None:
    done = 0
    with _folders(root) as folders:
        for count, (number, size) in enumerate(todo, 1):
            path = paths[number]
            digest, stamp, mode = _read(folders, path, False)
            files[number] = File(path, stamp.size, digest, stamp, mode, now)
            done += size
            if progress is not None:
                progress(count, done)


def _folders(root: str) -> Folders:
    try:
        return Folders(root)
    except OSError as error:
        raise Unsound(root, error.strerror or str(error)) from None


def _read(folders: Folders, path: str, is_child: bool) -> tuple[str, Stamp, int]:
    """Digest, stamp and mode of one file, which did not change while it was read. Raises Unsound."""
    for _ in range(TRIES):
        try:
            fd = folders.open(path)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):
                made = _read_link(folders, path)
            else:
                raise _unsound(path, error) from None
        else:
            try:
                made = _read_open(fd, path, is_child)
            except OSError as error:
                raise _unsound(path, error) from None
            finally:
                os.close(fd)
        if made is not None:
            return made
    raise Unsound(path, f"it changed while it was read, {TRIES} times")


def _read_open(fd: int, path: str, is_child: bool) -> tuple[str, Stamp, int] | None:
    from blake3 import blake3

    before = os.fstat(fd)
    kind = kind_of(before.st_mode)
    if kind is not None:
        raise Unsound(path, f"it is {kind}")
    size = before.st_size
    if size <= _SMALL:
        data = os.read(fd, size + 1)
        if len(data) != size:
            return None
        digest = blake3(data).hexdigest()
    elif is_child and size >= _MAPPED_MIN:
        digest = _mapped(fd, size)
    else:
        hasher = blake3()
        buffer = bytearray(min(size, _CHUNK))
        view = memoryview(buffer)
        while count := os.readv(fd, [buffer]):
            hasher.update(view[:count])
        digest = hasher.hexdigest()
    after = os.fstat(fd)
    stamp = stamp_of(before)
    if stamp != stamp_of(after):
        return None
    return digest, stamp, EXECUTABLE if before.st_mode & 0o111 else PLAIN


def _read_link(folders: Folders, path: str) -> tuple[str, Stamp, int] | None:
    try:
        fd, name = folders.of(path)
        before = os.lstat(name, dir_fd=fd)
        if not stat.S_ISLNK(before.st_mode):
            raise Unsound(path, f"it is {kind_of(before.st_mode) or 'no longer a link'}")
        target = os.readlink(name, dir_fd=fd)
        stamp = stamp_of(before)
        if stamp != stamp_of(os.lstat(name, dir_fd=fd)):
            return None
    except OSError as error:
        raise _unsound(path, error) from None
    return digest_of(b"link:" + os.fsencode(target)), stamp, LINK


def _mapped(fd: int, size: int) -> str:
    """With all cores. If the file shrinks meanwhile, this ends the process."""
    import mmap

    from blake3 import blake3

    from stagebook.artifact.share import is_orphan

    hasher = blake3(max_threads=blake3.AUTO)
    for start in range(0, size, _WINDOW):
        if is_orphan():
            os._exit(1)
        length = min(_WINDOW, size - start)
        with mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ, offset=start) as window:
            hasher.update(window)
    text: str = hasher.hexdigest()
    return text


def _read_shared(
    root: str, paths: Sequence[str], todo: list[tuple[int, int]], now: Moment, files: list[File | None],
    progress: Progress | None, workers: int,
) -> None:  # fmt: skip
    """Children read, each its share, and say what they found through a pipe."""
    from stagebook.artifact.share import shared

    big = [part for part in todo if part[1] >= _MAPPED_MIN]
    small = [part for part in todo if part[1] < _MAPPED_MIN]
    shares = [small[start::workers] for start in range(workers)]
    shares[0] = big + shares[0]

    def work(number: int) -> tuple[Any, ...]:
        digest, stamp, mode = _read(folders, paths[number], True)
        return number, digest, tuple(stamp), mode

    def took(answer: tuple[Any, ...]) -> None:
        number, digest, stamp, mode = answer
        files[number] = File(paths[number], stamp[2], digest, Stamp(*stamp), mode, now)

    with _folders(root) as folders:
        shared([share for share in shares if share], paths, work, took, progress)
