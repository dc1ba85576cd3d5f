"""Hypothesis drives one small stream by rules in any order; what fails shrinks to a few legible lines. Then the rest is
done well, and all must come to its end."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.sim.items import Onlooker

from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan, PlannedEach, PlannedStage, PlannedStep, Pool
from stagebook.scheduler.vocabulary import (
    Began,
    CancelAsked,
    Ended,
    Event,
    Exited,
    ItemsDone,
    ItemsLot,
    ItemsReady,
    ItemsWorkers,
    KillItems,
    Resumed,
    SetTimer,
    StartItems,
    TimerFired,
)

STEPS = st.lists(
    st.builds(
        PlannedStep,
        name=st.just("t"),
        demand=st.just(1),
        workers=st.integers(1, 2),
        workers_max=st.integers(2, 3),
        buffer=st.integers(0, 3),
        batch=st.integers(1, 3),
        ordered=st.booleans(),
        attempts=st.integers(1, 2),
        delays_ms=st.sampled_from([(), (5,)]),
        timeout_ms=st.sampled_from([None, 9]),
        lot_max=st.integers(1, 4),
        grows=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)
BAD = st.sampled_from(
    [
        ("failure", 1, None),
        ("error", None, "interrupted"),
        ("error", None, "missing program"),
        ("cancellation", 1, None),
    ]
)


class StreamRules(RuleBasedStateMachine):
    """The source brings items, calls end well or not, timers come, workers change, engines die."""

    @initialize(
        steps=STEPS,
        jobs=st.integers(1, 4),
        on_failure=st.sampled_from(["stop", "skip"]),
        retry_safe=st.booleans(),
    )
    def begin(self, steps: list[PlannedStep], jobs: int, on_failure: str, retry_safe: bool) -> None:
        each = PlannedEach(tuple(steps), on_failure)
        stage = PlannedStage("s", (), 0, 0, retry_safe=retry_safe, each=each)
        self.plan = Plan((stage,), (Pool("slot", jobs),), ((), ((0, 1),)))
        self.machine = Machine(self.plan)
        self.onlooker = Onlooker(self.plan)
        self.journal: list[Event] = []
        self.calls: dict[tuple[int, int], StartItems] = {}
        self.timers: list[SetTimer] = []
        self.ended: Ended | None = None
        self.at = 0
        self._feed(Began(0))

    def _feed(self, event: Event) -> None:
        self.journal.append(event)
        again = self.machine.waits_again() if isinstance(event, Resumed) else []
        said = self.machine.feed(event)
        for stage in again:
            self.onlooker.ended.pop(stage, None)
        self.onlooker.over.clear()
        self.onlooker.event(event)
        self.machine.check()
        self.onlooker.decisions(said, self.machine)
        for decision in said:
            if isinstance(decision, StartItems):
                self.calls[decision.step, decision.slot] = decision
            elif isinstance(decision, KillItems):
                assert (decision.step, decision.slot) in self.calls
            elif isinstance(decision, SetTimer):
                self.timers.append(decision)

    @property
    def is_open(self) -> bool:
        return self.machine.state(0) == "running" and not self.machine.items(0).is_all

    @precondition(lambda self: self.is_open)
    @rule(more=st.integers(0, 4), is_last=st.booleans())
    def bring(self, more: int, is_last: bool) -> None:
        self._feed(ItemsReady(self.at, 0, min(more, self.machine.wants(0)), is_last))

    @precondition(lambda self: self.calls)
    @rule(pick=st.integers(0, 9), wait=st.integers(0, 4), bad=st.lists(BAD, max_size=3))
    def end(self, pick: int, wait: int, bad: list[tuple[str, int | None, str | None]]) -> None:
        self.at += wait
        call = self.calls.pop(sorted(self.calls)[pick % len(self.calls)])
        named = tuple((item, *how) for item, how in zip(call.items, bad))
        self._feed(ItemsDone(self.at, 0, call.step, call.slot, named))

    @precondition(lambda self: self.timers)
    @rule(pick=st.integers(0, 9))
    def fire(self, pick: int) -> None:
        timer = self.timers[-1 - pick % len(self.timers)]
        self.at = max(self.at, timer.at)
        self._feed(TimerFired(self.at, timer.timer))

    @rule(step=st.integers(0, 3), workers=st.integers(1, 2))
    def set_workers(self, step: int, workers: int) -> None:
        each = self.plan.stages[0].each
        assert each is not None
        self._feed(ItemsWorkers(self.at, 0, step % len(each.steps), workers))

    @rule(step=st.integers(0, 3), lot=st.integers(1, 4))
    def set_lot(self, step: int, lot: int) -> None:
        each = self.plan.stages[0].each
        assert each is not None
        step %= len(each.steps)
        self._feed(ItemsLot(self.at, 0, step, min(lot, each.steps[step].lot_max)))

    @rule(is_alone=st.booleans())
    def die(self, is_alone: bool) -> None:
        """A new engine goes on; it may be asked to stop at once."""
        again = Machine(self.plan)
        for event in self.journal:
            again.feed(event)
        assert again.snapshot() == self.machine.snapshot()
        if not is_alone and not self.machine.is_over:
            self._feed(CancelAsked(self.at, "SIGTERM"))
        running = self.machine.state(0) in ("running", "killing")
        self.calls.clear()
        if running:
            self._feed(Exited(self.at, 0, self.machine.attempt(0), "error", None, None, "interrupted"))
        if self.machine.can_go_on:
            self._feed(Resumed(self.at))

    def teardown(self) -> None:
        if not hasattr(self, "machine"):
            return
        for _ in range(4000):
            if self.machine.is_over or self.machine.waits_for_person:
                return
            if self.is_open:
                self._feed(ItemsReady(self.at, 0, self.machine.wants(0), True))
            elif self.calls:
                call = self.calls.pop(max(self.calls))
                self._feed(ItemsDone(self.at, 0, call.step, call.slot))
            else:
                timer = self.timers.pop(0)
                self.at = max(self.at, timer.at)
                self._feed(TimerFired(self.at, timer.timer))
        raise AssertionError("the run does not come to an end")


TestStreamRules = StreamRules.TestCase
TestStreamRules.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
