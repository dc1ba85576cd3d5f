"""A run's document says what happened, in the words and numbers of the front door."""

from __future__ import annotations

import pytest
from tests.record.play import pipeline, stage
from tests.record.scribe import EPOCH_US

from stagebook.record.story import RUNNING, WAITING, Story, Usage

MS = 1000
RUN = "01M86ACQ6N2NG1B6NHNQHWE882"
DOOR_KEYS = {
    "run", "pipeline", "outcome", "mode", "jobs", "started", "finished", "wall_s", "critical_path", "critical_path_s",
    "critical_planned", "max_parallel", "stages", "warnings",
}  # fmt: skip
DOOR_STAGE_KEYS = {
    "stage", "outcome", "flaky", "reason", "started", "finished", "wall_s", "wait_s", "waiting", "attempts",
}  # fmt: skip
DOOR_ATTEMPT_KEYS = {"outcome", "reason", "exit", "signal", "started", "finished", "log", "usage"}
DOOR_USAGE_KEYS = {"cpu_s", "max_rss_bytes", "read_bytes", "write_bytes", "method"}


def story(*stages: object, jobs: int = 2, **more: object) -> Story:
    pipe = pipeline(*stages)  # type: ignore[arg-type]
    return Story(pipe, RUN, EPOCH_US, mode="parallel", jobs=jobs, logs_directory="/logs", **more)  # type: ignore[arg-type]


def ran(told: Story, index: int, begin_ms: int, end_ms: int, ready_ms: int | None = None, **more: object) -> None:
    """One attempt that succeeds, and with it its stage."""
    waited = None if ready_ms is None else "slot"
    told.started(index, 1, begin_ms * MS, (begin_ms if ready_ms is None else ready_ms) * MS, waited, "x.1.log")
    told.exited(index, 1, end_ms * MS, "success", exit=0, **more)  # type: ignore[arg-type]
    told.ended(index, end_ms * MS, "success")


def test_the_document_has_every_key_of_the_door() -> None:
    told = story(stage("a"), critical=["a"])
    ran(told, 0, 5, 25, usage=Usage(0.25, 0.5, 4096, 10, 20, 3, 4, "wait4"))
    told.finished(30 * MS, "success")
    document = told.document()
    assert document.keys() >= DOOR_KEYS
    only = document["stages"][0]
    assert only.keys() >= DOOR_STAGE_KEYS
    assert only["attempts"][0].keys() >= DOOR_ATTEMPT_KEYS
    assert only["attempts"][0]["usage"].keys() >= DOOR_USAGE_KEYS
    assert document["run"] == RUN
    assert document["started"] == "2026-02-02T02:40:00.000000+00:00"
    assert document["finished"] == "2026-02-02T02:40:00.030000+00:00"
    assert document["wall_s"] == 0.03
    assert document["critical_planned"] == ["a"]
    assert (only["wall_s"], only["wait_s"], only["waiting"]) == (0.02, 0.0, None)
    assert only["attempts"][0]["log"] == "/logs/x.1.log"
    assert only["attempts"][0]["usage"] == {
        "cpu_s": 0.75, "cpu_user_s": 0.25, "cpu_system_s": 0.5, "max_rss_bytes": 4096, "read_bytes": 10,
        "write_bytes": 20, "ctx_voluntary": 3, "ctx_involuntary": 4, "method": "wait4",
        "max_rss_method": None,
    }  # fmt: skip


def test_while_it_goes_on_the_end_is_null_and_waiting_is_told() -> None:
    told = story(stage("a"), stage("b", "a"), stage("c"), stage("d"))
    told.started(0, 1, 0, 0)
    reasons = {1: "needs", 2: "pool:db", 3: "person"}
    document = told.document(reasons.__getitem__)
    assert (document["outcome"], document["finished"], document["wall_s"]) == (None, None, None)
    assert [one["waiting"] for one in document["stages"]] == [None, "needs", "pool:db", "gate"]
    assert told.state == [RUNNING, WAITING, WAITING, WAITING]
    assert document["stages"][0]["attempts"][0]["finished"] is None
    assert document["waiting"] is None, "something runs"
    told.exited(0, 1, 5, "success")
    told.ended(0, 5, "success")
    assert told.document(reasons.__getitem__)["waiting"] == "pool:db"


def test_unknown_usage_is_null_and_never_zero() -> None:
    told = story(stage("a"))
    ran(told, 0, 0, 5)
    document = told.document()
    assert set(document["stages"][0]["attempts"][0]["usage"].values()) == {None}
    assert document["cpu_s"] is None
    assert document["effective_parallel"] == {"stages": None, "cpu": None}


def test_a_skipped_stage_has_no_times_of_work() -> None:
    told = story(stage("a"))
    told.ended(0, 3, "skip", "not selected")
    only = told.document()["stages"][0]
    assert (only["outcome"], only["reason"]) == ("skip", "not selected")
    assert (only["started"], only["wall_s"], only["wait_s"], only["attempts"]) == (None, None, None, [])


def test_every_attempt_is_kept_and_backoff_is_no_work() -> None:
    told = story(stage("a"))
    told.started(0, 1, 0, 0, None, "a.1.log")
    told.exited(0, 1, 10 * MS, "failure", exit=1)
    told.started(0, 2, 35 * MS, 30 * MS, "slot", "a.2.log")
    told.exited(0, 2, 55 * MS, "success", exit=0)
    told.ended(0, 55 * MS, "success", None, True)
    told.finished(55 * MS, "success")
    document = told.document()
    only = document["stages"][0]
    assert [(one["outcome"], one["log"]) for one in only["attempts"]] == [
        ("failure", "/logs/a.1.log"),
        ("success", "/logs/a.2.log"),
    ]
    assert (only["flaky"], only["wall_s"], only["wait_s"], only["waited"]) == (True, 0.055, 0.005, "slot")
    assert document["sum_s"] == document["critical_path_s"] == 0.03
    assert document["waiting_by"] == {"backoff": 0.02, "slot": 0.005}


def test_the_critical_path_is_the_chain_of_needs_that_ended_last_without_waiting() -> None:
    told = story(stage("a"), stage("b"), stage("c", "a", "b"), stage("d"), stage("e", "d"))
    ran(told, 0, 0, 10)
    ran(told, 1, 0, 30)
    ran(told, 3, 10, 20)
    ran(told, 2, 50, 60, 30)
    ran(told, 4, 20, 55)
    told.finished(60 * MS, "success")
    document = told.document()
    assert document["critical_path"] == ["b", "c"]
    assert document["critical_path_s"] == 0.04
    assert document["sum_s"] == 0.095
    assert document["effective_parallel"]["stages"] == pytest.approx(0.095 / 0.06, abs=0.001)
    assert document["waiting_by"] == {"slot": 0.02}


def test_beside_the_stage_that_reads_it_early_a_need_does_not_count_on_the_path() -> None:
    told = story(stage("a"), stage("b", "a", early=("a",)), stage("c", "b"))
    ran(told, 0, 0, 60)
    ran(told, 1, 20, 80)
    ran(told, 2, 80, 90)
    told.finished(90 * MS, "success")
    document = told.document()
    assert document["critical_path"] == ["a", "b", "c"]
    assert document["critical_path_s"] == 0.09


def test_the_most_stages_that_ran_at_once_are_counted() -> None:
    told = story(stage("a"), stage("b"), stage("c"))
    told.started(0, 1, 0, 0)
    told.started(1, 1, 1, 0)
    told.exited(0, 1, 2, "success")
    told.started(2, 1, 3, 0)
    assert (told.running, told.max_parallel) == (2, 2)


def test_where_any_need_will_do_the_path_goes_over_the_first_to_end() -> None:
    told = story(stage("a"), stage("b"), stage("c", "a", "b", join="any"))
    ran(told, 0, 0, 10)
    ran(told, 2, 10, 90)
    ran(told, 1, 0, 80)
    assert told.document()["critical_path"] == ["a", "c"]


def test_needs_that_did_not_run_end_the_path() -> None:
    told = story(stage("a"), stage("b", "a"))
    told.ended(0, 0, "skip", "up to date")
    ran(told, 1, 0, 10)
    assert told.document()["critical_path"] == ["b"]
    assert story(stage("a")).document()["critical_path"] == []


def test_shape_and_place_of_each_stage_are_told() -> None:
    told = story(stage("c", "b", "a"), stage("b", "a"), stage("a"))
    stages = told.document()["stages"]
    assert [(one["stage"], one["level"], one["needs"]) for one in stages] == [
        ("c", 2, ["b", "a"]),
        ("b", 1, ["a"]),
        ("a", 0, []),
    ]


def test_a_chain_of_ten_thousand_is_no_trouble() -> None:
    told = story(*[stage(f"s{index}", f"s{index + 1}") for index in range(10_000)], stage("s10000"))
    ran(told, 10_000, 0, 1)
    assert told.document()["stages"][0]["level"] == 10_000


def test_a_stage_that_never_had_a_process_still_has_its_attempt() -> None:
    told = story(stage("a"))
    told.exited(0, 1, 7, "error", "no program `x`")
    told.ended(0, 7, "error", "no program `x`")
    only = told.document()["stages"][0]
    assert only["attempts"][0]["reason"] == "no program `x`"
    assert (told.running, only["wall_s"]) == (0, 0.0)


def test_a_warning_of_an_end_that_a_resume_takes_back_goes_with_it() -> None:
    told = story(stage("a", allow_failure=True), stage("b"))
    ran(told, 1, 0, 10)
    told.ended(0, 10, "failure")
    assert told.warnings == ["a: failure, allowed"]
    told.resumed([0])
    assert told.warnings == []


def test_a_resume_takes_back_what_a_signal_ended_and_what_was_skipped_for_it() -> None:
    told = story(stage("a"), stage("b", "a"), stage("c", "b"), stage("d"), stage("e", "d"), stage("f"))
    told.started(0, 1, 0, 0)
    told.exited(0, 1, 10, "cancellation")
    told.ended(0, 10, "cancellation", "cancelled by SIGINT")
    told.ended(1, 10, "skip", "needs a (cancellation)")
    told.ended(2, 10, "skip", "needs b (skip)")
    told.ended(3, 10, "failure")
    told.ended(4, 10, "skip", "needs d (failure)")
    told.ended(5, 10, "cancellation", "cancelled")
    told.finished(10, "cancellation", "cancelled by SIGINT")
    told.resumed([0, 1, 2], us=10, epoch_us=EPOCH_US + 3_600_000_000)
    assert told.state == [WAITING, WAITING, WAITING, "failure", "skip", "cancellation"]
    assert told.document()["outcome"] is None
    told.started(0, 2, 20, 20)
    first, second = told.document()["stages"][0]["attempts"]
    assert first["started"] == "2026-02-02T02:40:00.000000+00:00"
    assert second["started"] == "2026-02-02T03:40:00.000020+00:00", "an hour lay between the two engines"


def test_the_end_of_a_run_can_be_told_from_one_line() -> None:
    import json

    told = story(stage("a"))
    ran(told, 0, 0, 10)
    told.warn("a warning with \x1b and \udc80")
    told.clock_jumped(-3600.0)
    told.finished(10 * MS, "success")
    line = json.loads("{" + told.closing() + "}")
    document = told.document()
    assert line.items() <= document.items()
    assert line["warnings"][0] == "a warning with \x1b and \udc80"
    assert line["clock_jump_s"] == -3600.0
