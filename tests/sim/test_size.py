"""Ten thousand stages as chain, fan and layers: every stage ends, nothing recurses, memory stays small."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan, PlannedStage, Pool
from stagebook.scheduler.vocabulary import Began, CancelAsked, Ended, Event, Exited, Resumed, Start

SIZE = 10_000


def chain() -> Plan:
    stages = tuple(PlannedStage(f"s{i}", (i - 1,) if i else (), 0, i) for i in range(SIZE))
    return Plan(stages, (Pool("slot", 4),), (((0, 1),),))


def fan() -> Plan:
    stages = tuple(
        PlannedStage(f"s{i}", () if i == 0 else (0,) if i < SIZE - 1 else tuple(range(1, SIZE - 1)), 0, SIZE - 1 - i)
        for i in range(SIZE)
    )
    return Plan(stages, (Pool("slot", 64),), (((0, 1),),))


def layers() -> Plan:
    """Early claims: a draft of the machine let two stages wait for each other only at this size."""
    draw = random.Random(1)
    ranks = list(range(SIZE))
    draw.shuffle(ranks)
    pools = (Pool("slot", 24), Pool("cpu", 24), Pool("memory", 9))
    demands = tuple(sorted({((0, 1), (1, draw.randint(1, 24)), (2, draw.randint(1, 9))) for _ in range(40)}))
    stages = tuple(
        PlannedStage(
            f"s{i}",
            tuple(sorted(draw.sample(range(i // 200 * 200 - 200, i // 200 * 200), 2))) if i >= 200 else (),
            draw.randrange(len(demands)),
            ranks[i],
        )
        for i in range(SIZE)
    )
    return Plan(stages, pools, demands, passed_over_max=8)


def play(machine: Machine, *events: Event, outcome: str = "success", seed: int = 1) -> list[Ended]:
    draw = random.Random(seed)
    running: list[Start] = []
    ends: list[Ended] = []
    decisions = machine.feed(*events)
    while True:
        running += [decision for decision in decisions if isinstance(decision, Start)]
        ends += [decision for decision in decisions if isinstance(decision, Ended)]
        if not running:
            return ends
        at = draw.randrange(len(running))
        running[at], running[-1] = running[-1], running[at]
        done = running.pop()
        decisions = machine.feed(Exited(1, done.stage, done.attempt, outcome))


@pytest.mark.parametrize("shape", [chain, fan, layers])
def test_every_stage_ends_once(shape: type) -> None:
    machine = Machine(shape())
    ends = play(machine, Began(0))
    assert machine.is_over
    assert sorted(end.stage for end in ends) == list(range(SIZE))
    assert {end.outcome for end in ends} == {"success"}
    machine.check()


@pytest.mark.parametrize("policy", ["strict", "lenient", "fail-fast"])
def test_a_failure_at_the_head_of_a_chain_skips_all_the_rest(policy: str) -> None:
    plan = chain()
    machine = Machine(
        plan._replace(policy=policy, stages=tuple(stage._replace(critical=True) for stage in plan.stages))
    )
    ends = play(machine, Began(0), outcome="failure")
    assert machine.is_over and len(ends) == SIZE
    assert ends[-1].reason == f"needs s{SIZE - 2} (skip)"


def test_a_cancelled_fan_is_resumed_as_a_whole() -> None:
    machine = Machine(fan())
    starts = [decision for decision in machine.feed(Began(0)) if isinstance(decision, Start)]
    starts = [d for d in machine.feed(Exited(1, 0, starts[0].attempt, "success")) if isinstance(d, Start)]
    assert len(starts) == 64
    machine.feed(CancelAsked(2, "SIGTERM"))
    machine.feed(*(Exited(3, start.stage, start.attempt, "failure") for start in starts))
    assert machine.is_over
    ends = play(machine, Resumed(4))
    assert machine.is_over and len(ends) == SIZE - 1
    machine.check()


def test_a_machine_of_ten_thousand_stages_takes_at_most_8_mib() -> None:
    plan = layers()
    tracemalloc.start()
    try:
        machine = Machine(plan)
        machine.feed(Began(0))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
