"""What is known of a stage survives any end of whoever wrote it, and nothing half ever looks whole (R67, G1, G20)."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stagebook.artifact import state as module
from stagebook.artifact.digest import EXECUTABLE, File, Moment, Stamp
from stagebook.artifact.state import Last, State, named, path_of
from stagebook.record import faults

PARTS = {"command": "c", "env": {"A": "x"}, "cell": {}}
AT = Moment(9, 8, "boot")


def file(path: str, number: int = 1) -> File:
    return File(path, number, f"{number:064x}", Stamp(1, number, number, 3, 4), EXECUTABLE, AT)


@pytest.fixture(autouse=True)
def unarmed() -> Iterator[None]:
    yield
    faults.arm(None)
    while OPEN:
        OPEN.pop().close()


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / ".stagebook/cache")


OPEN: list[State] = []
OPEN_MAX = 8  #: descriptors are few; no test looks at more states at once


def fresh(cache: str) -> State:
    if len(OPEN) == OPEN_MAX:
        OPEN.pop(0).close()
    OPEN.append(State(cache, "/p/stagebook.yaml"))
    return OPEN[-1]


def journal(cache: str) -> Path:
    return Path(path_of(cache, "/p/stagebook.yaml"))


def succeed(state: State, stage: str = "build", run: str = "R", attempt: int = 1, number: int = 1) -> None:
    assert state.begun(stage, run, attempt) is None
    assert state.done(stage, run, attempt, PARTS, [file("src", number)], [file("dist", number)]) is None


def test_what_was_said_is_known_to_the_next(cache: str) -> None:
    state = fresh(cache)
    assert state.last("build") is None
    assert state.begun("build", "R", 2) is None
    assert state.last("build") == fresh(cache).last("build") == Last(False)
    inputs, outputs = [file("src/\udcff\n", 1), file("x", 2)], [file("dist", 3)._replace(at=None)]
    program = file("/bin/sh", 4)._replace(at=Moment(1, 2, "other"))
    assert state.done("build", "R", 2, {**PARTS, "inputs": {}, "outputs": {}}, inputs, outputs, program) is None
    parts = {
        **PARTS,
        "inputs": {each.path: each.word for each in inputs},
        "outputs": {each.path: each.word for each in outputs},
    }
    wanted = Last(True, "R", 2, parts, tuple(inputs), tuple(outputs), program)
    assert state.last("build") == fresh(cache).last("build") == wanted
    assert wanted.known == {each.path: each for each in [*inputs, *outputs]}
    assert state.last("test") is None


def test_after_a_new_attempt_the_last_success_is_known_and_does_not_count(cache: str) -> None:
    state = fresh(cache)
    succeed(state)
    assert state.begun("build", "S", 1) is None
    last = fresh(cache).last("build")
    assert last is not None
    assert not last.ended
    assert last.run == "R"
    assert last.parts is not None


def test_a_success_ends_its_own_attempt_only(cache: str) -> None:
    """Two runs at once: while one of them is at it, what the other made may be spoiled."""
    state, other = fresh(cache), fresh(cache)
    assert state.begun("build", "R", 1) is None
    assert other.begun("build", "S", 1) is None
    assert state.done("build", "R", 1, PARTS, [], []) is None
    last = fresh(cache).last("build")
    assert last is not None
    assert not last.ended
    assert other.done("build", "S", 1, PARTS, [], []) is None
    last = fresh(cache).last("build")
    assert last is not None
    assert (last.ended, last.run) == (True, "S")


def test_an_attempt_with_a_longer_number_is_another(cache: str) -> None:
    state = fresh(cache)
    assert state.begun("build", "R", 1) is None
    assert state.done("build", "R", 11, PARTS, [], []) is None
    last = state.last("build")
    assert last is not None
    assert not last.ended


def test_what_another_run_adds_is_seen(cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FRESH_S", 0)
    state, other = fresh(cache), fresh(cache)
    assert state.last("build") is None
    succeed(other, number=1)
    last = state.last("build")
    assert last is not None
    assert last.inputs == (file("src", 1),)
    succeed(other, number=2)
    last = state.last("build")
    assert last is not None
    assert last.inputs == (file("src", 2),)


@pytest.mark.parametrize("stage", ['a"b', "a\\", 'x,"kind":"done",', "ä\n", "unit[python=3.13]", " ", "\udcff"])
def test_any_name_of_a_stage_is_kept_apart(cache: str, stage: str) -> None:
    state = fresh(cache)
    succeed(state, stage)
    last = fresh(cache).last(stage)
    assert last is not None
    assert last.ended
    assert fresh(cache).last(stage + "x") is None


def test_each_pipeline_file_has_its_own(cache: str) -> None:
    succeed(State(cache, "/p/a.yaml"))
    assert State(cache, "/p/b.yaml").last("build") is None
    assert State(cache, "/p/x/../a.yaml").last("build") is not None


# Damage


def whole(lines: bytes) -> list[tuple[str, str]]:
    """The whole records in some bytes, by an oracle that knows only that a line ends with a newline."""
    found = []
    for line in lines.split(b"\n")[:-1]:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        found.append((record["kind"], record["run"]))
    return found


def test_r067_a_file_cut_at_any_byte_is_what_was_whole_then(cache: str) -> None:
    state = fresh(cache)
    succeed(state, run="A")
    succeed(state, run="B")
    data = journal(cache).read_bytes()
    for length in range(len(data) + 1):
        journal(cache).write_bytes(data[:length])
        kept = whole(data[:length])
        last = fresh(cache).last("build")
        done = [run for kind, run in kept if kind == "done"]
        if not kept:
            assert last is None
            continue
        assert last is not None
        assert last.run == (done[-1] if done else "")
        assert last.ended == (kept[-1][0] == "done")
        # And whoever goes on writes a line that is whole.
        again = fresh(cache)
        assert again.begun("build", "C", 1) is None
        after = fresh(cache).last("build")
        assert after is not None
        assert not after.ended


def test_g20_a_flipped_bit_never_makes_a_record_of_its_own(cache: str) -> None:
    state = fresh(cache)
    succeed(state, run="A", number=1)
    succeed(state, run="B", number=2)
    data = journal(cache).read_bytes()
    sound = {None, "A", "B"}
    draw = random.Random(7)
    for bit in draw.sample(range(len(data) * 8), 2000):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        journal(cache).write_bytes(flipped)
        last = fresh(cache).last("build")
        run = None if last is None else last.run or None
        assert run in sound
        if last is not None and last.parts is not None:
            number = 1 if last.run == "A" else 2
            assert last.inputs == (file("src", number),)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=40), max_size=4), st.data())
def test_rubbish_between_records_is_passed_over(
    tmp_path_factory: pytest.TempPathFactory, rubbish: list[bytes], data: st.DataObject
) -> None:
    cache = str(tmp_path_factory.mktemp("rubbish"))
    for number, piece in enumerate(rubbish):
        state = fresh(cache)
        succeed(state, f"s{number}")
        state.close()
        with open(journal(cache), "ab") as handle:
            handle.write(piece)
    state = fresh(cache)
    succeed(state, "end")
    for name in [*(f"s{number}" for number in range(len(rubbish))), "end"]:
        last = fresh(cache).last(name)
        assert last is not None
        assert last.ended


@pytest.mark.parametrize("what", ["folder", "fifo", "link", "file"])
def test_what_is_no_file_of_ours_is_a_warning_and_nothing_is_known(cache: str, what: str) -> None:
    os.makedirs(cache)
    path = journal(cache)
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "link":
        (Path(cache) / "canary").write_text("canary")
        path.symlink_to("canary")
    else:
        path.write_bytes(b"\x00\xff{}\n" * 10)
    state = fresh(cache)
    assert state.last("build") is None
    warning = state.begun("build", "R", 1)
    assert (warning is None) == (what == "file")
    if warning is not None:
        assert warning.startswith(f"what is up to date is not kept in {path}: ")
    if what == "link":
        assert (Path(cache) / "canary").read_text() == "canary"


@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EROFS"])
def test_g04_what_cannot_be_written_is_a_warning(cache: str, error: str) -> None:
    state = fresh(cache)
    faults.arm(f"cache.write:1:{error}")
    warning = state.begun("build", "R", 1)
    assert warning is not None
    assert os.strerror(getattr(__import__("errno"), error)) in warning
    assert state.begun("build", "R", 1) is None


def test_g04_a_short_write_is_a_warning_and_no_record(cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    state = fresh(cache)
    succeed(state)
    write = os.write
    monkeypatch.setattr(module.os, "write", lambda fd, data: write(fd, data[: len(data) // 2]))
    warning = state.begun("build", "R", 2)
    assert warning is not None
    assert "No space left" in warning
    monkeypatch.undo()
    last = fresh(cache).last("build")
    assert last is not None
    assert last.ended
    succeed(state, "other")
    assert fresh(cache).last("other") is not None


# Side by side, and killed

WRITER = """
import sys
from stagebook.artifact.digest import File, Stamp
from stagebook.artifact.state import State
cache, name, count, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
state = State(cache, "/p/stagebook.yaml")
for number in range(1, count + 1):
    assert state.begun(name, "R", number) is None
    sys.stdout.write(f"begun {number}\\n"); sys.stdout.flush()
    files = [File("p" * 100 + str(n), number, "0" * 64, Stamp(1, 2, 3, 4, 5)) for n in range(size)]
    assert state.done(name, "R", number, {}, files, []) is None
    sys.stdout.write(f"done {number}\\n"); sys.stdout.flush()
"""


def test_two_runs_at_once_lose_nothing_also_while_the_file_is_written_anew(
    cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = WRITER.replace(
        "state = State", "from stagebook.artifact import state as m; m._GROWN_BYTES = 4000\nstate = State"
    )
    code = code.replace("    files = [", "    state.last(name)\n    files = [")
    names = [f"s{number}" for number in range(4)]
    writers = [
        subprocess.Popen([sys.executable, "-c", code, cache, name, "300", "3"], stdout=subprocess.DEVNULL)
        for name in names
    ]
    assert [writer.wait(120) for writer in writers] == [0] * 4
    state = fresh(cache)
    for name in names:
        last = state.last(name)
        assert last is not None
        assert (last.ended, last.attempt) == (True, 300)
    assert journal(cache).stat().st_size < 300 * 4 * 600 / 4
    assert [name for name in os.listdir(cache) if name.endswith(".tmp")] == []


def test_g01_a_writer_killed_at_any_moment_leaves_what_it_had_said(cache: str) -> None:
    """Large records, so that a kill tears some of them. What it said before is there; what it began and did not end
    is never a success."""
    draw = random.Random(11)
    for number in range(25):
        name = f"s{number}"
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, cache, name, "100000", "400"], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(draw.randint(1, 6))]
        time.sleep(draw.random() * 0.01)
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.read().splitlines(keepends=True)
        writer.wait()
        writer.stdout.close()
        kind, attempt = said[-1].split()
        last = fresh(cache).last(name)
        assert last is not None
        if kind == "done" or last.ended:  # it may have begun the next, or have succeeded, and not have said so
            assert last.attempt == int(attempt)
        else:
            assert last.attempt == int(attempt) - 1


# Size


def test_a_file_that_has_grown_is_written_anew_with_what_counts(cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GROWN_BYTES", 2000)
    state = fresh(cache)
    succeed(state, "kept")
    for number in range(100):
        succeed(state, "build", number=number)
    assert state.begun("open", "R", 1) is None
    size = journal(cache).stat().st_size
    again = fresh(cache)
    assert again.last("kept") is not None
    assert journal(cache).stat().st_size < size / 10
    for each in (fresh(cache), again, state):
        last = each.last("build")
        assert last is not None
        assert last.inputs == (file("src", 99),)
        assert each.last("open") == Last(False)
    succeed(again, "after")
    state._file._fresh_until = 0
    assert state.last("after") is not None


def test_a_writer_that_was_stopped_in_the_middle_holds_nobody_up(cache: str) -> None:
    """Somebody holds the lock for good: after a moment one writes all the same."""
    import fcntl

    state = fresh(cache)
    succeed(state)
    fd = os.open(journal(cache), os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    began = time.monotonic()
    assert state.begun("build", "R", 2) is None
    assert time.monotonic() - began < 2
    os.close(fd)
    last = fresh(cache).last("build")
    assert last is not None
    assert not last.ended


def test_ten_thousand_stages_are_read_in_a_moment(cache: str) -> None:
    state = fresh(cache)
    for number in range(10_000):
        assert state.done(f"stage-{number}", "R" * 26, 1, PARTS, [file("src")], [file("dist")]) is None
    best = 9.0
    for _ in range(5):
        began = time.process_time()
        assert fresh(cache).last("stage-7") is not None
        best = min(best, time.process_time() - began)
    assert best < 0.1


def test_names_of_objects_are_those_of_the_last_successes(cache: str) -> None:
    state = fresh(cache)
    succeed(state, "build", number=1)
    succeed(state, "build", number=2)
    succeed(State(cache, "/p/other.yaml"), "pack", number=3)
    assert named(cache) == {f"{2:064x}": ("build", "dist"), f"{3:064x}": ("pack", "dist")}
    assert named(cache + "/nowhere") == {}


def test_no_descriptor_is_left(cache: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        state: Any = fresh(cache)
        state.last("a")
        succeed(state)
        state.last("a")
        state.close()
    named(cache)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_record_is_there_plain_while_nothing_has_begun_after_it(cache: str) -> None:
    state = fresh(cache)
    assert state.record("build", b"") is None
    assert state.torn("build") is None
    succeed(state)
    record = state.record("build", b"")
    assert record is not None
    assert [record[files][0][0] for files in ("inputs", "outputs")] == ["src", "dist"]
    assert set(record) == {"inputs", "outputs", "program", "moments", "crc"}
    assert state.torn("build") is None
    assert state.begun("build", "S", 2) is None
    assert state.record("build", b"") is None
    assert state.torn("build") == ("S", 2)


def test_a_mark_is_sought_in_the_parts_only_and_no_name_of_a_file_ends_them(cache: str) -> None:
    state = fresh(cache)
    odd = [file('a"inputs":[b'), file('"inputs":[')]
    assert state.done("build", "R", 1, {**PARTS, "setting": "abc", "values": {}}, odd, odd) is None
    record = state.record("build", b',"setting":"abc","values":{')
    assert record is not None and [each[0] for each in record["inputs"]] == [each.path for each in odd]
    for mark in (b',"setting":"abd","values":{', b"a1b", b"dist"):
        assert state.record("build", mark) is None


def test_whoever_writes_to_a_file_that_was_written_anew_still_reads_all_of_it(
    cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = fresh(cache)
    for number in range(20):
        succeed(state, "build", number=number)
    assert state.last("build") is not None
    monkeypatch.setattr(module, "_GROWN_BYTES", 2000)
    other = fresh(cache)
    assert other.last("build") is not None  # and has written it anew
    monkeypatch.undo()
    assert state.begun("mine", "R", 1) is None  # into the new file
    for number in range(40):
        succeed(other, f"s{number}")
    for number in range(40):
        assert state.last(f"s{number}") is not None
    assert state.last("mine") == other.last("mine") == Last(False)
