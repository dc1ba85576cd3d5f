"""What the engine sleeps on: the end of a child is heard of by a signalfd, and without one."""

from __future__ import annotations

import functools
import hashlib
import os
import signal
import traceback
from typing import Callable, Iterator

import pytest

from stagebook.engine import kernel
from stagebook.engine.wakeup import Wakeup


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    made = Wakeup()
    yield made
    made.close()


def alone(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test in a process with one thread, as the engine is: another thread could be given the signal."""

    @functools.wraps(test)
    def run(**given: object) -> None:
        pid = os.fork()
        if not pid:
            code = 1
            try:
                test(**given)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0

    return run


def spawn(*argv: str) -> int:
    return os.posix_spawn(argv[0], argv, os.environ)


def reap_all(wakeup: Wakeup, pids: set[int]) -> None:
    """Sleep and reap until all have ended; every sleep ends because one of them did."""
    while pids:
        assert wakeup.wait(20) == []
        assert wakeup.has_children()
        while pids and (pid := os.waitpid(-1, os.WNOHANG)[0]):
            pids.remove(pid)
    assert not wakeup.has_children()


@pytest.mark.parametrize("is_there", [True, False], ids=["signalfd", "handler"])
@alone
def test_the_end_of_every_child_ends_a_sleep(is_there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_there:
        monkeypatch.setattr(kernel, "signal_descriptor", lambda number: None)
    wakeup = Wakeup()
    reading, writing = os.pipe()
    late = os.posix_spawn("/bin/cat", ["cat"], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)])
    os.close(reading)
    reap_all(wakeup, {spawn("/bin/true") for _ in range(5)})
    os.close(writing)
    reap_all(wakeup, {late})
    wakeup.close()
    assert signal.SIGCHLD not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@alone
def test_children_are_heard_of_though_who_started_us_ignores_them() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        wakeup = Wakeup()
        pid = spawn("/bin/false")
        wakeup.wait(20)
        assert wakeup.has_children()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
        wakeup.close()
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_signals_that_ask_to_stop_are_told_in_order(wakeup: Wakeup) -> None:
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)
    told: list[int] = []
    while len(told) < 2:
        wakeup.wait(20)
        told += wakeup.signals()
    assert told == [signal.SIGHUP, signal.SIGTERM]


@alone
def test_two_signals_are_two_though_they_come_while_python_is_busy() -> None:
    wakeup = Wakeup()
    sender = spawn("/bin/sh", "-c", "kill -HUP $PPID; sleep 0.05; kill -HUP $PPID")
    while not os.waitpid(sender, os.WNOHANG)[0]:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000)  # one call, in which no handler runs
    told: list[int] = []
    while len(told) < 2:
        assert wakeup.wait(20) == []
        heard = wakeup.signals()
        assert heard
        told += heard
    assert told == [signal.SIGHUP, signal.SIGHUP]
    wakeup.close()


def test_what_was_forgotten_since_it_was_told_of_is_known(wakeup: Wakeup) -> None:
    """The end of a worker is heard of by two descriptors at once, and what follows from the first closes both."""
    (first, mouth), (second, other) = os.pipe(), os.pipe()
    try:
        for fd in (first, second):
            wakeup.watch(fd)
        os.write(mouth, b"x")
        os.write(other, b"x")
        assert sorted(wakeup.wait(5)) == sorted([first, second])
        wakeup.forget(second)
        assert wakeup.is_forgotten(second) and not wakeup.is_forgotten(first)
        assert wakeup.wait(5) == [first] and not wakeup.is_forgotten(second)
    finally:
        for fd in (first, mouth, second, other):
            os.close(fd)
