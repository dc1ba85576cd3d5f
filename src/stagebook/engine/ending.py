"""The true reason of an end: what a wait status, a kill of ours, memory and disk say together. Starts, ends nothing."""

from __future__ import annotations

import os
import signal

from stagebook.observe import cgroup
from stagebook.record import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.engine.attempt import Attempt
    from stagebook.record.mask import Mask

_REASON_MAX = 1000
UNABLE = 70  #: the exit status of a job's process that could not do it (EX_SOFTWARE)
Verdict = tuple[str, str | None, int | None, int | None]  #: outcome, reason, exit code, signal number


class Memory:
    """Whether the system has killed a process for memory since this was made or last asked."""

    def __init__(self) -> None:
        self._count = _oom_kills()

    def has_killed(self) -> bool | None:
        """None where the kernel does not say."""
        before, self._count = self._count, _oom_kills()
        return None if before is None or self._count is None else self._count > before


def verdict(attempt: Attempt, memory: Memory, logs: str) -> Verdict:
    """(outcome, reason, exit code, signal number) of an attempt whose main process has been reaped."""
    return judge(attempt.status, attempt.why, attempt.tree.group, memory, logs)


def told(path: str, mask: Mask | None) -> str | None:
    """What the process of a job says of itself in a file, as one line; None where it says nothing."""
    try:
        with state.open_regular(path) as file:
            text = file.read(_REASON_MAX).decode("utf-8", "replace").strip()
    except OSError:
        return None
    text = " ".join(text.split())
    return mask.text(text) if mask and text else text or None


def judge(status: int, why: str | None, group: str | None, memory: Memory, folder: str) -> Verdict:
    """The same from what was seen: a wait status, why we ended it if we did, its cgroup if it had one, and a folder
    on the disk that it may have filled."""
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if why is not None:
        return ("timeout" if why == "timeout" else "cancellation", why, code, number)
    if code == 0:
        return "success", None, code, None
    if code is not None:
        if _is_full(folder):
            return "error", f"exit {code}, disk full: {folder}", code, None
        return "failure", f"exit {code}", code, None
    if number == signal.SIGKILL:
        return _killed(group, memory)
    return "failure", f"signal {number} ({_name(number or 0)})", None, number


def _killed(group: str | None, memory: Memory) -> Verdict:
    """SIGKILL that we did not send: somebody else, or the kernel for want of memory."""
    by_group = cgroup.was_out_of_memory(group) if group is not None else None
    by_system = memory.has_killed()
    if by_group:
        return "error", "out of memory: the kernel killed it (signal 9)", None, 9
    if by_group is None and by_system:
        return "error", "signal 9, the system killed a process for memory meanwhile", None, 9
    if by_group is None and by_system is None:
        return "failure", "signal 9 (out of memory not ruled out)", None, 9
    return "failure", "signal 9 (SIGKILL)", None, 9


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _is_full(folder: str) -> bool:
    """A full disk makes a stage fail by no fault of its own."""
    try:
        return os.statvfs(folder).f_bavail == 0
    except OSError:
        return False


def _oom_kills() -> int | None:
    try:
        with open("/proc/vmstat", "rb") as file:
            for line in file:
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
    except OSError:
        pass
    return None
