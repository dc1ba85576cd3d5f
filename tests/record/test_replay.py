"""The machine that a journal gives back equals the one that wrote it, after every batch and at every torn end."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.record.play import Play, pipeline, some_pipeline, stage
from tests.record.scribe import Scribe

from stagebook.model.problem import SurroundingsError
from stagebook.record import reader
from stagebook.record.line import decode, encode, members, quote, time_us
from stagebook.record.replay import Replay, choice_from_plain, replay
from stagebook.record.story import Story
from stagebook.scheduler.plan import Choice

TWO = Choice(cores=2, jobs=2)


def replayed(path: str) -> Replay:
    return replay(reader.load(path))


@pytest.mark.parametrize("seed", range(25))
def test_after_every_batch_the_replayed_machine_equals_the_one_that_ran(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    scribe = Scribe(tmp_path)
    cancel_at = chance.choice([None, chance.randrange(3_000_000)])
    play = Play.begin(scribe, some_pipeline(chance, 12), TWO._replace(seed=seed), seed, cancel_at)
    while play.step():
        assert replayed(scribe.path).machine.snapshot() == play.machine.snapshot()
    play.finish()
    told = replayed(scribe.path)
    assert told.machine.snapshot() == play.machine.snapshot()
    assert told.plan == play.plan
    assert told.owed == []


@pytest.mark.parametrize("seed", range(25))
def test_what_was_announced_early_is_replayed_with_all_else(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    scribe = Scribe(tmp_path)
    cancel_at = chance.choice([None, None, chance.randrange(3_000_000)])
    play = Play.begin(scribe, some_pipeline(chance, 12, has_early=True), TWO._replace(jobs=4), seed, cancel_at)
    while play.step():
        assert replayed(scribe.path).machine.snapshot() == play.machine.snapshot()
    play.finish()
    recording = reader.load(scribe.path)
    assert replay(recording).machine.snapshot() == play.machine.snapshot()
    assert Story.from_recording(recording).document(play.machine.waiting) == play.story.document(play.machine.waiting)


def test_what_a_stage_published_at_its_end_is_no_event(tmp_path: Path) -> None:
    scribe = Scribe(tmp_path)
    play = Play.begin(scribe, pipeline(stage("a"), stage("b", "a", early=("a",))), TWO, 0, fails=False)
    play.step()
    tail = members(outputs=[["x", 1, "0"]], early=False)
    play.writer.add("output.published", play.us, quote("a"), 1, tail)
    play.finish()
    assert replayed(scribe.path).machine.snapshot() == play.machine.snapshot()


@pytest.mark.parametrize("seed", range(25))
def test_the_retold_story_equals_the_one_that_was_told(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    scribe = Scribe(tmp_path)
    play = Play.begin(scribe, some_pipeline(chance, 12), TWO, seed, chance.choice([None, 700_000]))
    play.finish()
    recording = reader.load(scribe.path)
    machine = replay(recording).machine
    assert Story.from_recording(recording).document(machine.waiting) == play.story.document(play.machine.waiting)


@pytest.mark.parametrize("seed", range(40))
def test_a_run_that_is_killed_or_stopped_again_and_again_replays_and_is_retold(tmp_path: Path, seed: int) -> None:
    """Engines die after some batches, with a torn line left behind, or are stopped by a signal, until one ends it."""
    chance = random.Random(seed)
    scribe = Scribe(tmp_path)
    play = Play.begin(scribe, some_pipeline(chance, 12, seed % 4 == 3), TWO, seed, chance.choice([None, 700_000]))
    for life in range(1, 6):
        steps = chance.randrange(1, 8) if life < 5 else 10_000
        if steps == 7 or not all(play.step() for _ in range(steps)):
            play.finish()
            if play.over is None or play.over.outcome != "cancellation" or life == 5:
                break
        else:
            play.writer.abandon()
            with open(scribe.path, "ab") as file:
                file.write(b'{"v":1,"seq":'[: chance.randrange(14)])
        play = Play.resume(scribe, seed + life, 3_600_000_000 * life)
    recording = reader.load(scribe.path)
    assert replay(recording).machine.snapshot() == play.machine.snapshot()
    waiting = play.machine.waiting
    assert Story.from_recording(recording).document(waiting) == play.story.document(waiting)
    done = [record["stage"] for record in recording.records
            if record["event"] == "stage.exited" and record["outcome"] == "success"]  # fmt: skip
    assert len(done) == len(set(done)), "what is on record as a success never runs again"


@pytest.mark.parametrize("seed", range(8))
def test_a_journal_cut_at_any_record_replays_and_owes_what_it_does_not_tell(tmp_path: Path, seed: int) -> None:
    scribe = Scribe(tmp_path)
    chance = random.Random(seed)
    play = Play.begin(scribe, some_pipeline(chance, 10), TWO, seed, chance.choice([None, 500_000]))
    play.finish()
    whole = reader.load(scribe.path)
    ends = {}
    for count in range(1, len(whole.records) + 1):
        told = replay(whole._replace(records=whole.records[:count]))
        last = whole.records[count - 1]
        if last["event"] == "stage.ended":
            ends[last["stage"]] = last["outcome"]
        owed = {told.plan.stages[end.stage].id for end in told.owed if hasattr(end, "stage")}
        assert not owed & ends.keys()
        for name in owed | ends.keys():
            index = next(index for index, planned in enumerate(told.plan.stages) if planned.id == name)
            assert told.machine.state(index) == ends.get(name, told.machine.state(index))


def rewritten(path: str, change: dict[str, object], event: str) -> None:
    """Change keys in the last line of an event, and seal the line again, as a dishonest hand would."""
    lines = Path(path).read_bytes().splitlines(keepends=True)
    index = max(at for at, line in enumerate(lines) if decode(line)["event"] == event)
    record = {**decode(lines[index]), **change}
    head = ("v", "seq", "batch", "run", "t", "at", "event", "stage", "attempt")
    tail = members(**{name: value for name, value in record.items() if name not in head})
    epoch_us = 1_770_000_000_000_000
    name = record.get("stage")
    lines[index] = encode(
        record["seq"], record["batch"], record["run"], time_us(record), epoch_us, record["event"],
        None if name is None else quote(name), record.get("attempt"), tail,
    )  # fmt: skip
    Path(path).write_bytes(b"".join(lines))


@pytest.mark.parametrize(
    ("event", "change", "complaint"),
    [
        ("stage.ended", {"outcome": "skip"}, r"record 4 \(stage.ended a\) says \('skip', None, False\)"),
        ("run.ended", {"outcome": "failure"}, r"run.ended.*says \('failure', None\), the rules .* say \('success'"),
        ("stage.started", {"stage": "b"}, "names `b`, which is not in its plan"),
    ],
)
def test_a_journal_that_the_rules_disagree_with_is_no_ground_to_go_on(
    tmp_path: Path, event: str, change: dict[str, object], complaint: str
) -> None:
    scribe = Scribe(tmp_path)
    play = Play.begin(scribe, pipeline(stage("a")), TWO, 0, fails=False)
    play.finish()
    assert play.over is not None
    assert play.over.outcome == "success"
    replayed(scribe.path)
    rewritten(scribe.path, change, event)
    with pytest.raises(SurroundingsError, match=complaint):
        replayed(scribe.path)


def test_a_journal_without_a_whole_line_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"v":1,"seq":1')
    with pytest.raises(SurroundingsError, match="holds no whole record"):
        replayed(str(path))


def test_a_first_line_that_is_none_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(encode(1, 1, "R", 0, 0, "stage.started", '"a"', 1))
    with pytest.raises(SurroundingsError, match=r"is not the journal of a run: its first event is `stage.started`"):
        replayed(str(path))
    path.write_bytes(encode(1, 1, "R", 0, 0, "run.started", tail='"pipeline":"p"'))
    with pytest.raises(SurroundingsError, match="`mode` is missing"):
        replayed(str(path))


def test_a_choice_survives_json() -> None:
    import json

    choice = Choice(4, 2, True, "lenient", ("a",), ("b",), (), ("c",), (("k", "v"),), (("a", 5),), 7)
    plain = json.loads(json.dumps(choice._asdict()))
    assert choice_from_plain(plain) == choice
    assert choice_from_plain({**plain, "of a later version": 1}) == choice
