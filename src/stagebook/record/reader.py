"""Reads a journal and judges it: whole, whole up to a torn tail, or damaged. What the lines mean is not known here.

What stands after the last `journal.synced` is the tail: a crash may have torn it, so it ends at its first line that
is broken or does not follow the one before it, and how much was left out is said. Before that line nothing can have
been torn: there such a line is damage. Damage is refused, never guessed around, and no file is changed but by `repair`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Sequence
from itertools import islice

from stagebook.model.problem import SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record.line import VERSION, BrokenLine, decode, time_us
from stagebook.record.shapes import fault
from stagebook.record.writer import Position

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Iterator, TypeAlias

Record: TypeAlias = "dict[str, Any]"
LONG_BYTES = 1 << 20  #: a longer journal is not kept in memory
_SYNCED = "journal.synced"
_LINE_BEGIN = b'{"v":'


class DamagedJournal(SurroundingsError):
    """A journal that cannot be trusted. `record` counts from 1, `offset` is its first byte's."""

    def __init__(self, path: str, record: int, offset: int, why: str) -> None:
        super().__init__(f"{path} is damaged at record {record} (byte {offset}): {why}; the file was left as it is")
        self.path = path
        self.record = record
        self.offset = offset


class Records(Sequence[Record]):
    """The first `count` of a long journal, read again each time they are gone through: kept in memory they would take
    many times its size. Only the first and the last are at hand."""

    __slots__ = ("_count", "_first", "_last", "_path")

    def __init__(self, path: str, count: int, first: Record, last: Record) -> None:
        self._path = path
        self._count = count
        self._first = first
        self._last = last

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Record]:
        return islice(read(self._path), self._count)

    def __getitem__(self, index: Any) -> Any:
        if index == 0:
            return self._first
        if index in (-1, self._count - 1):
            return self._last
        return list(self)[index]


class Recording(NamedTuple):
    """A journal read as a whole. `length` is that of its whole lines, `tail_cut_bytes` what stands after them and
    was left out because of `tail_why`. All is empty or 0 when not even the first line is whole."""

    path: str
    records: Sequence[Record]
    length: int
    tail_cut_bytes: int
    tail_why: str | None

    @property
    def clean(self) -> bool:
        """Whether every byte belongs to a whole line."""
        return self.tail_cut_bytes == 0

    @property
    def run(self) -> str | None:
        return self.records[0]["run"] if self.records else None

    @property
    def us(self) -> int:
        """The time of the last record, in microseconds since the run began."""
        return time_us(self.records[-1]) if self.records else 0

    @property
    def position(self) -> Position:
        """Where a writer goes on."""
        if not self.records:
            return Position(0, 0, 0, 0)
        last = self.records[-1]
        return Position(last["seq"], last["batch"], self.length, self.us)

    @property
    def tail_text(self) -> str | None:
        """What a user is told about a tail that was left out."""
        if self.clean:
            return None
        return (
            f"the journal's last {self.tail_cut_bytes} bytes, after record {len(self.records)}, are not a whole "
            f"record ({self.tail_why}); the run is taken as it stood before them"
        )


class _Scan:
    """The whole lines of a file, one after another; afterwards what was found at its end."""

    __slots__ = ("_batch", "length", "number", "path", "run", "tail_why")

    def __init__(self, path: str) -> None:
        self.path = path
        self.run: str | None = None
        self.number = 0
        self.length = 0
        self.tail_why: str | None = None
        self._batch = 0

    def records(self, file: BinaryIO) -> Iterator[Record]:
        for line in file:
            try:
                if not line.endswith(b"\n"):
                    raise BrokenLine("it is not whole")
                record = decode(line)
                self._check(record)
            except BrokenLine as broken:
                self.tail_why = str(broken)
                here = _is_sync(line, self.run) or _holds_sync(line, self.run)
                if here or any(_is_sync(later, self.run) for later in file):
                    raise self._damaged(str(broken)) from broken
                return
            wrong = fault(record)
            if wrong is not None:
                self.number -= 1
                raise self._damaged(wrong)
            self.length += len(line)
            yield record

    def _check(self, record: Record) -> None:
        """That a whole line follows the one before it. Raises BrokenLine."""
        if record.get("v") != VERSION:
            raise SurroundingsError(f"{self.path} is of version {record.get('v')}; this Stagebook reads {VERSION}")
        seq, batch, run = record.get("seq"), record.get("batch"), record.get("run")
        if self.run is None and self.number == 0:
            self.run = run
        if run != self.run:
            raise BrokenLine(f"it belongs to run {run}, not to {self.run}")
        if seq != self.number + 1:
            raise BrokenLine(f"its number is {seq}")
        if not isinstance(batch, int) or batch < self._batch:
            raise BrokenLine(f"it is of batch {batch}, after one of batch {self._batch}")
        self.number += 1
        self._batch = batch

    def _damaged(self, why: str) -> DamagedJournal:
        return DamagedJournal(self.path, self.number + 1, self.length, why)


def read(path: str) -> Iterator[Record]:
    """The records in order, in constant memory, up to a torn tail. Raises SurroundingsError, DamagedJournal.

    May be used on a run that goes on: a line that is only half there yet is left out.
    """
    with _opened(path) as file:
        yield from _Scan(path).records(file)


def load(path: str) -> Recording:
    """The whole journal. Raises SurroundingsError, DamagedJournal."""
    scan = _Scan(path)
    with _opened(path) as file:
        try:
            is_long = os.fstat(file.fileno()).st_size > LONG_BYTES
            records = _long(path, scan.records(file)) if is_long else list(scan.records(file))
            size = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise _unreadable(path, error) from error
    cut = max(0, size - scan.length) if scan.tail_why is not None else 0
    return Recording(path, records, scan.length, cut, scan.tail_why if cut else None)


def _long(path: str, records: Iterator[Record]) -> Sequence[Record]:
    first = next(records, None)
    if first is None:
        return []
    latest = deque(enumerate(records, 2), 1)
    count, last = latest[0] if latest else (1, first)
    return Records(path, count, first, last)


def repair(path: str, recording: Recording) -> None:
    """Cut the tail that `load` left out. Only for who holds the lock of the run. Raises SurroundingsError."""
    if recording.clean:
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            os.ftruncate(fd, recording.length)
            os.fdatasync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise SurroundingsError(f"cannot cut {path}: {os.strerror(error.errno or errno.EIO)}") from error


def settle(path: str) -> None:
    """Make durable what stands in a journal, whoever wrote it: to be called between reading a run and answering.

    So an answer about a run that goes on is never ahead of what a power cut leaves.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EINVAL, errno.ENOTSUP):
            raise _unreadable(path, error) from error


def _is_sync(line: bytes, run: str | None) -> bool:
    """Whether this is a whole line that tells of a sync of this run."""
    if not line.endswith(b"\n"):
        return False
    try:
        record = decode(line)
    except BrokenLine:
        return _holds_sync(line, run)
    return record.get("event") == _SYNCED and (run is None or record.get("run") == run)


def _holds_sync(line: bytes, run: str | None) -> bool:
    """Whether a broken line ends in a whole one that tells of a sync, the newline between them being lost."""
    at = line.rfind(_LINE_BEGIN, 1)
    return at > 0 and line.endswith(b"\n") and _is_sync(line[at:], run)


def _opened(path: str) -> BinaryIO:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO in its place must not block
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise SurroundingsError(f"cannot read {path}: it is not a regular file")
        return open(fd, "rb", buffering=1 << 16)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError) -> SurroundingsError:
    return SurroundingsError(f"cannot read {path}: {os.strerror(error.errno or errno.EIO)}")
