"""Pools, locks and the claim against starvation (G16, R43, R44, R51, R52)."""

from __future__ import annotations

import random

import pytest
from tests.scheduler.plans import Run, plan_of, stage

from stagebook.model.problem import DefectError
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan, Pool
from stagebook.scheduler.vocabulary import Began, Exited, Start


def test_never_more_than_a_pool_holds() -> None:
    names = [f"s{index}" for index in range(5)]
    run = Run(plan_of(*(stage(name, units={"pool:db": 1}) for name in names), pools={"pool:db": 2}))
    assert run.said == ["start s0", "start s1"]
    assert run.waiting("s2") == "pool:db"
    assert run.machine.holders("pool:db") == [0, 1]
    assert run.exit("s1") == ["s1: success", "start s2"]
    assert run.decisions[-1].waited == "pool:db"  # type: ignore[union-attr]
    assert run.machine.holders("pool:db") == [0, 2]
    assert run.machine.holders("pool:web") == []


def test_units_are_taken_all_or_none() -> None:
    both = {"pool:fork": 1, "pool:knife": 1}
    run = Run(
        plan_of(
            stage("a", units={"pool:fork": 1}), stage("b", units=both), stage("c", units={"pool:knife": 1}),
            pools={"pool:fork": 1, "pool:knife": 1},
        )
    )  # fmt: skip
    assert run.said == ["start a", "start c"]
    assert run.exit("a") == ["a: success"]
    assert run.waiting("b") == "pool:knife"
    assert run.exit("c") == ["c: success", "start b"]


def test_a_killed_stage_holds_its_units_until_its_exit() -> None:
    run = Run(plan_of(stage("a", attempt_timeout_ms=5), stage("b"), slots=1))
    assert run.fire("attempt") == ["kill a timeout"]
    assert run.machine.holders("slot") == [0] and run.waiting("b") == "slot"
    assert run.exit("a") == ["a: timeout", "start b"]


def test_what_lacks_most_tellingly_is_named() -> None:
    run = Run(plan_of(stage("a", units={"lock:l": 1}), stage("b", units={"lock:l": 1}), slots=1, pools={"lock:l": 1}))
    assert run.waiting("b") == "lock:l"
    assert run.exit("a")[-1] == "start b"
    assert run.decisions[-1].waited == "lock:l"  # type: ignore[union-attr]


def test_a_pool_that_nobody_uses_may_be_empty() -> None:
    assert Run(plan_of(stage("a"), pools={"pool:db": 0})).said == ["start a"]


def test_what_is_free_is_not_waited_for() -> None:
    run = Run(plan_of(stage("a"), stage("b", units={"pool:db": 1}), slots=1, pools={"pool:db": 1}))
    assert run.waiting("b") == "slot"


def test_who_claims_waits_for_what_is_not_yet_set_aside() -> None:
    """`big` was passed: the database that came free is its own now, the cores are not."""
    big = stage("big", units={"cpu": 2, "pool:db": 1})
    run = Run(
        plan_of(
            stage("hold", units={"cpu": 1}), stage("held", units={"pool:db": 1}), big, stage("small"),
            stage("late", units={"pool:db": 1}), pools={"cpu": 2, "pool:db": 1}, passed_over_max=1,
        )
    )  # fmt: skip
    assert run.said == ["start hold", "start held", "start small"]
    assert run.waiting("big") == "pool:db"
    assert run.exit("held") == ["held: success"]
    assert (run.waiting("big"), run.waiting("late")) == ("cpu", "pool:db")
    assert run.exit("hold") == ["hold: success", "start big"]


def test_a_demand_over_capacity_is_a_defect_of_the_plan() -> None:
    for units in (2, 0, -1):
        with pytest.raises(DefectError) as caught:
            Machine(plan_of(stage("a", units={"pool:db": units}), pools={"pool:db": 1}))
        assert str(caught.value) == f"the plan asks {units} units of `pool:db`, which has 1"


def test_a_stage_that_many_pass_claims_its_units() -> None:
    """The big one needs all four; small ones keep two or three busy. After two have passed, the rest wait."""
    small = [stage(f"s{index}", units={"cpu": 1}) for index in range(9)]
    run = Run(plan_of(stage("big", "go", units={"cpu": 4}, rank=99), stage("go"), *small, slots=9, pools={"cpu": 3 + 1},
                      passed_over_max=2))  # fmt: skip
    assert run.said == ["start go", "start s0", "start s1", "start s2", "start s3"]
    run.exit("go")
    assert run.waiting("big") == "cpu"
    run.exit("s0")
    run.exit("s1")
    run.exit("s2")
    run.exit("s3")
    started = []
    while "start big" not in run.said:
        name = next(name for name in (f"s{i}" for i in range(9)) if run.state(name) == "running")
        run.exit(name)
        started += [word for word in run.said if word.startswith("start ")]
    assert run.state("big") == "running"
    assert run.machine.holders("cpu") == [0]


def test_claims_set_aside_only_what_is_lacking() -> None:
    """The claimer waits for cpu, and one slot stays free for it: who takes none of these goes on."""
    small = [stage(f"s{index}") for index in range(6)]
    hold, big, late = (stage(name, units={"cpu": units}) for name, units in (("hold", 1), ("big", 2), ("late", 1)))
    run = Run(plan_of(hold, big, *small, late, slots=4, pools={"cpu": 2}, passed_over_max=1))
    assert run.said == ["start hold", "start s0", "start s1"]
    assert run.exit("s0") == ["s0: success", "start s2"]
    assert run.waiting("big") == "cpu" and run.waiting("late") == "cpu"
    for index in range(1, 5):
        run.exit(f"s{index}")
    assert run.state("late") == "ready"
    assert run.exit("hold") == ["hold: success", "start big"]


def test_as_many_as_are_allowed_pass_and_no_more() -> None:
    hold, big = stage("hold", units={"cpu": 1}), stage("big", units={"cpu": 2})
    small = [stage(f"s{index}", units={"cpu": 1}) for index in range(5)]
    run = Run(plan_of(hold, big, *small, pools={"cpu": 2}, passed_over_max=3))
    assert run.said == ["start hold", "start s0"]
    assert run.exit("s0") == ["s0: success", "start s1"]
    assert run.exit("s1") == ["s1: success", "start s2"]
    assert run.exit("s2") == ["s2: success"]
    assert run.exit("hold") == ["hold: success", "start big"]


def test_who_is_first_next_is_passed_as_often() -> None:
    small = [stage(f"s{index}", units={"cpu": 1}) for index in range(5)]
    run = Run(
        plan_of(
            stage("hold", units={"cpu": 1}), stage("held", units={"pool:db": 1}), stage("x", units={"pool:db": 1}),
            stage("big", units={"cpu": 2}), *small, pools={"cpu": 2, "pool:db": 1}, passed_over_max=3,
        )
    )  # fmt: skip
    assert run.said == ["start hold", "start held", "start s0"]
    assert run.exit("held") == ["held: success", "start x"]
    for index in range(3):
        assert run.exit(f"s{index}") == [f"s{index}: success", f"start s{index + 1}"]
    assert run.exit("s3") == ["s3: success"]


def test_the_first_stage_of_a_plan_claims_once() -> None:
    big, hold = stage("big", units={"cpu": 2}, rank=1), stage("hold", units={"cpu": 1}, rank=0)
    small = [stage(f"s{index}") for index in range(5)]
    run = Run(plan_of(big, hold, *small, pools={"cpu": 2}, slots=4, passed_over_max=1))
    assert run.said == ["start hold", "start s0", "start s1"]
    assert run.exit("s0") == ["s0: success", "start s2"]
    assert run.exit("s1") == ["s1: success", "start s3"]
    assert run.exit("hold") == ["hold: success", "start big", "start s4"]


def test_of_those_that_became_ready_together_the_best_rank_claims() -> None:
    hold, p, q = stage("hold", units={"cpu": 1}), stage("p"), stage("q")
    y, x = stage("y", "q", units={"cpu": 2}, rank=4), stage("x", "p", units={"cpu": 2}, rank=3)
    small = stage("small", "q")
    for names in (("p", "q"), ("q", "p")):
        run = Run(plan_of(hold, p, q, y, x, small, pools={"cpu": 2}, passed_over_max=1))
        assert run.exit(*names)[-1] == "start small"
        assert run.exit("hold") == ["hold: success", "start x"]
        assert run.waiting("y") == "cpu"


def test_who_fits_beside_the_claimer_starts_with_it() -> None:
    hold, big = stage("hold", units={"cpu": 1}), stage("big", units={"cpu": 2})
    run = Run(plan_of(hold, big, stage("s0"), stage("s1"), slots=3, pools={"cpu": 2}, passed_over_max=1))
    assert run.said == ["start hold", "start s0"]
    assert run.waiting("s1") == "slot"
    assert run.exit("hold") == ["hold: success", "start big", "start s1"]


def stream(passed_over_max: int, seed: int) -> tuple[int, int]:
    """Twenty chains of small stages, and a large one that becomes ready among them.

    Returns how many stages were ready before it when it became ready, and how many started before it did.
    """
    draw = random.Random(seed)
    stages = [stage("go", rank=0), stage("large", "go", units={"cpu": 4}, rank=draw.choice((1, 999)))]
    for chain in range(20):
        for place in range(10):
            needs = [f"c{chain}p{place - 1}"] if place else []
            rank = 2 + chain * 10 + place
            stages.append(stage(f"c{chain}p{place}", *needs, units={"cpu": draw.randint(1, 2)}, rank=rank))
    machine = Machine(plan_of(*stages, slots=4, pools={"cpu": 4}, passed_over_max=passed_over_max))
    running = [decision for decision in machine.feed(Began(0)) if isinstance(decision, Start)]
    before = machine.outstanding()
    machine.feed(Exited(1, 0, 1, "success"))
    running = [start for start in running if start.stage] + [
        Start(index, 1, 0, None) for index in machine.outstanding() if index not in before
    ]
    ahead = sum(machine.state(index) == "ready" for index in range(2, len(stages)))
    passed = 0
    while machine.state(1) == "ready":
        done = running.pop(draw.randrange(len(running)))
        starts = [d for d in machine.feed(Exited(1, done.stage, done.attempt, "success")) if isinstance(d, Start)]
        running += starts
        passed += sum(start.stage != 1 for start in starts)
    return ahead, passed


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("passed_over_max", [1, 5, 64])
def test_the_documented_bound_holds(passed_over_max: int, seed: int) -> None:
    """Each of those ahead, and the large one itself, is first in line for at most `passed_over_max` starts."""
    ahead, passed = stream(passed_over_max, seed)
    assert passed <= ahead + (ahead + 1) * passed_over_max  # docs/explanation/scheduler.md says the same


def test_without_ageing_the_large_one_would_wait_for_all() -> None:
    assert max(stream(10_000, seed)[1] for seed in range(5)) > 150
    assert max(stream(1, seed)[1] for seed in range(5)) < 60


@pytest.mark.parametrize("seed", range(100))
def test_crossed_pools_never_deadlock(seed: int) -> None:
    """Dining philosophers with random forks (R51): every one of them eats."""
    draw = random.Random(seed)
    pools = {f"pool:{index}": draw.randint(1, 2) for index in range(5)}
    stages = [
        stage(
            f"s{index}",
            units={name: draw.randint(1, pools[name]) for name in draw.sample(sorted(pools), draw.randint(1, 4))},
        )
        for index in range(40)
    ]
    plan = plan_of(*stages, slots=draw.randint(1, 6), pools=pools, passed_over_max=draw.randint(1, 9))
    machine = Machine(plan)
    running = [d for d in machine.feed(Began(0)) if isinstance(d, Start)]
    while running:
        done = running.pop(draw.randrange(len(running)))
        decisions = machine.feed(Exited(1, done.stage, done.attempt, "success"))
        machine.check()
        running += [d for d in decisions if isinstance(d, Start)]
    assert machine.is_over


def test_a_plan_without_a_slot_pool_of_its_own_still_runs() -> None:
    plan = Plan(plan_of(stage("a"), stage("b", "a")).stages, (Pool("slot", 1),), ((),))
    run = Run(plan)
    assert run.said == ["start a"]
    assert run.exit("a") == ["a: success", "start b"]
