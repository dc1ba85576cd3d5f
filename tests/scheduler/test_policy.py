"""Policies and the outcome of the run (DOOR.md, Outcomes)."""

from __future__ import annotations

import pytest
from tests.scheduler.plans import Run, plan_of, stage


def test_strict_goes_on_with_branches_already_possible_and_fails() -> None:
    run = Run(plan_of(stage("a"), stage("b"), stage("c", "b")))
    assert run.fail("a") == ["a: failure"]
    assert run.exit("b") == ["b: success", "start c"]
    assert run.exit("c") == ["c: success", "run: failure"]


def test_fail_fast_cancels_what_runs_and_starts_nothing_more() -> None:
    run = Run(
        plan_of(
            stage("a"), stage("b"), stage("c"), stage("d", "b"), stage("clean", "a", "d", always=True),
            policy="fail-fast", slots=2,
        )
    )  # fmt: skip
    assert run.fail("a") == ["a: failure", "kill b cancelled", "c: cancellation"]
    assert run.reason("c") == "fail-fast: a (failure)"
    assert run.exit("b") == ["b: cancellation", "d: skip", "start clean"]
    assert run.reason("b") == "fail-fast: a (failure)" and run.reason("d") == "needs b (cancellation)"
    assert run.exit("clean") == ["clean: success", "run: failure"]


def test_fail_fast_names_the_first_failure_whatever_fails_later() -> None:
    run = Run(
        plan_of(
            stage("a"), stage("clean", always=True), stage("after", "clean", join="done"), stage("last", "after"),
            policy="fail-fast",
        )
    )  # fmt: skip
    run.fail("a")
    assert run.fail("clean") == ["clean: failure", "after: cancellation", "last: skip", "run: failure"]
    assert run.reason("after") == "fail-fast: a (failure)"


def test_fail_fast_waits_for_the_last_attempt_and_ignores_allowed_failures() -> None:
    run = Run(plan_of(stage("a", attempts=2), stage("b", allow_failure=True), stage("c"), policy="fail-fast"))
    assert run.fail("a") == ["start a 2"]
    assert run.fail("b") == ["b: failure"]
    assert run.fail("a") == ["a: failure", "kill c cancelled"]
    assert run.exit("c") == ["c: cancellation", "run: failure"]


def test_clean_up_that_runs_is_left_alone_by_fail_fast() -> None:
    run = Run(plan_of(stage("a"), stage("clean", always=True), policy="fail-fast"))
    assert run.fail("a") == ["a: failure"]
    assert run.exit("clean") == ["clean: success", "run: failure"]


@pytest.mark.parametrize(("critical", "outcome"), [("side", "success"), ("main", "failure"), ("after", "failure")])
def test_lenient_fails_only_for_critical_stages(critical: str, outcome: str) -> None:
    run = Run(
        plan_of(
            *(
                stage(name, *needs, critical=name == critical)
                for name, *needs in [("main",), ("after", "main"), ("side",)]
            ),
            policy="lenient",
        )
    )
    run.fail("main")
    assert run.state("after") == "skip"
    assert run.exit("side")[-1] == f"run: {outcome}"


def test_lenient_counts_a_skipped_critical_stage_as_what_is_at_the_root() -> None:
    run = Run(plan_of(stage("a"), stage("b", "a"), stage("c", "b", critical=True), policy="lenient"))
    run.exit("a", outcome="error", reason="missing program")
    assert run.run_end is not None and run.run_end.outcome == "error"


def test_lenient_counts_a_critical_cell_cancelled_with_its_matrix() -> None:
    run = Run(
        plan_of(stage("a", fail_fast_group=0), stage("b", fail_fast_group=0, critical=True), policy="lenient"),
    )
    assert run.fail("a") == ["a: failure", "kill b cancelled"]
    assert run.exit("b") == ["b: cancellation", "run: failure"]


def test_an_allowed_failure_counts_as_done_and_not_for_the_run() -> None:
    run = Run(plan_of(stage("a", allow_failure=True), stage("b", "a")))
    assert run.fail("a") == ["a: failure", "start b"]
    assert run.exit("b") == ["b: success", "run: success"]


@pytest.mark.parametrize(
    ("outcomes", "worst"),
    [
        (("failure", "error", "failure"), "error"),
        (("failure", "timeout", "success"), "timeout"),
        (("timeout", "error", "failure"), "error"),
        (("success", "failure", "cancellation"), "failure"),
        (("success", "cancellation", "success"), "cancellation"),
    ],
)
def test_the_worst_counts(outcomes: tuple[str, ...], worst: str) -> None:
    run = Run(plan_of(stage("a"), stage("b"), stage("c")))
    for name, outcome in zip("abc", outcomes, strict=True):
        run.exit(name, outcome=outcome)
    assert run.said[-1] == f"run: {worst}"


def test_one_failed_cell_cancels_its_matrix_only() -> None:
    run = Run(
        plan_of(
            stage("a", fail_fast_group=0), stage("b", fail_fast_group=0), stage("c", "a", fail_fast_group=0),
            stage("x", fail_fast_group=1), stage("clean", fail_fast_group=0, always=True),
        )
    )  # fmt: skip
    assert run.fail("a") == ["a: failure", "kill b cancelled", "c: cancellation"]
    assert run.reason("c") == "fail-fast: a (failure)"
    assert run.state("x") == run.state("clean") == "running"


def test_a_cell_that_may_fail_does_not_cancel_its_matrix() -> None:
    run = Run(plan_of(stage("a", fail_fast_group=0, allow_failure=True), stage("b", fail_fast_group=0)))
    assert run.fail("a") == ["a: failure"]


def test_a_cell_killed_for_its_time_is_not_tried_again_when_its_matrix_fails() -> None:
    run = Run(plan_of(stage("a", fail_fast_group=0), stage("b", fail_fast_group=0, attempt_timeout_ms=5, attempts=3)))
    run.fire("attempt")
    run.fail("a")
    assert run.exit("b") == ["b: timeout", "run: timeout"]
