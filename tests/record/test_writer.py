"""What was announced is in the file whatever fails; after a failure the file ends with a whole line (G4)."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest
from tests.record.conftest import Place
from tests.record.scribe import EPOCH_US, Scribe, length

from stagebook.model.problem import DefectError, SurroundingsError
from stagebook.record import faults, reader
from stagebook.record.writer import NEVER_US, Position, Writer

BATCHES = 12


@pytest.fixture(autouse=True)
def unarmed() -> Iterator[None]:
    yield
    faults.arm(None)


def scene(scribe: Scribe, writer: Writer) -> None:
    """A short run: a batch is written, and every third one synced."""
    scribe.begin(writer)
    for number in range(BATCHES):
        scribe.batch(writer, f"stage {number}", 1 + number % 3)
        if number % 3 == 2:
            scribe.sync(writer)
    writer.close(scribe.us)
    scribe.announced = writer.seq - 1


def goes_on(scribe: Scribe) -> None:
    """The journal is whole, holds what was announced, and a new writer can finish it."""
    recording = reader.load(scribe.path)
    assert len(recording.records) >= scribe.announced
    reader.repair(scribe.path, recording)
    scribe.us = max(scribe.us, recording.us)
    writer = Writer(scribe.path, scribe.run, EPOCH_US, recording.position)
    scribe.batch(writer, "after", 2)
    writer.close(scribe.us)
    after = reader.load(scribe.path)
    assert after.clean
    assert len(after.records) == len(recording.records) + 3


def test_a_run_is_written_and_read(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path)
    scene(scribe, scribe.open())
    recording = reader.load(scribe.path)
    assert recording.clean
    assert recording.records[-1]["event"] == "journal.synced"
    batches = [record["batch"] for record in recording.records if record["event"] == "stage.started"]
    assert batches == sorted(batches)
    assert len(set(batches)) == BATCHES


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path)
    scene(scribe, scribe.open())
    assert os.stat(scribe.path).st_mode & 0o777 == 0o600
    assert os.stat(scribe.directory).st_mode & 0o777 == 0o700


def test_nothing_is_in_the_file_before_write_and_all_of_a_batch_after_it(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path)
    writer = scribe.open()
    writer.add("run.started", 0)
    writer.add("stage.started", 1, '"a"', 1)
    assert length(scribe.path) == 0
    writer.write()
    assert len(reader.load(scribe.path).records) == 2
    writer.abandon()


def test_a_journal_is_never_begun_twice(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path)
    scribe.open().abandon()
    with pytest.raises(SurroundingsError, match=r"journal\.jsonl: File exists"):
        scribe.open()


def test_a_position_that_does_not_fit_the_file_is_a_defect(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path)
    scene(scribe, scribe.open())
    with pytest.raises(DefectError, match="bytes where 3 were expected"):
        scribe.open(resume=Position(1, 1, 3, 0))


def test_a_resume_never_adds_to_a_batch_that_a_crash_may_have_cut(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path)
    scene(scribe, scribe.open())
    before = reader.load(scribe.path)
    writer = scribe.open(resume=before.position)
    writer.add("run.resumed", before.us)
    writer.close(before.us)
    assert reader.load(scribe.path).records[-1]["batch"] > before.records[-1]["batch"]


def test_time_that_goes_back_is_a_defect(tmp_path: Path) -> None:
    writer = Scribe(tmp_path).open()
    writer.add("run.started", 5)
    with pytest.raises(AssertionError, match=r"time goes on: stage.ended at 4 after 5"):
        writer.add("stage.ended", 4)
    writer.abandon()


def test_a_sync_is_due_a_tenth_of_a_second_after_the_first_line_that_needs_it(tmp_path: Path) -> None:
    writer = Scribe(tmp_path).open()
    assert writer.sync_at_us == NEVER_US
    writer.add("run.started", 1000)
    writer.add("stage.started", 90_000)
    writer.write()
    assert writer.sync_at_us == 101_000
    writer.sync(101_000)
    assert writer.sync_at_us == NEVER_US
    writer.write()
    assert writer.sync_at_us == NEVER_US, "the line that tells of a sync asks for none"
    writer.abandon()


def test_the_line_of_a_sync_follows_exactly_what_was_synced(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path)
    writer = scribe.open()
    scribe.begin(writer)
    writer.sync(0)
    scribe.batch(writer, "a", 2)
    events = [record["event"] for record in reader.load(scribe.path).records]
    assert events == ["run.started", "journal.synced", "stage.started", "stage.started"]
    writer.abandon()


def syncs_of(scribe: Scribe, act: Callable[[Writer], None]) -> int:
    """How often the disk is asked to keep the journal."""
    faults.arm("spawn:1000000:EIO")  # hits are counted only while some fault is set
    writer = scribe.open()
    act(writer)
    writer.abandon()
    return faults.counts().get("journal.sync", 0)


def test_durability_full_syncs_every_batch_and_normal_none_by_itself(tmp_path: Path) -> None:
    def act(scribe: Scribe) -> Callable[[Writer], None]:
        return lambda writer: [scribe.begin(writer), *[scribe.batch(writer, "s") for _ in range(5)]].clear()

    normal, full = Scribe(tmp_path / "normal"), Scribe(tmp_path / "full", "full")
    assert syncs_of(normal, act(normal)) == 0
    assert syncs_of(full, act(full)) == 6


def test_a_sync_of_what_is_durable_costs_nothing(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path)
    assert syncs_of(scribe, lambda writer: [scribe.begin(writer), writer.sync(1), writer.sync(2)].clear()) == 1


def test_a_clock_that_is_set_is_noted_and_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scribe = Scribe(tmp_path)
    writer = scribe.open()
    scribe.begin(writer)
    writer.sync(1)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 86_400 * 10**9)
    scribe.batch(writer, "a", 1)
    scribe.sync(writer)
    scribe.batch(writer, "b", 1)
    writer.close(scribe.us)
    records = reader.load(scribe.path).records
    jumps = [record["clock_jump_s"] for record in records if "clock_jump_s" in record]
    assert jumps == [pytest.approx(-86_400, abs=0.1)]
    assert [record["t"] for record in records] == sorted(record["t"] for record in records)
    assert [record["at"][:10] for record in records] == ["2026-02-02"] * 3 + ["2026-02-01"] * 3


@pytest.mark.parametrize("point", ["journal.append", "journal.sync"])
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("for_good", ["", "+"])
@pytest.mark.parametrize("durability", ["normal", "full"])
def test_whichever_write_or_sync_fails_nothing_announced_is_lost(
    tmp_path: Path, point: str, error: str, for_good: str, durability: str
) -> None:
    words = {"ENOSPC": "No space left on device", "EIO": "Input/output error"}[error]
    number = 0
    while True:
        number += 1
        scribe = Scribe(tmp_path / str(number), durability)
        faults.arm(f"{point}:{number}{for_good}:{error}")
        try:
            scene(scribe, scribe.open())
        except SurroundingsError as failure:
            said = str(failure)
        else:
            break
        assert said == f"cannot write {scribe.path}: {words}"
        faults.arm(None)
        assert reader.load(scribe.path).clean
        if length(scribe.path) > 0:
            goes_on(scribe)
    assert number > (BATCHES if point == "journal.append" else BATCHES // 3)


def test_after_a_failure_nothing_more_is_written(tmp_path: Path) -> None:
    for point in ("journal.append:2:ENOSPC", "journal.sync:1:EIO"):
        scribe = Scribe(tmp_path / point)
        writer = scribe.open()
        scribe.begin(writer)
        faults.arm(point)
        with pytest.raises(SurroundingsError):
            scribe.batch(writer, "a")
            scribe.sync(writer)
            scribe.batch(writer, "b")
        before = length(scribe.path)
        for act in (writer.write, lambda writer=writer: writer.sync(10**6)):
            writer.add("stage.started", 10**6)
            with pytest.raises(SurroundingsError, match=re.escape(scribe.path)):
                act()
        writer.close(10**6)
        assert length(scribe.path) == before


def test_a_write_that_is_cut_short_by_the_system_leaves_no_half_line(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes the kernel take a part of a write first, and refuse the rest."""
    whole = Scribe(tmp_path / "whole")
    scene(whole, whole.open())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for limit in range(1, length(whole.path), 97):
            scribe = Scribe(tmp_path / str(limit))
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            try:
                with pytest.raises(SurroundingsError, match="File too large"):
                    scene(scribe, scribe.open())
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            recording = reader.load(scribe.path)
            assert recording.clean
            assert recording.length <= limit
            goes_on(scribe)
    finally:
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_is_named_and_with_room_the_run_goes_on(place: Place) -> None:
    scribe = Scribe(place.path)
    writer = scribe.open()
    scribe.begin(writer)
    scribe.batch(writer, "a")
    scribe.sync(writer)
    place.fill()
    with pytest.raises(SurroundingsError) as caught:
        for _ in range(2000):
            scribe.batch(writer, "a stage whose lines are long" * 50)
    assert str(caught.value) == f"cannot write {scribe.path}: {place.complaint}"
    writer.abandon()
    place.make_room()
    assert reader.load(scribe.path).clean
    goes_on(scribe)


PROGRAM = """
import sys
from pathlib import Path
from stagebook.record import faults
from tests.record.scribe import Scribe
from tests.record.test_writer import scene
scribe = Scribe(Path(sys.argv[1]))
print(scribe.path, flush=True)
writer = scribe.open()
sync = writer.sync
def announce(us):
    written = writer.seq
    sync(us)
    print(written, flush=True)
scribe.sync = lambda writer: announce(scribe.us)
faults.arm(sys.argv[2])
scene(scribe, writer)
"""


@pytest.mark.parametrize("point", ["journal.append", "journal.sync"])
def test_killed_at_every_write_and_sync_nothing_announced_is_lost(tmp_path: Path, point: str) -> None:
    number = 0
    root = Path(__file__).resolve().parents[2]
    while True:
        number += 1
        child = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path / str(number)), f"{point}:{number}:KILL"],
            check=False,
            env={**os.environ, "PYTHONPATH": f"{root}:{root / 'src'}"},
            capture_output=True,
            text=True,
        )
        path, *announced = child.stdout.split()
        assert len(reader.load(path).records) >= max(map(int, announced), default=0)
        if child.returncode == 0:
            break
        assert child.returncode == -signal.SIGKILL, child.stderr
    assert number > 3
