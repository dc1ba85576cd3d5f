"""Rates and gaps: how much may start in how much time, counted from reported starts."""

from __future__ import annotations

import pytest
from tests.scheduler.plans import Run, plan_of, stage

from stagebook.model.problem import DefectError


def names(count: int) -> list[str]:
    return [f"s{index}" for index in range(count)]


def test_a_rate_of_starts_is_a_sliding_window_over_reported_starts() -> None:
    run = Run(plan_of(*map(stage, names(5)), starts=(2, 100)))
    assert run.said == ["start s0", "start s1"]
    assert run.waiting("s2") == "rate"
    run.at = 10
    assert run.began("s0") == ["timer pace:1 at 111"]
    run.at = 40
    assert run.began("s1") == []
    assert run.fire("pace") == ["start s2", "timer pace:2 at 141"]
    run.at = 120
    assert run.began("s2") == []
    assert run.fire("pace") == ["start s3", "timer pace:3 at 221"]
    assert run.decisions[0].waited == "rate"  # type: ignore[union-attr]


def test_a_start_counts_until_it_is_reported_and_then_from_then() -> None:
    run = Run(plan_of(stage("a"), stage("b"), starts=(1, 100)))
    run.at = 5_000
    assert run.feed() == []
    assert run.waiting("b") == "rate"
    assert run.began("a") == ["timer pace:1 at 5101"]


def test_an_attempt_that_never_had_a_process_counts_from_its_end() -> None:
    run = Run(plan_of(stage("a"), stage("b"), starts=(1, 100)))
    run.at = 20
    assert run.exit("a", outcome="error", reason="no program") == ["a: error", "timer pace:1 at 121"]
    assert run.fire("pace") == ["start b"]


def test_attempts_count_as_starts() -> None:
    run = Run(plan_of(stage("a", attempts=2), stage("b"), starts=(1, 100)))
    run.began("a")
    assert run.fail("a") == []
    assert run.state("a") == "ready"
    assert run.fire("pace") == ["start a 2"]


def test_a_rate_of_a_pool_counts_units_and_holds_nobody_else() -> None:
    plan = plan_of(
        stage("a", units={"pool:api": 2}), stage("b", units={"pool:api": 2}), stage("c"),
        stage("d", units={"pool:api": 1}),
        pools={"pool:api": 9}, rates={"pool:api": (3, 50)},
    )  # fmt: skip
    run = Run(plan)
    assert run.said == ["start a", "start c", "start d"]
    assert run.waiting("b") == "rate:api"
    run.began("a")
    run.at = 7
    run.began("d")
    assert run.fire("pace") == ["start b"]
    assert run.at == 51


def test_a_claim_gets_a_rate_before_a_stream_of_small_ones() -> None:
    """Small ones become ready again and again and take each unit as it comes free; the big one needs two at once."""
    stages = [stage("big", units={"pool:api": 2}, rank=99)]
    stages += [
        stage(f"s{index}", *([f"s{index - 2}"] if index > 1 else []), units={"pool:api": 1}, rank=index)
        for index in range(20)
    ]
    run = Run(plan_of(*stages, pools={"pool:api": 99}, rates={"pool:api": (2, 10)}, passed_over_max=2, slots=99))
    started: list[str] = []
    said = list(run.said)
    for _ in range(60):
        now = [word.split()[1] for word in said if word.startswith("start")]
        started += now
        said = []
        for name in now:
            run.at += 3
            said += run.began(name)
            said += run.exit(name)
        said += run.fire("pace")
    assert started.index("big") <= 5


def test_gaps_let_one_start_after_another_with_the_next_gap_each_time() -> None:
    run = Run(plan_of(*map(stage, names(4)), gaps_ms=(10, 30)))
    assert run.said == ["start s0"]
    assert run.waiting("s1") == "stagger"
    run.at = 5
    assert run.began("s0") == ["timer pace:1 at 16"]
    assert run.fire("pace") == ["start s1"]
    assert run.began("s1") == ["timer pace:2 at 47"]
    assert run.fire("pace") == ["start s2"]
    assert run.began("s2") == ["timer pace:3 at 58"]
    run.at = 50
    run.exit("s0")
    assert run.state("s3") == "ready"
    assert run.fire("pace") == ["start s3"]


def test_a_timer_that_came_back_before_cannot_come_again() -> None:
    run = Run(plan_of(*map(stage, names(3)), gaps_ms=(10,)))
    run.began("s0")
    run.fire("pace")
    before = run.machine.snapshot()
    run.fire("pace")
    assert run.machine.snapshot() == before


def test_nobody_is_asked_while_time_alone_holds_a_stage() -> None:
    run = Run(plan_of(stage("a", retry_safe=False), stage("b"), gaps_ms=(10,)))
    run.began("a")
    run.interrupt("a")
    assert run.state("a") == "asking"
    assert not run.machine.waits_for_person
    assert run.fire("pace") == ["start b"]


def test_sequential_keeps_rates_too() -> None:
    run = Run(plan_of(stage("a"), stage("b"), slots=1, in_order=True, starts=(1, 100)))
    assert run.began("a") == ["timer pace:1 at 101"]
    assert run.exit("a") == ["a: success"]
    assert run.fire("pace") == ["start b"]


def test_what_no_rate_can_give_is_a_defect_of_the_plan() -> None:
    with pytest.raises(DefectError, match="takes 3 at once of `rate:api`, which gives out 2"):
        Run(plan_of(stage("a", units={"pool:api": 3}), pools={"pool:api": 9}, rates={"pool:api": (2, 50)}))


def test_a_run_of_which_all_is_stopped_is_over_although_a_gap_is_not() -> None:
    run = Run(plan_of(stage("a"), stage("b"), gaps_ms=(60_000,)))
    assert run.began("a") == ["timer pace:1 at 60001"]
    assert run.exit("a") == ["a: success"]
    assert run.cancel() == ["b: cancellation", "run: cancellation"]
