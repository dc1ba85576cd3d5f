"""What the engine sleeps on: the end of a child is heard of with a pidfd, and without one."""

from __future__ import annotations

import os
import signal
from typing import Iterator

import pytest

from stagebook.engine.wakeup import Wakeup


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    made = Wakeup()
    yield made
    made.close()


def spawn(*argv: str) -> int:
    return os.posix_spawn(argv[0], argv, os.environ)


def test_children_that_end_are_told_once_each(wakeup: Wakeup) -> None:
    pids = {spawn("/bin/true") for _ in range(5)}
    for pid in pids:
        wakeup.watch_child(pid)
    ended: list[int] = []
    while len(ended) < 5:
        assert wakeup.wait(20) == []
        ended += wakeup.ended()
    assert sorted(ended) == sorted(pids)
    for pid in pids:
        os.waitpid(pid, 0)
    assert wakeup.ended() == [] and not wakeup.has_children()


def test_without_pidfds_a_signal_says_that_some_child_has_ended(
    wakeup: Wakeup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(pid: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", none_left)
    reading, writing = os.pipe()
    pid = os.posix_spawn("/bin/cat", ["cat"], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)])
    wakeup.watch_child(pid)
    assert wakeup.has_children(), "it may have ended before the handler was there"
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    os.close(reading)
    os.close(writing)
    wakeup.wait(20)
    assert wakeup.has_children()
    assert os.waitpid(pid, 0)[0] == pid


def test_children_are_heard_of_though_who_started_us_ignores_them() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        wakeup = Wakeup()
        pid = spawn("/bin/false")
        wakeup.watch_child(pid)
        wakeup.wait(20)
        assert wakeup.ended() == [pid]
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
