"""What gates promise, checked from outside: a part of `watch`."""

from __future__ import annotations

from stagebook.scheduler.machine import NOBODY_DECIDED, Machine
from stagebook.scheduler.plan import Plan
from stagebook.scheduler.vocabulary import (
    AskGate,
    AskLease,
    Decision,
    Ended,
    Event,
    GateAnswered,
    Resumed,
    SetTimer,
    Start,
    TimerFired,
)


class Gated:
    """What an onlooker knows of it. `open` are the gates at which somebody was asked and that are not decided."""

    def __init__(self, plan: Plan) -> None:
        self.gates = {index: stage.gate for index, stage in enumerate(plan.stages) if stage.gate is not None}
        self.needs = [stage.needs for stage in plan.stages]
        self.open: set[int] = set()
        self.timer: dict[int, SetTimer] = {}  #: of open gates: when nobody will have decided in time
        self.events: list[Event] = []
        self.decisions: list[Decision] = []
        self.asked: set[int] = set()

    def batch(self, events: list[Event], decisions: list[Decision]) -> None:
        self.events = events
        self.decisions = decisions
        self.asked = set()
        self.timers = {event.timer for event in events if isinstance(event, TimerFired)}
        for decision in decisions:
            if isinstance(decision, (Start, AskLease)):
                assert decision.stage not in self.gates, f"{decision}: it is a gate"

    @property
    def _is_alone(self) -> bool:
        return len(self.events) == 1

    def asks(self, ask: AskGate) -> None:
        assert ask.stage in self.gates, f"{ask}: it is no gate"
        is_again = ask.stage in self.open or ask.stage in self.asked
        assert not is_again or not self._is_alone or isinstance(self.events[0], Resumed), f"{ask} again"
        assert ask.stage not in self.asked, f"{ask} twice in a batch"
        self.asked.add(ask.stage)

    def sets_timer(self, timer: SetTimer, batch_began: int, now: int) -> None:
        stage = int(timer.timer.split(":")[1])
        timeout = self.gates[stage].timeout_ms
        assert timeout is not None
        if stage not in self.asked:
            assert not self._is_alone, f"{timer} without a question"
            return  # the batch has shut the gate again
        assert batch_began <= timer.at - timeout <= now, f"{timer} does not count from the question"
        self.timer[stage] = timer

    def ends(self, end: Ended, now: int) -> bool:
        """Whether a gate may end as `success` now: somebody has approved, or nobody has decided and that is enough."""
        gate = self.gates.get(end.stage)
        if gate is None:
            return False
        said = {event.approved for event in self._answers(end.stage)}
        if (end.reason or "").startswith(NOBODY_DECIDED):
            # Where gate and timer are of one batch, the timer is still to come.
            timer = self.timer.get(end.stage)
            assert timer is not None and timer.timer in self.timers, f"{end} without its timer"
            assert now >= timer.at, f"{end} too early"
            assert end.outcome == ("success" if gate.default == "approve" else "timeout"), f"{end}, and not by default"
            return True
        assert end.outcome != "failure" or False in said, f"{end}, and nobody has rejected it"
        return True in said

    def _answers(self, stage: int) -> list[GateAnswered]:
        return [event for event in self.events if isinstance(event, GateAnswered) and event.stage == stage]

    def settle(self, machine: Machine, ended: dict[int, Ended]) -> None:
        """All but the starts of the batch has been seen."""
        before, self.open = self.open, {stage for stage in self.gates if machine.state(stage) == "gate"}
        assert machine.is_gated == bool(self.open)
        assert not self.open & set(ended), "a gate is open and has ended"
        in_vain = self.asked - self.open - set(ended)
        assert not in_vain, f"somebody was asked at the gates {in_vain}, which are shut"
        unasked = self.open - self.asked - before
        assert not unasked, f"the gates {unasked} are open and nobody was asked"
        if any(isinstance(event, Resumed) for event in self.events):
            assert self.open <= self.asked, f"a new engine was not asked at {self.open - self.asked}"
        for stage in before - self.open - set(ended):
            assert any(need not in ended for need in self.needs[stage]), f"the gate {stage} is shut, and did not end"
        self._decided(before, ended)
        self.timer = {stage: timer for stage, timer in self.timer.items() if stage in self.open}
        timed = {stage for stage in self.open if self.gates[stage].timeout_ms is not None}
        assert set(self.timer) == timed, "an open gate without its timer, or with one that it has not"

    def _decided(self, before: set[int], ended: dict[int, Ended]) -> None:
        """The first answer at an open gate counts, and a timer that is not stale; all others are for nobody."""
        first = self.events[0]
        if isinstance(first, GateAnswered):
            if first.stage in before:
                if not any(isinstance(event, Resumed) for event in self.events):
                    outcome = "success" if first.approved else "failure"
                    assert ended[first.stage][1:3] == (outcome, first.reason), f"{first} is not what counts"
            elif self._is_alone:
                self._nothing_ends(first)
        elif isinstance(first, TimerFired) and self._is_alone and first.timer.startswith("gate:"):
            stage = int(first.timer.split(":")[1])
            live = self.timer.get(stage)
            if stage in before and live is not None and live.timer == first.timer:
                assert stage in ended, f"{first}, and it is still open"
            else:
                self._nothing_ends(first)

    def _nothing_ends(self, event: Event) -> None:
        moved = [said for said in self.decisions if not isinstance(said, (Start, AskLease, SetTimer))]
        assert not moved, f"{event} came too late, or to nobody, and {moved} follow"
