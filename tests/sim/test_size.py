"""Ten thousand stages as chain, fan and layers: every stage ends, nothing recurses, memory stays small."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan, PlannedEach, PlannedStage, PlannedStep, Pool
from stagebook.scheduler.vocabulary import (
    Began,
    CancelAsked,
    Ended,
    Event,
    Exited,
    ItemsDone,
    ItemsReady,
    Resumed,
    Start,
    StartItems,
    WantItems,
)

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


def items(buffer: int, batch: int = 1) -> Plan:
    steps = tuple(PlannedStep(f"t{at}", 1, 2, 2, buffer, batch, ordered=at == 2, attempts=2) for at in range(3))
    return Plan((PlannedStage("s", (), 0, 0, each=PlannedEach(steps, "skip")),), (Pool("slot", 4),), ((), ((0, 1),)))


def work(machine: Machine, count: int, seed: int = 1) -> int:
    """Do so many items, calls in any order, one in twenty failing; how many calls that took."""
    draw = random.Random(seed)
    running: list[StartItems] = []
    calls = at = 0
    events: list[Event] = [Began(0)]
    while not machine.is_over:
        at += 1
        wanted = 0
        for decision in machine.feed(*events):
            if isinstance(decision, StartItems):
                running.append(decision)
            elif isinstance(decision, WantItems):
                wanted += decision.more
        more = min(wanted, count)
        count -= more
        events = [ItemsReady(at, 0, more, count == 0)] if wanted else []
        if running:
            calls += 1
            stage, step, slot, numbers, _ = running.pop(draw.randrange(len(running)))
            bad = tuple((item, "failure", 1, None) for item in numbers if draw.random() < 0.05)
            events.append(ItemsDone(at, stage, step, slot, bad))
        else:
            assert events or machine.is_over, "no call runs and the source is not asked"
    return calls


@pytest.mark.parametrize("buffer", [0, 1, 2])
def test_ten_thousand_items_come_through_three_steps(buffer: int) -> None:
    machine = Machine(items(buffer))
    assert work(machine, SIZE) > 3 * SIZE * 0.9
    told = machine.items(0)
    assert told.known == SIZE and told.done + told.failed == SIZE and told.done > SIZE * 0.95
    assert max(step.queue_max for step in told.steps) <= max(buffer, 1)
    machine.check()


def test_a_hundred_thousand_items_take_less_than_1_mib() -> None:
    """Their numbers alone would take three."""
    tracemalloc.start()
    try:
        work(Machine(items(400, batch=100)), 10 * SIZE)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
