"""The keeper: a small process above the engine that ends every stage should the engine die. It decides nothing.

`keep()` forks before anything heavy is imported. The parent becomes the keeper: it forwards signals, waits, and when
the engine is gone kills whatever is left below it. The child returns and goes on as the engine, in a session of its
own, so that Ctrl-C reaches it once, through the keeper. The engine learns of the keeper's death by the end of a pipe.
So neither can be killed without the stages being ended by the other. Signals are passed on as signals, so that they
are obeyed whatever the engine is doing, also before and after its loop.
"""

from __future__ import annotations

import os
import signal

from stagebook.engine import kernel

#: In the engine: the pipe from its keeper, on which nothing is ever written; its end means the keeper is dead.
channel: int | None = None

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def keep() -> None:
    """Fork; only the engine returns. Does nothing where a process cannot adopt orphans."""
    global channel
    if not kernel.become_subreaper():
        return
    listen, tell = os.pipe()
    pid = os.fork()
    if pid:
        os.close(listen)
        _stand_by(pid)
    os.close(tell)
    os.setsid()
    kernel.become_subreaper()
    channel = listen


def _stand_by(engine: int) -> None:
    """Wait for the engine, end what it left, and exit as it did. The pipe stays open for as long as we live."""
    terminal = _terminal_settings()

    def forward(number: int, frame: object) -> None:
        kernel.send(engine, number)

    for number in FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, forward)
    _, status = os.waitpid(engine, 0)
    for number in FORWARDED:
        signal.signal(number, signal.SIG_IGN)
    left = kernel.end_all_descendants(10.0)
    if os.WIFEXITED(status):
        os._exit(os.WEXITSTATUS(status))
    _restore(terminal)
    if os.WTERMSIG(status) in FORWARDED:
        os._exit(128 + os.WTERMSIG(status))
    ended = f"{len(left)} processes would not end" if left else "its stages were ended"
    os.write(
        2,
        f"stagebook: the engine was ended by signal {os.WTERMSIG(status)}; {ended}; "
        "go on with `stagebook run --resume`\n".encode(),
    )
    os._exit(4)


def _terminal_settings() -> list[object] | None:
    if not os.isatty(0):
        return None
    import termios

    try:
        return termios.tcgetattr(0)
    except termios.error:
        return None


def _restore(settings: list[object] | None) -> None:
    """An engine that was killed while it read keys leaves the terminal without echo."""
    if settings is None:
        return
    import termios

    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        termios.tcsetattr(0, termios.TCSANOW, settings)  # type: ignore[arg-type]
    except termios.error:
        pass


def die_with_keeper() -> None:
    """In the engine, when its keeper is gone: end everything below at once, and go without a word to the journal.

    What was running is then found `interrupted` by the next engine, just as if both had been killed.
    """
    kernel.end_all_descendants(2.5)
    os._exit(128 + signal.SIGKILL)
