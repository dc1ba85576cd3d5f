"""Who starts when, as needs and joins have it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.scheduler.plans import Run, plan_of, stage

from stagebook.model.problem import DefectError
from stagebook.scheduler.machine import DriverError, Machine
from stagebook.scheduler.vocabulary import (
    Began,
    CancelAsked,
    Exited,
    RerunAnswered,
    SetTimer,
    Start,
    Started,
    TimerFired,
)


def test_a_stage_starts_when_all_its_needs_are_done() -> None:
    run = Run(plan_of(stage("a"), stage("b"), stage("c", "a", "b")))
    assert run.said == ["start a", "start b"]
    assert run.exit("a") == ["a: success"]
    assert run.waiting("c") == "needs"
    assert run.exit("b") == ["b: success", "start c"]
    assert run.exit("c") == ["c: success", "run: success"]
    assert run.machine.is_over


def test_the_reason_of_an_exit_is_that_of_the_stage() -> None:
    run = Run(plan_of(stage("a"), stage("b"), stage("c")))
    for name, outcome in zip("abc", ("success", "failure", "cancellation"), strict=True):
        run.exit(name, outcome=outcome, reason=f"why {name}")
        assert run.reason(name) == f"why {name}"


def test_an_empty_plan_is_over_as_it_begins() -> None:
    assert Run(plan_of()).said == ["run: success"]


def test_a_failed_need_skips_with_the_chain_of_causes() -> None:
    run = Run(plan_of(stage("build"), stage("package", "build"), stage("deploy", "package")))
    assert run.fail("build") == ["build: failure", "package: skip", "deploy: skip", "run: failure"]
    assert run.reason("package") == "needs build (failure)"
    assert run.reason("deploy") == "needs package (skip)"
    assert run.machine.cause(2) == 1 and run.machine.cause(1) == 0 and run.machine.cause(0) is None


def test_any_starts_at_the_first_need_done_well_and_is_skipped_when_none_can_be() -> None:
    run = Run(plan_of(stage("a"), stage("b"), stage("c", "a", "b", join="any")))
    assert run.fail("a") == ["a: failure"]
    assert run.exit("b") == ["b: success", "start c"]
    run = Run(plan_of(stage("a"), stage("b"), stage("c", "a", "b", join="any")))
    assert run.exit("a") == ["a: success", "start c"]
    assert run.exit("c", "b") == ["c: success", "b: success", "run: success"]
    run = Run(plan_of(stage("a"), stage("b"), stage("c", "a", "b", join="any")))
    run.fail("a")
    assert run.fail("b") == ["b: failure", "c: skip", "run: failure"]
    assert run.reason("c") == "needs b (failure)"


def test_done_takes_any_ends() -> None:
    run = Run(plan_of(stage("a"), stage("b", "a"), stage("c", "a", "b", join="done")))
    assert run.fail("a") == ["a: failure", "b: skip", "start c"]


def test_always_takes_any_ends_whatever_its_join() -> None:
    run = Run(plan_of(stage("a"), stage("b", "a"), stage("clean", "a", "b", join="any", always=True)))
    assert run.fail("a") == ["a: failure", "b: skip", "start clean"]
    assert run.exit("clean") == ["clean: success", "run: failure"]


def test_what_is_not_selected_is_skipped_and_counts_as_done() -> None:
    run = Run(plan_of(stage("a", skip="not selected"), stage("b", "a"), stage("c", "b", skip="not selected")))
    assert run.said == ["a: skip", "c: skip", "start b"]
    assert run.reason("a") == "not selected"
    assert run.exit("b") == ["b: success", "run: success"]


def test_a_run_of_which_everything_is_skipped_is_a_success() -> None:
    assert Run(plan_of(stage("a", skip="not selected"))).said == ["a: skip", "run: success"]


def test_smaller_rank_starts_first_and_ties_do_not_exist() -> None:
    run = Run(plan_of(stage("a", rank=2), stage("b", rank=0), stage("c", rank=1), slots=1))
    assert run.said == ["start b"]
    assert run.exit("b") == ["b: success", "start c"]


def test_sequential_waits_for_all_of_smaller_rank_even_in_backoff() -> None:
    run = Run(plan_of(stage("a", attempts=2, delays_ms=(5,)), stage("b"), slots=1, in_order=True))
    assert run.fail("a") == ["timer backoff:0:1 at 5"]
    assert run.waiting("a") == "backoff" and run.waiting("b") == "slot"
    assert run.fire("backoff") == ["start a 2"]
    assert run.exit("a") == ["a: success", "start b"]


def test_start_says_when_it_was_ready_and_what_it_waited_for() -> None:
    run = Run(plan_of(stage("a"), stage("b", "a"), stage("c", "a"), slots=1))
    run.at = 7
    run.exit("a")
    assert run.decisions[-1] == Start(1, 1, 7, None)
    run.at = 9
    run.exit("b")
    assert run.decisions[-1] == Start(2, 1, 7, "slot")


def test_a_retry_is_ready_when_its_backoff_is_over() -> None:
    run = Run(plan_of(stage("a", attempts=2, delays_ms=(5,))))
    run.at = 3
    run.fail("a")
    run.fire("backoff")
    assert run.decisions == [Start(0, 2, 8, None)]


def test_the_clock_never_goes_back() -> None:
    run = Run(plan_of(stage("a"), stage("b", "a")))
    run.feed(Started(50, 0, 1, 1, 1))
    run.at = 10
    run.exit("a")
    assert run.decisions[-1] == Start(1, 1, 50, None)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (Exited(1, 0, 2, "success"), "attempt 2 of stage 0 was never started"),
        (Exited(1, 0, 0, "success"), "attempt 0 of stage 0 was never started"),
        (Exited(1, 1, 1, "success"), "attempt 1 of stage 1 was never started"),
        (Exited(1, 2, 1, "success"), "attempt 1 of stage 2 was never started"),
        (Exited(1, -1, 1, "success"), "attempt 1 of stage -1 was never started"),
        (Exited(1, 0, 1, "finished"), "`finished` is no outcome of an attempt"),
        (Exited(1, 0, 1, "skip"), "`skip` is no outcome of an attempt"),
        (Started(1, 0, 2, 1, 1), "attempt 2 of stage 0 was never started"),
        (Started(1, 0, 0, 1, 1), "attempt 0 of stage 0 was never started"),
        (Started(1, 1, 1, 1, 1), "attempt 1 of stage 1 was never started"),
        (Started(1, 2, 1, 1, 1), "stage 2 is not in the plan"),
        (Began(1), "`Began` came twice"),
        (TimerFired(1, "egg"), "`egg` is no timer that was ever set"),
        (TimerFired(1, "attempt:x:1"), "`attempt:x:1` is no timer that was ever set"),
        (TimerFired(1, "attempt:0:x"), "`attempt:0:x` is no timer that was ever set"),
        (TimerFired(1, "egg:0:1"), "`egg:0:1` is no timer that was ever set"),
        (TimerFired(1, "attempt:0:1:1"), "`attempt:0:1:1` is no timer that was ever set"),
        (TimerFired(1, "attempt:2:1"), "stage 2 is not in the plan"),
        (CancelAsked(1, "cancel", 2), "stage 2 is not in the plan"),
        (CancelAsked(1, "cancel", -1), "stage -1 is not in the plan"),
        (RerunAnswered(1, 2, True), "stage 2 is not in the plan"),
        (SetTimer("run:1", 1), "`SetTimer` is no event"),
    ],
)
def test_a_driver_that_lies_is_stopped(event: Any, told: str) -> None:
    run = Run(plan_of(stage("a"), stage("b", "a")))
    with pytest.raises(DriverError) as caught:
        run.feed(event)
    assert str(caught.value) == told


def test_nothing_comes_before_began() -> None:
    with pytest.raises(DriverError) as caught:
        Machine(plan_of(stage("a"))).feed(Exited(0, 0, 1, "success"))
    assert str(caught.value) == "`Exited` came before `Began`"


def test_a_plan_that_cannot_come_to_its_end_is_a_defect() -> None:
    with pytest.raises(DefectError) as caught:
        Run(plan_of(stage("a", "b"), stage("b", "a")))
    assert str(caught.value) == "no stage can move and the run is not over: this is a bug in the scheduler"


def test_a_messy_world_changes_nothing() -> None:
    run = Run(plan_of(stage("a", attempts=2), stage("b", "a")))
    run.fail("a")
    before = run.machine.snapshot()
    assert run.feed(Exited(0, 0, 1, "success"), Started(0, 0, 1, 1, 1), TimerFired(0, "attempt:0:1")) == []
    assert run.feed(TimerFired(0, "queue:1:4"), TimerFired(0, "stage:1:4"), TimerFired(0, "run:1")) == []
    assert run.machine.snapshot() == before
    run.exit("a")
    assert run.exit("b") == ["b: success", "run: success"]
    over = run.machine.snapshot()
    run.exit("a", "b")
    run.cancel()
    run.cancel("cancel", "a")
    run.answer("a", True)
    assert run.said == [] and run.machine.snapshot() == over


def test_an_empty_batch_decides_nothing() -> None:
    run = Run(plan_of(stage("a")))
    assert run.feed() == []
    assert Machine(plan_of(stage("a"))).feed() == []


def test_equal_batches_give_equal_snapshots_and_decisions() -> None:
    run = Run(plan_of(stage("a"), stage("b", "a", attempts=3, delays_ms=(4,)), stage("c", "a")))
    run.exit("a")
    run.fail("b")
    again = Machine(run.plan)
    for batch in run.journal:
        last = again.feed(*batch)
    assert last == run.decisions
    assert again.snapshot() == run.machine.snapshot()
