"""A measured run: commands of somebody else's pipeline, each of which adds itself to one journal when it begins.

The journal has the format of every other one, and no machine behind it: what ran when is all there is. Several
processes append to it, one after another or at once, each in its turn (`Turn`, a kernel lock on the file). A process
that measures also holds the run's `lock` together with the others, so that readers can tell whether anything goes on.
Which run belongs to a key (what a user or a CI system calls it) is kept in `cache/measured/KEY`. Starts no process.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from stagebook.model.outcome import SEVERITY
from stagebook.model.pipeline import MEASURED, Pipeline, Stage
from stagebook.model.plain import to_plain
from stagebook.model.problem import InputError, SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record import lock, reader, state
from stagebook.record.clock import boot_id, epoch_us, is_run_id, new_run_id
from stagebook.record.line import members, quote, time_us
from stagebook.record.reader import Recording
from stagebook.record.writer import Position, Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

    from stagebook.record.story import Attempt, Story

IDLE_S = 6 * 3600  #: a key that nothing was measured under for so long begins another run
PATIENCE_S = 2.0  #: how long a turn is waited for, as whoever has it needs a few milliseconds
_LOOK_S = 0.002


class Begun(NamedTuple):
    """A stage that was added. `unknown` are needs that no stage of the run answers to, and that were left out."""

    stage: str
    attempt: int
    needs: tuple[str, ...]
    unknown: tuple[str, ...]


class Turn:
    """The journal of a measured run while nobody else appends to it.

    Raises SurroundingsError, here and in every method; `close` or `abandon` gives the turn to the next one.
    """

    __slots__ = ("_boot_zero_us", "_durability", "_fd", "_last_us", "directory", "recording", "run", "writer")

    def __init__(self, directory: str, durability: str = "normal") -> None:
        self.directory = directory
        self.run = os.path.basename(directory)
        self._durability = durability
        self._boot_zero_us: int | None = None
        path = state.journal_path(directory)
        self._fd = _locked(path, os.O_RDWR | os.O_CREAT)
        try:
            self._read(path)
        except BaseException:
            os.close(self._fd)
            raise

    def _read(self, path: str) -> None:
        self.recording = reader.load(path)
        reader.repair(path, self.recording)
        self._last_us = self.recording.us
        self.writer = Writer(path, self.run, self._clock(), self.recording.position, self._durability)

    def again(self) -> None:
        """Take the turn once more after `close`. The journal is read again only if somebody has written meanwhile."""
        path = state.journal_path(self.directory)
        self._fd = _locked(path, os.O_RDWR)
        try:
            before = self.writer
            if os.fstat(self._fd).st_size == before.offset:
                position = Position(before.seq, before.batch, before.offset, self._last_us)
                self.writer = Writer(path, self.run, before.epoch_us, position, self._durability)
            else:
                self._read(path)
        except BaseException:
            self.abandon()
            raise

    def _clock(self) -> int:
        """Learn where time 0 lies; the wall clock there, in microseconds since 1970."""
        if not self.recording.records:
            self._boot_zero_us = _boot_us()
            return time.time_ns() // 1000
        first = self.recording.records[0]
        if first.get("format") != MEASURED:
            raise SurroundingsError(f"{self.recording.path} is not the journal of a measured run")
        if first.get("boot") == boot_id():
            self._boot_zero_us = first.get("boottime_us")
        return epoch_us(first["at"]) - time_us(first)

    def us(self) -> int:
        """Now, in microseconds since the run began, by the clock that nobody can set; after a reboot by the wall's."""
        if self._boot_zero_us is not None:
            return max(0, _boot_us() - self._boot_zero_us)
        return max(0, time.time_ns() // 1000 - self.writer.epoch_us)

    @property
    def is_new(self) -> bool:
        """Whether not even the first line is written."""
        return not self.recording.records

    @property
    def is_over(self) -> bool:
        """Whether somebody has ended the run."""
        return any(record["event"] == "run.ended" for record in self.recording.records[-2:])

    def begin_run(self, name: str, key: str | None = None) -> None:
        """The first line."""
        empty = Pipeline(name, "", MEASURED, "", ())
        self.writer.add("run.started", 0, tail=members(
            pipeline=name, mode="parallel", jobs=1, policy=empty.policy, stages=0, file="", format=MEASURED,
            boot=boot_id(), pid=os.getpid(), digest="", boottime_us=self._boot_zero_us, key=key, critical=[], choice={},
            plan=to_plain(empty),
        ))  # fmt: skip
        self.writer.write()
        self.writer.next_batch()

    def begin_stage(self, name: str, argv: tuple[str, ...], needs: tuple[str, ...] | None) -> Begun:
        """Add a stage for a command that is about to begin; without `needs`, in measured order.

        A command that has just failed and is begun again, nothing between, is another attempt of its stage.
        """
        past = Past(self.recording.records)
        again = past.failed_last(name, argv)
        if again is not None:
            return Begun(again, past.attempts[again] + 1, (), ())
        unknown: tuple[str, ...] = ()
        if needs is None:
            edges, needs = "order", past.order()
        else:
            edges = "needs"
            unknown = tuple(need for need in needs if need not in past.latest)
            needs = tuple(dict.fromkeys(past.latest[need] for need in needs if need in past.latest))
        stage = Stage(past.free_id(name), name, 0, 0, "cmd", argv, needs, (0,) * len(needs))
        plan = to_plain(Pipeline("", "", "", "", (stage,)))
        self._add("stages.added", stage.id, None, members(edges=edges, plan={
            "likes": plan["likes"], "stages": plan["stages"],
        }))  # fmt: skip
        self.writer.write()
        return Begun(stage.id, 1, needs, unknown)

    def started(self, stage: str, attempt: int, pid: int, start: int) -> int:
        """The command's process exists; gives the time that was noted."""
        return self._add("stage.started", stage, attempt, f'"pid":{pid},"start":{start}')

    def exited(
        self, stage: str, attempt: int, us: int, outcome: str, reason: str | None, code: int | None,
        signal: int | None, usage: str,
    ) -> None:  # fmt: skip
        """The command is over, and with it its stage. `usage` is JSON."""
        why = "null" if reason is None else quote(reason)
        self._add(
            "stage.exited", stage, attempt,
            f'"outcome":"{outcome}","reason":{why},"exit":{"null" if code is None else code},'
            f'"signal":{"null" if signal is None else signal},"usage":{usage}', us,
        )  # fmt: skip
        is_flaky = "true" if outcome == "success" and attempt > 1 else "false"
        self._add("stage.ended", stage, None, f'"outcome":"{outcome}","reason":{why},"flaky":{is_flaky}', us)

    def end_run(self) -> None:
        """Close the run with what it came to."""
        from stagebook.record.retelling import retell

        story = retell(self.recording.records, self.recording.path)
        settle(story)
        self._add("run.ended", None, None, story.closing())

    def close(self, is_told: bool = False) -> None:
        """Write what was added and give the turn back; with `is_told` it is made durable first, so that it may be
        announced."""
        try:
            if is_told:
                self.writer.close(self.us())
            else:
                self.writer.write()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Give the turn back at once; may be called twice."""
        self.writer.abandon()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _add(self, event: str, stage: str | None, attempt: int | None, tail: str, us: int | None = None) -> int:
        """Time never goes back, though another process may have written since `us`."""
        us = self._last_us = max(self.us() if us is None else us, self._last_us)
        self.writer.add(event, us, None if stage is None else quote(stage), attempt, tail)
        return us


class Past:
    """What a journal's lines say of the stages, by id: as much as is needed to add one more."""

    def __init__(self, records: Iterable[dict[str, Any]]) -> None:
        self.attempts: dict[str, int] = {}
        self.latest: dict[str, str] = {}  #: name to the id of its latest stage
        self._argv: dict[str, tuple[str, ...]] = {}
        self._begun: dict[str, int] = {}  #: sequence number of the first start
        self._over: dict[str, int] = {}  #: sequence number of the end; not there while an attempt is open
        self._failed: str | None = None
        for record in records:
            event = record["event"]
            if event == "stages.added":
                self._add(record["plan"])
            elif event == "stage.started":
                stage = record["stage"]
                self.attempts[stage] = record["attempt"]
                self._begun.setdefault(stage, record["seq"])
                self._over.pop(stage, None)
            elif event == "stage.ended":
                self._over[record["stage"]] = record["seq"]
            else:
                continue
            is_failure = event == "stage.ended" and record["outcome"] in ("failure", "error", "timeout")
            self._failed = record["stage"] if is_failure else None

    def _add(self, plan: dict[str, Any]) -> None:
        for stage in plan["stages"]:
            self.latest[stage.get("name", stage["id"])] = self.latest[stage["id"]] = stage["id"]
            self._argv[stage["id"]] = tuple(stage.get("command", ()))

    def order(self) -> tuple[str, ...]:
        """What a stage that begins now comes after: all that has ended, but what ended before another of these began.

        So `a; b` gives a → b, `a & b & wait; c` gives a → c and b → c, and nothing is said twice.
        """
        last_begun = max([self._begun[stage] for stage in self._over], default=0)
        return tuple(stage for stage, seq in self._over.items() if seq > last_begun)

    def failed_last(self, name: str, argv: tuple[str, ...]) -> str | None:
        """The stage that is being tried again, if that is what beginning this command now means."""
        stage = self._failed
        if stage is None or self.latest.get(name) != stage or self._argv.get(stage) != argv:
            return None
        return stage

    def free_id(self, name: str) -> str:
        """`name`, or if that is taken `name#2`, `name#3` …"""
        if name not in self._argv:
            return name
        number = 2
        while f"{name}#{number}" in self._argv:
            number += 1
        return f"{name}#{number}"

    def open_ones(self) -> list[tuple[str, int]]:
        """Stages with an attempt that has no end, and which attempt."""
        return [(stage, self.attempts[stage]) for stage in self._begun if stage not in self._over]


def refuse(recording: Recording) -> None:
    """Raise InputError for the journal of a measured run, whose commands belong to somebody else's script, and for that
    of a run that another system has recorded."""
    origin = recording.records[0].get("imported") if recording.records else None
    if origin:
        system = origin.get("system", "another system")
        raise InputError(f"run {recording.run} was recorded by {system}: it can only be gone on with there")
    if recording.records and recording.records[0].get("format") == MEASURED:
        raise InputError(f"run {recording.run} was measured: only the script that its commands stand in can lead it")


def settle(story: Story) -> None:
    """Take a measured run as over: it ended with its last stage, and as badly as the worst of them, for what a script
    makes of a failure is not known. What was begun and has no end is unknown."""
    last_us = max([_last_us(attempts[-1]) for attempts in story.attempts if attempts], default=0)
    for stage, attempts in enumerate(story.attempts):
        if attempts and attempts[-1].finished_us is None:
            story.exited(stage, attempts[-1].number, last_us, "error", "interrupted")
        if story.ends[stage] is None:
            story.ended(stage, last_us, "error", "interrupted")
    outcomes = [word for word in story.state if word in SEVERITY]
    story.finished(last_us, max(outcomes, key=SEVERITY.__getitem__, default="success"))


def _last_us(attempt: Attempt) -> int:
    return attempt.started_us if attempt.finished_us is None else attempt.finished_us


# Which run a key means --------------------------------------------------------------------------------------------


def join(state_directory: str, key: str | None, name: str, durability: str = "normal") -> Turn:
    """A turn at the run of `key`, which is begun if there is none that goes on; without a key, at a run of its own."""
    if key is None:
        return _new_run(state_directory, new_run_id(), name, None, durability)
    own = _by_id(state_directory, key)
    if own is not None:
        turn = Turn(own, durability)
        if turn.is_over:
            turn.abandon()
            raise InputError(f"run {key} is over")
        return turn
    state.make(state_directory)
    fd, path = _lock_key(state_directory, key)
    try:
        run = _noted(fd)
        if run is not None:
            known = _known_run(state.run_directory(state_directory, run), durability)
            if known is not None:
                return known
        _forget_old_keys(os.path.dirname(path), path)
        run = new_run_id()
        os.pwrite(fd, run.encode(), 0)
        return _new_run(state_directory, run, name, key, durability)
    except OSError as error:
        raise SurroundingsError(f"cannot write {path}: {error.strerror}") from error
    finally:
        os.close(fd)


def end(state_directory: str, key: str) -> str:
    """Close the run of `key`; its directory. Raises InputError where there is none, or where something still runs."""
    own = _by_id(state_directory, key)
    if own is not None:
        _end(own)
        return own
    if not os.path.exists(_key_path(state_directory, key)):
        raise InputError(f"nothing was measured under `{key}`, or it is over already")
    fd, _ = _lock_key(state_directory, key)
    try:
        run = _noted(fd)
        if run is None:
            raise InputError(f"nothing was measured under `{key}`, or it is over already")
        directory = state.run_directory(state_directory, run)
        _end(directory)
        os.ftruncate(fd, 0)
        return directory
    finally:
        os.close(fd)


def _end(directory: str) -> None:
    turn = Turn(directory)
    try:
        if turn.is_over:
            raise InputError(f"run {turn.run} is over already")
        if lock.is_shared(directory):
            running = ", ".join(stage for stage, _ in Past(turn.recording.records).open_ones())
            raise InputError(f"run {turn.run} goes on: {running or 'a command'} has not ended")
        turn.end_run()
        turn.close(is_told=True)
    finally:
        turn.abandon()


def _new_run(state_directory: str, run: str, name: str, key: str | None, durability: str) -> Turn:
    turn = Turn(state.make_run(state_directory, run), durability)
    turn.begin_run(name, key)
    return turn


def _known_run(directory: str, durability: str) -> Turn | None:
    """A turn at a run that may be joined; None where it is over, idle for long, or not there any more."""
    try:
        idle_s = time.time() - os.stat(state.journal_path(directory)).st_mtime
    except OSError:
        return None
    if idle_s > IDLE_S and not lock.is_shared(directory):
        return None
    turn = Turn(directory, durability)
    if turn.is_over or turn.is_new:
        turn.abandon()
        return None
    return turn


def _by_id(state_directory: str, key: str) -> str | None:
    """The directory of the measured run whose id is given as its key."""
    if not is_run_id(key):
        return None
    directory = state.run_directory(state_directory, key)
    try:
        with state.open_regular(state.journal_path(directory)) as file:
            is_measured = f'"format":"{MEASURED}"'.encode() in file.read(4096)
    except OSError:
        return None
    return directory if is_measured else None


def _key_path(state_directory: str, key: str) -> str:
    return os.path.join(state_directory, "cache", MEASURED, state.log_stem(key))


def _lock_key(state_directory: str, key: str) -> tuple[int, str]:
    """The file of a key, held; and its path."""
    path = _key_path(state_directory, key)
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        while True:
            fd = _locked(path, os.O_RDWR | os.O_CREAT)
            try:
                if os.path.samestat(os.fstat(fd), os.stat(path)):
                    return fd, path
            except FileNotFoundError:
                pass
            os.close(fd)  # it was forgotten while we waited
    except OSError as error:
        raise SurroundingsError(f"cannot write {path}: {error.strerror}") from error


def _noted(fd: int) -> str | None:
    text = os.pread(fd, 64, 0).decode("ascii", "replace")
    return text if is_run_id(text) else None


def _forget_old_keys(folder: str, but: str) -> None:
    """Keys whose runs nobody can join any more: a machine that builds all day would gather thousands."""
    before = time.time() - 30 * 86_400
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.path != but and entry.stat().st_mtime < before:
                    os.unlink(entry.path)
    except OSError:
        pass


def _locked(path: str, flags: int) -> int:
    """Open and hold a file. Raises SurroundingsError after two seconds: nobody needs it for that long."""
    try:
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise SurroundingsError(f"cannot write {path}: {os.strerror(error.errno or errno.EIO)}") from error
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(fd)
                raise SurroundingsError(f"{path} is held by another process") from None
            time.sleep(_LOOK_S)
        except OSError as error:
            os.close(fd)
            raise SurroundingsError(f"cannot lock {path}: {error.strerror}") from error


def _boot_us() -> int:
    """Microseconds since this boot, sleep included, where the system has such a clock."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1000
