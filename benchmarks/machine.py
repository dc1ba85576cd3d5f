"""Decisions a second of the scheduler alone, on plans of 10 000 stages: time inside `feed` only, clocks invented.

    python benchmarks/machine.py [ROUNDS] [--quick]

Prints best, median and spread of several interleaved rounds, the load of the machine beside them, what a stage costs
in all (making the machine included), replay time, memory, and order, slack and critical path of 10 000 nodes against
networkx. Goals are in the last column.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import time
import tracemalloc
from collections import deque
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan, PlannedEach, PlannedStage, PlannedStep, Pool
from stagebook.scheduler.vocabulary import (
    Began,
    Event,
    Exited,
    ItemsDone,
    ItemsReady,
    Start,
    Started,
    StartItems,
    WantItems,
)

STAGES = 10_000
PLAIN = (((0, 1),),)


def chain() -> Plan:
    """Each stage needs the one before."""
    stages = tuple(PlannedStage(f"s{i}", (i - 1,) if i else (), 0, i) for i in range(STAGES))
    return Plan(stages, (Pool("slot", 8),), PLAIN)


def fan() -> Plan:
    """One stage, all the others beside each other, one stage that needs them all."""
    last = STAGES - 1
    stages = tuple(
        PlannedStage(f"s{i}", () if i == 0 else (0,) if i < last else tuple(range(1, last)), 0, i)
        for i in range(STAGES)
    )
    return Plan(stages, (Pool("slot", 8),), PLAIN)


def layered(demand_count: int) -> Plan:
    """Layers of 100; each stage needs up to three of the layer before. Demands mix slot, cpu, memory, two pools."""
    draw = random.Random(demand_count)
    pools = (Pool("slot", 32), Pool("cpu", 16_000), Pool("memory", 64_000), Pool("pool:db", 8), Pool("pool:web", 8))
    demands: list[tuple[tuple[int, int], ...]] = [((0, 1),)]
    while len(demands) < demand_count:
        demand = [(0, 1), (1, draw.randint(1, 40) * 100)]
        if draw.random() < 0.7:
            demand.append((2, draw.randint(1, 80) * 100))
        if draw.random() < 0.2:
            demand.append((draw.choice((3, 4)), draw.randint(1, 3)))
        if tuple(demand) not in demands:
            demands.append(tuple(demand))
    ranks = list(range(STAGES))
    draw.shuffle(ranks)
    stages = tuple(
        PlannedStage(
            f"s{i}",
            tuple(sorted(draw.sample(range(i - i % 100 - 100, i - i % 100), draw.randint(1, 3)))) if i >= 100 else (),
            draw.randrange(demand_count),
            ranks[i],
        )
        for i in range(STAGES)
    )
    return Plan(stages, pools, tuple(demands))


def play(plan: Plan) -> tuple[int, int, list[list[Event]]]:
    """Run a plan to its end, whoever started first ends first. Returns decisions, nanoseconds in `feed`, batches."""
    machine = Machine(plan)
    clock = time.perf_counter_ns
    running: deque[Start] = deque()
    batch: list[Event] = [Began(0)]
    batches: list[list[Event]] = []
    count = spent = at = 0
    while not machine.is_over:
        batches.append(batch)
        before = clock()
        decisions = machine.feed(*batch)
        spent += clock() - before
        count += len(decisions)
        at += 1
        batch = []
        for decision in decisions:
            if type(decision) is Start:
                running.append(decision)
                batch.append(Started(at, decision.stage, decision.attempt, 1, 1))
        if running:
            done = running.popleft()
            batch.append(Exited(at, done.stage, done.attempt, "success", 0))
    return count, spent, batches


def seconds(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def machine_table(rounds: int) -> None:
    goals = {"chain": None, "fan": None, "layered, 8 demands": 100_000, "layered, 200 demands": 50_000}
    plans = {"chain": chain(), "fan": fan(), "layered, 8 demands": layered(8), "layered, 200 demands": layered(200)}
    rates: dict[str, list[float]] = {name: [] for name in plans}
    whole: dict[str, list[float]] = {name: [] for name in plans}
    replay: dict[str, list[float]] = {name: [] for name in plans}
    for _ in range(rounds):
        for name, plan in plans.items():
            count, spent, batches = play(plan)
            rates[name].append(count / spent * 1e9)
            making = seconds(lambda plan=plan: Machine(plan))  # type: ignore[misc]
            whole[name].append((spent / 1e3 + making * 1e6) / STAGES)
            again = Machine(plan)
            replay[name].append(seconds(lambda again=again, batches=batches: [again.feed(*b) for b in batches]))  # type: ignore[misc]
            assert again.is_over
    print(f"{STAGES} stages, {rounds} interleaved rounds, decisions a second inside feed")
    print(f"{'plan':22}{'best':>10}{'median':>10}{'spread':>16}{'µs/stage':>10}{'replay s':>10}{'goal':>10}")
    for name, values in rates.items():
        spread = f"{min(values) / 1e3:.0f}-{max(values) / 1e3:.0f}k"
        cost, again_s = statistics.median(whole[name]), statistics.median(replay[name])
        goal = f"{goals[name]:,}" if goals[name] else "-"
        print(
            f"{name:22}{max(values):>10,.0f}{statistics.median(values):>10,.0f}{spread:>16}"
            f"{cost:>10.1f}{again_s:>10.3f}{goal:>10}"
        )


def line(batch: int, ordered: bool = False) -> Plan:
    """Three steps with two workers each, all of which the jobs can feed."""
    steps = tuple(PlannedStep(f"t{i}", 1, 2, 2, 4 * batch, batch, ordered and i == 2) for i in range(3))
    return Plan((PlannedStage("s", (), 0, 0, each=PlannedEach(steps)),), (Pool("slot", 6),), ((), *PLAIN))


def work(plan: Plan, items: int) -> tuple[int, float]:
    """Calls, and seconds of CPU inside `feed`; all that runs ends in each batch."""
    machine = Machine(plan)
    clock = time.process_time
    batch: list[Event] = [Began(0)]
    calls = at = 0
    spent = 0.0
    while not machine.is_over:
        before = clock()
        decisions = machine.feed(*batch)
        spent += clock() - before
        at += 1
        batch = []
        for decision in decisions:
            if type(decision) is StartItems:
                batch.append(ItemsDone(at, 0, decision.step, decision.slot))
                calls += 1
            elif type(decision) is WantItems:
                more = min(decision.more, items)
                items -= more
                batch.append(ItemsReady(at, 0, more, items == 0))
    return calls, spent


def items_table(rounds: int) -> None:
    print(f"\nitems through three steps, {rounds} rounds, medians of CPU time inside feed")
    cases = (
        ("1 000 000, batches of 100", line(100), 1_000_000, "5 s"),
        ("30 000 one by one", line(1), 30_000, "100,000 calls/s"),
        ("30 000, ordered", line(1, ordered=True), 30_000, "-"),
        ("30 000, --sequential", line(1)._replace(in_order=True, pools=(Pool("slot", 1),)), 30_000, "-"),
    )
    for name, plan, items, goal in cases:
        took = [work(plan, items) for _ in range(rounds)]
        spent = statistics.median(seconds for _, seconds in took)
        print(f"{name:28}{spent:>8.2f} s{took[0][0] / spent:>12,.0f} calls/s   goal {goal}")


def memory_table() -> None:
    plan = layered(8)
    tracemalloc.start()
    machine = Machine(plan)
    made = tracemalloc.get_traced_memory()[0]
    machine.feed(Began(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(
        f"\nmemory of a machine over {STAGES} stages: {made / 2**20:.1f} MiB, {peak / 2**20:.1f} MiB begun; goal 8 MiB"
    )


def graph_table(rounds: int) -> None:
    try:
        from stagebook.graph import shape
    except ImportError:
        print("\ngraph: stagebook.graph.shape is not there, not measured")
        return
    try:
        import networkx
    except ImportError:
        print("\ngraph: networkx is not installed, not compared")
        return
    needs = [stage.needs for stage in layered(8).stages]
    weights = [float(1 + index % 7) for index in range(STAGES)]
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        ours.append(seconds(lambda: shape.shape(needs, weights)))
        theirs.append(seconds(lambda: networkx_shape(networkx, needs, weights)))
    mine, peer = statistics.median(ours), statistics.median(theirs)
    print(f"\norder, slack and critical path of {STAGES} nodes, {rounds} rounds, medians")
    print(
        f"stagebook {mine * 1e3:.1f} ms, networkx {networkx.__version__} {peer * 1e3:.1f} ms: "
        f"ratio {mine / peer:.3f}; goal 0.25"
    )


def networkx_shape(networkx: object, needs: list[tuple[int, ...]], weights: list[float]) -> list[int]:
    """The same answers from networkx's graph and topological order."""
    graph = networkx.DiGraph()  # type: ignore[attr-defined]
    graph.add_nodes_from(range(len(needs)))
    graph.add_edges_from((need, index) for index, stage_needs in enumerate(needs) for need in stage_needs)
    order = list(networkx.topological_sort(graph))  # type: ignore[attr-defined]
    before, after = dict.fromkeys(order, 0.0), dict.fromkeys(order, 0.0)
    for node in order:
        before[node] = max((before[need] + weights[need] for need in graph.predecessors(node)), default=0.0)
    for node in reversed(order):
        after[node] = max((after[next_] + weights[next_] for next_ in graph.successors(node)), default=0.0)
    length = max(before[node] + weights[node] for node in order)
    return [node for node in order if before[node] + weights[node] + after[node] == length]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rounds", nargs="?", type=int, default=5, metavar="ROUNDS", help="default: 5")
    parser.add_argument("--quick", action="store_true", help="one round, for a look")
    args = parser.parse_args()
    rounds = 1 if args.quick else args.rounds
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, load {load}\n")
    machine_table(rounds)
    items_table(rounds)
    memory_table()
    graph_table(rounds)
    print(f"\nload at the end {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
