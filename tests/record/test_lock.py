"""One engine a run, by the kernel: a killed holder leaves nothing to unlock, a second is told who holds it (G12)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator

import pytest

from stagebook.model.problem import SurroundingsError
from stagebook.record import lock

ROOT = Path(__file__).resolve().parents[2]
HOLD = (
    "import sys\nfrom stagebook.record import lock\nlock.take(sys.argv[1])\nprint('held', flush=True)\nsys.stdin.read()"
)
TRY = (
    "import sys\nfrom stagebook.record import lock\nfrom stagebook.model.problem import SurroundingsError\n"
    "try:\n    lock.take(sys.argv[1])\nexcept SurroundingsError as error:\n    print(error)\n"
    "else:\n    print('held', flush=True)\n    sys.stdin.read()"
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = tmp_path / "01M86ACQ6N2NG1B6NHNQHWE882"
    directory.mkdir()
    return directory


@pytest.fixture
def engines() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for engine in started:
        engine.kill()
        engine.communicate()


def engine(program: str, run: Path, engines: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-c", program, str(run)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    engines.append(started)
    return started


def said(started: subprocess.Popen[str]) -> str:
    assert started.stdout is not None
    return started.stdout.readline().rstrip("\n")


def test_a_second_engine_is_told_the_pid_in_under_a_second(run: Path, engines: list[subprocess.Popen[str]]) -> None:
    first = engine(HOLD, run, engines)
    assert said(first) == "held"
    before = time.monotonic()
    with pytest.raises(SurroundingsError, match=f"run {run.name} is held by pid {first.pid}$"):
        lock.take(str(run))
    assert time.monotonic() - before < 0.45, "who holds it is known at once, so nothing is waited for"
    assert lock.holder(str(run)) == first.pid


def test_a_killed_holder_needs_no_unlocking(run: Path, engines: list[subprocess.Popen[str]]) -> None:
    first = engine(HOLD, run, engines)
    assert said(first) == "held"
    first.kill()
    first.wait()
    assert (run / "lock").exists()
    assert lock.holder(str(run)) is None
    fd = lock.take(str(run))
    assert lock.holder(str(run)) == os.getpid()
    lock.release(fd)
    assert lock.holder(str(run)) is None


def test_of_twenty_engines_at_once_one_runs(run: Path, engines: list[subprocess.Popen[str]]) -> None:
    answers = [(started.pid, said(started)) for started in [engine(TRY, run, engines) for _ in range(20)]]
    winners = [pid for pid, answer in answers if answer == "held"]
    assert len(winners) == 1
    assert {answer for _, answer in answers} == {"held", f"run {run.name} is held by pid {winners[0]}"}


def test_the_lock_is_not_handed_down_to_a_stage(run: Path) -> None:
    fd = lock.take(str(run))
    stage = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, close_fds=False
    )
    try:
        lock.release(fd)
        lock.release(lock.take(str(run)))
    finally:
        stage.communicate()


def test_who_only_looks_is_not_in_the_way_of_an_engine(run: Path) -> None:
    """A look takes the lock shared for an instant; the engine outwaits it."""
    import fcntl
    import threading

    lock.release(lock.take(str(run)))
    looker = os.open(run / "lock", os.O_RDONLY)
    fcntl.flock(looker, fcntl.LOCK_SH)
    timer = threading.Timer(0.1, os.close, [looker])
    timer.start()
    lock.release(lock.take(str(run)))
    timer.join()


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SurroundingsError, match=r"cannot lock .*gone/lock: No such file or directory"):
        lock.take(str(tmp_path / "gone"))
    assert lock.holder(str(tmp_path / "gone")) is None
