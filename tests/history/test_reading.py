"""A journal as rows: read from its lines it says what its story says, whatever happened in the run."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plan.past import MEASURED_ONE, NOW_US, RELEASE, Did, Past
from tests.record.play import Play, some_pipeline
from tests.record.scribe import Scribe

from stagebook.history import reading
from stagebook.record import runs
from stagebook.record.clock import epoch_us
from stagebook.scheduler.plan import Choice


def played(folder: Path, seed: int, resumed: bool = False) -> str:
    """The directory of a run of the real machine in an invented world."""
    chance = random.Random(seed)
    scribe = Scribe(folder)
    pipe = some_pipeline(chance, chance.randrange(1, 12))
    cancel_at_us = chance.choice([None, None, 900_000])
    play = Play.begin(scribe, pipe, Choice(cores=2, seed=seed), seed, cancel_at_us)
    if resumed:
        for _ in range(chance.randrange(1, 12)):
            if not play.step():
                break
        play.writer.close(play.us)
        if play.over is not None:
            return scribe.directory
        play = Play.resume(scribe, seed, 3_600_000_000)
    play.finish()
    return scribe.directory


@given(st.integers(0, 2**32))
def test_both_ways_to_read_give_the_same_rows(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    directory = played(tmp_path_factory.mktemp("run"), seed)
    path = f"{directory}/journal.jsonl"
    with open(path, "rb") as file:
        straight = reading._straight(file, os.path.basename(directory))
    told = reading._by_story(directory, path)
    assert straight is not None
    assert told is not None
    assert straight.run == told.run
    assert sorted(straight.stages) == sorted(told.stages)
    assert sorted(straight.attempts) == sorted(told.attempts)


@given(st.integers(0, 2**32), st.booleans())
def test_rows_say_what_the_document_says(tmp_path_factory: pytest.TempPathFactory, seed: int, resumed: bool) -> None:
    directory = played(tmp_path_factory.mktemp("run"), seed, resumed)
    told = reading.read(directory)
    assert told is not None
    document = runs.document(directory)
    run = told.run
    assert (run["run"], run["pipeline"], run.get("outcome")) == (document["run"], "p", document["outcome"])
    if document["outcome"] is not None:
        assert run["wall_us"] == round(document["wall_s"] * 1e6)
        assert run["finished_us"] == epoch_us(document["finished"])
    rows = {row[0]: dict(zip(reading.STAGE, row)) for row in told.stages}
    for stage in document["stages"]:
        row = rows.get(stage["stage"])
        if row is None:
            assert stage["outcome"] is None
            assert stage["attempts"] == []
            continue
        assert (row["outcome"], row["flaky"], row["attempts"]) == (
            stage["outcome"], stage["flaky"], len(stage["attempts"])
        )  # fmt: skip
        assert row["wall_us"] == us(stage["wall_s"])
        assert row["wait_us"] == us(stage["wait_s"])
        assert row["started_us"] == (None if stage["started"] is None else epoch_us(stage["started"]))
    tries = [dict(zip(reading.ATTEMPT, row)) for row in told.attempts]
    wanted = [
        (stage["stage"], one["attempt"], one["outcome"], epoch_us(one["started"]), us(one["usage"]["cpu_s"]))
        for stage in document["stages"]
        for one in stage["attempts"]
    ]
    found = [(one["stage"], one["attempt"], one["outcome"], one["started_us"], one["cpu_us"]) for one in tries]
    assert sorted(found) == sorted(wanted)


def us(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e6)


def company_of(past: Past, *did: Did) -> dict[str, Any]:
    told = reading.read(str(past.run(RELEASE, NOW_US, *did).parent))
    assert told is not None
    return {row[0]: row[-1] for row in told.attempts}


def test_r069_company_is_the_average_of_how_many_others_ran(tmp_path: Path) -> None:
    found = company_of(Past(tmp_path), Did("build", 0, 10), Did("unit", 5, 10), Did("e2e", 5, 25))
    assert found == {"build": 1.0, "unit": 2.0, "e2e": 0.5}


def test_r069_a_stage_that_runs_alone_is_alone_whatever_ends_as_it_begins(tmp_path: Path) -> None:
    assert company_of(Past(tmp_path), Did("build", 0, 10), Did("unit", 10, 20)) == {"build": 0.0, "unit": 0.0}


def test_an_attempt_without_an_end_has_no_company_and_is_none(tmp_path: Path) -> None:
    assert company_of(Past(tmp_path), Did("build", 0, None), Did("unit", 1, 2)) == {"build": None, "unit": 0.0}


def test_a_run_that_was_killed_is_not_over(tmp_path: Path) -> None:
    path = Past(tmp_path).run(RELEASE, NOW_US, Did("build", 0, 10), Did("unit", 1, None), is_over=False)
    told = reading.read(str(path.parent))
    assert told is not None
    assert told.run.get("outcome") is None
    assert told.run["is_final"] is False
    assert {row[0]: row[1] for row in told.stages} == {"build": "success", "unit": None}


def test_what_was_around_an_earlier_attempt_is_not_told_of_one_that_goes_on(tmp_path: Path) -> None:
    first = Did("build", 0, 10, around={"run_delay_s": 1.5})
    path = Past(tmp_path).run(RELEASE, NOW_US, first, Did("build", 11, None, attempt=2), is_over=False)
    told = reading.read(str(path.parent))
    assert told is not None
    (row,) = told.stages
    assert dict(zip(reading.STAGE, row))["delay_us"] is None


def test_an_end_that_was_never_made_durable_is_none(tmp_path: Path) -> None:
    path = Past(tmp_path).run(RELEASE, NOW_US, Did("build", 0, 10))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    told = reading.read(str(path.parent))
    assert told is not None
    assert told.run.get("outcome") is None


def test_a_torn_tail_is_read_up_to_it_and_damage_is_said(tmp_path: Path) -> None:
    past = Past(tmp_path)
    torn = past.run(RELEASE, NOW_US, Did("build", 0, 10))
    torn.write_bytes(torn.read_bytes() + b'{"v":1,"seq":')
    told = reading.read(str(torn.parent))
    assert told is not None
    assert (told.run["outcome"], told.run.get("damaged")) == ("success", None)
    broken = past.run(RELEASE, NOW_US, Did("build", 0, 10))
    broken.write_bytes(broken.read_bytes().replace(b'"stage.ended"', b'"stage.endad"'))
    told = reading.read(str(broken.parent))
    assert told is not None
    assert "is damaged at record" in told.run["damaged"]
    assert (told.run["pipeline"], told.stages, told.run["is_final"]) == ("release", [], False)


@pytest.mark.parametrize("damage", [b"", b"\n", b"\0" * 500, b'{"v":1}\n'])
def test_what_is_no_journal_is_no_run_or_damaged(damage: bytes, tmp_path: Path) -> None:
    path = Past(tmp_path).run(RELEASE, NOW_US, Did("build", 0, 10))
    path.write_bytes(damage)
    told = reading.read(str(path.parent))
    assert told is None or told.run["damaged"]


def test_a_measured_run_is_read_and_never_final_before_it_is_closed(tmp_path: Path) -> None:
    path = Past(tmp_path).run(MEASURED_ONE, NOW_US, is_over=False)
    told = reading.read(str(path.parent))
    assert told is not None
    assert (told.run["outcome"], told.run["format"], told.run["is_final"]) == ("success", "measured", False)


def test_a_parameter_may_be_called_as_the_plan_is(tmp_path: Path) -> None:
    path = Past(tmp_path).run(RELEASE, NOW_US, Did("build", 0, 10))
    first = path.read_bytes().partition(b"\n")[0]
    from stagebook.record.line import decode, encode

    record = decode(first)
    record["params"] = {"a": "1", "choice": "x", "plan": "y"}
    kept = {
        name: value for name, value in record.items() if name not in ("v", "seq", "batch", "run", "t", "at", "event")
    }
    import json

    line = encode(1, record["batch"], record["run"], 0, NOW_US, "run.started", tail=json.dumps(kept)[1:-1])
    path.write_bytes(line + path.read_bytes().partition(b"\n")[2])
    told = reading.read(str(path.parent))
    assert told is not None
    assert (told.run["pipeline"], told.run["outcome"]) == ("release", "success")
