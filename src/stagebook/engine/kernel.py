"""The few kernel facilities that Python does not wrap: subreaper, signalfd, children, process identity, marks. Linux
only. Nothing here knows a stage. `prctl` is reached through `_ctypes`, as `ctypes` itself costs start-up on every run.
"""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

#: Who carries this variable, with what only the keeper and the engine know, belongs to no stage and ends by itself.
SPARED = "STAGEBOOK_SPARED"
spared_as = ""


def become_subreaper() -> bool:
    """Adopt orphaned descendants from now on; False where the kernel has no such thing."""
    return _prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> bool:
    """Be killed as soon as the parent has ended; it may be gone already. False where the kernel has no such thing."""
    return _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(what: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    import _ctypes

    try:
        itself = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
        prctl = _ctypes.dlsym(itself, "prctl")
        result: int = _ctypes.call_function(prctl, (what, int(value), 0, 0, 0))
    except OSError:
        return False
    return result == 0


def signal_descriptor(number: int) -> int | None:
    """A descriptor that can be read while a signal is pending (signalfd), once it is blocked; None where there is no
    such thing. It is closed in programs that are started."""
    if not sys.platform.startswith("linux"):
        return None
    import _ctypes

    mask = (1 << (number - 1)).to_bytes(8, sys.byteorder) + bytes(120)  # a sigset_t is of whole words
    try:
        itself = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
        fd: int = _ctypes.call_function(_ctypes.dlsym(itself, "signalfd"), (-1, mask, os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError:
        return None
    return fd if fd >= 0 else None


def children_of(pid: int) -> list[int]:
    """The living and unreaped children of every thread of a process; empty where it is gone."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
                data = file.read()
                while more := file.read():
                    data += more
        except OSError:
            continue
        found.extend(map(int, data.split()))
    return found


def descendants_of(pid: int) -> list[int]:
    """Every process below one, parents before children, as far as one look can tell."""
    found = children_of(pid)
    for child in found:
        found.extend(children_of(child))
    return found


def is_zombie(pid: int) -> bool:
    """Whether a process has ended and only waits to be reaped; a process that is gone counts as one."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.read(1024).rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (OSError, IndexError):
        return True


def environment_of(pid: int) -> bytes:
    """The environment a process started with, NUL between variables; empty where it may not be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except OSError:
        return b""


def is_spared(pid: int) -> bool:
    """Whether a process that lives is none that has to be ended with a run."""
    return bool(spared_as) and b"\0%s=%s\0" % (SPARED.encode(), spared_as.encode()) in b"\0" + environment_of(pid)


def command_of(pid: int) -> str:
    """A process's command line for people; its short name where the line is empty, `?` where it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            line = file.read(4096).replace(b"\0", b" ").strip()
        if not line:
            with open(f"/proc/{pid}/comm", "rb") as file:
                line = file.read().strip()
    except OSError:
        return "?"
    return line.decode(errors="replace")[:200]


def marked(mark: bytes) -> list[int]:
    """Every process whose environment holds a variable exactly so (`NAME=value`), our own ancestors left out."""
    spared = {os.getpid()}
    pid = os.getppid()
    while pid > 1 and pid not in spared:
        spared.add(pid)
        pid = _parent_of(pid)
    whole = b"\0" + mark + b"\0"
    found: list[int] = []
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and int(entry) not in spared:
            if whole in b"\0" + environment_of(int(entry)) and not is_zombie(int(entry)):
                found.append(int(entry))
    return found


def _parent_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return int(file.read(1024).rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def send(pid: int, number: int) -> bool:
    """Signal a process; False where it is gone or not ours."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def end_all_descendants(deadline_s: float) -> list[int]:
    """KILL and reap everything below this process but what is spared, again and again until nothing is left: one look
    is never enough, as a tree may fork between the look and the signal. Returns those that would not die in time."""
    from time import monotonic, sleep

    end = monotonic() + deadline_s
    while True:
        below = [child for child in children_of(os.getpid()) if not is_spared(child)]
        for child in below:
            below.extend(children_of(child))
        for pid in below:
            send(pid, signal.SIGKILL)
        _reap()
        if not below:
            return []
        if monotonic() > end:
            return below
        sleep(0.002)


def _reap() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return
