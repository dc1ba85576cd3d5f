"""Hypothesis drives one machine by rules in any order, timers too; what fails shrinks to a few legible lines."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule
from tests.sim.watch import Watch
from tests.sim.world import World

from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan
from stagebook.scheduler.vocabulary import (
    Announced,
    AskGate,
    AskLease,
    AskRerun,
    Began,
    CancelAsked,
    Event,
    Exited,
    Freed,
    GateAnswered,
    Judge,
    Judged,
    Kill,
    Leased,
    Refused,
    RerunAnswered,
    Resumed,
    SetTimer,
    Shortage,
    Start,
    Started,
    TimerFired,
)


class MachineRules(RuleBasedStateMachine):
    """Exit, exit again, timer in any order, answer, cancel, crash and replay; the promises after each step."""

    timers: Bundle[SetTimer] = Bundle("timers")
    exits: Bundle[tuple[int, int]] = Bundle("exits")

    @initialize(target=timers, seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> object:
        self.plan: Plan = World(seed).plan
        self.early: dict[int, list[int]] = {}
        for index, stage in enumerate(self.plan.stages):
            for need in stage.early:
                self.early.setdefault(need, []).append(index)
        self.machine = Machine(self.plan)
        self.watch = Watch(self.plan)
        self.journal: list[Event] = []
        self.running: dict[int, int] = {}
        self.asked: set[int] = set()
        self.judging: set[int] = set()
        self.leasing: set[int] = set()
        self.held: set[int] = set()
        self.gates = [index for index, stage in enumerate(self.plan.stages) if stage.gate is not None]
        self.gated: set[int] = set()
        self.unreported: dict[int, int] = {}
        self.set_timers: list[SetTimer] = []
        self.at = 0
        self._feed(Began(0))
        return SetTimer("run:0", 0)

    def _feed(self, event: Event) -> None:
        self.journal.append(event)
        decisions = self.machine.feed(event)
        self.watch.see([event], decisions, self.machine)
        for decision in decisions:
            if isinstance(decision, Start):
                self.running[decision.stage] = decision.attempt
                self.unreported[decision.stage] = decision.attempt
            elif isinstance(decision, Judge):
                self.judging.add(decision.stage)
            elif isinstance(decision, AskLease):
                self.leasing.add(decision.stage)
            elif isinstance(decision, SetTimer):
                self.set_timers.append(decision)
            elif isinstance(decision, AskRerun):
                self.asked.add(decision.stage)
            elif isinstance(decision, AskGate):
                self.gated.add(decision.stage)
            elif isinstance(decision, Kill):
                assert decision.stage in self.running

    @precondition(lambda self: self.running)
    @rule(
        target=exits,
        pick=st.integers(0, 99),
        wait=st.integers(0, 20),
        end=st.sampled_from(
            [
                ("success", 0, None),
                ("failure", 75, None),
                ("error", None, "missing program"),
                ("error", None, "interrupted"),
            ]
        ),
    )
    def exit(self, pick: int, wait: int, end: tuple[str, int | None, str | None]) -> tuple[int, int]:
        stage = sorted(self.running)[pick % len(self.running)]
        attempt = self.running.pop(stage)
        self.at += wait
        self._feed(Exited(self.at, stage, attempt, end[0], end[1], None, end[2]))
        return stage, attempt

    @rule(again=exits)
    def exit_again(self, again: tuple[int, int]) -> None:
        before = self.machine.snapshot()
        self._feed(Exited(self.at, *again, "failure", 1))
        assert self.machine.snapshot() == before

    @precondition(lambda self: self.set_timers)
    @rule(pick=st.integers(0, 99))
    def timer(self, pick: int) -> None:
        """At its time or later, in any order, once or often."""
        timer = self.set_timers[pick % len(self.set_timers)]
        self.at = max(self.at, timer.at)
        self._feed(TimerFired(self.at, timer.timer))

    @rule(timer=consumes(timers))
    def unknown_timer(self, timer: SetTimer) -> None:
        before = self.machine.snapshot()
        self._feed(TimerFired(self.at, timer.timer))
        assert self.machine.snapshot() == before

    @precondition(lambda self: any(self.machine.attempt(need) for need in self.early))
    @rule(pick=st.integers(0, 99), back=st.sampled_from([0, 0, 0, 1]), some=st.integers(0, 7))
    def announce(self, pick: int, back: int, some: int) -> None:
        """To some or all of its readers; also for an attempt that is over."""
        begun = [need for need in sorted(self.early) if self.machine.attempt(need)]
        stage = begun[pick % len(begun)]
        readers = tuple(reader for at, reader in enumerate(self.early[stage]) if not some & 1 << at % 3)
        self._feed(Announced(self.at, stage, max(1, self.machine.attempt(stage) - back), readers))

    @precondition(lambda self: self.unreported)
    @rule(pick=st.integers(0, 99))
    def reported(self, pick: int) -> None:
        stage = sorted(self.unreported)[pick % len(self.unreported)]
        self._feed(Started(self.at, stage, self.unreported.pop(stage), 1, 1))

    @precondition(lambda self: self.judging)
    @rule(pick=st.integers(0, 99), verdict=st.sampled_from(["run", "skip", "error"]))
    def judge(self, pick: int, verdict: str) -> None:
        stage = sorted(self.judging)[pick % len(self.judging)]
        self.judging.discard(stage)
        self._feed(Judged(self.at, stage, verdict, None if verdict == "run" else "when: x"))

    @precondition(lambda self: self.leasing)
    @rule(pick=st.integers(0, 99), got=st.booleans())
    def lease(self, pick: int, got: bool) -> None:
        stage = sorted(self.leasing)[pick % len(self.leasing)]
        self.leasing.discard(stage)
        if not got:
            self.held.add(stage)
        self._feed(Leased(self.at, stage) if got else Refused(self.at, stage, "another"))

    @precondition(lambda self: self.held)
    @rule(pick=st.integers(0, 99))
    def freed(self, pick: int) -> None:
        stage = sorted(self.held)[pick % len(self.held)]
        self.held.discard(stage)
        self._feed(Freed(self.at, stage))

    @rule(is_short=st.booleans(), free=st.none() | st.integers(0, 3))
    def shortage(self, is_short: bool, free: int | None) -> None:
        self._feed(
            Shortage(self.at, "free memory 1 MiB" if is_short else None, free if is_short else None, free is None)
        )

    @precondition(lambda self: self.asked)
    @rule(pick=st.integers(0, 99), again=st.booleans())
    def answer(self, pick: int, again: bool) -> None:
        """What was asked, now or once: an answer may come late, or twice."""
        self._feed(RerunAnswered(self.at, sorted(self.asked)[pick % len(self.asked)], again))

    @precondition(lambda self: self.gates)
    @rule(pick=st.integers(0, 99), approved=st.booleans())
    def decide(self, pick: int, approved: bool) -> None:
        """At any gate, asked or not, decided or not."""
        self._feed(GateAnswered(self.at, self.gates[pick % len(self.gates)], approved))

    @rule(why=st.sampled_from(["SIGINT", "SIGTERM", "cancel"]))
    def cancel(self, why: str) -> None:
        self._feed(CancelAsked(self.at, why))

    @rule(pick=st.integers(0, 99))
    def cancel_one(self, pick: int) -> None:
        self._feed(CancelAsked(self.at, "cancel", pick % len(self.plan.stages)))

    @rule()
    def crash_and_replay(self) -> None:
        again = Machine(self.plan)
        for event in self.journal:
            again.feed(event)
        assert again.snapshot() == self.machine.snapshot()
        self.machine = again
        self.judging, self.leasing, self.held = set(), set(), set()
        for stage, attempt in sorted(self.running.items()):
            self._feed(Exited(self.at, stage, attempt, "error", None, None, "interrupted"))
            if self.running.get(stage) == attempt:
                del self.running[stage]
        self._feed(Resumed(self.at))

    @invariant()
    def books_agree(self) -> None:
        if hasattr(self, "machine"):
            self.machine.check()

    def teardown(self) -> None:
        """Faults off: the run comes to its end."""
        if not hasattr(self, "machine"):
            return
        if not self.machine.is_over:
            self._feed(Shortage(self.at, None))
        for _ in range(60 * (len(self.plan.stages) + 3)):
            if self.machine.is_over:
                return
            if self.judging:
                self._feed(Judged(self.at, self.judging.pop(), "run"))
            elif self.leasing:
                self._feed(Leased(self.at, self.leasing.pop()))
            elif self.held:
                self._feed(Freed(self.at, self.held.pop()))
            elif self.unreported:
                self._feed(Started(self.at, *self.unreported.popitem(), 1, 1))
            elif self.running:
                stage = min(self.running)
                self._feed(Exited(self.at, stage, self.running.pop(stage), "success", 0))
            elif backoff := [timer for timer in self.set_timers if timer.timer.startswith(("backoff:", "pace:"))]:
                self.set_timers = [timer for timer in self.set_timers if timer not in backoff]
                for timer in backoff:
                    self.at = max(self.at, timer.at)
                    self._feed(TimerFired(self.at, timer.timer))
            else:
                assert self.machine.waits_for_person
                for stage in sorted(self.asked):
                    self._feed(RerunAnswered(self.at, stage, True))
                for stage in sorted(self.gated):
                    self._feed(GateAnswered(self.at, stage, True))
        raise AssertionError("the run does not come to an end")


TestMachineRules = MachineRules.TestCase
TestMachineRules.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
