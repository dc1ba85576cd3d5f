"""A command of a step, run to its end: its own process group, output unchanged into the job's log, or line by line to
whoever listens. A timeout ends its group, and so does what ends the job; by force where it does not.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from time import monotonic

from stagebook.model.problem import SurroundingsError
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, Callable, Mapping, Sequence

GRACE_S = 5.0  #: from TERM to KILL
STOPPED_SHARE = 0.4  #: of a stage's grace, for what runs when its job is asked to end; the rest is for cleaning up
_LINE_MAX = 1 << 16
_DRAINED_MAX = 32  #: reads of 64 KiB: more than a pipe holds


class Ended(NamedTuple):
    """`code` as a shell has it: 128 + N for a signal."""

    code: int
    is_timeout: bool = False
    is_stopped: bool = False  #: the job was asked to end

    @property
    def is_well(self) -> bool:
        return self.code == 0 and not self.is_timeout and not self.is_stopped


class Stop:
    """Whether this process has been asked to end: TERM, INT and HUP are noted, and handed on to what runs now."""

    grace_s = GRACE_S  #: how long what runs then may go on
    asked_s: float | None = None  #: when, by the monotonic clock
    wake: int | None = None  #: readable once it is asked: a signal alone does not end a wait of another thread

    def __init__(self, stage_grace_ms: int = 10_000) -> None:
        self.is_asked = False
        self.groups: set[int] = set()
        self.grace_s = stage_grace_ms / 1000 * STOPPED_SHARE
        self.wake, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._asked)

    def _asked(self, number: int, _: object) -> None:
        if self.asked_s is None:
            self.asked_s = monotonic()
            os.write(self._waker, b".")
        self.is_asked = True
        for group in list(self.groups):
            _send(group, signal.SIGTERM)


def script_file(folder: str, name: str, text: str) -> str:
    """Write a script that only its owner may read; its path."""
    os.makedirs(folder, 0o700, exist_ok=True)
    path = os.path.join(folder, name)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o700)
    with open(fd, "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
    return path


def start(argv: Sequence[str], env: Mapping[str, str], cwd: str, out: int | None = None) -> subprocess.Popen[bytes]:
    """Start it, in a group of its own. `out` None: into our own output. Raises SurroundingsError."""
    try:
        return subprocess.Popen(
            argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT if out else None,
            process_group=0,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        where = f" in {cwd}" if not os.path.isdir(cwd) else ""
        raise SurroundingsError(f"cannot start {argv[0]}{where}: {why}") from None


def run(
    argv: Sequence[str], env: Mapping[str, str], cwd: str, stop: Stop, *, timeout_s: float | None = None,
    hear: Callable[[bytes], None] | None = None, heard: Callable[[], None] | None = None,
    part: Callable[[bytes], int] | None = None, was_asked: bool | None = None,
) -> Ended:  # fmt: skip
    """Run it to its end. `hear` is given each line, without its end, in place of the log; `heard` is called when there
    is no more for now. `part` is given what there is of a line that is very long, and says how many bytes of it it has
    taken; `hear` gets the rest. `was_asked`: whether the job had been asked to end when it was decided to run this;
    None: by now."""
    ends_s = None if timeout_s is None else monotonic() + timeout_s
    was_asked = stop.is_asked if was_asked is None else was_asked
    process = start(argv, env, cwd, subprocess.PIPE if hear else None)
    stop.groups.add(process.pid)
    if stop.is_asked and not was_asked:  # before the group was known
        _send(process.pid, signal.SIGTERM)
    watched = _Watched(process, hear, heard, part)
    try:
        is_timeout = not watched.wait(ends_s, None if was_asked else stop)
        if is_timeout and stop.is_asked and not was_asked:
            is_timeout = False
            _send(process.pid, signal.SIGKILL)
            watched.wait(None)
        elif is_timeout:
            _send(process.pid, signal.SIGTERM)
            if not watched.wait(monotonic() + GRACE_S):
                _send(process.pid, signal.SIGKILL)
                watched.wait(None)
        code = process.wait()
    finally:
        stop.groups.discard(process.pid)
        watched.close()
    if is_timeout:
        _send(process.pid, signal.SIGKILL)  # those of its group that outlived it
    return Ended(code if code >= 0 else 128 - code, is_timeout, stop.is_asked and not was_asked)


def _send(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass


class _Watched:
    """A process and, where somebody listens, its output: both are waited for without a thread."""

    def __init__(
        self, process: subprocess.Popen[bytes], hear: Callable[[bytes], None] | None,
        heard: Callable[[], None] | None = None, part: Callable[[bytes], int] | None = None,
    ) -> None:  # fmt: skip
        self._end = os.pidfd_open(process.pid)
        self._hear = hear
        self._heard = heard
        self._part = part
        self._pipe = process.stdout
        self._rest = b""
        self._is_within = False  #: a line of which a part has been taken

    def wait(self, until_s: float | None, stop: Stop | None = None) -> bool:
        """Until the process ends; False if it has not by then, or some time after `stop` was asked. What it left behind
        may go on: its output is not waited for."""
        wake = None if stop is None else stop.wake
        while True:
            watched: list[Any] = [self._end, *([self._pipe] if self._pipe is not None else [])]
            if stop is not None and stop.asked_s is not None:
                last_s = stop.asked_s + stop.grace_s
                until_s = last_s if until_s is None else min(until_s, last_s)
            elif wake is not None:
                watched.append(wake)
            left = None if until_s is None else max(0.0, until_s - monotonic())
            ready, _, _ = select.select(watched, (), (), left)
            if self._end in ready:
                self._drain()
                return True
            if self._pipe is not None and self._pipe in ready:
                self._take()
            if until_s is not None and monotonic() >= until_s:
                return False

    def _drain(self) -> None:
        """What was in the pipe when the process ended, and no more: others may write into it for ever."""
        for _ in range(_DRAINED_MAX):
            if self._pipe is None or not select.select((self._pipe,), (), (), 0)[0] or not self._take():
                return

    def _take(self) -> bool:
        """Hear of what there is; False if there is nothing more to come, ever or for now."""
        assert self._pipe is not None and self._hear is not None
        data = os.read(self._pipe.fileno(), 1 << 16)
        if not data:
            self._pipe.close()
            self._pipe = None
            return False
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._hear(line)
        self._is_within = self._is_within and not lines
        if len(self._rest) > _LINE_MAX:
            if self._part is not None:
                taken = self._part(self._rest)
                self._rest, self._is_within = self._rest[taken:], self._is_within or taken > 0
            else:
                self._hear(self._rest)
                self._rest = b""
        if self._heard is not None:
            self._heard()
        return True

    def close(self) -> None:
        if (self._rest or self._is_within) and self._hear is not None:
            self._hear(self._rest)
        if self._heard is not None:
            self._heard()
        os.close(self._end)
        if self._pipe is not None:
            _leave(self._pipe)


def _leave(pipe: IO[bytes]) -> None:
    """Whoever still has the other end, a server that a step has left behind, may go on writing: what it says is of no
    step, and read so that it does not break."""
    if select.select((pipe,), (), (), 0)[0] and not os.read(pipe.fileno(), 1 << 16):
        pipe.close()
        return
    from threading import Thread

    def read() -> None:
        with pipe:
            while os.read(pipe.fileno(), 1 << 16):
                pass

    Thread(target=read, daemon=True).start()
