"""Runs one command of somebody else's script as the script would, and measures it. Ends nothing, holds nothing back.

The command gets our terminal, streams, group and environment as they are; signals that a process sends us are passed
on, those of the terminal reach it anyway. What it leaves running goes on. Recording is second to running: where it
fails, `Measured.trouble` says why, and the command has run all the same.
"""

from __future__ import annotations

import errno
import os
import signal
import time

from stagebook.engine import kernel
from stagebook.engine.ending import Memory, judge
from stagebook.engine.environment import inherited
from stagebook.model.problem import StagebookError
from stagebook.model.value import NamedTuple
from stagebook.observe import cgroup
from stagebook.observe import usage as usages
from stagebook.record import lock, measured
from stagebook.record.clock import start_time_of
from stagebook.record.story import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

NOT_FOUND, NOT_EXECUTABLE, OWN_TROUBLE = 127, 126, 125

#: What a process may send us and means the command: passed on, once it runs.
RELAYED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
#: Those that ask to stop: a command that fails after one of them was cancelled.
STOPPING = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
#: Python ignores these, the command must not.
DEFAULTED = (signal.SIGPIPE, signal.SIGXFSZ)


class Command(NamedTuple):
    """`needs` None: what it comes after is measured. `is_out_moved`: its standard output goes to standard error."""

    name: str
    argv: tuple[str, ...]
    needs: tuple[str, ...] | None = None
    is_out_moved: bool = False


class Measured(NamedTuple):
    """How a command ended. `exit` is for the caller's caller; `by_terminal` is the signal that the terminal sent and
    that ended it; `run` and `directory` are None where nothing was recorded; `warnings` are for people."""

    exit: int
    outcome: str
    reason: str | None
    stage: str
    run: str | None
    directory: str | None
    by_terminal: int | None
    trouble: str | None
    warnings: tuple[str, ...]


class Ended(NamedTuple):
    """A process that was waited for. `asked` is the name of the first signal that asked it to stop."""

    status: int
    rusage: Any
    asked: str | None
    by_terminal: int | None


class CannotRun(Exception):
    """Why there is no process, and the exit status that says so."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def measure(
    command: Command, state_directory: str, key: str | None, pipeline: str, accounting: str, durability: str
) -> Measured:
    """Run `command`, recorded as a stage of the run of `key` in `state_directory`, a new run of that pipeline's name
    if there is none. Raises nothing for trouble of ours."""
    notes = _Notes(state_directory, key, pipeline, durability)
    notes.attempt(lambda: notes.begin(command))
    cage = _Group(notes.run if accounting == "auto" else None)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    watched = [number for number in RELAYED if signal.getsignal(number) is not signal.SIG_IGN]
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    memory = Memory()
    refused: CannotRun | None = None
    pid = 0
    cage.enter()
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, (*watched, signal.SIGCHLD))
        if signal.sigpending().intersection(watched):
            signal.pthread_sigmask(signal.SIG_SETMASK, before)  # it ends us, before there is a command
        pid = _spawn(command, before)
    except CannotRun as error:
        refused = error
    finally:
        cage.leave()
        if not pid:
            cage.close()
    if refused is not None:
        why = str(refused)
        notes.attempt(lambda: notes.could_not_start(why))
        return notes.result(refused.code, "error", why, None)
    notes.attempt(lambda: notes.started(pid))
    ended = _wait(pid, (*watched, signal.SIGCHLD))
    us = notes.now()
    used = cage.usage(usages.of_rusage(ended.rusage))
    why_ended = f"cancelled by {ended.asked}" if ended.asked is not None and ended.status else None
    outcome, reason, code, number = judge(
        ended.status, why_ended, cage.path, memory, notes.directory or state_directory
    )  # fmt: skip
    cage.close()
    notes.attempt(lambda: notes.exited(us, outcome, reason, code, number, usages.encode(used)))
    exit = code if code is not None else 128 + (number or 0)
    return notes.result(exit, outcome, reason, number if number == ended.by_terminal else None)


class _Group:
    """A cgroup for the command's tree, where one can be had. It is for counting only: nothing is ended by it, and what
    the command leaves behind goes back to where it would be without us."""

    def __init__(self, run: str | None) -> None:
        """No run, no group."""
        if run is not None:
            cgroup.Groups.remove_abandoned()
        self._groups = None if run is None else cgroup.Groups.open(f"{run}-{os.getpid()}")
        self.path: str | None = None

    def enter(self) -> None:
        """From now on our children are born in it."""
        if self._groups is not None:
            self.path = self._groups.make("1")

    def leave(self) -> None:
        if self.path is not None and self._groups is not None:
            try:
                self._groups.leave()
            except OSError:
                pass  # we are counted with the command then, which is little

    def usage(self, waited: Usage) -> Usage:
        return waited if self.path is None else cgroup.usage(self.path, waited)

    def close(self) -> None:
        if self._groups is not None:
            if self.path is not None:
                self._groups.send_home(self.path)
            self._groups.close()


class _Notes:
    """The record of one command, as far as it can be kept. After the first trouble nothing more is tried."""

    def __init__(self, state_directory: str, key: str | None, pipeline: str, durability: str) -> None:
        self._place = (state_directory, key, pipeline, durability)
        self._turn: measured.Turn | None = None
        self._held: int | None = None
        self.stage = ""
        self.attempt_number = 1
        self.run: str | None = None
        self.directory: str | None = None
        self.trouble: str | None = None
        self.warnings: tuple[str, ...] = ()

    def attempt(self, step: Callable[[], None]) -> None:
        """Take one step; trouble is kept for the end, whatever it is: it must not become the command's."""
        if self.trouble is not None:
            return
        try:
            step()
        except Exception as error:
            self.trouble = str(error) if isinstance(error, StagebookError) else f"{type(error).__name__}: {error}"
            self._give_up()

    def begin(self, command: Command) -> None:
        """Add the stage; the turn is kept until the process exists, so that its start is noted when it is."""
        self.stage = command.name
        turn = self._turn = measured.join(*self._place)
        begun = turn.begin_stage(command.name, command.argv, command.needs)
        self._held = lock.share(turn.directory)
        self.run, self.directory = turn.run, turn.directory
        self.stage, self.attempt_number = begun.stage, begun.attempt
        self.warnings = tuple(f"no stage `{need}` in this run" for need in begun.unknown)

    def started(self, pid: int) -> None:
        assert self._turn is not None
        self._turn.started(self.stage, self.attempt_number, pid, start_time_of(pid))
        self._turn.close()

    def could_not_start(self, why: str) -> None:
        assert self._turn is not None
        us = self._turn.started(self.stage, self.attempt_number, 0, 0)
        self._turn.exited(self.stage, self.attempt_number, us, "error", why, None, None, "null")
        self._turn.close(is_told=True)

    def exited(
        self, us: int, outcome: str, reason: str | None, code: int | None, number: int | None, usage: str
    ) -> None:
        assert self._turn is not None
        turn = self._turn
        turn.again()
        if turn.is_over:
            raise StagebookError("the run was ended while this command ran")
        turn.exited(self.stage, self.attempt_number, us, outcome, reason, code, number, usage)
        turn.close(is_told=True)

    def now(self) -> int:
        """Microseconds since the run began; 0 where there is none."""
        return self._turn.us() if self._turn is not None else 0

    def result(self, exit: int, outcome: str, reason: str | None, by_terminal: int | None) -> Measured:
        return Measured(
            exit, outcome, reason, self.stage, self.run, self.directory, by_terminal, self.trouble, self.warnings
        )

    def _give_up(self) -> None:
        self.run = self.directory = None
        if self._turn is not None:
            self._turn.abandon()
        if self._held is not None:
            os.close(self._held)
            self._held = None


def _spawn(command: Command, mask: set[int | signal.Signals]) -> int:
    """The process; raises CannotRun."""
    argv = command.argv
    moves = [(os.POSIX_SPAWN_DUP2, 2, 1)] if command.is_out_moved else []
    try:
        try:
            return os.posix_spawnp(argv[0], argv, inherited(), file_actions=moves, setsigmask=mask, setsigdef=DEFAULTED)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script without a first line that says who reads it; shells run it themselves.
            script = ("/bin/sh", _path_of(argv[0]), *argv[1:])
            return os.posix_spawn(
                script[0], script, inherited(), file_actions=moves, setsigmask=mask, setsigdef=DEFAULTED
            )
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise CannotRun(NOT_FOUND, f"program not found: {argv[0]}") from None
        if error.errno in (errno.EAGAIN, errno.ENOMEM):
            raise CannotRun(OWN_TROUBLE, f"cannot start {argv[0]}: {error.strerror}") from None
        raise CannotRun(NOT_EXECUTABLE, f"cannot execute {argv[0]}: {error.strerror}") from None


def _path_of(program: str) -> str:
    """Where a program that `PATH` led to lies."""
    if "/" in program:
        return program
    for folder in os.get_exec_path():
        path = os.path.join(folder or ".", program)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    return program


def _wait(pid: int, watched: tuple[signal.Signals, ...]) -> Ended:
    """Until the process has ended; signals that a process sent us, itself aside, are passed on."""
    asked: str | None = None
    by_terminal: int | None = None
    while True:
        info = signal.sigwaitinfo(watched)
        if info.si_signo == signal.SIGCHLD:
            ended, status, rusage = os.wait4(pid, os.WNOHANG)
            if ended:
                return Ended(status, rusage, asked, by_terminal)
            continue
        number = info.si_signo
        if number in STOPPING and asked is None:
            asked = signal.Signals(number).name
        if info.si_code > 0:
            by_terminal = number  # the kernel sends these to all that the terminal belongs to
        elif info.si_pid != pid:
            kernel.send(pid, number)


def die_by(number: int) -> None:
    """End as the command did, by the signal that the terminal sent, so that the shell above ends its script too."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
    time.sleep(1)  # it ends us before that
