"""Journals to attempts: what is counted, where it lies in time, and what is left out and named."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from tests.plan.past import DAY_US, HOUR_US, MEASURED_ONE, MIB, NOW_US, RELEASE, Did, Past, pipeline, stage
from tests.record.play import Play, some_pipeline
from tests.record.scribe import EPOCH_US, Scribe

from stagebook.model.pipeline import Resources
from stagebook.plan import recorded
from stagebook.record.line import members, quote
from stagebook.record.state import journal_path, make_run
from stagebook.record.writer import Writer
from stagebook.scheduler.plan import Choice

SINCE_US = NOW_US - 7 * DAY_US
FILE = "/p/stagebook.yaml"


def read(past: Past, since_us: int = SINCE_US, now_us: int = NOW_US) -> recorded.History:
    return recorded.read(past.state, FILE, since_us, now_us)


@pytest.mark.parametrize("seed", range(20))
def test_attempts_are_those_that_the_story_of_the_run_tells(seed: int, tmp_path: Path) -> None:
    """Real machine, writer and story: retries, timeouts, cancels, and an engine that was killed and went on."""
    chance = random.Random(seed)
    pipe = some_pipeline(chance, 12)
    scribe = Scribe(tmp_path)
    play = Play.begin(scribe, pipe, Choice(cores=3), seed, cancel_at_us=chance.choice([None, 900_000]))
    if chance.random() < 0.5:
        for _ in range(chance.randrange(3, 9)):
            if not play.step():
                break
        play.writer.abandon()
        play = Play.resume(scribe, seed, 5 * 60_000_000)
    play.finish()
    found = recorded.read(str(tmp_path / ".stagebook"), pipe.file, EPOCH_US - DAY_US, EPOCH_US + DAY_US)
    wanted = sorted(
        (planned.id, attempt.started_us, attempt.finished_us, attempt.started_us - attempt.ready_us, attempt.waited)
        for planned, attempts in zip(play.story.pipeline.stages, play.story.attempts)
        for attempt in attempts
        if attempt.finished_us is not None and attempt.log is not None
    )
    away_us = 5 * 60_000_000
    told = sorted(
        (
            one.stage,
            (one.from_us - EPOCH_US) % away_us,
            (one.from_us - EPOCH_US) % away_us + one.to_us - one.from_us,
            one.from_us - one.ready_us,
            one.waited,
        )
        for one in found.attempts
    )
    assert [one[0] for one in told] == [one[0] for one in wanted]
    assert told == wanted


def test_what_an_attempt_took_and_reserved_comes_with_it(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run(RELEASE, NOW_US - HOUR_US, Did("unit", 5, 65, 2, "slot", cpu_s=30, rss=7 * MIB))
    found = read(past)
    assert [(run.pipeline, run.is_own) for run in found.runs] == [("release", True)]
    begun = NOW_US - HOUR_US
    assert found.attempts == [
        recorded.Attempt(
            0, "unit", begun + 2_000_000, begun + 5_000_000, begun + 65_000_000, True, "slot",
            Resources(0, 1024 * MIB, {"db": 1}), 30_000_000, 7 * MIB, "wait4",
        )
    ]  # fmt: skip


def test_runs_of_others_and_measured_ones_are_told_apart(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run(pipeline(stage("a"), file="/other/stagebook.yaml", name="other"), NOW_US - HOUR_US, Did("a", 0, 9))
    past.run(MEASURED_ONE, NOW_US - HOUR_US, Did("script", 0, 9))
    past.run(RELEASE, NOW_US - HOUR_US, Did("unit", 0, 9))
    runs = {run.pipeline: run.is_own for run in read(past).runs}
    assert runs == {"other": False, "script": True, "release": True}


def test_only_what_was_under_way_in_the_stretch_is_taken(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run(RELEASE, SINCE_US - 2 * HOUR_US, Did("unit", 0, 60))
    before = read(past)
    assert (before.attempts, before.is_older) == ([], True)
    past.run(RELEASE, SINCE_US - HOUR_US, Did("build", 0, 60), Did("unit", 3000, 4200))
    past.run(RELEASE, NOW_US + HOUR_US, Did("e2e", 0, 60))  # the clock was wrong then, or is now
    assert [one.stage for one in read(past).attempts] == ["unit"]


def test_an_old_journal_is_known_by_its_time_and_not_opened(tmp_path: Path) -> None:
    past = Past(tmp_path)
    path = past.run(RELEASE, SINCE_US - DAY_US, Did("unit", 0, 60))
    stamp = os.stat(path).st_mtime
    path.write_bytes(b"no journal at all\n")
    os.utime(path, (stamp, stamp))
    found = read(past)
    assert (found.left_out, found.is_older) == ([], True)


def test_an_attempt_without_an_end_counts_up_to_the_last_line(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run(RELEASE, NOW_US - HOUR_US, Did("build", 0, 100), Did("unit", 40, None), is_over=False)
    found = {one.stage: one for one in read(past).attempts}
    assert found["unit"].to_us - found["unit"].from_us == 60_000_000
    assert not found["unit"].is_over
    assert found["build"].is_over


def test_an_attempt_of_a_run_that_goes_on_counts_up_to_now(tmp_path: Path) -> None:
    from stagebook.record import lock

    past = Past(tmp_path)
    path = past.run(RELEASE, NOW_US - HOUR_US, Did("build", 0, 100), Did("unit", 40, None), is_over=False)
    held = lock.take(str(path.parent))
    try:
        found = {one.stage: one for one in read(past).attempts}
    finally:
        lock.release(held)
    assert found["unit"].to_us == NOW_US
    assert not found["unit"].is_over


def test_an_interrupted_attempt_has_no_end_on_record(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run(RELEASE, NOW_US - HOUR_US, Did("unit", 0, 50, reason="interrupted"))
    assert [one.is_over for one in read(past).attempts] == [False]


def test_a_clock_that_is_set_changes_no_length(tmp_path: Path) -> None:
    past = Past(tmp_path)
    directory = make_run(past.state, "01KH7ZJ5Z4Q8V2M3N9T6W1X0YB")
    writer = Writer(journal_path(directory), "01KH7ZJ5Z4Q8V2M3N9T6W1X0YB", NOW_US - HOUR_US)
    plan = '"likes":[{"kind":"run"}],"stages":[{"id":"unit","line":1,"col":1}]'
    tail = members(pipeline="release", mode="parallel", jobs=2, policy="strict", file=FILE, digest="d", choice={})
    writer.add("run.started", 0, tail=f'{tail},"plan":{{{plan}}}')
    writer.add("stage.started", 1_000_000, quote("unit"), 1, '"pid":7,"start":9,"ready":1')
    writer.epoch_us -= 2 * HOUR_US  # as the writer does when somebody has set the clock back
    writer.add("stage.exited", 31_000_000, quote("unit"), 1, '"outcome":"success","exit":0')
    writer.write()
    writer.abandon()
    (one,) = read(past).attempts
    assert one.to_us - one.from_us == 30_000_000


def test_what_a_later_line_says_of_use_is_taken(tmp_path: Path) -> None:
    past = Past(tmp_path)
    path = past.run(RELEASE, NOW_US - HOUR_US, Did("unit", 0, 50), is_over=False)
    size = path.stat().st_size
    writer = Writer(str(path), path.parent.name, NOW_US - HOUR_US, _position(path, size))
    writer.add("usage", 51_000_000, quote("unit"), 1, members(cpu_user_s=4.0, cpu_system_s=1.0, max_rss_bytes=MIB))
    writer.write()
    writer.abandon()
    (one,) = read(past).attempts
    assert (one.cpu_us, one.rss_bytes) == (5_000_000, MIB)


def _position(path: Path, size: int):  # type: ignore[no-untyped-def]
    from stagebook.record import reader

    return reader.load(str(path)).position


def test_a_torn_tail_costs_only_itself(tmp_path: Path) -> None:
    past = Past(tmp_path)
    path = past.run(RELEASE, NOW_US - HOUR_US, Did("build", 0, 30), is_over=False)
    os.truncate(path, path.stat().st_size - 40)
    found = read(past)
    assert ([one.stage for one in found.attempts], found.left_out) == (["build"], [])


def test_a_damaged_journal_is_left_out_and_named(tmp_path: Path) -> None:
    past = Past(tmp_path)
    damaged = past.run(RELEASE, NOW_US - HOUR_US, Did("build", 0, 30))
    past.run(RELEASE, NOW_US - 2 * HOUR_US, Did("unit", 0, 30))
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    found = read(past)
    assert [one.stage for one in found.attempts] == ["unit"]
    (said,) = found.left_out
    assert said.startswith(damaged.parent.name)
    assert "is damaged at record" in said


def test_other_things_in_the_folder_do_no_harm(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.run(RELEASE, NOW_US - HOUR_US, Did("unit", 0, 30))
    runs = Path(past.state) / "runs"
    (runs / "notes.txt").write_text("mine")
    (runs / "empty").mkdir()
    (runs / "hollow").mkdir()
    (runs / "hollow" / "journal.jsonl").touch()
    (runs / "odd" / "journal.jsonl").mkdir(parents=True)
    os.mkfifo(runs / "empty" / "journal.jsonl")
    found = read(past)
    assert [one.stage for one in found.attempts] == ["unit"]
    assert sorted(said.split(":")[0] for said in found.left_out) == ["empty", "odd"]


def test_a_journal_of_another_kind_is_left_out(tmp_path: Path) -> None:
    past = Past(tmp_path)
    directory = make_run(past.state, "01KH7ZJ5Z4Q8V2M3N9T6W1X0YB")
    writer = Writer(journal_path(directory), "01KH7ZJ5Z4Q8V2M3N9T6W1X0YB", NOW_US)
    writer.add("run.started", 0, tail='"pipeline":"p"')
    writer.write()
    writer.abandon()
    (said,) = read(past).left_out
    assert "is not the journal of a run" in said


def test_without_a_state_directory_there_is_no_history(tmp_path: Path) -> None:
    assert read(Past(tmp_path / "nothing")) == recorded.History([], [], False, [])


def test_progress_is_told_for_each_journal(tmp_path: Path) -> None:
    past = Past(tmp_path)
    for _ in range(3):
        past.run(RELEASE, NOW_US - HOUR_US, Did("unit", 0, 30))
    told: list[tuple[int, int]] = []
    recorded.read(past.state, FILE, SINCE_US, NOW_US, lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3)]


def test_demand_at_one_time_holds_what_waited_for_the_same() -> None:
    def attempt(ready_us: int, from_us: int, to_us: int, waited: str | None) -> recorded.Attempt:
        return recorded.Attempt(0, "s", ready_us, from_us, to_us, True, waited, Resources())

    attempts = [attempt(0, 0, 10, None), attempt(2, 10, 20, "slot"), attempt(3, 10, 20, "lock:one")]
    assert recorded.peak_demand(attempts, "slot") == 2
    assert recorded.peak_demand(attempts, "lock:one") == 2
    assert recorded.peak_demand([], "slot") == 0
