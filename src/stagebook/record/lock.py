"""One engine per run, by a kernel lock on `runs/RUN/lock`. That the file is there means nothing.

The file holds pid and start time of the holder, for messages only. The kernel frees the lock when the holder ends,
however it ends, as long as no child inherits the descriptor: it is closed on exec.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from stagebook.model.problem import SurroundingsError
from stagebook.record.clock import start_time_of

NAME = "lock"
_WIDTH = 40  #: what the file holds is always as long, so that nobody reads half of it
_PATIENCE_S = 0.5


def take(directory: str) -> int:
    """Lock the run of this directory; the descriptor holds it until it is closed or the process ends.

    Raises SurroundingsError, within a second, if another engine has it. Someone who only looks (`holder`) can be in
    the way for an instant, so a lock whose noted holder is not alive is tried again for a while.
    """
    path = os.path.join(directory, NAME)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _failure(path, error) from error
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while not _locked(fd, path, fcntl.LOCK_EX):
            pid = _noted(fd)
            if pid is not None or time.monotonic() > deadline:
                who = f"pid {pid}" if pid is not None else "another engine"
                raise SurroundingsError(f"run {os.path.basename(directory)} is held by {who}")
            time.sleep(0.002)
        pid = os.getpid()
        os.pwrite(fd, f"{pid} {start_time_of(pid)}".ljust(_WIDTH - 1).encode() + b"\n", 0)
    except OSError as error:
        os.close(fd)
        raise _failure(path, error) from error
    except BaseException:
        os.close(fd)
        raise
    return fd


def release(fd: int) -> None:
    """Give the lock back; the file stays, and names nobody."""
    try:
        os.pwrite(fd, b" " * (_WIDTH - 1) + b"\n", 0)
    except OSError:
        pass  # a stale note is checked against the living before it is believed
    os.close(fd)


def share(directory: str) -> int | None:
    """Hold the run of this directory together with others who measure into it; None where that cannot be had.

    The descriptor holds it until it is closed or the process ends.
    """
    try:
        fd = os.open(os.path.join(directory, NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    deadline = time.monotonic() + _PATIENCE_S
    try:
        while not _locked(fd, directory, fcntl.LOCK_SH):  # someone who looks is in the way for an instant
            if time.monotonic() > deadline:
                os.close(fd)
                return None
            time.sleep(0.001)
    except SurroundingsError:
        os.close(fd)
        return None
    return fd


def is_shared(directory: str) -> bool:
    """Whether anybody holds this run by `share` now."""
    path = os.path.join(directory, NAME)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _failure(path, error) from error
    try:
        while not _locked(fd, path, fcntl.LOCK_EX):
            if _locked(fd, path, fcntl.LOCK_SH):
                return True
            time.sleep(0.001)  # another one who looks
        return False
    finally:
        os.close(fd)


def holder(directory: str) -> int | None:
    """The pid of the engine that holds this run now, 0 if it cannot be told, None if nobody does."""
    path = os.path.join(directory, NAME)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _failure(path, error) from error
    try:
        return None if _locked(fd, path, fcntl.LOCK_SH) else _noted(fd) or 0
    finally:
        os.close(fd)


def _locked(fd: int, path: str, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise _failure(path, error) from error
    return True


def _noted(fd: int) -> int | None:
    """The pid in the file, if that very process is alive."""
    words = os.pread(fd, _WIDTH, 0).split()
    if len(words) != 2 or not (words[0].isdigit() and words[1].isdigit()):
        return None
    pid = int(words[0])
    return pid if start_time_of(pid) == int(words[1]) else None


def _failure(path: str, error: OSError) -> SurroundingsError:
    return SurroundingsError(f"cannot lock {path}: {os.strerror(error.errno or errno.EIO)}")
