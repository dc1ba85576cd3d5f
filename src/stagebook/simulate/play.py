"""The loop around the machine on a virtual clock: gather what happens at one time, feed it, let its decisions happen.

The clock is in whole microseconds, as journals are, and jumps from event to event; the machine hears of whole
milliseconds, as from the engine. All that happens in one microsecond is one batch. A running attempt goes at its speed:
where the set of those that run changes, and with it a speed, its finish is worked out anew from the work that is left.
What work there is, how fast it goes and what conditions come to is asked of the caller; nothing here draws by chance.
"""

from __future__ import annotations

from heapq import heappop, heappush

from stagebook.scheduler.machine import Machine
from stagebook.scheduler.vocabulary import (
    AskGate,
    AskLease,
    AskRerun,
    Began,
    Ended,
    Exited,
    GateAnswered,
    ItemsDone,
    Judge,
    Judged,
    Kill,
    KillItems,
    Leased,
    RunEnded,
    SetTimer,
    Start,
    Started,
    StartItems,
    TimerFired,
    WantItems,
)
from stagebook.simulate.items import Belt, opaque
from stagebook.simulate.work import CallSpan, Played, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Mapping, Sequence, TypeAlias

    from stagebook.scheduler.plan import Plan
    from stagebook.scheduler.vocabulary import Decision, Event
    from stagebook.simulate.work import Draw, ItemWork, Speeds, Work

#: What a condition comes to, by stage: `run`, `skip` or `error`, and why.
Verdicts: TypeAlias = "Callable[[int], tuple[str, str | None]]"

#: How many seconds later than at once the answer to a decision comes: of `Judge`, `AskLease`, `SetTimer` and `Kill`.
Lag: TypeAlias = "Callable[[Decision], float]"

#: Is told of every batch and what the machine decided on it.
Onlooker: TypeAlias = "Callable[[Sequence[Event], Sequence[Decision], Machine], None]"

_GOES_ON = ("run", None)
_SIGTERM = 15

#: What is due in one microsecond comes in this order: answers, ends by stage (its index is the turn), timers. So an
#: attempt that takes just as long as it may is in time.
_ANSWERS, _TIMERS = -1, 1 << 62

_NO_SPAN = Span(-1, 0, 0.0, 0.0, 0.0, "", None)

_record = tuple.__new__


def play(
    plan: Plan,
    draw: Draw,
    speeds: Speeds | None = None,
    *,
    verdicts: Verdicts | None = None,
    lag: Lag | None = None,
    onlooker: Onlooker | None = None,
    items: Mapping[int, ItemWork] | None = None,
) -> Played:
    """One simulated run of a plan.

    Without `speeds` all goes as fast as alone. Without `verdicts` every condition holds. Leases are had at once, kills
    end at once, and at gates a person approves at once: how long people take is in no figure. The run is over when the
    machine says so, or stands still where it waits for a person. `items` says
    what stages work through; what `draw` gives for such a stage is then compared with its `whole_s`, and all takes so
    much longer. One that is not in it takes what `draw` gives, and a job. Calls of steps do not slow each other down.
    """
    items = items or {}
    machine = Machine(opaque(plan, items))
    return go_on(machine, [Began(0)], draw, speeds, verdicts=verdicts, lag=lag, onlooker=onlooker, items=items)


def go_on(
    machine: Machine,
    batch: Sequence[Event],
    draw: Draw,
    speeds: Speeds | None = None,
    *,
    verdicts: Verdicts | None = None,
    lag: Lag | None = None,
    onlooker: Onlooker | None = None,
    items: Mapping[int, ItemWork] | None = None,
) -> Played:
    """Lead a machine on from where it stands, `batch` first: as `play`. To a stage that is not in `items` none come."""
    world = _World(machine, draw, speeds, verdicts, lag, items or {})
    world.now_us = max((event.at for event in batch), default=0) * 1000
    while batch:
        decisions = machine.feed(*batch)
        if onlooker is not None:
            onlooker(batch, decisions, machine)
        if decisions:
            world.obey(decisions)
        if machine.is_over or (world.asked and machine.waits_for_person):
            break
        batch = world.next()
    return Played(world.spans, world.ended, world.asked, world.outcome, world.now_us / 1e6, world.calls)


class _Going:
    """An attempt that runs. `left_us` is the work that was left at `since_us`, done at `speed` from then on."""

    __slots__ = ("end", "is_killed", "left_us", "place", "serial", "since_us", "speed", "start", "start_us")

    def __init__(self, start: Start, place: int, end: Work, left_us: float, now_us: int) -> None:
        self.start = start
        self.start_us = now_us
        self.place = place  #: in `spans`
        self.end = end
        self.left_us = left_us
        self.since_us = now_us
        self.speed = 0.0
        self.serial = 0  #: of the one entry that will end it; others of it are void
        self.is_killed = False


class _World:
    """What runs, and what is due when."""

    __slots__ = (
        "_belts", "_draw", "_due", "_eaches", "_is_paced", "_items", "_lag", "_running", "_serial", "_set_changed",
        "_speeds", "_verdicts", "asked", "calls", "ended", "now_us", "outcome", "spans",
    )  # fmt: skip

    def __init__(
        self, machine: Machine, draw: Draw, speeds: Speeds | None, verdicts: Verdicts | None, lag: Lag | None,
        items: Mapping[int, ItemWork],
    ) -> None:  # fmt: skip
        self._items = items
        #: Attempts that their steps grant, of the stages that work through items; and the items of those that run.
        self._eaches = {
            index: tuple([step.attempts for step in stage.each.steps])
            for index, stage in enumerate(machine.plan.stages)
            if stage.each is not None
        }
        self._belts: dict[int, tuple[Start, int, Belt]] = {}
        self.calls: list[CallSpan] = []
        self._draw = draw
        self._speeds = speeds
        self._verdicts = verdicts
        self._lag = lag
        self._is_paced = machine.is_paced
        #: (microsecond, turn, serial, event); the turn orders what is due in the same microsecond.
        self._due: list[tuple[int, int, int, Event]] = []
        self._serial = 0
        self._running: dict[int, _Going] = {}
        self._set_changed = False
        self.spans: list[Span] = []
        self.ended: dict[int, tuple[str, str | None]] = {}
        self.asked: set[int] = set()
        self.outcome: str | None = None
        self.now_us = 0

    def obey(self, decisions: Sequence[Decision]) -> None:
        """Let them happen; most of it is due later."""
        for decision in decisions:
            if isinstance(decision, Start):
                self._start(decision)
            elif isinstance(decision, (WantItems, StartItems, KillItems)):
                self._do_items(decision)
            elif isinstance(decision, Ended):
                self.ended[decision.stage] = decision.outcome, decision.reason
                if decision.stage in self._belts:
                    self._end_each(decision)
            elif isinstance(decision, SetTimer):
                at_us = max(self.now_us, decision.at * 1000) + self._late_us(decision)
                self._push(at_us, _TIMERS, TimerFired(at_us // 1000, decision.timer))
            elif isinstance(decision, Judge):
                verdict, reason = _GOES_ON if self._verdicts is None else self._verdicts(decision.stage)
                at_us = self.now_us + self._late_us(decision)
                self._push(at_us, _ANSWERS, Judged(at_us // 1000, decision.stage, verdict, reason))
            elif isinstance(decision, AskLease):
                at_us = self.now_us + self._late_us(decision)
                self._push(at_us, _ANSWERS, Leased(at_us // 1000, decision.stage))
            elif isinstance(decision, AskGate):
                self._push(self.now_us, _ANSWERS, GateAnswered(self.now_us // 1000, decision.stage, True))
            elif isinstance(decision, Kill):
                self._kill(decision)
            elif isinstance(decision, AskRerun):
                self.asked.add(decision.stage)
            elif isinstance(decision, RunEnded):
                self.outcome = decision.outcome

    def next(self) -> list[Event]:
        """All that happens next at one time, and the clock set to it; empty if nothing is due any more."""
        if self._set_changed and self._running and self._speeds is not None:
            self._set_changed = False
            self._set_speeds(self._speeds)
        due = self._due
        batch: list[Event] = []
        while due and (not batch or due[0][0] == self.now_us):
            at_us, turn, serial, event = heappop(due)
            if 0 <= turn < _TIMERS and not self._finish(turn, serial, at_us):
                continue
            if isinstance(event, ItemsDone) and not self._finish_call(event, at_us):
                continue
            self.now_us = at_us
            batch.append(event)
        return batch

    def _push(self, at_us: int, turn: int, event: Event) -> int:
        self._serial = serial = self._serial + 1
        heappush(self._due, (at_us, turn, serial, event))
        return serial

    def _late_us(self, decision: Decision) -> int:
        return 0 if self._lag is None else round(self._lag(decision) * 1e6)

    def _start(self, start: Start) -> None:
        stage, attempt, _, _ = start
        now_us = self.now_us
        if stage in self._eaches:
            items = self._items.get(stage)
            factor = 1.0 if items is None else self._draw(stage, attempt).wall_s / items.whole_s
            self._belts[stage] = start, now_us, Belt(stage, self._eaches[stage], items, factor)
            return
        work = self._draw(stage, attempt)
        work_us = round(work.wall_s * 1e6)
        going = _Going(start, len(self.spans), work, work_us, now_us)
        self.spans.append(_NO_SPAN)
        self._running[stage] = going
        self._set_changed = True
        if self._is_paced:
            at_us = now_us + self._late_us(start)
            self._push(at_us, _ANSWERS, Started(at_us // 1000, stage, attempt, 0, 0))
        if self._speeds is None:
            self._will_end(stage, going, now_us + work_us)

    def _do_items(self, decision: WantItems | StartItems | KillItems) -> None:
        known = self._belts.get(decision.stage)
        if known is None:  # began before
            start = Start(decision.stage, 1, self.now_us // 1000, None)
            known = start, self.now_us, Belt(decision.stage, self._eaches[decision.stage], None, 1.0)
            self._belts[decision.stage] = known
        belt = known[2]
        if isinstance(decision, WantItems):
            self._push(self.now_us, _ANSWERS, belt.brings(decision, self.now_us))
        elif isinstance(decision, StartItems):
            at_us, done = belt.begins(decision, self.now_us)
            self._push(at_us, _ANSWERS, done)
        else:
            killed = belt.killed(decision, self.now_us)
            if killed is not None:
                self._push(self.now_us, _ANSWERS, killed)

    def _finish_call(self, event: ItemsDone, at_us: int) -> bool:
        """Whether the call still runs and ends now. One that was killed has ended before its time."""
        known = self._belts.get(event.stage)
        over = None if known is None else known[2].over(event)
        if over is None:
            return False
        call, start_us = over
        self.calls.append(CallSpan(call.stage, call.step, start_us / 1e6, at_us / 1e6))
        return True

    def _end_each(self, end: Ended) -> None:
        start, start_us, _ = self._belts.pop(end.stage)
        ready_s = start_us / 1e6 if start.waited is None else min(start_us, start.ready * 1000) / 1e6
        span = Span(
            end.stage, start.attempt, ready_s, start_us / 1e6, self.now_us / 1e6, end.outcome, start.waited
        )  # fmt: skip
        self.spans.append(span)

    def _will_end(self, stage: int, going: _Going, at_us: int) -> None:
        outcome, exit, reason = going.end[1:]
        if exit is None and outcome == "success":
            exit = 0
        event = _record(Exited, (at_us // 1000, stage, going.start[1], outcome, exit, None, reason, False))
        going.serial = self._push(at_us, stage, event)

    def _kill(self, kill: Kill) -> None:
        going = self._running.get(kill.stage)
        if going is None:
            return
        at_us = self.now_us + self._late_us(kill)
        outcome = "timeout" if kill.why == "timeout" else "cancellation"
        going.end = going.end._replace(outcome=outcome)
        going.is_killed = True
        event = Exited(at_us // 1000, kill.stage, kill.attempt, outcome, None, _SIGTERM, kill.why)
        going.serial = self._push(at_us, kill.stage, event)

    def _finish(self, stage: int, serial: int, at_us: int) -> bool:
        """Whether that attempt still runs and ends now."""
        going = self._running.get(stage)
        if going is None or going.serial != serial:
            return False
        del self._running[stage]
        self._set_changed = True
        _, attempt, ready_ms, waited = going.start
        start_s = going.start_us / 1e6
        ready_s = start_s if waited is None else min(start_s, ready_ms / 1000)
        span = stage, attempt, ready_s, start_s, at_us / 1e6, going.end.outcome, waited
        self.spans[going.place] = _record(Span, span)
        return True

    def _set_speeds(self, speeds: Speeds) -> None:
        """Ask how fast each of those that run goes together with the others, and move the ends of those that change."""
        now_us = self.now_us
        stages = tuple(sorted(self._running))
        for stage, speed in zip(stages, speeds(stages)):
            going = self._running[stage]
            if speed == going.speed or going.is_killed:
                continue
            going.left_us -= (now_us - going.since_us) * going.speed
            going.since_us = now_us
            going.speed = speed
            self._will_end(stage, going, now_us + max(0, round(going.left_us / speed)))
