"""Many runs on one virtual clock, each with a machine of its own, that share runners and whatever else is shared by all
runs: who asks first is served first.

Each run is played as `play` would; what runs share is a lease, as on a real machine. The clock is in whole
microseconds from the first arrival on, each machine hears of whole milliseconds of its own run. When runs arrive, what
they are and what their stages take is asked of the caller.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

from stagebook.model.value import NamedTuple
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.vocabulary import (
    AskGate,
    AskLease,
    Began,
    Exited,
    Freed,
    GateAnswered,
    Judge,
    Judged,
    Kill,
    Leased,
    Refused,
    SetTimer,
    Start,
    Started,
    TimerFired,
)
from stagebook.simulate.items import opaque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, Sequence, TypeAlias

    from stagebook.scheduler.plan import Plan
    from stagebook.scheduler.vocabulary import Decision, Event
    from stagebook.simulate.play import Verdicts
    from stagebook.simulate.work import Draw, Speeds, Work

_Units: TypeAlias = "tuple[tuple[str, int], ...]"
_SIGTERM = 15
#: What is due in one microsecond comes in this order: answers, ends, timers, arrivals.
_ANSWERS, _ENDS, _TIMERS, _ARRIVALS = range(4)


class Arrival(NamedTuple):
    """A run that begins at `at_s`. `plan` and `verdicts` as for `play`; `first` is the number that its first stage has
    among all stages that `speeds` is asked about. Runs of one `kind` are alike."""

    at_s: float
    plan: Plan
    draw: Draw
    kind: int = 0
    first: int = 0
    verdicts: Verdicts | None = None


class Trip(NamedTuple):
    """What became of one run: `end_s` is on the common clock. `waits_s`: of each attempt, how long it was ready and did
    not run for what is shared. `held_s`: for how many seconds it held units, times units, of each shared thing."""

    kind: int
    at_s: float
    end_s: float
    waits_s: tuple[float, ...]
    held_s: Mapping[str, float]


def crowd(arrivals: Sequence[Arrival], shared: Mapping[str, int], speeds: Speeds | None = None) -> list[Trip]:
    """Play them all, in order of arrival. `shared` says how many units there are of each pool that all runs share; in
    plans these are pools with `machine`. `speeds` is asked for the stages of all runs that go at once, a stage once for
    each of its runs. A run that stands still (it waits for a person) is over where nothing is left to happen."""
    world = _World(shared, speeds)
    for number, arrival in enumerate(sorted(arrivals, key=lambda each: each.at_s)):
        run = _Run(arrival)
        world.runs.append(run)
        world.push(run.at_us, _ARRIVALS, number, Began(0))
    world.play()
    return [run.trip() for run in world.runs]


class _Run:
    __slots__ = ("arrival", "at_us", "end_us", "held", "is_over", "machine", "units", "waits_s")

    def __init__(self, arrival: Arrival) -> None:
        #: Of items nothing is known here: stages that work through some are ordinary ones.
        self.arrival = arrival = arrival._replace(plan=opaque(arrival.plan, {}))
        self.machine: Machine | None = None
        self.is_over = False
        self.at_us = self.end_us = round(arrival.at_s * 1e6)
        plan = arrival.plan
        #: What each demand takes of what all share.
        self.units: list[_Units] = [
            tuple([(plan.pools[pool].name, count) for pool, count in demand if plan.pools[pool].machine])
            for demand in plan.demands
        ]
        self.waits_s: list[float] = []
        self.held: dict[str, float] = {}

    def units_of(self, stage: int) -> _Units:
        return self.units[self.arrival.plan.stages[stage].demand]

    def trip(self) -> Trip:
        return Trip(self.arrival.kind, self.at_us / 1e6, self.end_us / 1e6, tuple(self.waits_s), self.held)


class _Going:
    """An attempt that runs. `left_us` is the work that was left at `since_us`, done at `speed` from then on."""

    __slots__ = (
        "attempt", "end", "is_killed", "key", "left_us", "run", "serial", "since_us", "speed", "stage", "start_us"
    )  # fmt: skip

    def __init__(self, run: int, stage: int, attempt: int, key: int, end: Work, now_us: int) -> None:
        self.run, self.stage, self.attempt, self.key, self.end = run, stage, attempt, key, end
        self.left_us = round(end.wall_s * 1e6)
        self.start_us = self.since_us = now_us
        self.speed = 0.0
        self.serial = 0
        self.is_killed = False


class _Waiting:
    """A stage that wants what all share. `asks`: its machine waits for the answer, else it was refused before."""

    __slots__ = ("asks", "run", "serial", "stage")

    def __init__(self, serial: int, run: int, stage: int) -> None:
        self.serial, self.run, self.stage, self.asks = serial, run, stage, True


class _World:
    __slots__ = ("_due", "_free", "_going", "_granted", "_line", "_serial", "_set_changed", "_speeds", "now_us", "runs")

    def __init__(self, shared: Mapping[str, int], speeds: Speeds | None) -> None:
        self.runs: list[_Run] = []
        self.now_us = 0
        self._speeds = speeds
        self._due: list[tuple[int, int, int, int, Event]] = []
        self._serial = 0
        self._free = dict(shared)
        self._line: dict[_Units, deque[_Waiting]] = {}
        self._granted: set[tuple[int, int]] = set()  #: run and stage that hold units and have not started yet
        self._going: dict[tuple[int, int], _Going] = {}
        self._set_changed = False

    def push(self, at_us: int, turn: int, run: int, event: Event) -> int:
        self._serial = serial = self._serial + 1
        heappush(self._due, (at_us, turn, serial, run, event))
        return serial

    def play(self) -> None:
        while self._due or self._going:
            if self._set_changed and self._going and self._speeds is not None:
                self._set_changed = False
                self._set_speeds(self._speeds)
            for number, batch in self._next().items():
                self._feed(number, batch)
            self._serve()

    def _next(self) -> dict[int, list[Event]]:
        """All that happens next at one time, by run, and the clock set to it."""
        due = self._due
        found: dict[int, list[Event]] = {}
        while due and (not found or due[0][0] == self.now_us):
            at_us, turn, serial, number, event = heappop(due)
            if turn == _ENDS and isinstance(event, Exited) and not self._finish(number, event.stage, serial, at_us):
                continue
            self.now_us = at_us
            found.setdefault(number, []).append(event)
        return found

    def _feed(self, number: int, batch: list[Event]) -> None:
        run = self.runs[number]
        if run.is_over:
            return
        if run.machine is None:
            run.machine = Machine(run.arrival.plan)
        decisions = run.machine.feed(*batch)
        for decision in decisions:
            self._obey(number, run, decision)
        for event in batch:
            if isinstance(event, (Leased, Freed)) and (number, event.stage) in self._granted:
                waits = isinstance(event, Freed) and any(
                    type(said) is AskLease and said.stage == event.stage for said in decisions
                )
                if not waits:  # it went elsewhere, and what it was given is free again
                    self._give_back(number, event.stage)
        run.end_us = self.now_us
        if run.machine.is_over:
            run.is_over, run.machine = True, None

    def _obey(self, number: int, run: _Run, decision: Decision) -> None:
        if isinstance(decision, Start):
            self._start(number, run, decision)
        elif isinstance(decision, AskLease):
            self._ask(number, run, decision.stage)
        elif isinstance(decision, SetTimer):
            at_us = max(self.now_us, run.at_us + decision.at * 1000)
            self.push(at_us, _TIMERS, number, TimerFired((at_us - run.at_us) // 1000, decision.timer))
        elif isinstance(decision, AskGate):
            self.push(self.now_us, _ANSWERS, number, GateAnswered(self._now_ms(run), decision.stage, True))
        elif isinstance(decision, Judge):
            verdicts = run.arrival.verdicts
            verdict, reason = ("run", None) if verdicts is None else verdicts(decision.stage)
            self.push(self.now_us, _ANSWERS, number, Judged(self._now_ms(run), decision.stage, verdict, reason))
        elif isinstance(decision, Kill):
            going = self._going.get((number, decision.stage))
            if going is not None:
                outcome = "timeout" if decision.why == "timeout" else "cancellation"
                event = Exited(
                    self._now_ms(run), decision.stage, decision.attempt, outcome, None, _SIGTERM, decision.why
                )
                going.serial = self.push(self.now_us, _ENDS, number, event)
                going.is_killed = True

    def _now_ms(self, run: _Run) -> int:
        return (self.now_us - run.at_us) // 1000

    # What all share ------------------------------------------------------------------------------------------------

    def _ask(self, number: int, run: _Run, stage: int) -> None:
        if (number, stage) in self._granted:
            self.push(self.now_us, _ANSWERS, number, Leased(self._now_ms(run), stage))
            return
        self._serial += 1
        waiting = _Waiting(self._serial, number, stage)
        self._line.setdefault(run.units_of(stage), deque()).append(waiting)
        self._serve()
        if waiting.asks:
            waiting.asks = False
            self.push(self.now_us, _ANSWERS, number, Refused(self._now_ms(run), stage, "another run"))

    def _serve(self) -> None:
        """Whoever can have all that he wants, in order of asking; what one who came earlier lacks is kept for him."""
        free = self._free
        while self._line:
            lacking: set[str] = set()
            for units in sorted(self._line, key=lambda each: self._line[each][0].serial):
                if all(free[name] >= count and name not in lacking for name, count in units):
                    break
                lacking.update(name for name, count in units if free[name] < count)
            else:
                return
            waiting = self._line[units].popleft()
            if not self._line[units]:
                del self._line[units]
            for name, count in units:
                free[name] -= count
            self._granted.add((waiting.run, waiting.stage))
            answer = Leased if waiting.asks else Freed
            waiting.asks = False
            now_ms = self._now_ms(self.runs[waiting.run])
            self.push(self.now_us, _ANSWERS, waiting.run, answer(now_ms, waiting.stage))

    def _give_back(self, number: int, stage: int) -> None:
        self._granted.discard((number, stage))
        for name, count in self.runs[number].units_of(stage):
            self._free[name] += count

    # What runs -----------------------------------------------------------------------------------------------------

    def _start(self, number: int, run: _Run, start: Start) -> None:
        stage, attempt, ready_ms, waited = start
        now_us = self.now_us
        going = _Going(number, stage, attempt, run.arrival.first + stage, run.arrival.draw(stage, attempt), now_us)
        self._granted.discard((number, stage))
        self._going[number, stage] = going
        self._set_changed = True
        is_shared = waited in self._free
        run.waits_s.append(max(0.0, (now_us - run.at_us) / 1e6 - ready_ms / 1000) if is_shared else 0.0)
        if run.machine is not None and run.machine.is_paced:
            self.push(now_us, _ANSWERS, number, Started(self._now_ms(run), stage, attempt, 0, 0))
        if self._speeds is None:
            self._will_end(going, now_us + round(going.end.wall_s * 1e6))

    def _will_end(self, going: _Going, at_us: int) -> None:
        _, outcome, exit, reason = going.end
        if exit is None and outcome == "success":
            exit = 0
        at_ms = (at_us - self.runs[going.run].at_us) // 1000
        event = Exited(at_ms, going.stage, going.attempt, outcome, exit, None, reason)
        going.serial = self.push(at_us, _ENDS, going.run, event)

    def _finish(self, number: int, stage: int, serial: int, at_us: int) -> bool:
        """Whether that attempt still runs and ends now; if so what it held is free."""
        going = self._going.get((number, stage))
        if going is None or going.serial != serial:
            return False
        del self._going[number, stage]
        self._set_changed = True
        run = self.runs[number]
        for name, count in run.units_of(stage):
            self._free[name] += count
            run.held[name] = run.held.get(name, 0.0) + count * (at_us - going.start_us) / 1e6
        return True

    def _set_speeds(self, speeds: Speeds) -> None:
        """Ask how fast each of those that run goes together with the others, and move the ends of those that change."""
        now_us = self.now_us
        running = sorted(self._going.values(), key=lambda going: (going.key, going.run))
        for going, speed in zip(running, speeds(tuple([each.key for each in running]))):
            if speed == going.speed or going.is_killed:
                continue
            going.left_us = round(going.left_us - (now_us - going.since_us) * going.speed)
            going.since_us = now_us
            going.speed = speed
            self._will_end(going, now_us + max(0, round(going.left_us / speed)))
