"""Recorded runs in a state directory: added once, renewed where they have changed, never half there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.recordings.test_journal import T0, S, job, pipeline, stage, written

from stagebook.model.problem import SurroundingsError
from stagebook.model.recorded import RecordedJob, RecordedTry
from stagebook.record import runs
from stagebook.recordings.keep import Keeper


def test_once_and_again(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    made = written(pipeline(stage("a")), job("a"))
    assert Keeper(state).put(made).what == "added"
    assert Keeper(state).put(made).what == "known"
    more = written(pipeline(stage("a"), stage("b")), job("a"), job("b"))
    assert Keeper(state).put(more) == (made.run, "renewed")
    assert [summary["outcome"] for summary in runs.summaries(state)] == ["success"]
    assert sorted(os.listdir(Path(state, "runs", made.run))) == ["journal.jsonl", "logs"]


def test_a_run_that_began_earlier_than_was_known_is_the_same_run(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    keeper = Keeper(state)
    first = keeper.put(written(None, job("b", created=50, started=55)))
    second = keeper.put(written(None, RecordedJob("a", (RecordedTry("success", T0 - S, None, T0, T0 + S),)), job("b")))
    assert (first.what, second.what) == ("added", "renewed")
    assert runs.ids(state) == [second.run] and second.run < first.run


def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("a file")
    with pytest.raises(SurroundingsError, match="cannot"):
        Keeper(str(state)).put(written(None, job("a")))


def test_a_journal_is_as_old_as_what_it_tells(tmp_path: Path) -> None:
    keeper = Keeper(str(tmp_path))
    kept = keeper.put(written(None, job("a")))
    found = os.stat(tmp_path / "runs" / kept.run / "journal.jsonl")
    assert found.st_mtime_ns // 1000 == T0 + 65 * S
