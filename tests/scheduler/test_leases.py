"""Pools and locks that other runs share: asked for with all else in hand, and nothing in hand while refused."""

from __future__ import annotations

import pytest
from tests.scheduler.plans import Run, plan_of, stage

SHARED = {"pools": {"staging": 1, "db": 1}, "machine": ("staging",)}


def test_a_lease_is_asked_for_when_all_else_is_there() -> None:
    run = Run(plan_of(stage("a", units={"db": 1}), stage("b", units={"db": 1, "staging": 1}), **SHARED))  # type: ignore[arg-type]
    assert run.said == ["start a"]
    assert run.exit("a") == ["a: success", "lease b"]
    assert run.state("b") == "leasing"
    assert run.leased("b") == ["start b"]
    assert run.decisions[0].waited == "db"  # type: ignore[union-attr]


def test_who_is_refused_holds_nothing_and_says_who_has_it() -> None:
    run = Run(plan_of(stage("a", units={"staging": 1}), stage("b"), slots=1, **SHARED))  # type: ignore[arg-type]
    assert run.said == ["lease a"]
    assert run.refused("a", "run 01X, stage deploy") == ["start b"]
    assert (run.state("a"), run.waiting("a"), run.machine.held_by(0)) == ("held", "staging", "run 01X, stage deploy")
    assert run.freed("a") == []
    assert (run.state("a"), run.waiting("a"), run.machine.held_by(0)) == ("ready", "slot", None)
    assert run.exit("b") == ["b: success", "lease a"]
    assert run.leased("a") == ["start a"]
    assert run.decisions[0].waited == "staging"  # type: ignore[union-attr]


def test_refused_again_and_again() -> None:
    run = Run(plan_of(stage("a", units={"staging": 1}), **SHARED))  # type: ignore[arg-type]
    for _ in range(5):
        assert run.refused("a") == []
        assert run.freed("a") == ["lease a"]
    assert run.leased("a") == ["start a"]


def test_a_lease_for_a_stage_that_was_cancelled_meanwhile_starts_nothing() -> None:
    run = Run(plan_of(stage("a", units={"staging": 1}), stage("b"), **SHARED))  # type: ignore[arg-type]
    run.cancel("SIGINT", "a")
    assert run.leased("a") == []
    assert run.machine.snapshot()
    assert run.exit("b")[-1] == "run: cancellation"


def test_each_attempt_asks_anew() -> None:
    run = Run(plan_of(stage("a", units={"staging": 1}, attempts=2), **SHARED))  # type: ignore[arg-type]
    run.leased("a")
    assert run.fail("a") == ["lease a"]


def test_a_new_engine_asks_again() -> None:
    run = Run(plan_of(stage("a", units={"staging": 1}), stage("b"), **SHARED))  # type: ignore[arg-type]
    run.refused("a")
    assert run.resume() == ["lease a"]
    assert run.resume() == ["lease a"]


def test_a_need_that_waits_again_takes_a_held_stage_back() -> None:
    plan = plan_of(stage("a"), stage("b", "a", join="done", units={"staging": 1}), stage("c"), **SHARED)  # type: ignore[arg-type]
    run = Run(plan)
    run.exit("a", outcome="error", reason="no program")
    run.refused("b")
    assert run.resume() == ["start a 2"]
    assert run.state("b") == "waiting"
    assert run.exit("a") == ["a: success", "lease b"]


def test_a_queue_timeout_ends_who_is_held() -> None:
    run = Run(plan_of(stage("a", units={"staging": 1}, queue_timeout_ms=50), **SHARED))  # type: ignore[arg-type]
    run.refused("a")
    assert run.fire("queue") == ["a: timeout", "run: timeout"]
    assert run.reason("a") == "queue timeout"


def test_a_cancel_ends_who_is_held_or_on_the_way() -> None:
    run = Run(
        plan_of(
            stage("a", units={"staging": 1}),
            stage("b", units={"staging": 1}),
            pools={"staging": 2},
            machine=("staging",),
        )
    )
    run.refused("a")
    assert run.cancel() == ["a: cancellation", "b: cancellation", "run: cancellation"]


@pytest.mark.parametrize("is_held", [False, True])
def test_what_a_person_calls_done_meanwhile_wants_no_lease(is_held: bool) -> None:
    run = Run(plan_of(stage("a", units={"staging": 1}, retry_safe=False), stage("b"), **SHARED))  # type: ignore[arg-type]
    run.leased("a")
    run.interrupt("a")
    assert run.answer("a", again=True) == ["lease a"]
    if is_held:
        run.refused("a")
    assert run.answer("a", again=False) == ["a: success"]
    assert run.leased("a") == []
    assert run.exit("b") == ["b: success", "run: success"]
