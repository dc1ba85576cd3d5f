"""The children that read files: what comes of them, what does when they die, and that none is left."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Iterator

import pytest

from stagebook.engine import hasher as voice_of_child
from stagebook.engine.hasher import Failed, Hasher
from stagebook.engine.wakeup import Wakeup
from stagebook.record import faults


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    made = Wakeup()
    yield made
    made.close()


@pytest.fixture
def hasher(wakeup: Wakeup) -> Iterator[Hasher]:
    made = Hasher(wakeup, 2)
    yield made
    made.close()
    assert not made.is_busy
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def gathered(hasher: Hasher, wakeup: Wakeup, count: int) -> dict[Any, Any]:
    found: list[tuple[Any, Any]] = []
    deadline = time.monotonic() + 20
    while len(found) < count:
        assert time.monotonic() < deadline
        for fd in wakeup.wait(1):
            found += hasher.pump(fd) or []
    return dict(found)


def test_what_the_work_gives_comes_back_under_its_key(hasher: Hasher, wakeup: Wakeup) -> None:
    for number in range(8):
        hasher.begin(number, lambda number=number: [str(number) * 200_000, number])  # type: ignore[misc]
    assert len(hasher.pids) == 2, "the others wait for their turn"
    assert gathered(hasher, wakeup, 8) == {number: [str(number) * 200_000, number] for number in range(8)}
    assert hasher.pids == set()


def test_it_runs_beside_us(hasher: Hasher, wakeup: Wakeup) -> None:
    hasher.begin("who", lambda: (os.getpid(), os.getppid(), os.getpgid(0)))
    pid, parent, group = gathered(hasher, wakeup, 1)["who"]
    assert pid == group != os.getpid()
    assert parent == os.getpid()


def raises(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    ("work", "why"),
    [
        (lambda: raises(OSError(28, "No space left on device", "/a/b")), "/a/b: No space left on device"),
        (lambda: raises(ValueError("odd")), "ValueError: odd"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "ended by signal 9"),
        (lambda: os._exit(0), "died"),
    ],
)
def test_a_child_that_fails_or_dies_says_why(hasher: Hasher, wakeup: Wakeup, work: Any, why: str) -> None:
    hasher.begin("x", work)
    answer = gathered(hasher, wakeup, 1)["x"]
    assert isinstance(answer, Failed)
    assert why in str(answer)


def test_what_is_stopped_ends_at_once_with_its_own_children(hasher: Hasher, wakeup: Wakeup) -> None:
    def forks() -> None:
        os.fork()
        time.sleep(60)

    for key in ("a", "b", "c"):
        hasher.begin(key, forks)
    time.sleep(0.1)
    began = time.monotonic()
    for key in ("a", "c", "b", "a"):
        assert hasher.stop(key) == []
    assert time.monotonic() - began < 5
    assert not hasher.is_busy


def test_what_waits_goes_on_when_another_is_stopped(hasher: Hasher, wakeup: Wakeup) -> None:
    for key in ("a", "b"):
        hasher.begin(key, lambda: time.sleep(60))
    hasher.begin("c", lambda: "done")
    assert len(hasher.pids) == 2
    hasher.stop("a")
    assert gathered(hasher, wakeup, 1) == {"c": "done"}


def test_without_a_process_to_be_had_the_work_is_done_here(hasher: Hasher, wakeup: Wakeup) -> None:
    faults.arm("artifact.fork:1:EAGAIN;artifact.fork:3+:EAGAIN")
    try:
        assert hasher.begin("a", os.getpid) == [("a", os.getpid())]
        assert hasher.begin("b", lambda: time.sleep(0.2)) == []
        assert hasher.begin("c", os.getpid) == [], "one of ours will end"
        assert gathered(hasher, wakeup, 2) == {"b": None, "c": os.getpid()}
    finally:
        faults.arm(None)


def test_a_child_keeps_nothing_of_ours_open(hasher: Hasher, wakeup: Wakeup) -> None:
    ear, mouth = os.pipe()
    os.set_inheritable(mouth, True)
    hasher.begin("x", lambda: time.sleep(60))
    time.sleep(0.2)
    os.close(mouth)
    os.set_blocking(ear, False)
    assert os.read(ear, 1) == b"", "its end of the pipe is closed, or this would block"
    os.close(ear)


def test_a_descriptor_of_nobody_is_not_taken(hasher: Hasher) -> None:
    assert hasher.pump(0) is None


def speaking(*dones: int) -> None:
    assert voice_of_child.voice is not None
    say = voice_of_child.voice.on("reading outputs", lambda: 9 << 30)
    for done in dones:
        say(done)


@pytest.fixture
def told(hasher: Hasher, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is heard of children, which speak at once."""
    made: list[Any] = []
    hasher.heard = lambda key, told: made.append((key, told))
    monkeypatch.setattr(voice_of_child, "PATIENCE_S", 0)
    monkeypatch.setattr(voice_of_child, "_AGAIN_S", 0)
    return made


def test_a_child_says_how_far_it_is_and_that_is_over_before_its_result(
    hasher: Hasher, wakeup: Wakeup, told: list[Any]
) -> None:
    hasher.begin("x", lambda: (speaking(*range(20_000)), [b"\0\n1 2 x\n"] * 100_000)[1])
    assert gathered(hasher, wakeup, 1)["x"] == [b"\0\n1 2 x\n"] * 100_000
    *lines, over = told
    assert over == ("x", None)
    assert lines[-1] == ("x", (19_999, 9 << 30, "reading outputs"))
    assert [line[1].done for line in lines] == sorted(line[1].done for line in lines)


def test_work_that_takes_less_than_a_second_is_not_spoken_of(hasher: Hasher, wakeup: Wakeup) -> None:
    told: list[Any] = []
    hasher.heard = lambda *what: told.append(what)
    hasher.begin("x", lambda: speaking(*range(1000)))
    gathered(hasher, wakeup, 1)
    assert told == []


@pytest.mark.parametrize("half", [b"", b"5", b"50 100 reading out", b"7 8 reading outputs\n", b"\0", b"\0\x80\x04"])
def test_a_child_that_is_killed_while_it_speaks_has_failed(
    hasher: Hasher, wakeup: Wakeup, told: list[Any], half: bytes
) -> None:
    def work() -> None:
        speaking(1)
        assert voice_of_child.voice is not None
        os.write(voice_of_child.voice._mouth, half)
        os.kill(os.getpid(), signal.SIGKILL)

    hasher.begin("x", work)
    answer = gathered(hasher, wakeup, 1)["x"]
    assert isinstance(answer, Failed) and "ended by signal 9" in str(answer)
    assert told[-1] == ("x", None)
    assert all(found is None or found.what == "reading outputs" for _, found in told)


def test_of_a_child_that_is_stopped_nothing_is_heard_any_more(hasher: Hasher, wakeup: Wakeup, told: list[Any]) -> None:
    hasher.begin("x", lambda: (speaking(1), time.sleep(60)))
    deadline = time.monotonic() + 20
    while not told and time.monotonic() < deadline:
        for fd in wakeup.wait(1):
            hasher.pump(fd)
    hasher.stop("x")
    assert told == [("x", (1, 9 << 30, "reading outputs")), ("x", None)]
