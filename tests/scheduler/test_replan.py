"""A changed plan: what stands of what was done, and what is done again."""

from __future__ import annotations

from tests.scheduler.plans import Run, plan_of, stage

from stagebook.scheduler import replan
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan
from stagebook.scheduler.vocabulary import Began, Ended, Exited, RunEnded, Start

CHAIN = plan_of(stage("a"), stage("b", "a"), stage("c", "b"), stage("side", "a"))
DONE = {"a": ("success", None), "b": ("success", None), "side": ("failure", "exit 1")}


def begin(plan: Plan) -> tuple[list[str], list[object]]:
    decisions = Machine(plan).feed(Began(1000))
    starts = [plan.stages[one.stage].id for one in decisions if isinstance(one, Start)]
    return starts, [one for one in decisions if isinstance(one, (Ended, RunEnded))]


def test_a_changed_stage_and_all_that_depends_on_it_are_done_again() -> None:
    assert set(replan.standing(CHAIN, {"b"}, {**DONE, "c": ("success", None)})) == {"a", "side"}
    assert set(replan.standing(CHAIN, {"a"}, DONE)) == set()
    assert set(replan.standing(CHAIN, {"gone"}, DONE)) == {"a", "b", "side"}


def test_what_stands_is_not_started_and_its_followers_are() -> None:
    plan = replan.keep(CHAIN, DONE, {"a": 1, "b": 1, "c": 0, "side": 1})
    assert begin(plan) == (["c"], [])


def test_what_has_not_begun_keeps_nothing() -> None:
    plan = replan.keep(CHAIN, DONE, {"a": 1})
    assert begin(plan)[0] == ["b", "side"]
    assert plan.stages[1:] == CHAIN.stages[1:]


def test_a_failure_that_stands_still_fails_the_run() -> None:
    plan = replan.keep(CHAIN, {**DONE, "c": ("success", None)}, dict.fromkeys("abc", 1) | {"side": 1})
    starts, ends = begin(plan)
    assert starts == []
    assert ends == [RunEnded("failure", None)]


def test_a_failure_that_stands_skips_its_followers() -> None:
    plan = replan.keep(CHAIN, {"a": ("error", "interrupted")}, {"a": 2})
    starts, ends = begin(plan)
    assert starts == []
    assert Ended(1, "skip", "needs a (error)", False) in ends


def test_attempts_are_numbered_on_and_granted_anew() -> None:
    plan = replan.keep(plan_of(stage("a", attempts=2)), {}, {"a": 3})
    machine = Machine(plan)
    assert machine.feed(Began(0)) == [Start(0, 4, 0, None)]
    assert machine.feed(Exited(1, 0, 4, "failure")) == [Start(0, 5, 1, None)]
    assert machine.feed(Exited(1, 0, 5, "failure")) == [Ended(0, "failure", None, False), RunEnded("failure", None)]


def test_what_is_kept_beside_a_failure_is_not_ended_for_it_again() -> None:
    run = Run(
        plan_of(
            stage("a", kept=("failure", None), begun=1, fail_fast_group=0),
            stage("b", kept=("cancellation", "fail-fast: a (failure)"), begun=1, fail_fast_group=0),
            stage("c", fail_fast_group=0), stage("d", skip="not selected", fail_fast_group=0), stage("e"),
        )
    )  # fmt: skip
    assert run.said == ["d: skip", "c: cancellation", "start e"]
    assert (run.state("a"), run.state("b")) == ("failure", "cancellation")
    assert run.exit("e") == ["e: success", "run: failure"]


def test_what_is_kept_stops_a_run_that_fails_fast() -> None:
    run = Run(
        plan_of(
            stage("b", kept=("success", None), begun=1), stage("a", kept=("failure", None), begun=1),
            stage("c"), stage("d", "a", always=True), policy="fail-fast",
        )
    )  # fmt: skip
    assert run.said == ["c: cancellation", "start d"]
