"""Invented worlds with items: a plan of a few stages of which some work through items, a driver over a virtual clock
with faults, and an onlooker that checks what is promised of items from events and decisions alone.

As in `drive`, everything may go wrong at first, and from `CALM_AFTER` batches on nothing new does.
"""

from __future__ import annotations

import random
from heapq import heapify, heappop, heappush
from typing import Callable

from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan, PlannedEach, PlannedStage, PlannedStep, Pool
from stagebook.scheduler.vocabulary import (
    AskRerun,
    Began,
    CancelAsked,
    Decision,
    Ended,
    Event,
    Exited,
    ItemFailed,
    ItemsDone,
    ItemsLot,
    ItemsReady,
    ItemsWorkers,
    Kill,
    KillItems,
    RerunAnswered,
    Resumed,
    RunEnded,
    SetTimer,
    Start,
    StartItems,
    TimerFired,
    WantItems,
)

CALM_AFTER = 150

FEATURES = (
    "buffers_0", "batches", "ordered", "workers", "retries", "delays", "retry_only", "timeouts", "stage_timeout",
    "run_timeout", "pools", "others", "in_order", "policy", "not_retry_safe", "claims", "many", "held",
)  # fmt: skip
FAULTS = (
    "failures", "errors", "interrupted", "slow", "deaf", "cancel", "cancel_again", "cancel_stage", "crash", "resume",
    "source_fails", "source_slow", "auto", "lots", "big_batch", "stale_timer",
)  # fmt: skip

#: Mixtures that chance alone makes too rarely; some worlds have one switched on as a whole.
THEMES = (
    ("ordered", "workers", "batches", "many", "slow"),
    ("ordered", "workers", "buffers_0", "many", "slow", "retries", "delays", "failures"),
    ("timeouts", "slow", "failures", "workers", "late"),
    ("retries", "interrupted", "failures", "crash", "resume"),
    ("lots", "workers", "many", "ordered"),
    ("lots", "many", "retries", "failures", "crash", "resume"),
)

Make = Callable[[Plan], Machine]


class World:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.draw = draw = random.Random(seed)
        self.on = {name for name in FEATURES + FAULTS if draw.random() < 0.5}
        if draw.random() < 0.5:
            self.on.update(draw.choice(THEMES))
        if "in_order" in self.on and (draw.random() < 0.7 or "late" in self.on):
            self.on.discard("in_order")
        self.trouble = draw.choice((0.05, 0.2, 0.5))
        self.plan = self._plan()
        self.totals = [draw.randint(0, 60 if "many" in self.on else 12) for _ in self.plan.stages]

    def has(self, name: str, chance: float) -> bool:
        return name in self.on and self.draw.random() < chance

    def _plan(self) -> Plan:
        draw = self.draw
        jobs = 5 if "late" in self.on else draw.randint(1, 5)
        pools = [Pool("slot", 1 if "in_order" in self.on else jobs)]
        if "pools" in self.on:
            pools += [Pool(name, draw.randint(1, 3)) for name in ("pool:a", "pool:b")[: draw.randint(1, 2)]]
        demands: list[tuple[tuple[int, int], ...]] = [(), ((0, 1),)]
        for pool in range(1, len(pools)):
            demands.append(((0, 1), (pool, draw.randint(1, pools[pool].size))))
        of_steps = len(demands)
        if "held" in self.on:
            pools.append(Pool("pool:held", draw.randint(1, 2)))
            demands.append(((len(pools) - 1, draw.randint(1, pools[-1].size)),))
        count = draw.randint(1, 4) if "others" in self.on else 1
        ranks = list(range(count))
        if "in_order" not in self.on:
            draw.shuffle(ranks)
        stages = []
        for index in range(count):
            needs = tuple(need for need in range(index) if draw.random() < 0.3)
            is_each = index == 0 or draw.random() < 0.4
            stages.append(
                PlannedStage(
                    f"s{index}", needs, draw.choice((0, len(demands) - 1)) if is_each and "held" in self.on
                    else 0 if is_each else draw.randrange(1, of_steps), ranks[index],
                    always=self.has("others", 0.1), allow_failure=self.has("others", 0.2),
                    retry_safe=not self.has("not_retry_safe", 0.4),
                    stage_timeout_ms=draw.randint(10, 80) if self.has("stage_timeout", 0.4) else None,
                    each=self._each(of_steps) if is_each else None,
                )
            )  # fmt: skip
        return Plan(
            tuple(stages), tuple(pools), tuple(demands),
            draw.choice(("strict", "lenient", "fail-fast")) if "policy" in self.on else "strict",
            "in_order" in self.on,
            draw.randint(20, 150) if self.has("run_timeout", 0.4) else None,
            draw.randint(1, 3) if "claims" in self.on else 64,
        )  # fmt: skip

    def _each(self, demand_count: int) -> PlannedEach:
        draw = self.draw
        steps = []
        for index in range(draw.randint(1, 4)):
            workers = draw.randint(1, 3) if "workers" in self.on else 1
            attempts = draw.randint(2, 3) if self.has("retries", 0.6) else 1
            steps.append(
                PlannedStep(
                    f"t{index}",
                    draw.randrange(1, demand_count),
                    workers,
                    workers + (draw.randint(0, 2) if "auto" in self.on else 0),
                    draw.randint(0, 1) if self.has("buffers_0", 0.7) else draw.randint(1, 6),
                    draw.randint(2, 4) if self.has("batches", 0.6) else 1,
                    self.has("ordered", 0.5),
                    attempts,
                    tuple(draw.randint(0, 15) for _ in range(draw.randint(1, 2))) if self.has("delays", 0.7) else (),
                    draw.choice((("timeout",), ("exit 75",))) if self.has("retry_only", 0.3) else (),
                    draw.randint(3, 20) if self.has("timeouts", 0.9 if "late" in self.on else 0.4) else None,
                    lot_max := draw.randint(2, 9) if self.has("lots", 0.8) else 1,
                    lot_max > 1 and draw.random() < 0.6,
                )
            )
        is_stopped = self.has("late", 0.7)
        return PlannedEach(tuple(steps), "stop" if is_stopped else draw.choice(("stop", "skip", "dead-letter")))


class Onlooker:
    """What one can know of items from outside."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.free = [pool.size for pool in plan.pools]
        self.now = 0
        eaches = [index for index, stage in enumerate(plan.stages) if stage.each is not None]
        self.known = dict.fromkeys(eaches, 0)
        self.asked = dict.fromkeys(eaches, 0)
        self.is_all = dict.fromkeys(eaches, False)
        self.at: dict[int, dict[int, int]] = {stage: {} for stage in eaches}  #: items on their way: to which step
        self.begun: dict[tuple[int, int], set[int]] = {}  #: items that a step has begun at least once
        self.tried: dict[tuple[int, int, int], int] = {}  #: attempts that count, of stage, step, item
        self.due: dict[tuple[int, int, int], int] = {}
        self.dead: dict[int, dict[int, int]] = {stage: {} for stage in eaches}
        self.calls: dict[tuple[int, int, int], StartItems] = {}
        self.killed: dict[tuple[int, int, int], str] = {}
        self.busy: set[int] = set()  #: stages that run
        self.plain: dict[int, int] = {}
        self.workers = {
            (stage, step): planned.workers for stage in eaches for step, planned in enumerate(self._steps(stage))
        }
        self.lots = dict.fromkeys(self.workers, 1)
        self.lots_before = dict.fromkeys(self.workers, 1)  #: the largest so far: so many may be tried again together
        self.queued = dict.fromkeys(self.workers, 0)  #: or asked for, whatever becomes of the buffer
        self.wanted: set[int] = set()  #: stages whose source was asked in this batch
        self.stopping: set[int] = set()  #: nothing of these starts until they are started anew
        self.ended: dict[int, Ended] = {}
        self.began: dict[StartItems, int] = {}
        self.in_queue: dict[tuple[int, int, int], set[int]] = {}  #: done in that slot since it was last begun
        self.finished = dict.fromkeys(eaches, 0)
        self.run_end: RunEnded | None = None
        self.over: set[tuple[int, int, int]] = set()  #: calls that were over in this batch
        self.no_more: set[tuple[int, int, int]] = set()  #: failed in a way that is not tried again
        self.vague: set[tuple[int, int, int]] = set()  #: perhaps tried more often than was counted
        self.cancelled = False  #: in this batch, and nothing else happened
        self.is_early = True
        self.is_exact = True  #: no batch spans a stretch of time
        self.alone = True  #: the batch has one event, so that it is plain what brought about what

    def _steps(self, stage: int) -> tuple[PlannedStep, ...]:
        each = self.plan.stages[stage].each
        assert each is not None
        return each.steps

    def _take(self, demand: int, sign: int) -> None:
        for pool, units in self.plan.demands[demand]:
            self.free[pool] -= sign * units
            assert 0 <= self.free[pool] <= self.plan.pools[pool].size, f"{self.plan.pools[pool].name}: out of bounds"

    def event(self, event: Event) -> None:
        self.now = max(self.now, event.at)
        if isinstance(event, ItemsReady) and event.stage in self.busy:
            for item in range(self.known[event.stage] + 1, self.known[event.stage] + event.more + 1):
                self.at[event.stage][item] = 0
            self.known[event.stage] += event.more
            self.asked[event.stage] -= event.more
            self.is_all[event.stage] |= event.is_last
        elif isinstance(event, ItemsDone):
            call = self.calls.pop((event.stage, event.step, event.slot), None)
            if call is not None:
                self._done(call, event)
        elif isinstance(event, Exited):
            if self.plain.get(event.stage) == event.attempt:
                del self.plain[event.stage]
                self._take(self.plan.stages[event.stage].demand, -1)
            elif event.stage in self.busy:
                if event.reason == "interrupted":
                    for key, call in list(self.calls.items()):
                        if key[0] == event.stage:
                            bad = tuple((item, "error", None, "interrupted") for item in call.items)
                            self.killed[key] = "cancelled"
                            self._done(self.calls.pop(key), ItemsDone(event.at, *key, bad))
                    self.busy.discard(event.stage)
                    self._take(self.plan.stages[event.stage].demand, -1)
                else:
                    self.stopping.add(event.stage)
        elif isinstance(event, ItemsWorkers):
            self.workers[event.stage, event.step] = event.workers
        elif isinstance(event, ItemsLot):
            key = event.stage, event.step
            if not self.alone:
                self.queued[key] = max(self.queued[key], self._buffer(*key))
            self.lots[key] = event.lot
            self.lots_before[key] = max(self.lots_before[key], event.lot)

    def _most(self, stage: int, step: int) -> int:
        """Items in a call that begins with what was never tried."""
        return max(self._steps(stage)[step].batch, self.lots[stage, step])

    def _buffer(self, stage: int, step: int) -> int:
        planned = self._steps(stage)[step]
        slots = max(planned.workers, planned.workers_max)
        return max(planned.buffer, 2 * slots * self.lots[stage, step]) if planned.grows else planned.buffer

    def _done(self, call: StartItems, event: ItemsDone) -> None:
        stage, step, slot, items, attempt = call
        steps = self._steps(stage)
        self._take(steps[step].demand, -1)
        self.over.add((stage, step, slot))
        named = {one[0]: one for one in event.bad}
        was_killed = self.killed.pop((stage, step, slot), None)
        kept = self.in_queue.setdefault((stage, step, slot), set())
        for item in items:
            key = stage, step, item
            if item not in named:
                if step + 1 < len(steps):
                    self.at[stage][item] = step + 1
                    kept.add(item)
                else:
                    del self.at[stage][item]
                    self.finished[stage] += 1
                continue
            _, outcome, exit, reason = named[item]
            is_cut = outcome == "cancellation" or (outcome, reason) == ("error", "interrupted")
            if not self.alone:
                self.vague.add(key)
            if not self.alone or was_killed == "cancelled" or (is_cut and self.plan.stages[stage].retry_safe):
                continue
            self.tried[key] = self.tried.get(key, 0) + 1
            words = {"timeout"} if was_killed == "timeout" else {outcome, f"exit {exit}"}
            if steps[step].retry_only and was_killed is None and not words & set(steps[step].retry_only):
                self.no_more.add(key)
            delays = steps[step].delays_ms
            if delays:
                self.due[key] = self.now + delays[min(attempt, len(delays)) - 1]

    def decisions(self, decisions: list[Decision], machine: Machine) -> None:
        for decision in decisions:
            self._decision(decision)
        for (stage, step, slot), done in self.in_queue.items():
            waiting = {item for item in done if self.at[stage].get(item) == step + 1}
            waiting -= self.begun.get((stage, step + 1), set())
            self.in_queue[stage, step, slot] = waiting
        for stage in self.known:
            self._bounds(stage, machine)
        self.wanted.clear()
        self._kills()
        if self.is_early and len(self.plan.stages) == 1 and self.plan.passed_over_max > 60:
            self._later_steps_first({said.step for said in decisions if isinstance(said, StartItems)})

    def _kills(self) -> None:
        for key, call in self.calls.items():
            limit = self._steps(key[0])[key[1]].timeout_ms
            is_late = self.is_exact and limit is not None and self.now > self.began[call] + limit
            assert not is_late or key in self.killed, f"{call} is over its time"
            if self.cancelled and not self.plan.stages[key[0]].always:
                assert key in self.killed, f"{call} goes on after the cancel"

    def _later_steps_first(self, begun: set[int]) -> None:
        """Where there is one job for all, no step takes it before the last one could."""
        last = self._steps(0)[-1]
        step = len(self._steps(0)) - 1
        waiting = {item for item, at in self.at[0].items() if at == step} - self.begun.get((0, step), set())
        running = sum(key[1] == step for key in self.calls)
        if waiting and not last.ordered and running < self.workers[0, step] and 0 in self.busy - self.stopping:
            again = any(item in self.begun.get((0, step), set()) for item, at in self.at[0].items() if at == step)
            same = [other for other in begun if self._steps(0)[other].demand == last.demand and other != step]
            assert again or not same, f"steps {same} began before the last one, which {waiting} wait for"

    def _bounds(self, stage: int, machine: Machine) -> None:
        steps = self._steps(stage)
        view = machine.items(stage)
        assert view.known == self.known[stage] and view.done == self.finished[stage]
        for step, planned in enumerate(steps):
            running = [key for key in self.calls if key[:2] == (stage, step)]
            on_way = {item for item, at in self.at[stage].items() if at == step}
            in_calls = {item for key in running for item in self.calls[key].items}
            first_time = on_way - self.begun.get((stage, step), set())
            told = view.steps[step]
            assert len(running) == told.running
            buffer = self._buffer(stage, step)
            most = max(buffer or (planned.batch if step == 0 else 0), self.queued[stage, step])
            assert told.queued <= most, f"{told.queued} items queued before {planned.name}, whose buffer is {most}"
            if step == 0 and stage in self.wanted:
                assert told.queued + self.asked[stage] <= (buffer or planned.batch), "the source is asked for too many"
            self.queued[stage, step] = told.queued + (0 if step else self.asked[stage])
            before = view.steps[step - 1].kept if step else 0
            assert told.queued + before == len(first_time), "items that wait are not where they should be"
            assert told.again == len(on_way - in_calls - first_time)
            if not any(one.ordered for one in steps) and step:
                # What was done in a slot that has begun another call since must be in the queue.
                in_slots = set()
                for (of, at, slot), done in self.in_queue.items():
                    if of == stage and at == step - 1 and (of, at, slot) not in self.calls:
                        in_slots |= done
                most = max(buffer, told.queued)
                assert len(first_time - in_slots) <= most, f"slots before {planned.name} kept and went on"
                kept_in = {
                    slot for (of, at, slot), done in self.in_queue.items() if (of, at) == (stage, step - 1) and done
                }
                assert before <= len(kept_in) * max(steps[step - 1].batch, self.lots_before[stage, step - 1])

    def _decision(self, decision: Decision) -> None:
        if isinstance(decision, Start):
            stage = decision.stage
            self.ended.pop(stage, None)
            for need in self.plan.stages[stage].needs:
                assert need in self.ended, f"{decision} before its needs"
            if self.plan.stages[stage].each is None:
                self.plain[stage] = decision.attempt
                self._take(self.plan.stages[stage].demand, 1)
            else:
                assert not [key for key in self.calls if key[0] == stage], f"{decision}: calls of it run"
                self.busy.add(stage)
                self._take(self.plan.stages[stage].demand, 1)
                self.stopping.discard(stage)
                self.asked[stage] = 0
        elif isinstance(decision, WantItems):
            assert decision.stage in self.busy and decision.more > 0 and not self.is_all[decision.stage]
            self.asked[decision.stage] += decision.more
            self.wanted.add(decision.stage)
        elif isinstance(decision, StartItems):
            self._begins(decision)
        elif isinstance(decision, KillItems):
            key = decision[:3]
            if key in self.over:
                return
            assert key in self.calls, f"{decision}: nothing runs there"
            if self.killed.get(key) != "cancelled":
                is_call = decision.why == "timeout" and self._steps(decision.stage)[decision.step].timeout_ms
                self.killed[key] = (
                    "timeout" if is_call and key not in self.killed and not self._is_over(decision) else "cancelled"
                )
        elif isinstance(decision, ItemFailed):
            stage, step, item = decision[:3]
            each = self.plan.stages[stage].each
            assert each is not None
            assert self.at[stage][item] == step
            if each.on_failure == "stop":
                self.stopping.add(stage)
                self._was_due(stage, step, item)
                self.no_more.discard((stage, step, item))
                self.tried.pop((stage, step, item), None)
                self.due.pop((stage, step, item), None)
                self.dead[stage][item] = step
            else:
                assert item not in self.dead[stage], "an item fails for good twice"
                self._was_due(stage, step, item)
                self.dead[stage][item] = step
                del self.at[stage][item]
        elif isinstance(decision, Ended):
            self._ends(decision)
        elif isinstance(decision, RunEnded):
            self.run_end = decision

    def _was_due(self, stage: int, step: int, item: int) -> None:
        """An item is given up only after its last attempt."""
        key = stage, step, item
        if self.plan.stages[stage].retry_safe and key not in self.no_more | self.vague:
            planned = self._steps(stage)[step]
            assert planned.retry_only or self.tried[key] >= planned.attempts, f"{key}: given up too early"

    def _is_over(self, kill: KillItems) -> bool:
        """Whether the stage is told to end too, which comes before in no decision: then no time of the call is over."""
        call = self.calls[kill.stage, kill.step, kill.slot]
        limit = self._steps(kill.stage)[kill.step].timeout_ms
        return limit is None or self.now < self.began[call] + limit

    def _begins(self, call: StartItems) -> None:
        stage, step, slot, items, attempt = call
        planned = self._steps(stage)[step]
        key = stage, step
        assert stage in self.busy and stage not in self.stopping and stage not in self.ended, f"{call}: not now"
        assert (*key, slot) not in self.calls, f"{call}: the slot is taken"
        assert 0 <= slot < max(planned.workers, planned.workers_max)
        begun = self.begun.setdefault(key, set())
        assert 1 <= len(items) <= max(planned.batch, self.lots_before[key]) and len(set(items)) == len(items)
        if not begun.intersection(items):
            assert len(items) <= self._most(*key), f"{call}: more than the step takes at once"
            if planned.batch == 1 and step + 1 < len(self._steps(stage)):
                assert len(items) <= max(1, self._buffer(stage, step + 1)), f"{call}: more than may wait behind it"
        running = [one for one in self.calls if one[:2] == key]
        assert len(running) < max(self.workers[key], 1), f"{call}: more calls than workers"
        in_calls = {item for one in running for item in self.calls[one].items}
        for item in items:
            assert self.at[stage].get(item) == step and item not in in_calls, f"{call}: {item} is not there"
            assert self.due.get((*key, item), 0) <= self.now, f"{call}: too early"
            tried = self.tried.get((*key, item), 0)
            assert tried < max(planned.attempts, 1), f"{call}: no attempt is left"
            assert (*key, item) not in self.no_more, f"{call}: it failed in a way that is not tried again"
            if planned.ordered and item not in begun:
                waits = [
                    one
                    for one, at in self.at[stage].items()
                    if one < item and (at < step or (at == step and one not in begun))
                ]
                assert not waits, f"{call}: {waits} come before"
            begun.add(item)
        self.calls[*key, slot] = call
        self.began[call] = self.now
        self._take(planned.demand, 1)

    def _ends(self, end: Ended) -> None:
        stage = end.stage
        assert stage not in self.ended, f"{end} twice"
        self.ended[stage] = end
        if stage in self.busy or stage in self.known:
            assert not [key for key in self.calls if key[0] == stage], f"{end}: calls of it run"
            if stage in self.busy:
                self.busy.discard(stage)
                self._take(self.plan.stages[stage].demand, -1)
            if end.outcome == "success" and end.reason != "done, as a person said":
                assert self.is_all[stage] and not self.at[stage], f"{end}: {self.at[stage]} are on their way"
                assert self.known[stage] == self.finished[stage] + len(self.dead[stage]) or self._stops(stage)

    def _stops(self, stage: int) -> bool:
        each = self.plan.stages[stage].each
        return each is not None and each.on_failure == "stop"


class Drive:
    """One engine after another, over one journal."""

    def __init__(self, world: World, make: Make) -> None:
        self.world = world
        self.draw = world.draw
        self.make = make
        self.machine = make(world.plan)
        self.onlooker = Onlooker(world.plan)
        self.onlooker.is_exact = "big_batch" not in world.on
        self.heap: list[tuple[int, int, int, Event]] = []
        self.order = 0
        self.life = 0  #: sources and calls of before are gone
        self.left = list(world.totals)
        self.due: dict[int, int] = {}
        self.journal: list[tuple[tuple[Event, ...], list[Decision]]] = []
        self.timers: list[str] = []
        self.unanswered: set[int] = set()
        self.resumes = 0
        self.calls: dict[tuple[int, int, int], StartItems] = {}
        self.attempts: dict[int, int] = {}
        items = sum(total * 4 for total in world.totals)
        self.bound = CALM_AFTER + 40 * (items + 20)

    @property
    def calm(self) -> bool:
        return len(self.journal) > CALM_AFTER

    def has(self, name: str, chance: float) -> bool:
        return not self.calm and self.world.has(name, chance)

    def push(self, at: int, event: Event) -> None:
        self.order += 1
        heappush(self.heap, (at, self.order, self.life, event))

    def run(self) -> None:
        self.push(0, Began(0))
        draw = self.draw
        if self.world.has("cancel", 0.5):
            at = draw.randint(0, 80)
            for _ in range(1 + self.world.has("cancel_again", 0.5)):
                self.push(at, CancelAsked(at, draw.choice(("SIGINT", "SIGTERM", "cancel"))))
                at += draw.randint(0, 10)
        if self.world.has("cancel_stage", 0.4):
            at = draw.randint(0, 60)
            self.push(at, CancelAsked(at, "cancel", draw.randrange(len(self.world.plan.stages))))
        while True:
            self._drain()
            if self.machine.is_over:
                if self.machine.can_go_on and self.resumes < 3 and self.world.has("resume", 1):
                    self._crash()
                    continue
                break
            assert self.machine.waits_for_person and self.unanswered, "nothing is outstanding and it is not over"
            for stage in sorted(self.unanswered):
                self.unanswered.discard(stage)
                at = self.onlooker.now + 1
                self.push(at, RerunAnswered(at, stage, draw.random() < 0.7))
        self.machine.check()
        assert not self.onlooker.calls and self.onlooker.free == [pool.size for pool in self.world.plan.pools]
        self._replayed()

    def _drain(self) -> None:
        while self.heap:
            batch: list[Event] = []
            size = self.draw.randint(2, 6) if self.world.has("big_batch", 0.5) else 1
            while self.heap and len(batch) < size:
                at, _, life, event = heappop(self.heap)
                if life != self.life and not isinstance(event, (CancelAsked, TimerFired, RerunAnswered, Began)):
                    continue
                batch.append(event)
            if batch:
                self._feed(batch)
                if self.has("crash", 0.03):
                    self._crash()
            assert len(self.journal) < self.bound, "the run does not come to an end"

    def _feed(self, batch: list[Event]) -> None:
        for event in batch:
            if isinstance(event, ItemsDone):
                self.calls.pop((event.stage, event.step, event.slot), None)
        again = self.machine.waits_again() if any(isinstance(event, Resumed) for event in batch) else []
        said = self.machine.feed(*batch)
        self.journal.append((tuple(batch), said))
        for stage in again:
            self.onlooker.ended.pop(stage, None)
        self.onlooker.over.clear()
        self.onlooker.alone = len(batch) == 1
        self.onlooker.is_early = len(self.journal) < 60
        self.onlooker.cancelled = len(batch) == 1 and isinstance(batch[0], CancelAsked) and batch[0].stage is None
        self.onlooker.cancelled = self.onlooker.cancelled and not self.machine.is_over
        for event in batch:
            self.onlooker.event(event)
        self.machine.check()
        self.onlooker.decisions(said, self.machine)
        for decision in said:
            self._obey(decision)
        if self.has("stale_timer", 0.1) and self.timers:
            self.push(self.onlooker.now, TimerFired(self.onlooker.now, self.draw.choice(self.timers)))
        eaches = list(self.onlooker.known)
        if self.has("auto", 0.1) and eaches:
            stage = self.draw.choice(eaches)
            each = self.world.plan.stages[stage].each
            assert each is not None
            step = self.draw.randrange(len(each.steps))
            most = max(each.steps[step].workers_max, each.steps[step].workers)
            at = self.onlooker.now + self.draw.randint(0, 5)
            self.push(at, ItemsWorkers(at, stage, step, self.draw.randint(1, most)))
        if self.has("lots", 0.2) and eaches:
            stage = self.draw.choice(eaches)
            each = self.world.plan.stages[stage].each
            assert each is not None
            step = self.draw.randrange(len(each.steps))
            at = self.onlooker.now + self.draw.randint(0, 5)
            self.push(at, ItemsLot(at, stage, step, self.draw.randint(1, each.steps[step].lot_max)))

    def _obey(self, decision: Decision) -> None:
        draw, now = self.draw, self.onlooker.now
        if isinstance(decision, Start):
            self.attempts[decision.stage] = decision.attempt
            if self.world.plan.stages[decision.stage].each is None:
                at = now + draw.randint(0, 20)
                outcome = "failure" if self.has("failures", self.world.trouble / 2) else "success"
                self.push(at, Exited(at, decision.stage, decision.attempt, outcome))
            else:
                self.left[decision.stage] = self.world.totals[decision.stage] - self.machine.items(decision.stage).known
                if self.has("source_fails", 0.15):
                    at = now + draw.randint(0, 30)
                    outcome = draw.choice(("failure", "error"))
                    self.push(at, Exited(at, decision.stage, decision.attempt, outcome, None, None, "source"))
        elif isinstance(decision, WantItems):
            stage, more = decision
            while True:
                some = min(self.left[stage], draw.randint(0, more) if self.world.has("source_slow", 0.5) else more)
                self.left[stage] -= some
                more -= some
                at = self.due[stage] = max(
                    self.due.get(stage, 0), now + (draw.randint(0, 10) if "source_slow" in self.world.on else 0)
                )
                self.push(at, ItemsReady(at, stage, some, self.left[stage] == 0))
                if not self.left[stage] or not more:
                    break
        elif isinstance(decision, StartItems):
            self.calls[decision[:3]] = decision
            is_slow = self.has("slow", 0.6 if "late" in self.world.on else 0.1)
            at = now + (draw.randint(20, 90) if is_slow else draw.randint(0, 6))
            bad = []
            for item in decision.items:
                if self.has("failures", self.world.trouble):
                    bad.append((item, "failure", draw.choice((1, 75)), None))
                elif self.has("errors", 0.03):
                    bad.append((item, "error", None, "missing program"))
                elif self.has("interrupted", 0.05):
                    bad.append((item, "error", None, "interrupted"))
            self.push(at, ItemsDone(at, *decision[:3], tuple(bad)))
        elif isinstance(decision, KillItems):
            call = self.calls.get(decision[:3])
            if call is not None and not (self.has("deaf", 0.3) and not decision.now):
                self.heap = [
                    one
                    for one in self.heap
                    if not (isinstance(one[3], ItemsDone) and one[3][1:4] == call[:3] and one[2] == self.life)
                ]
                heapify(self.heap)
                some = [item for item in call.items if draw.random() < 0.9]
                outcome = "timeout" if decision.why == "timeout" else "cancellation"
                self.push(now, ItemsDone(now, *call[:3], tuple((item, outcome, None, None) for item in some)))
        elif isinstance(decision, Kill):
            assert self.world.plan.stages[decision.stage].each is None, "an `each` gets no Kill"
            at = now + draw.randint(0, 3)
            self.push(at, Exited(at, decision.stage, decision.attempt, "failure"))
        elif isinstance(decision, SetTimer):
            self.timers.append(decision.timer)
            self.push(max(now, decision.at), TimerFired(max(now, decision.at), decision.timer))
        elif isinstance(decision, AskRerun):
            self.unanswered.add(decision.stage)

    def _replayed(self) -> Machine:
        again = self.make(self.world.plan)
        for batch, said in self.journal:
            assert again.feed(*batch) == said, "a replay decides otherwise"
        assert again.snapshot() == self.machine.snapshot(), "a replay comes to another state"
        return again

    def _crash(self) -> None:
        """The engine dies with all it runs; another one goes on from the journal."""
        self.machine = self._replayed()
        now = self.onlooker.now
        self.life += 1
        self.due.clear()
        resumed = self.machine.can_go_on
        self.resumes += resumed
        alive = [(stage, self.attempts[stage]) for stage in sorted(set(self.onlooker.plain) | self.onlooker.busy)]
        calls = sorted(self.calls)
        self.calls.clear()
        events: list[Event] = [Resumed(now)] if resumed else []
        if self.draw.random() < 0.5:
            events += [Exited(now, *attempt, "error", None, None, "interrupted") for attempt in alive]
            self._feed(events)
            return
        # As well: only what was lost in it is reported, and the sources go on where they were.
        for key in calls:
            items = self.onlooker.calls[key].items
            events.append(ItemsDone(now, *key, tuple((item, "error", None, "interrupted") for item in items)))
        for stage, attempt in alive:
            if stage in self.onlooker.plain:
                events.append(Exited(now, stage, attempt, "error", None, None, "interrupted"))
        if not events:
            return
        owed = {(stage, self.machine.attempt(stage)): self.machine.wants(stage) for stage in self.onlooker.busy}
        for stage, _ in owed:
            self.left[stage] = self.world.totals[stage] - self.machine.items(stage).known
        self._feed(events)
        for (stage, attempt), more in owed.items():
            is_open = self.machine.state(stage) == "running" and self.machine.attempt(stage) == attempt
            if more and is_open and not self.machine.items(stage).is_all:
                self._obey(WantItems(stage, more))


def play(seed: int, make: Make = Machine) -> Drive:
    drive = Drive(World(seed), make)
    try:
        drive.run()
    except Exception as trouble:
        trouble.add_note(f"STAGEBOOK_SIM_SEED={seed} reproduces this; features and faults: {sorted(drive.world.on)}")
        raise
    return drive
