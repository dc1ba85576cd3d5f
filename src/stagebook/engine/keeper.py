"""The keeper: a small process above the engine that ends every stage should the engine die. It decides nothing.

`keep()` forks before anything heavy is imported. The parent becomes the keeper: it forwards signals, waits, and when
the engine is gone kills whatever is left below it. The child returns and goes on as the engine, in a session of its
own, so that Ctrl-C reaches it once, through the keeper. The engine learns of the keeper's death by the end of a pipe;
by a socket it has told the keeper its run, whose groups must go with it, and lent it what must stay open until the
last stage is gone. So neither can be killed without the stages being ended by the other. Signals are passed on as
signals, so that they are obeyed whatever the engine is doing, also before and after its loop.
"""

from __future__ import annotations

import os
import signal
import sys

from stagebook.engine import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: In the engine: the pipe from its keeper, on which nothing is ever written; its end means the keeper is dead.
channel: int | None = None

_mouth: int | None = None  #: In the engine: the socket to its keeper.
_run = ""  #: In the engine: the run whose groups there may be.
_terminal: list[Any] | None = None  #: In both: how the terminal was before the run.

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SURROUNDINGS = 4  #: as in `model.problem`, which is not imported before the fork


def keep() -> None:
    """Fork; only the engine returns. Does nothing where a process cannot adopt orphans.

    Who started us may ignore the ends of children, or block signals: neither may hold for a run. What it ignores
    otherwise, HUP under nohup for one, stays ignored.
    """
    global _terminal
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, FORWARDED)  # until there is somebody to forward them
    try:
        if kernel.become_subreaper():
            _terminal = _terminal_settings()
            kernel.spared_as = os.urandom(16).hex()
            _fork()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _fork() -> None:
    global channel, _mouth
    listen, tell = os.pipe()
    ear, _mouth = _pair()
    pid = os.fork()
    if pid:
        try:
            os.close(listen)
            os.close(_mouth)
            _stand_by(pid, ear)
        finally:
            os._exit(SURROUNDINGS)
    os.close(tell)
    os.close(ear)
    os.set_blocking(_mouth, False)  # the keeper reads nothing while we live, so it may be full after some hundred runs
    os.setsid()
    kernel.become_subreaper()
    channel = listen


def note(run: str) -> None:
    """In the engine, before the first group of its run is made: whose groups to remove should it die."""
    global _run
    if run == _run:
        return
    _run = run
    if _mouth is not None:
        try:
            os.write(_mouth, run.encode() + b"\n")
        except OSError:
            pass  # the keeper is dead, which `channel` tells; or full, and the groups are left to the next engine


def lend(fd: int) -> None:
    """In the engine: keep a descriptor's file open, and locked, until the keeper has ended all stages too.

    The keeper reads nothing while the engine lives: what waits in the socket is open for as long as the keeper lives.
    """
    if _mouth is None:
        return
    import _socket  # here, as few runs need it

    end = _socket.socket(fileno=_mouth)
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, sys.byteorder))
    try:
        end.sendmsg([b"\n"], [rights])
    except OSError:
        pass  # it is dead, or full: then it is up to the marks of processes to tell who is left
    finally:
        end.detach()


def _pair() -> tuple[int, int]:
    """Two ends of a socket, by way of the C library: the module for it would cost every run its import."""
    import _ctypes

    ends = bytes(8)  # two ints, which the call writes
    itself = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
    kind = 1 | os.O_CLOEXEC  # SOCK_STREAM; SOCK_CLOEXEC is the same bit
    if _ctypes.call_function(_ctypes.dlsym(itself, "socketpair"), (1, kind, 0, ends)) != 0:
        return os.pipe()
    return int.from_bytes(ends[:4], sys.byteorder), int.from_bytes(ends[4:], sys.byteorder)


def _stand_by(engine: int, ear: int) -> None:
    """Wait for the engine, end what it left, and exit as it did. The pipe stays open for as long as we live."""

    def forward(number: int, frame: object) -> None:
        kernel.send(engine, number)

    for number in FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _, status = os.waitpid(engine, 0)
    for number in FORWARDED:
        signal.signal(number, signal.SIG_IGN)
    left = kernel.end_all_descendants(10.0)
    if os.WIFEXITED(status):
        if os.WEXITSTATUS(status) >= SURROUNDINGS:
            _remove_groups(_heard(ear))  # it may have given way before it could
        os._exit(os.WEXITSTATUS(status))
    _remove_groups(_heard(ear))
    _restore_terminal()
    if os.WTERMSIG(status) in FORWARDED:
        os._exit(128 + os.WTERMSIG(status))
    ended = f"{len(left)} processes would not end" if left else "its stages were ended"
    try:
        os.write(
            2,
            f"stagebook: the engine was ended by signal {os.WTERMSIG(status)}; {ended}; "
            "go on with `stagebook run --resume`\n".encode(),
        )
    except OSError:
        pass  # nobody reads it
    os._exit(SURROUNDINGS)


def _heard(ear: int) -> str:
    """The run that the dead engine has named, if it came to that."""
    os.set_blocking(ear, False)  # what would not end may hold the other end
    heard = b""
    try:
        while more := os.read(ear, 4096):
            heard += more
    except OSError:
        pass
    return (heard.decode().split() or [""])[-1]


def _remove_groups(run: str) -> None:
    """Nothing lives in them any more; an import that fails leaves them to the next engine."""
    if not run:
        return
    try:
        from stagebook.observe.cgroup import Groups

        Groups.remove_left(run)
    except (ImportError, OSError):
        pass


def _terminal_settings() -> list[Any] | None:
    if not os.isatty(0):
        return None
    import termios

    try:
        return termios.tcgetattr(0)
    except termios.error:
        return None


def _restore_terminal() -> None:
    """An engine that was killed while it read keys leaves the terminal without echo. If a shell has made the terminal
    its own meanwhile, it stays so."""
    if _terminal is None:
        return
    import termios

    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    quiet = [*_terminal[:3], _terminal[3] & ~(termios.ICANON | termios.ECHO)]
    try:
        if termios.tcgetattr(0)[:4] == quiet:
            termios.tcsetattr(0, termios.TCSANOW, _terminal)
    except termios.error:
        pass


def die_with_keeper() -> None:
    """In the engine, when its keeper is gone: end everything below at once, and go without a word to the journal.

    What was running is then found `interrupted` by the next engine, just as if both had been killed.
    """
    _restore_terminal()
    kernel.end_all_descendants(2.5)
    _remove_groups(_run)
    os._exit(128 + signal.SIGKILL)
