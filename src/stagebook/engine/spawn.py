"""Starts the process of an attempt and nothing else: standard input empty, output straight into its log, a session of
its own, default signals, and where possible a cgroup of its own.

`posix_spawn` from a single-threaded engine is the cheapest way there is, and never copies the engine's memory. It
cannot change directory or group, so the engine itself steps there for the moment of the call.
"""

from __future__ import annotations

import errno
import os
import signal

from stagebook.engine import command
from stagebook.engine.environment import Environment
from stagebook.engine.outputs import Outputs
from stagebook.model.pipeline import Stage
from stagebook.model.value import NamedTuple
from stagebook.observe.cgroup import Groups
from stagebook.record import faults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.engine.jobserver import Jobserver, Jobservers

DEFAULTED = [signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXFSZ, signal.SIGCHLD]
LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Spawned(NamedTuple):
    """A process that exists. `pipe` is the reading end of its output if that does not go straight to the log;
    `is_logged` is False where no log could be opened."""

    pid: int
    group: str | None
    pipe: int | None
    is_logged: bool


class Call(NamedTuple):
    """What a call of a step has beside an attempt of a stage. `output` is its `STAGEBOOK_OUTPUT` file; a worker that
    stays reads from `asked` and answers on `answers`, and only the rest of what it says goes to the log."""

    output: str
    env: Mapping[bytes, bytes]
    asked: int | None = None
    answers: int | None = None


class CannotStart(Exception):
    """Why no process came to be; the attempt is an `error` with this text as its reason."""


class Spawner:
    """Starts the attempts of one run. Keep one thread only: directory and group belong to the whole process."""

    def __init__(self, environment: Environment, directory: str, groups: Groups | None, outputs: Outputs) -> None:
        """`directory` is where stages run."""
        self._environment = environment
        self._directory = os.fsencode(directory)
        self._groups = groups
        self._outputs = outputs
        self._jobservers: Jobservers | None = None
        self._here = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fchdir(self._here)

    def start(
        self, index: int, stage: Stage, attempt: int, log: str, workspace: str | None = None, is_masked: bool = False,
        call: Call | None = None,
    ) -> Spawned:  # fmt: skip
        """Start one attempt, in a workspace of its own if one is named, or a `call` for items, the log of which goes
        on; raises CannotStart. What is to be masked comes through a pipe."""
        directory = self._directory if workspace is None else os.fsencode(workspace)
        if stage.dir is not None:
            directory = os.path.join(directory, os.fsencode(stage.dir))
        output = os.fsencode(self._outputs.path(index, attempt) if call is None else call.output)
        if stage.env_from or stage.cmd_from:
            stage = self._filled(stage)
        env = self._environment.of(index, stage, attempt, directory, output)
        if call is not None:
            env.update(call.env)
        argv = command.argv_of(stage)
        program = self._environment.find(argv[0], env, directory)
        if program is None:
            raise CannotStart(f"program not found: {argv[0]}")
        try:
            pipe = os.pipe2(os.O_CLOEXEC) if is_masked or stage.log_limit_bytes is not None else None
        except OSError as error:
            raise CannotStart(f"no pipe for its output: {error.strerror}") from None
        if directory != self._directory:
            self._step_into(directory)
        group = self._groups.make(f"{index}.{attempt}") if self._groups is not None else None
        server, passed = None, ()  # type: Jobserver | None, tuple[int, ...]
        try:
            if stage.resources.cpu_milli and not self._environment.has_own(stage, "MAKEFLAGS"):
                argv, server = self._hand_down(index, stage, attempt, directory, argv, env)
                passed = server.passed if server is not None else ()
            pid, is_logged = self._spawn(program, argv, env, log, pipe[1] if pipe else None, passed, call)
        except BaseException:
            if pipe:
                os.close(pipe[0])
            if server is not None:
                server.close()
            raise
        finally:
            if pipe:
                os.close(pipe[1])
            if group is not None and self._groups is not None:
                self._groups.leave()
            if directory != self._directory:
                os.fchdir(self._here)
        if pipe:
            os.set_blocking(pipe[0], False)
        if server is not None and self._jobservers is not None:
            self._jobservers.keep(server, pid)
        return Spawned(pid, group, pipe[0] if pipe else None, is_logged)

    def output(self, index: int, attempt: int) -> str:
        """The `STAGEBOOK_OUTPUT` file of an attempt."""
        return self._outputs.path(index, attempt)

    def close(self) -> None:
        os.close(self._here)
        if self._jobservers is not None:
            self._jobservers.close()
        if self._groups is not None:
            self._groups.close()

    def _filled(self, stage: Stage) -> Stage:
        from stagebook.condition.outputs import Absent

        try:
            return self._outputs.filled(stage)
        except Absent as absent:
            raise CannotStart(str(absent)) from None

    def _step_into(self, directory: bytes) -> None:
        try:
            os.chdir(directory)
        except OSError as error:
            raise CannotStart(f"directory {os.fsdecode(directory)}: {error.strerror}") from None

    def _hand_down(
        self, index: int, stage: Stage, attempt: int, directory: bytes, argv: tuple[str, ...], env: dict[bytes, bytes]
    ) -> tuple[tuple[str, ...], Jobserver | None]:
        """Tell make of the cores that the stage reserves: by `env`, and by the argv that is given back."""
        from stagebook.engine import jobserver

        if self._jobservers is None:
            self._jobservers = jobserver.Jobservers(os.fsencode(self._outputs.folder))
        count = jobserver.cores(stage.resources.cpu_milli)
        server = self._jobservers.open(index, attempt, count, self._environment.find("make", env, directory))
        flags = jobserver.flags(env.pop(b"MAKEFLAGS", b""), count, server)
        if flags:
            env[b"MAKEFLAGS"] = flags
        return jobserver.bounded(argv), server

    def _spawn(
        self, program: bytes, argv: tuple[str, ...], env: Mapping[bytes, bytes], log: str, pipe: int | None,
        passed: tuple[int, ...], call: Call | None,
    ) -> tuple[int, bool]:  # fmt: skip
        first: tuple[Any, ...] = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
        flags = LOG_FLAGS if call is None else LOG_FLAGS & ~os.O_TRUNC
        output = (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o600) if pipe is None else (os.POSIX_SPAWN_DUP2, pipe, 1)
        last: tuple[Any, ...] = (os.POSIX_SPAWN_DUP2, 1, 2)
        answers: tuple[tuple[Any, ...], ...] = ()
        if call is not None and call.asked is not None and call.answers is not None:
            first, answers = (os.POSIX_SPAWN_DUP2, call.asked, 0), ((os.POSIX_SPAWN_DUP2, call.answers, 1),)
        handed = [(os.POSIX_SPAWN_DUP2, fd, fd) for fd in passed]  # to itself: it is not closed in what is started
        is_logged = True
        for _ in range(2):
            try:
                faults.hit("spawn")
                if is_logged:
                    faults.hit("log.open")
                pid = os.posix_spawn(
                    program,
                    argv,
                    env,
                    file_actions=(first, output, last, *answers, *handed),
                    setsid=True,
                    setsigmask=(),
                    setsigdef=DEFAULTED,
                )
                return pid, is_logged
            except OSError as error:
                if error.errno == errno.ENOEXEC:
                    program, argv = b"/bin/sh", ("/bin/sh", os.fsdecode(program), *argv[1:])
                elif pipe is None and is_logged and not _can_open(log):
                    output = (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)
                    is_logged = False
                else:
                    raise CannotStart(_why(error, program)) from None
        raise CannotStart(f"{os.fsdecode(program)}: cannot be executed")


def _can_open(log: str) -> bool:
    """A failed spawn does not say whether the log or the program was at fault."""
    try:
        faults.hit("log.open")
        os.close(os.open(log, LOG_FLAGS | os.O_CLOEXEC, 0o600))
    except OSError:
        return False
    return True


def _why(error: OSError, program: bytes) -> str:
    name = os.fsdecode(program)
    if error.errno == errno.ENOENT and os.path.exists(program):
        return f"{name}: the program that its first line names is not there"
    if error.errno == errno.ENOENT:
        return f"program not found: {name}"
    if error.errno == errno.E2BIG:
        return f"{name}: arguments and environment are larger than the system allows"
    return f"cannot start {name}: {error.strerror}"
