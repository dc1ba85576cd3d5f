"""Small plans by name, and a run of one that a test drives by hand: `run.exit("a")`, `run.said`."""

from __future__ import annotations

from typing import Any

from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan, PlannedGate, PlannedStage, Pool
from stagebook.scheduler.vocabulary import (
    AskGate,
    AskLease,
    AskRerun,
    Began,
    CancelAsked,
    Decision,
    Ended,
    Event,
    Exited,
    Freed,
    GateAnswered,
    GateReopened,
    Judge,
    Judged,
    Kill,
    Leased,
    Refused,
    RerunAnswered,
    Resumed,
    RunEnded,
    SetTimer,
    Shortage,
    Start,
    Started,
    TimerFired,
)


def stage(
    id: str, *needs: str, units: dict[str, int] | None = None, **more: Any
) -> tuple[str, tuple[str, ...], Any, Any]:
    return id, needs, units or {}, more


def gate(
    id: str, *needs: str, timeout_ms: int | None = None, default: str = "reject", **more: Any
) -> tuple[str, tuple[str, ...], Any, Any]:
    return stage(id, *needs, gate=PlannedGate(timeout_ms, default), **more)


def plan_of(
    *stages: Any, slots: int = 8, pools: dict[str, int] | None = None, rates: dict[str, tuple[int, int]] | None = None,
    machine: tuple[str, ...] = (), **more: Any,
) -> Plan:  # fmt: skip
    """Ranks are positions. `units` of a stage name pools; each also takes a slot, but for gates."""
    known = {"slot": slots, **(pools or {})}
    place = {name: index for index, name in enumerate(known)}
    position = {id: index for index, (id, *_) in enumerate(stages)}
    demands: dict[tuple[tuple[int, int], ...], int] = {}
    planned = []
    for rank, (id, needs, units, extra) in enumerate(stages):
        slot = {} if "gate" in extra else {0: 1}
        demand = tuple(sorted({**slot, **{place[name]: count for name, count in units.items()}}.items()))
        at = demands.setdefault(demand, len(demands))
        fields = {"rank": rank, **extra}
        planned.append(PlannedStage(id, tuple(position[need] for need in needs), at, **fields))
    return Plan(
        tuple(planned),
        tuple(Pool(name, size, (rates or {}).get(name), name in machine) for name, size in known.items()),
        tuple(demands) or (((0, 1),),),
        **more,
    )


class Run:
    """A machine with a clock that a test sets. `said` is what the last batch decided, in words."""

    def __init__(self, plan: Plan, begin: bool = True) -> None:
        self.plan = plan
        self.machine = Machine(plan)
        self.at = 0
        self.journal: list[tuple[Event, ...]] = []
        self.ends: dict[str, Ended] = {}
        self.run_end: RunEnded | None = None
        self.said: list[str] = []
        self.timers: dict[str, int] = {}
        self.decisions: list[Decision] = []
        if begin:
            self.feed(Began(0))

    def feed(self, *events: Event) -> list[str]:
        self.journal.append(events)
        self.decisions = self.machine.feed(*events)
        self.machine.check()
        self.said = [self._word(decision) for decision in self.decisions]
        return self.said

    def _word(self, decision: Decision) -> str:
        name = self.plan.stages[decision.stage].id if hasattr(decision, "stage") else ""
        if isinstance(decision, Start):
            return f"start {name}" if decision.attempt == 1 else f"start {name} {decision.attempt}"
        if isinstance(decision, Kill):
            return f"kill {name} {decision.why}" + (" now" if decision.now else "")
        if isinstance(decision, AskRerun):
            return f"ask {name}"
        if isinstance(decision, AskGate):
            return f"gate {name}"
        if isinstance(decision, Judge):
            return f"judge {name}"
        if isinstance(decision, AskLease):
            return f"lease {name}"
        if isinstance(decision, Ended):
            self.ends[name] = decision
            return f"{name}: {decision.outcome}"
        if isinstance(decision, SetTimer):
            self.timers[decision.timer] = decision.at
            return f"timer {decision.timer} at {decision.at}"
        self.run_end = decision
        return f"run: {decision.outcome}"

    def index(self, name: str) -> int:
        return next(index for index, planned in enumerate(self.plan.stages) if planned.id == name)

    def exit(
        self, *names: str, outcome: str = "success", exit: int | None = None, reason: str | None = None
    ) -> list[str]:
        """The latest attempt of each of these ends, in one batch."""
        return self.feed(*(self.exited(name, outcome, exit, reason) for name in names))

    def exited(self, name: str, outcome: str = "success", exit: int | None = None, reason: str | None = None) -> Exited:
        stage = self.index(name)
        return Exited(self.at, stage, self.machine.attempt(stage), outcome, exit, None, reason)

    def judged(self, name: str, verdict: str = "run", reason: str | None = None) -> list[str]:
        return self.feed(Judged(self.at, self.index(name), verdict, reason))

    def leased(self, name: str) -> list[str]:
        return self.feed(Leased(self.at, self.index(name)))

    def refused(self, name: str, by: str = "another run") -> list[str]:
        return self.feed(Refused(self.at, self.index(name), by))

    def freed(self, name: str) -> list[str]:
        return self.feed(Freed(self.at, self.index(name)))

    def short(self, reason: str | None, memory_free: int | None = None, holds_all: bool = True) -> list[str]:
        return self.feed(Shortage(self.at, reason, memory_free, holds_all))

    def began(self, name: str) -> list[str]:
        """The start of its latest attempt is reported."""
        stage = self.index(name)
        return self.feed(Started(self.at, stage, self.machine.attempt(stage), 1, 0))

    def fail(self, name: str, exit: int = 1) -> list[str]:
        return self.exit(name, outcome="failure", exit=exit)

    def interrupt(self, name: str) -> list[str]:
        return self.exit(name, outcome="error", reason="interrupted")

    def fire(self, kind: str) -> list[str]:
        """The latest timer of that kind comes back, at its time."""
        timer = [name for name in self.timers if name.startswith(kind)][-1]
        self.at = max(self.at, self.timers[timer])
        return self.feed(TimerFired(self.at, timer))

    def cancel(self, why: str = "SIGINT", name: str | None = None) -> list[str]:
        return self.feed(CancelAsked(self.at, why, None if name is None else self.index(name)))

    def resume(self) -> list[str]:
        return self.feed(Resumed(self.at))

    def answer(self, name: str, again: bool) -> list[str]:
        return self.feed(RerunAnswered(self.at, self.index(name), again))

    def decide(self, name: str, approved: bool, reason: str | None = None) -> list[str]:
        return self.feed(GateAnswered(self.at, self.index(name), approved, reason))

    def reopen(self, name: str) -> list[str]:
        return self.feed(GateReopened(self.at, self.index(name)))

    def state(self, name: str) -> str:
        return self.machine.state(self.index(name))

    def waiting(self, name: str) -> str | None:
        return self.machine.waiting(self.index(name))

    def reason(self, name: str) -> str | None:
        return self.ends[name].reason
