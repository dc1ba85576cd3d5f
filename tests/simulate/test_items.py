"""Stages that work through items, on the virtual clock."""

from __future__ import annotations

from typing import Any

import pytest

from stagebook.scheduler.plan import Plan, PlannedEach, PlannedStage, PlannedStep, Pool
from stagebook.simulate.play import play
from stagebook.simulate.work import ItemWork, Played, StepWork, Work


def plan_of(*workers: int, jobs: int = 16, beside: int = 0, **more: Any) -> Plan:
    """A stage `s` whose steps have so many workers; and stages after it."""
    steps = tuple(PlannedStep(f"t{at}", 1, count, count, **more) for at, count in enumerate(workers))
    stages = [PlannedStage("s", (), 0, 0, each=PlannedEach(steps))]
    stages += [PlannedStage(f"after{at}", (0,), 1, at + 1) for at in range(beside)]
    return Plan(tuple(stages), (Pool("slot", jobs),), ((), ((0, 1),)))


def played(plan: Plan, count: int, *steps_s: float, failed: float = 0.0, factor: float = 1.0) -> Played:
    items = {0: ItemWork(count, tuple(StepWork(wall_s, failed) for wall_s in steps_s))}
    return play(plan, lambda stage, attempt: Work(factor if stage == 0 else 1.0), items=items)


def test_r013_ten_items_through_three_steps_overlap() -> None:
    """Not 6 s: (10 + 2) × 0.2 s."""
    assert played(plan_of(1, 1, 1), 10, 0.2, 0.2, 0.2).end_s == pytest.approx(2.4)


def test_with_one_job_nothing_overlaps() -> None:
    assert played(plan_of(1, 1, 1, jobs=1), 10, 0.2, 0.2, 0.2).end_s == pytest.approx(6.0)


def test_the_slowest_step_binds_and_workers_widen_it() -> None:
    slow = played(plan_of(1, 1), 40, 0.1, 0.4).end_s
    wide = played(plan_of(1, 4), 40, 0.1, 0.4).end_s
    assert slow == pytest.approx(0.1 + 40 * 0.4)
    assert wide == pytest.approx(40 * 0.1 + 0.4)


def test_a_stage_that_needs_it_waits_for_the_last_item() -> None:
    found = played(plan_of(1, beside=1), 10, 0.1)
    assert [(span.stage, span.start_s, span.end_s) for span in found.spans] == [(0, 0.0, 1.0), (1, 1.0, 2.0)]
    assert len(found.calls) == 10


def test_items_that_fail_are_tried_again() -> None:
    found = played(plan_of(1, attempts=2), 10, 0.1, failed=0.2)
    assert found.outcome == "success" and len(found.calls) == 12


def test_very_many_items_take_as_long_as_they_would_one_by_one() -> None:
    found = played(plan_of(2), 100_000, 0.01)
    assert found.end_s == pytest.approx(500, rel=0.01) and len(found.calls) < 1000


def test_all_of_a_slow_run_takes_longer() -> None:
    assert played(plan_of(1), 10, 0.1, factor=3.0).end_s == pytest.approx(3.0)


def test_a_call_that_is_over_its_time_ends_then() -> None:
    found = played(plan_of(1, timeout_ms=50), 3, 0.1)
    assert found.ended[0] == ("failure", "item 1 failed in t0 (timeout)") and found.end_s == pytest.approx(0.05)


def test_a_stage_of_whose_items_nothing_is_known_is_an_ordinary_one() -> None:
    found = play(plan_of(2, jobs=1, beside=1), lambda stage, attempt: Work(2.0))
    assert found.end_s == pytest.approx(4.0) and found.outcome == "success" and not found.calls
