"""Worlds in which stages generate others: from one seed come a pipeline, what its stages generate and to which depth,
how things end, and when engines die. The promises are checked from outside, after each batch.
"""

from __future__ import annotations

import random
from heapq import heappop, heappush
from typing import Any

import pytest

from stagebook.model.pipeline import Matrix, Pipeline, Pool, Rate, Resources, Retry, Stage, Timeouts
from stagebook.scheduler.build import build
from stagebook.scheduler.extend import extend
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Choice
from stagebook.scheduler.vocabulary import (
    AskRerun,
    Began,
    CancelAsked,
    Decision,
    Ended,
    Event,
    Exited,
    Judge,
    Judged,
    Kill,
    RerunAnswered,
    Resumed,
    RunEnded,
    SetTimer,
    StagesAdded,
    Start,
    Started,
    TimerFired,
)

SEEDS = 1500
BOUND = 4000


class World:
    """What is drawn. Every third stage or so generates others, those that were generated too, three levels deep."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.has_files = seed % 3 == 0  #: some stages are asked whether they run
        self.made = 0
        stages, matrices = self.stages("s", 0, ())
        self.pipeline = Pipeline(
            "p", "/p.yaml", "native", "", stages, pools={"db": Pool(2, Rate(3, 9) if seed % 5 == 0 else None)},
            matrices=matrices, policy=self.draw.choice(("strict", "strict", "lenient", "fail-fast")),
        )  # fmt: skip
        self.choice = Choice(
            cores=4, jobs=self.draw.randint(1, 4), sequential=seed % 4 == 1, seed=seed,
            only=(stages[0].id,) if seed % 11 == 0 else (),
        )  # fmt: skip

    def stages(self, prefix: str, depth: int, others: tuple[str, ...]) -> tuple[tuple[Stage, ...], dict[str, Matrix]]:
        """Some stages that need one another and, of those before, `others`."""
        draw = self.draw
        made: list[Stage] = []
        for index in range(draw.randint(1, 6) if depth else draw.randint(2, 8)):
            known = [*others, *[stage.id for stage in made]]
            needs = tuple(draw.sample(known, min(len(known), draw.randint(0, 2))))
            more: dict[str, Any] = {"needs": needs, "need_lines": (1,) * len(needs)}
            if draw.random() < 0.3:
                more["join"] = draw.choice(("any", "done"))
            if draw.random() < 0.2:
                more["always"] = True
            if draw.random() < 0.3:
                more["retry"] = Retry(2, draw.choice((0, 5)))
            if draw.random() < 0.3:
                more["locks"] = {"l": draw.choice(("shared", "exclusive"))}
            if draw.random() < 0.3:
                more["resources"] = Resources(draw.choice((0, 1000, 3000)), 0, {"db": draw.randint(1, 2)})
            if draw.random() < 0.2:
                more["timeouts"] = Timeouts(draw.randint(3, 12), draw.choice((None, 20)), draw.choice((None, 30)))
            if draw.random() < 0.1:
                more["retry_safe"] = False
            if self.has_files and draw.random() < 0.4:
                more["inputs"] = ("in.txt",)
            generates = depth < 3 and draw.random() < 0.35
            more.update({"kind": "generate", "generates": "run"} if generates else {"kind": "run"})
            made.append(Stage(f"{prefix}{index}", f"{prefix}{index}", index + 1, 1, command="x", **more))
        matrices = {}
        if len(made) > 2 and draw.random() < 0.3:
            cells = tuple(stage.id for stage in made[-2:])
            matrices[prefix + "m"] = Matrix(cells, draw.choice((None, 1)), draw.random() < 0.5)
        return tuple(made), matrices

    def part(self, maker: Stage, pipeline: Pipeline, depth: int) -> Pipeline | None:
        """What a stage generates: it may need whatever does not wait for it."""
        waiting = {maker.id}
        for stage in pipeline.stages * 3:  # generated needs point in any direction
            if waiting.intersection(stage.needs):
                waiting.add(stage.id)
        others = tuple(stage.id for stage in pipeline.stages if stage.id not in waiting)
        self.made += 1
        stages, matrices = self.stages(f"g{self.made}-", depth + 1, others[-4:])
        if self.draw.random() < 0.1:
            return None
        stages = tuple(
            stage._replace(
                made_by=maker.id,
                needs=stage.needs if stage.join == "any" and stage.needs else (maker.id, *stage.needs),
                need_lines=(1,) * (len(stage.needs) + 1),
            )
            for stage in stages
        )
        return Pipeline("p", "/p.yaml", "native", "", stages, matrices=matrices)


class Drive:
    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.draw = self.world.draw
        self.pipeline = self.world.pipeline
        self.first = self.plan = build(self.pipeline, self.world.choice)._replace(
            passed_over_max=self.draw.choice((1, 2, 64)), timeout_ms=self.draw.choice((None, None, 60))
        )
        self.machine = Machine(self.plan)
        self.heap: list[tuple[int, int, Event]] = []
        self.order = 0
        self.now = 0
        self.alive: dict[int, int] = {}
        self.ends: dict[str, Ended] = {}
        self.parts: dict[str, int] = {}  #: generators whose stages have joined, and how many these are
        self.journal: list[tuple[tuple[Event, ...], list[Decision]]] = []
        self.crashes = self.draw.choice((0, 0, 2))
        self.taken: list[tuple[int, int]] = []  #: units of what has a rate, and when
        self.over: RunEnded | None = None

    def push(self, at: int, event: Event) -> None:
        self.order += 1
        heappush(self.heap, (at, self.order, event))

    def run(self) -> None:
        self.push(0, Began(0))
        if self.draw.random() < 0.3:
            at = self.draw.randint(1, 40)
            self.push(at, CancelAsked(at, self.draw.choice(("SIGINT", "cancel"))))
        while self.heap:
            assert len(self.journal) < BOUND, "the run does not come to an end"
            self._next()
            if self.over is not None and self.machine.can_go_on and self.crashes:
                self._crash()
        assert self.over is not None and self.machine.is_over and not self.alive
        assert self.ends.keys() == {stage.id for stage in self.plan.stages}, "a stage has no end"
        self._replayed()

    def _next(self) -> None:
        at, _, event = heappop(self.heap)
        self.now = max(self.now, at)
        if isinstance(event, Exited):
            batch = self._others_that_end() if self.draw.random() < 0.4 else []
            if self._is_news(event):
                self._feed(*batch, *self._with_generated(event))
            elif batch:
                self._feed(*batch)
        elif isinstance(event, Judged) and event.verdict == "skip":
            if self.machine.state(event.stage) == "judging":
                self._feed(*self._with_generated(event))
        elif not isinstance(event, Started) or self.alive.get(event.stage) == event.attempt:
            self._feed(event)
        if self.crashes and self.draw.random() < 0.04:
            self._crash()

    def _is_news(self, event: Exited) -> bool:
        if self.alive.get(event.stage) != event.attempt:
            return False
        del self.alive[event.stage]
        return True

    def _others_that_end(self) -> list[Event]:
        """Ends of about now that change nothing for who generates: they come in one batch with what it generates."""
        batch: list[Event] = []
        while self.heap and self.heap[0][0] <= self.now + 1:
            event = self.heap[0][2]
            if not isinstance(event, Exited) or event.outcome != "success":
                break
            if self.pipeline.stages[event.stage].kind == "generate":
                break
            heappop(self.heap)
            if self._is_news(event):
                batch.append(event)
        return batch

    def _with_generated(self, event: Exited | Judged) -> list[Event]:
        """As the engine does: what a stage has generated joins before its end is told, unless that is another."""
        stage = self.pipeline.stages[event.stage]
        is_well = isinstance(event, Judged) or event.outcome == "success"
        if stage.kind != "generate" or not is_well or self.machine.state(event.stage) not in ("running", "judging"):
            return [event]
        depth, maker = 0, stage.made_by
        while maker is not None:
            depth += 1
            maker = next(each.made_by for each in self.pipeline.stages if each.id == maker)
        part = self.world.part(stage, self.pipeline, depth) if stage.id not in self.parts else None
        if part is None:
            return [event]
        self.parts[stage.id] = len(part.stages)
        self.pipeline, self.plan = extend(self.pipeline, self.plan, self.world.choice, part, stage.id)
        return [StagesAdded(event.at, event.stage, self.plan), event]

    def _feed(self, *batch: Event) -> None:
        if isinstance(batch[0], Resumed):
            for index in self.machine.waits_again():
                del self.ends[self.plan.stages[index].id]
        decisions = self.machine.feed(*batch)
        self.journal.append((batch, decisions))
        if not self.machine.is_over:
            self.over = None
        self.machine.check()
        for decision in decisions:
            self._obey(decision)
        self._capacity()

    def _obey(self, decision: Decision) -> None:
        draw, now = self.draw, self.now
        if isinstance(decision, Start):
            stage = self.plan.stages[decision.stage]
            assert decision.stage not in self.alive and stage.id not in self.ends and stage.skip is None
            self._needs_are_done(decision)
            self.alive[decision.stage] = decision.attempt
            outcome = draw.choice(("success",) * 5 + ("failure", "error"))
            took = draw.choice((0, 1, 3, 7, 40))
            reported = now + min(took, draw.choice((0, 0, 2)))
            self.push(reported, Started(reported, decision.stage, decision.attempt, 1, 1))
            self._is_in_pace(decision.stage)
            self.push(now + took, Exited(now + took, decision.stage, decision.attempt, outcome))
        elif isinstance(decision, Kill):
            outcome = draw.choice(("success", "failure"))
            self.push(now + 1, Exited(now + 1, decision.stage, decision.attempt, outcome))
        elif isinstance(decision, SetTimer):
            self.push(decision.at, TimerFired(decision.at, decision.timer))
        elif isinstance(decision, Judge):
            verdict = draw.choice(("run", "skip"))
            self.push(now + 1, Judged(now + 1, decision.stage, verdict, "up to date" if verdict == "skip" else None))
        elif isinstance(decision, AskRerun):
            self.push(now + 2, RerunAnswered(now + 2, decision.stage, draw.random() < 0.5))
        elif isinstance(decision, Ended):
            id_ = self.plan.stages[decision.stage].id
            assert id_ not in self.ends, f"{id_} ends twice"
            self.ends[id_] = decision
        elif isinstance(decision, RunEnded):
            self.over = decision

    def _is_in_pace(self, stage: int) -> None:
        """Never more units in any stretch of the interval; who starts counts from its report, or not yet."""
        for pool, units in self.plan.demands[self.plan.stages[stage].demand]:
            rate = self.plan.pools[pool].rate
            if rate is not None:
                self.taken.append((self.now, units))
                since = sum(units for at, units in self.taken if self.now - at < rate[1])
                assert since <= rate[0], f"{since} units of {self.plan.pools[pool].name} within {rate[1]} ms"

    def _needs_are_done(self, start: Start) -> None:
        stage = self.plan.stages[start.stage]
        needs = [self.plan.stages[need].id for need in stage.needs]
        assert stage.join == "any" and not stage.always or all(need in self.ends for need in needs), "a need is open"
        well = [need for need in needs if self.ends.get(need) and self._is_well(self.ends[need])]
        if start.attempt == 1 and stage.join == "all" and not stage.always:
            assert len(well) == len(needs), f"{stage.id} starts though a need has failed"

    def _is_well(self, end: Ended) -> bool:
        return end.outcome == "success" or (end.outcome == "skip" and not (end.reason or "").startswith("needs "))

    def _capacity(self) -> None:
        held = [0] * len(self.plan.pools)
        for stage in self.alive:
            for pool, units in self.plan.demands[self.plan.stages[stage].demand]:
                held[pool] += units
        for pool, units in zip(self.plan.pools, held):
            assert units <= pool.size, f"{pool.name} is over its capacity"
        if self.plan.in_order:
            assert len(self.alive) <= 1

    def _crash(self) -> None:
        """The engine dies; its journal makes the same machine, and what ran is interrupted."""
        self.crashes -= 1
        self.machine = self._replayed()
        found = [
            Exited(self.now, stage, attempt, "error", reason="interrupted") for stage, attempt in self.alive.items()
        ]
        self.alive.clear()
        self.heap = [each for each in self.heap if isinstance(each[2], (TimerFired, CancelAsked, RerunAnswered))]
        self.heap.sort()
        self._feed(Resumed(self.now), *found)

    def _replayed(self) -> Machine:
        again = Machine(self.first)
        for batch, decisions in self.journal:
            assert again.feed(*batch) == decisions, "a replay decides otherwise"
        assert again.snapshot() == self.machine.snapshot(), "a replay ends in another state"
        return again


def play(seed: int) -> Drive:
    drive = Drive(seed)
    try:
        drive.run()
    except Exception as trouble:
        trouble.add_note(f"seed {seed} reproduces this")
        raise
    return drive


@pytest.mark.parametrize("chunk", range(5))
def test_promises_hold_while_stages_are_added(chunk: int) -> None:
    for seed in range(chunk * SEEDS // 5, (chunk + 1) * SEEDS // 5):
        play(seed)


def test_the_worlds_are_worth_it() -> None:
    """They grow, also by what was generated, in runs that crash, in sequence, with a pace."""
    drives = [play(seed) for seed in range(200)]
    grown = [drive for drive in drives if drive.parts]
    assert len(grown) > 100
    assert any(name.startswith("g") for drive in grown for name in drive.parts)
    assert any(drive.plan.in_order for drive in grown)
    assert any(pool.rate for drive in grown for pool in drive.plan.pools)
    assert any(isinstance(batch[0], Resumed) for drive in grown for batch, _ in drive.journal)
