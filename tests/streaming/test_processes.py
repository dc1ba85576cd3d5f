"""Streams with processes: what goes there and back, those that die, and that none is left."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest
from tests.streaming.work import all_more, closed, deadly, even_only, more, own_error, said, unreadable, where

from stagebook import StreamError, step, stream
from stagebook.streaming.shape import Step


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


def test_values_go_through_processes_and_back() -> None:
    steps = (step(more, processes=True), step(all_more, batch=10, processes=True, workers=2), more)
    assert list(stream(range(3000), *steps, ordered=True)) == list(range(3, 3003))


def test_each_worker_is_a_process_of_its_own() -> None:
    found = list(stream(range(200), step(where, processes=True, workers=2), step(list)))
    pids = {pid for _, pid in found}
    assert os.getpid() not in pids
    assert sorted(value for value, _ in found) == list(range(200))


def test_a_function_that_cannot_be_sent_is_refused_when_the_step_is_made() -> None:
    with pytest.raises(ValueError, match=r"step `<lambda>`: its function cannot be sent to a process .*module"):
        step(lambda value: value, processes=True)


def test_errors_come_back_with_where_they_were_raised() -> None:
    with pytest.raises(StreamError, match=r"step `even_only`: item 1 \(1\): ValueError: 1 is odd") as caught:
        list(stream(range(10), step(even_only, processes=True)))
    assert isinstance(caught.value.__cause__, ValueError)
    assert "in even_only" in caught.value.__cause__.__notes__[0]
    with pytest.raises(StreamError, match="RuntimeError: Own: 1 and 1"):
        list(stream([1], step(own_error, processes=True)))


def test_values_that_cannot_be_sent_fail_alone() -> None:
    lost: list[object] = []
    items = [*range(40), threading_lock(), *range(40), "stay", *range(40)]
    steps = (step(closed, processes=True), step(closed, processes=True))
    found = list(stream(items, *steps, ordered=True, on_failure=lambda name, item, error: lost.append(str(error))))
    assert found == [*range(40)] * 3
    assert len(lost) == 2
    assert "cannot be sent to a process" in str(lost[0])
    assert "cannot be sent back from a process" in str(lost[1])


@pytest.mark.parametrize("then", [(), (step(more),), (step(more, processes=True),)], ids=["loop", "thread", "process"])
def test_a_result_that_cannot_be_read_again_fails_alone_with_step_and_item(then: tuple[Step, ...]) -> None:
    lost: list[tuple[str, object, str]] = []
    items = [*range(40), "nobody", *range(40)]
    steps = (step(unreadable, processes=True), *then)
    skip = lambda name, item, error: lost.append((name, item, str(error)))  # noqa: E731
    found = list(stream(items, *steps, ordered=True, on_failure=skip))
    assert found == [value + len(then) for value in range(40)] * 2
    [(name, item, said)] = lost
    assert (name, item) == ("unreadable", "nobody") and "cannot be sent back from a process: RuntimeError: boom" in said
    with pytest.raises(StreamError, match=r"step `unreadable`: item 40 \('nobody'\): TypeError.*boom"):
        list(stream(items, *steps))


@pytest.mark.parametrize("then", [(), (step(more),), (step(more, processes=True),)], ids=["loop", "thread", "process"])
def test_what_can_be_read_in_its_process_only_stops_the_stream_with_a_stream_error(then: tuple[Step, ...]) -> None:
    with pytest.raises(StreamError, match="cannot be read outside of it: RuntimeError: boom"):
        list(stream(["nobody else"] * 3, step(unreadable, processes=True), *then, on_failure="skip"))


def threading_lock() -> object:
    import threading

    return threading.Lock()


def test_a_process_that_is_killed_is_replaced_and_its_values_are_done(tmp_path: Path) -> None:
    flag = tmp_path / "once"
    flag.touch()
    items = [(number, str(flag) if number == 57 else "") for number in range(100)]
    found = list(stream(items, step(deadly, processes=True, attempts=2), ordered=True))
    assert found == list(range(100))
    assert not flag.exists()


def test_a_value_that_kills_its_process_fails_alone() -> None:
    items = [(number, "always" if number in (3, 57) else "") for number in range(100)]
    lost = []
    given = stream(
        items,
        step(deadly, processes=True, workers=2),
        on_failure=lambda *failed: lost.append((failed[1][0], str(failed[2]))),
    )
    assert sorted(given) == [number for number in range(100) if number not in (3, 57)]
    assert sorted(lost) == [(3, "its process was killed by SIGKILL"), (57, "its process was killed by SIGKILL")]
    with pytest.raises(StreamError, match=r"item 3 .*ChildProcessError: its process was killed by SIGKILL"):
        list(stream(items[:10], step(deadly, processes=True)))


def test_leaving_the_loop_ends_the_processes() -> None:
    for _ in stream(iter(int, 1), step(where, processes=True, workers=2)):
        break
    assert multiprocessing.active_children() == []


def test_what_processes_have_printed_is_written_when_all_is_through(capfd: pytest.CaptureFixture[str]) -> None:
    assert sorted(stream(range(5), step(said, processes=True, workers=2))) == list(range(5))
    assert sorted(capfd.readouterr().out.splitlines()) == [f"did {number}" for number in range(5)]


SCRIPT = """
import os, sys, time
from stagebook import stream, step

def slow(value):
    if value:
        time.sleep(60)
    return os.getpid()

if {guard}:
    for pid in stream(range(10), step(slow, processes=True, workers=2)):
        print(pid, flush=True)
"""


def script(folder: Path, guard: str) -> subprocess.Popen[str]:
    (folder / "script.py").write_text(SCRIPT.format(guard=guard))
    return subprocess.Popen(
        [sys.executable, "script.py"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def test_ctrl_c_ends_it_with_all_its_processes(tmp_path: Path) -> None:
    with script(tmp_path, "__name__ == '__main__'") as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does it
        _, said = running.communicate(timeout=20)
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert said.count("Traceback") == 1, said
    assert running.returncode == -signal.SIGINT
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_script_without_a_guard_is_told_what_it_lacks(tmp_path: Path) -> None:
    with script(tmp_path, "True") as running:
        _, said = running.communicate(timeout=30)
    assert "stagebook.streaming.shape.StreamError: step `slow`" in said
    assert "if __name__ == '__main__':" in said.rstrip().splitlines()[-1]
    assert running.returncode == 1
