"""Writes a journal: lines are gathered into batches, put out by one write, and made durable in groups.

A batch is on its way to the disk before the engine obeys it (`write`, which survives the death of the engine), and
`sync` comes before anything is announced (which survives the death of the machine). What the lines mean is not
known here. Only who holds the run's lock may have a writer.

One invariant: after any failure nothing more is written, and the file ends, as far as the system lets us, at the
last line that was wholly written.
"""

from __future__ import annotations

import errno
import os
import time

from stagebook.model.problem import DefectError, SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record import faults
from stagebook.record.line import encode

SYNC_WITHIN_US = 100_000
NEVER_US = 1 << 62
#: Lines that hold the plan, and those that a replay must come to by itself: they are free of secrets before they come.
_AS_IT_IS = frozenset(["run.started", "run.resumed", "stage.ended", "run.ended"])
#: Members that are words of ours or names from the plan, or that somebody has to find a file by.
_KEPT = frozenset(["outcome", "waited", "log", "timer", "verdict", "outputs"])
CLOCK_JUMP_US = 1_000_000

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from stagebook.record.mask import Mask


class Position(NamedTuple):
    """Where a journal that is already there ends: its last sequence and batch numbers, its length in bytes, and the
    time of its last line."""

    seq: int
    batch: int
    offset: int
    us: int


class Writer:
    """The journal of one run, open for appending.

    `epoch_us` is the wall clock, in microseconds since 1970, at the time 0 of the run; when somebody sets the clock,
    the next sync notes it and `at` follows, `t` does not. Without `resume` the file
    must not exist yet and is made; its directory must exist. `durability` is `normal` or `full` (every write is
    synced). Raises SurroundingsError, here and in every method that touches the file.
    """

    __slots__ = (
        "_broken",
        "_directories_synced",
        "_fd",
        "_last_us",
        "_lines",
        "_wall_offset_us",
        "batch",
        "before_sync",
        "clock_jump_us",
        "durability",
        "epoch_us",
        "mask",
        "offset",
        "path",
        "run",
        "seq",
        "sync_at_us",
    )  # fmt: skip

    def __init__(
        self, path: str, run: str, epoch_us: int, resume: Position | None = None, durability: str = "normal"
    ) -> None:
        self.path = path
        self.run = run
        self.epoch_us = epoch_us
        before = resume if resume is not None else Position(0, 0, 0, 0)
        self.seq, self.offset, self._last_us = before.seq, before.offset, before.us
        self.before_sync: Callable[[], None] | None = None  #: makes durable what lines speak of; may raise OSError
        self.mask: Mask | None = None  #: hides secrets in the texts of lines, but for those that replay must find
        self.batch = before.batch + 1  # what a crash has left of a batch is never added to
        self.durability = durability
        self.clock_jump_us = 0  #: how far the wall clock was set forward since this writer was made
        self._wall_offset_us = _wall_offset_us()
        self._lines: list[bytes] = []
        self.sync_at_us = NEVER_US  #: when the oldest line that is not durable yet will have waited long enough
        self._directories_synced = False
        self._broken: SurroundingsError | None = None
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        try:
            self._fd = os.open(path, flags if resume is not None else flags | os.O_CREAT | os.O_EXCL, 0o600)
            length = os.fstat(self._fd).st_size
        except OSError as error:
            raise _failure(path, error) from error
        if length != self.offset:
            os.close(self._fd)
            raise DefectError(f"{path} has {length} bytes where {self.offset} were expected")

    def next_batch(self) -> None:
        """Lines added from now on belong to a new batch."""
        self.batch += 1

    def add(self, event: str, us: int, stage: str | None = None, attempt: int | None = None, tail: str = "") -> None:
        """Take one line into the current batch. `stage` is JSON (`line.quote`), `tail` further JSON members.

        `us` counts from the start of the run and may not be smaller than in the line before.
        """
        assert us >= self._last_us, f"a journal's time goes on: {event} at {us} after {self._last_us}"
        self._last_us = us
        if self.mask and tail and event not in _AS_IT_IS:
            tail = self.mask.json_text(f"{{{tail}}}", _KEPT)[1:-1]
        self.seq += 1
        self._lines.append(encode(self.seq, self.batch, self.run, us, self.epoch_us, event, stage, attempt, tail))
        if self.sync_at_us == NEVER_US:
            self.sync_at_us = us + SYNC_WITHIN_US

    def write(self) -> None:
        """Put out all lines that were added; when it returns, they survive the end of this process."""
        self._put()
        if self.durability == "full" and self.sync_at_us != NEVER_US:
            self._make_durable()
            self._note_sync(self._last_us)

    def sync(self, us: int) -> None:
        """Put out all lines and make them durable: what they say may be announced when it returns.

        Does nothing if all of them are. The line that tells of the sync goes out with the next write.
        """
        self._put()
        if self.sync_at_us == NEVER_US:
            return
        self._make_durable()
        self._note_sync(us)

    def close(self, us: int) -> None:
        """Sync, write the line that tells of it, and close. The file is closed also when this raises."""
        try:
            if self._broken is None:
                self.sync(us)
                self._put()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close at once; what was added and not written is lost."""
        fd, self._fd = self._fd, -1
        self._lines.clear()
        if fd >= 0:
            os.close(fd)

    def _put(self) -> None:
        if self._broken is not None:
            raise self._broken
        lines = self._lines
        if not lines:
            return
        data = lines[0] if len(lines) == 1 else b"".join(lines)
        try:
            faults.hit("journal.append")
            done = os.write(self._fd, data)
            while done < len(data):
                faults.hit("journal.append")
                done += os.write(self._fd, memoryview(data)[done:])
        except OSError as error:
            self._cut_back()
            self._broken = _failure(self.path, error)
            raise self._broken from error
        self.offset += len(data)
        lines.clear()

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._fd, self.offset)
        except OSError:
            pass  # a reader takes a half-written line at the end for what it is

    def _make_durable(self) -> None:
        try:
            faults.hit("journal.sync")
            if self.before_sync is not None:
                self.before_sync()
            os.fdatasync(self._fd)
            if not self._directories_synced:
                self._sync_directories()
            self._check_place()
        except OSError as error:
            # After a failed sync the kernel may have dropped the pages and call the next one a success.
            self._broken = _failure(self.path, error)
            raise self._broken from error
        self.sync_at_us = NEVER_US

    def _check_place(self) -> None:
        """What somebody has deleted or cut while we wrote is no record of anything."""
        found = os.fstat(self._fd)
        if found.st_nlink == 0:
            raise OSError(errno.ENOENT, "it was deleted while the run went on")
        if found.st_size != self.offset:
            raise OSError(errno.EIO, f"it has {found.st_size} bytes where {self.offset} were written")

    def _sync_directories(self) -> None:
        """Make the names durable that lead to the file: of the run, of `runs`, of the state directory."""
        directory = self.path
        for _ in range(4):
            directory = os.path.dirname(directory)
            try:
                fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except PermissionError:
                continue  # not ours, so not made by us
            try:
                os.fsync(fd)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
                    raise
            finally:
                os.close(fd)
        self._directories_synced = True

    def _note_sync(self, us: int) -> None:
        offset_us = _wall_offset_us()
        jump = offset_us - self._wall_offset_us
        tail = ""
        if abs(jump) > CLOCK_JUMP_US:
            self._wall_offset_us = offset_us
            self.epoch_us += jump
            self.clock_jump_us += jump
            tail = f'"clock_jump_s":{jump / 1_000_000}'
        self.add("journal.synced", max(us, self._last_us), tail=tail)
        self.sync_at_us = NEVER_US


def _wall_offset_us() -> int:
    """Wall clock minus monotonic clock: constant while nobody sets the wall clock."""
    return (time.time_ns() - time.monotonic_ns()) // 1000


def _failure(path: str, error: OSError) -> SurroundingsError:
    return SurroundingsError(f"cannot write {path}: {error.strerror or os.strerror(error.errno or errno.EIO)}")
