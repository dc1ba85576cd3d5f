"""Invented plans full of claims, played by the scheduler's machine alone: who is passed over, and by how many?

Over-use, gaps and waits are counted here, from the plan, the events and the starts; nothing of the machine's books is
read. Clocks and durations are invented, nothing fails. A world is its seed: the same again from the same number.
"""

from __future__ import annotations

import random
import sys
from collections import deque
from heapq import heappop, heappush
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from section import Section
from table import table

from stagebook.model.problem import DefectError
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan, PlannedStage, Pool
from stagebook.scheduler.vocabulary import Began, Event, Exited, SetTimer, Start, Started, TimerFired

KINDS = ("pools", "locks", "budgets", "rates", "gaps")
FAULTS = ("deadlocks", "over-uses", "gaps too short", "claims disregarded")
Demand = tuple[tuple[int, int], ...]


def claims(section: Section) -> None:
    """1 000 worlds."""
    count = 100 if section.quick else 1000
    section.head(f"{count} invented sets of claims, in simulation")
    worlds = []
    for seed in range(count):
        world = World(seed)
        world.play()
        worlds.append(world)
        for trouble in world.troubles[:3]:
            print(f"failed: world {seed}: {trouble}")
    print(
        "`passed by`: the most starts of others from when a stage was ready until it claimed or started;\n"
        "`no claim`: without those made while another, before it in line, claimed, as a share of what is promised,\n"
        "k + (k + 1) × m where k were before it (m is 64, in half of the worlds less); `all`: with them.\n"
    )
    rows = [_row(kind, [world for world in worlds if kind in world.kinds]) for kind in KINDS]
    print(table(COLUMNS, [*rows, _row("all", worlds)]))
    section.raw["claims"] = [world.figures() for world in worlds]
    goals = section.goals
    for word in FAULTS:
        goals.value(f"claims: {word}", [sum(world.faults[word] for world in worlds)], 0, f"in {count}")
    goals.value("claims: passed by, of the bound", [max(world.unclaimed for world in worlds) * 100], 100, "%")
    section.show_goals()


COLUMNS = ("worlds with", "worlds", "stages", "waited", "claimed", "fullest", "passed by", "all", "no claim")


def _row(name: str, worlds: list[World]) -> tuple[str, ...]:
    stages = sum(len(world.plan.stages) for world in worlds)
    waited, claimed = (sum(getattr(world, word) for world in worlds) for word in ("waited", "claimed"))
    shares = [max(getattr(world, word) for world in worlds) for word in ("fullest", "of_bound", "unclaimed")]
    fullest, of_bound, unclaimed = (f"{share:.0%}" for share in shares)
    passed = max(world.passed for world in worlds)
    return name, *map(str, (len(worlds), stages, waited, claimed)), fullest, str(passed), of_bound, unclaimed


class World:
    """One plan, and one run of it."""

    def __init__(self, seed: int) -> None:
        self.draw = draw = random.Random(seed)
        self.kinds = {kind for kind in KINDS if draw.random() < 0.6} or {"pools"}
        self.plan = self._plan()
        self.seed = seed
        self.troubles: list[str] = []
        self.faults = dict.fromkeys(FAULTS, 0)
        self.waited = self.claimed = 0  #: stages that others passed, and those of them that claimed
        self.fullest = 0.0
        self.passed = 0  #: the most starts of others while a stage was ready and did not claim
        self.of_bound = self.unclaimed = 0.0  #: the largest share of what is promised; the same while nobody claimed

    def figures(self) -> dict[str, object]:
        return {
            "seed": self.seed, "kinds": sorted(self.kinds), "stages": len(self.plan.stages), "waited": self.waited,
            "claimed": self.claimed, "fullest": self.fullest, "passed": self.passed, "of_bound": self.of_bound,
            "unclaimed": self.unclaimed, **self.faults,
        }  # fmt: skip

    def trouble(self, kind: str, text: str) -> None:
        self.faults[kind] += 1
        self.troubles.append(f"{kind}: {text}")

    # ------------------------------------------------------------ the plan

    def _plan(self) -> Plan:
        draw = self.draw
        pools = [Pool("slot", draw.choice((2, 4, 8, 16)))]
        if "budgets" in self.kinds:
            pools += [Pool("cpu", draw.choice((2000, 4000))), Pool("memory", draw.choice((1 << 30, 1 << 33)))]
        if "pools" in self.kinds:
            pools += [Pool(f"pool:{name}", draw.randint(1, 6)) for name in "abc"[: draw.randint(1, 3)]]
        if "locks" in self.kinds:
            pools += [Pool(f"lock:{name}", draw.randint(2, 20)) for name in "de"[: draw.randint(1, 2)]]
        pools, demands = self._demands(pools)
        count = draw.choice((40, 80, 160, 320))
        ranks = list(range(count))
        draw.shuffle(ranks)
        is_crowd = draw.random() < 0.6
        stages = (self._crowd if is_crowd else self._mixture)(pools, demands, ranks)
        return Plan(
            stages,
            tuple(pools),
            demands,
            passed_over_max=64 if draw.random() < 0.5 else draw.choice((1, 4, 16)),
            starts=(draw.randint(1, 5), draw.randint(5, 50)) if "rates" in self.kinds and draw.random() < 0.5 else None,
            gaps_ms=tuple(draw.randint(1, 9) for _ in range(draw.randint(1, 4))) if "gaps" in self.kinds else (),
        )

    def _mixture(self, pools: list[Pool], demands: tuple[Demand, ...], ranks: list[int]) -> tuple[PlannedStage, ...]:
        draw = self.draw
        stages = []
        for index, rank in enumerate(ranks):
            near = range(max(0, index - 12), index)
            needs = draw.sample(near, min(len(near), draw.choice((0, 0, 1, 2))))
            stages.append(PlannedStage(f"s{index}", tuple(sorted(needs)), draw.randrange(len(demands)), rank))
        return tuple(stages)

    def _crowd(self, pools: list[Pool], demands: tuple[Demand, ...], ranks: list[int]) -> tuple[PlannedStage, ...]:
        """Some large ones, that come early, among a stream of small ones, that are all preferred to them."""
        draw = self.draw
        by_size = sorted(range(len(demands)), key=lambda at: sum(u / pools[pool].size for pool, u in demands[at]))
        small, large = by_size[: draw.randint(1, 3)], by_size[-1]
        width = draw.randint(2, 12)
        late = set(draw.sample(range(3 * width), draw.randint(1, 4)))
        stages = []
        for index, rank in enumerate(ranks):
            is_large = index in late
            needs = (index - width,) if index >= width and index - width not in late and not is_large else ()
            demand, rank = (large, rank + len(ranks)) if is_large else (draw.choice(small), rank)
            stages.append(PlannedStage(f"s{index}", needs, demand, rank))
        return tuple(stages)

    def _demands(self, pools: list[Pool]) -> tuple[list[Pool], tuple[Demand, ...]]:
        """Distinct ones. A lock is taken whole, or one unit of it; a rate gives out what the largest demand needs."""
        draw = self.draw
        demands: set[Demand] = {((0, 1),)}
        for _ in range(draw.randint(2, 12)):
            used = [index for index in range(1, len(pools)) if draw.random() < 0.5]
            demands.add(((0, 1), *((index, self._units(pools[index])) for index in used)))
        demands.add(((0, 1), *((index, pool.size) for index, pool in enumerate(pools) if index)))
        if "rates" in self.kinds:
            for index, pool in enumerate(pools):
                if pool.name.startswith("pool:") and draw.random() < 0.6:
                    pools[index] = pool._replace(rate=(pool.size + draw.randint(0, 2), draw.randint(5, 50)))
        return pools, tuple(sorted(demands))

    def _units(self, pool: Pool) -> int:
        if pool.name.startswith("lock:"):
            return self.draw.choice((1, 1, pool.size))
        return max(1, round(pool.size * self.draw.choice((0.1, 0.25, 0.25, 0.5, 1))))

    # ------------------------------------------------------------ the run

    def play(self, make: Callable[[Plan], Machine] = Machine) -> None:
        """To the end, or until nothing moves. `make` may make a machine that is broken on purpose."""
        try:
            self._play(make(self.plan))
        except DefectError as defect:
            self.trouble("deadlocks", str(defect))

    def _play(self, machine: Machine) -> None:
        plan, draw, watch = self.plan, self.draw, Watch(self)
        heap: list[tuple[int, int, Event]] = [(0, 0, Began(0))]
        number = at = 0
        while heap:
            batch = []
            at = heap[0][0]
            while heap and heap[0][0] == at:
                batch.append(heappop(heap)[2])
            watch.hears(at, batch)
            for decision in machine.feed(*batch):
                later: list[Event] = []
                if type(decision) is Start:
                    watch.starts(at, decision.stage)
                    begun = at + draw.choice((0, 0, 1))
                    ended = begun + draw.randint(0, 20)
                    later.append(Started(begun, decision.stage, decision.attempt, 1, 1))
                    later.append(Exited(ended, decision.stage, decision.attempt, "success", 0))
                elif type(decision) is SetTimer:
                    later.append(TimerFired(decision.at, decision.timer))
                for event in later:
                    number += 1
                    heappush(heap, (event.at, number, event))
            watch.rests(at)
        if not machine.is_over or len(watch.ended) < len(plan.stages):
            self.trouble("deadlocks", f"{len(watch.ended)} of {len(plan.stages)} stages ended, and nothing happens")


class Watch:
    """Sees a run from outside and tells its world what was wrong."""

    def __init__(self, world: World) -> None:
        plan = world.plan
        self.world = world
        self.plan = plan
        self.free = [pool.size for pool in plan.pools]
        self.ended: set[int] = set()
        self.followers: list[list[int]] = [[] for _ in plan.stages]
        for index, stage in enumerate(plan.stages):
            for need in stage.needs:
                self.followers[need].append(index)
        self.open_needs = [len(stage.needs) for stage in plan.stages]
        self.running: set[int] = set()
        self.pending: set[int] = set()  #: started, and not reported
        #: Ready stages in the order of their line: when each came, as `count` and `beside`, and how many were before.
        self.ready: dict[int, tuple[int, int, int]] = {}
        self.count = 0  #: starts so far
        self.beside = 0  #: and those of them that others made while somebody claimed
        self.first = -1
        self.first_since = 0  #: the count when it became first
        self.claims_since: int | None = None  #: the count when the first one claimed
        self.holders: set[int] = set()  #: who ran when it claimed
        self.windows = [
            (pool.name, *pool.rate, {at: dict(demand).get(index, 0) for at, demand in enumerate(plan.demands)}, deque())
            for index, pool in enumerate(plan.pools)
            if pool.rate is not None
        ]  # type: list[tuple[str, int, int, dict[int, int], deque[tuple[int, int]]]]
        if plan.starts is not None:
            self.windows.append(("starts", *plan.starts, dict.fromkeys(range(len(plan.demands)), 1), deque()))
        self.begun = 0
        self.begun_at = 0
        self.is_first_batch = True

    def demand(self, stage: int) -> Demand:
        return self.plan.demands[self.plan.stages[stage].demand]

    def hears(self, at: int, batch: list[Event]) -> None:
        """Before the machine does: who is ready now, and how fast starts were."""
        ready = [stage for stage, count in enumerate(self.open_needs) if not count] if self.is_first_batch else []
        self.is_first_batch = False
        for event in batch:
            if type(event) is Started:
                self._began(at, event.stage)
            elif type(event) is Exited:
                self.running.discard(event.stage)
                self.holders.discard(event.stage)
                self.ended.add(event.stage)
                for pool, units in self.demand(event.stage):
                    self.free[pool] += units
                for follower in self.followers[event.stage]:
                    self.open_needs[follower] -= 1
                    if not self.open_needs[follower]:
                        ready.append(follower)
        for stage in sorted(ready, key=lambda stage: self.plan.stages[stage].rank):
            self.ready[stage] = self.count, self.beside, len(self.ready)
        if self.first < 0:
            self._advance()

    def _began(self, at: int, stage: int) -> None:
        gaps = self.plan.gaps_ms
        if gaps and self.begun and at - self.begun_at < gaps[(self.begun - 1) % len(gaps)]:
            self.world.trouble("gaps too short", f"s{stage} at {at}, the one before at {self.begun_at}")
        self.pending.discard(stage)
        self.begun += 1
        self.begun_at = at
        for name, most, interval, units, given in self.windows:
            given.append((at, units[self.plan.stages[stage].demand]))
            while given[0][0] <= at - interval:
                given.popleft()
            used = sum(count for _, count in given)
            if used > most:
                self.world.trouble("over-uses", f"{name} gives out {used} of {most} until {at}")
            self.world.fullest = max(self.world.fullest, used / most)

    def starts(self, at: int, stage: int) -> None:
        """A start that the machine decides."""
        world = self.world
        is_first = stage == self.first
        is_beside = self.claims_since is not None and not is_first
        if is_beside:
            self._robs_nobody(stage, at)
        self._waited(stage, is_first)
        self.pending.add(stage)
        for pool, units in self.demand(stage):
            self.free[pool] -= units
            name, size, *_ = self.plan.pools[pool]
            if self.free[pool] < 0:
                world.trouble("over-uses", f"{name} has {size}, s{stage} takes it to {size - self.free[pool]}")
            world.fullest = max(world.fullest, (size - self.free[pool]) / size)
        self.count += 1
        self.beside += is_beside
        self.running.add(stage)
        if is_first:
            self._advance()
        elif self.claims_since is None and self.count - self.first_since >= self.plan.passed_over_max:
            self.claims_since = self.count
            self.holders = set(self.running)

    def _waited(self, stage: int, is_first: bool) -> None:
        """How many passed it before its claim, in all, and before anybody's."""
        world = self.world
        came, beside, before = self.ready.pop(stage)
        bound = before + (before + 1) * self.plan.passed_over_max
        passed = self.count - came
        unclaimed = passed - (self.beside - beside)
        if is_first and self.claims_since is not None:
            world.claimed += 1
            passed = self.claims_since - came
        world.waited += self.count > came
        world.of_bound = max(world.of_bound, passed / bound)
        world.unclaimed = max(world.unclaimed, unclaimed / bound)
        world.passed = max(world.passed, passed)

    def _advance(self) -> None:
        self.first = next(iter(self.ready), -1)
        self.first_since = self.count
        self.claims_since = None

    def _robs_nobody(self, stage: int, at: int) -> None:
        """What the claiming stage lacks of units and of their rates, others leave."""
        wanted = dict(self.demand(self.first))
        for pool, units in self.demand(stage):
            if pool in wanted and self.free[pool] - units < wanted[pool]:
                name = self.plan.pools[pool].name
                self.world.trouble("claims disregarded", f"s{stage} takes {name} before s{self.first}")
        for name, most, interval, taken, given in self.windows:
            mine, wants = (taken[self.plan.stages[each].demand] for each in (stage, self.first))
            used = sum(count for when, count in given if when > at - interval)
            used += sum(taken[self.plan.stages[each].demand] for each in self.pending)
            if name != "starts" and mine and wants and used + wants > most:
                self.world.trouble("claims disregarded", f"s{stage} takes of the rate of {name} before s{self.first}")

    def rests(self, at: int) -> None:
        """After a batch: a claim is met once those who ran when it was made have ended, where no clock forbids it."""
        is_timed = bool(self.windows or self.plan.gaps_ms)
        if self.claims_since is not None and not self.holders and not is_timed:
            self.world.trouble("claims disregarded", f"s{self.first} has not started by {at}, and nobody is in its way")
            self.claims_since = None
