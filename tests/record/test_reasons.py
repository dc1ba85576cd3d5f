"""What a document concludes: what bound a run, which failures it put up with, whose time is no work of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.record.play import pipeline, stage

from stagebook.model.pipeline import Pipeline
from stagebook.record import runs
from stagebook.record.story import Story

MS = 1000


def story(*stages: object, policy: str = "strict", mode: str = "parallel", critical: tuple[str, ...] = ()) -> Story:
    planned: Pipeline = pipeline(*stages, policy=policy)  # type: ignore[arg-type]
    return Story(planned, "R", 0, mode=mode, jobs=2, critical=critical)


def ran(
    told: Story, index: int, begin: int, end: int, *, ready: int | None = None, waited: str | None = None,
    outcome: str = "success", number: int = 1, reason: str | None = None, ends: bool = True,
) -> None:  # fmt: skip
    """Times in milliseconds."""
    told.started(index, number, begin * MS, (begin if ready is None else ready) * MS, waited)
    told.exited(index, number, end * MS, outcome, reason)
    if ends:
        told.ended(index, end * MS, outcome, reason)


def test_a_chain_that_fills_the_run_binds_it_however_long_others_waited() -> None:
    told = story(stage("long"), stage("a"), stage("b"))
    ran(told, 0, 0, 950)
    ran(told, 1, 500, 600, ready=0, waited="slot")
    ran(told, 2, 600, 700, ready=0, waited="slot")
    told.finished(1000 * MS, "success")
    assert told.document()["bound_by"] == "critical path"


def test_what_the_critical_path_waited_for_binds_before_what_others_did() -> None:
    told = story(stage("a"), stage("b", "a"), stage("c"), stage("d"))
    ran(told, 0, 0, 200)
    ran(told, 1, 700, 1000, ready=200, waited="pool:db")
    ran(told, 2, 850, 900, ready=0, waited="slot")
    ran(told, 3, 850, 900, ready=0, waited="slot")
    told.finished(1000 * MS, "success")
    assert told.document()["bound_by"] == "pool:db"


def test_where_the_path_did_not_wait_the_longest_waiting_binds() -> None:
    told = story(stage("a"), stage("b"))
    ran(told, 0, 0, 500)
    ran(told, 1, 400, 450, ready=0, waited="slot")
    told.finished(1000 * MS, "success")
    assert told.document()["bound_by"] == "slot"


@pytest.mark.parametrize(("mode", "outcome"), [("sequential", "success"), ("parallel", "cancellation")])
def test_nothing_binds_a_run_that_was_stopped_or_that_never_was_to_be_parallel(mode: str, outcome: str) -> None:
    told = story(stage("a"), mode=mode)
    ran(told, 0, 0, 1000)
    told.finished(1000 * MS, outcome)
    assert told.document()["bound_by"] is None


def test_an_allowed_failure_is_tolerated_and_another_is_not() -> None:
    told = story(stage("docs", allow_failure=True), stage("unit"))
    ran(told, 0, 0, 10, outcome="failure")
    ran(told, 1, 0, 20, outcome="failure")
    assert [one["tolerated"] for one in told.document()["stages"]] == [True, False]


def test_lenient_tolerates_what_no_critical_stage_was_skipped_for() -> None:
    told = story(
        stage("side"), stage("build"), stage("image", "build"), stage("deploy", "image"), policy="lenient",
        critical=("deploy",),
    )  # fmt: skip
    ran(told, 0, 0, 10, outcome="failure")
    ran(told, 1, 0, 20, outcome="failure")
    told.ended(2, 20 * MS, "skip", "needs build (failure)")
    told.ended(3, 20 * MS, "skip", "needs image (skip)")
    assert [one["tolerated"] for one in told.document()["stages"]] == [True, False, False, False]


def test_what_was_stopped_is_no_work_and_what_follows_a_resume_is_no_retry() -> None:
    told = story(stage("a"))
    ran(told, 0, 0, 300, outcome="cancellation", reason="cancelled by SIGTERM")
    told.resumed([0])
    ran(told, 0, 320, 420, number=2)
    told.finished(420 * MS, "success")
    document = told.document()
    assert (document["sum_s"], document["critical_path_s"]) == (0.1, 0.1)
    assert document["waiting_by"] == {}


def test_a_journal_whose_engine_is_gone_names_the_stages_that_have_no_end(tmp_path: Path) -> None:
    from tests.record.play import Play
    from tests.record.scribe import Scribe

    from stagebook.scheduler.plan import Choice

    scribe = Scribe(tmp_path)
    play = Play.begin(scribe, pipeline(stage("a"), stage("b", "a")), Choice(cores=2), 1)
    play.step()
    play.writer.close(play.us)
    document = runs.document(scribe.directory)
    assert (document["state"], document["stages"][0]["interrupted"]) == ("interrupted", True)
    assert "interrupted" not in document["stages"][1]
