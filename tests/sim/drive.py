"""A driver over a virtual clock: a heap of (time, order, event), one seeded generator, and the faults of a world.

The clock jumps to the next event. First everything may go wrong; from `CALM_AFTER` batches on nothing new does, and
then the run must come to its end: within a bound, and again after each `Resumed`. Where it ends as `error`, somebody
may mend what was in the way, and a new engine goes on.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Callable

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
    Decision,
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

CALM_AFTER = 120

Make = Callable[[Plan], Machine]


def play(seed: int, make: Make = Machine) -> Drive:
    """Run the world of that seed to its end; AssertionError where a promise is broken."""
    drive = Drive(World(seed), make)
    try:
        drive.run()
    except Exception as trouble:
        trouble.add_note(f"STAGEBOOK_SIM_SEED={seed} reproduces this; features and faults: {sorted(drive.world.on)}")
        raise
    return drive


class Drive:
    """One engine after another, over one journal."""

    def __init__(self, world: World, make: Make) -> None:
        self.world = world
        self.draw = world.draw
        self.readers = [
            [index for index, stage in enumerate(world.plan.stages) if of in stage.early]
            for of in range(len(world.plan.stages))
        ]
        self.make = make
        self.machine = make(world.plan)
        self.watch = Watch(world.plan)
        self.heap: list[tuple[int, int, Event]] = []
        self.order = 0
        self.alive: dict[int, int] = {}  #: processes: stage to attempt
        self.unanswered: set[int] = set()
        self.gates = [index for index, stage in enumerate(world.plan.stages) if stage.gate is not None]
        self.undecided: set[int] = set()  #: gates at which somebody was asked
        self.journal: list[tuple[tuple[Event, ...], list[Decision]]] = []
        self.resumes = 0
        self.mended = False  #: no attempt ends as `error` any more
        self.bound = CALM_AFTER + 60 * (len(world.plan.stages) + 2)

    @property
    def calm(self) -> bool:
        return len(self.journal) > CALM_AFTER

    def push(self, at: int, event: Event) -> None:
        self.order += 1
        heappush(self.heap, (at, self.order, event))

    def run(self) -> None:
        self.push(0, Began(0))
        self._plan_cancels()
        self._plan_shortages()
        self._plan_unasked_answers()
        while True:
            self._drain()
            if self.machine.is_over:
                if self._may_go_on() and self.resumes < 3 and self.world.has("resume", 1):
                    self.mended |= not self.watch.cancels
                    self._crash(always=True)
                    is_moved = not self.machine.is_over or self.watch.outcome != "error"  # a person called it done
                    assert is_moved or not self.mended, "a run that ended as `error` does not go on"
                    continue
                break
            assert self.machine.waits_for_person, "nothing is outstanding and the run is not over"
            assert self.unanswered or self.undecided, "the machine waits for a person whom nobody asked"
            for stage in sorted(self.unanswered):
                self._answer(stage)
            for stage in sorted(self.undecided):
                self._decide(stage, self.watch.now)
        assert not self.mended or self.watch.outcome != "error", "an error of before stands"
        self.machine.check()
        self._replayed()

    def _may_go_on(self) -> bool:
        """Whether a resume takes up a run that is over: a signal stopped it, or it ended as `error` within its time."""
        watch = self.watch
        may = not watch.for_good if watch.cancels else watch.outcome == "error" and watch.reason != "timeout"
        assert self.machine.can_go_on == may, "the machine takes another run for one that can go on"
        return may

    def _plan_cancels(self) -> None:
        draw = self.draw
        if self.world.has("cancel", 0.5):
            why = draw.choice(("SIGINT", "SIGTERM", "SIGHUP", "cancel"))
            at = draw.randint(0, 60)
            self.push(at, CancelAsked(at, why))
            for _ in range(draw.randint(1, 2) if self.world.has("cancel_again", 0.6) else 0):
                at += draw.randint(0, 15)
                self.push(at, CancelAsked(at, draw.choice(("SIGINT", "SIGTERM", "cancel"))))
        if self.world.has("cancel_stage", 0.5):
            for _ in range(draw.randint(1, 3)):
                at = draw.randint(0, 40)
                self.push(at, CancelAsked(at, "cancel", draw.randrange(len(self.world.plan.stages))))

    def _plan_shortages(self) -> None:
        draw = self.world.governs
        at = 0
        while self.world.governs_by("short", 0.7):
            at += draw.randint(0, 20)
            self.push(at, Shortage(at, "free memory 1 MiB", draw.choice((None, 0, 1, 3)), draw.random() < 0.5))
            at += draw.randint(1, 20)
            self.push(at, Shortage(at, None))

    def _plan_unasked_answers(self) -> None:
        """Some people are hasty."""
        draw = self.world.waits
        for stage in self.gates:
            while self.world.waits_by("gate_unasked", 0.3):
                self._decide(stage, draw.randint(0, 60))

    # ------------------------------------------------------------ the loop

    def _drain(self) -> None:
        while self.heap:
            batch = self._gather()
            if batch:
                self._feed(batch)
                cancelled = any(isinstance(event, CancelAsked) for event in batch)
                if not self.calm and self.world.has(
                    "crash", 0.4 if cancelled else 0.15 if self.watch.cancels else 0.03
                ):
                    self._crash()
            assert len(self.journal) < self.bound, "the run does not come to an end"

    def _gather(self) -> list[Event]:
        size = self.draw.randint(1, 5) if self.world.has("big_batch", 0.5) else 1
        batch: list[Event] = []
        while self.heap and len(batch) < size:
            at, _, event = heappop(self.heap)
            if isinstance(event, Exited):
                if self.alive.get(event.stage) != event.attempt:
                    if not self.world.has("doubled_exit", 0.7):
                        continue
                else:
                    del self.alive[event.stage]
                    if self.world.has("doubled_exit", 0.2):
                        self.push(at + self.draw.randint(0, 20), event)
            elif isinstance(event, TimerFired) and not self.calm and self.world.has("stale_timer", 0.4):
                self.push(at + self.draw.randint(0, 30), event)
            elif isinstance(event, Started) and self.alive.get(event.stage) != event.attempt:
                continue
            elif isinstance(event, Announced) and self.alive.get(event.stage) != event.attempt:
                if self.world.speaks.random() < 0.7:
                    continue
            if not isinstance(event, TimerFired) and self.world.has("clock_back", 0.1):
                event = event._replace(at=max(0, at - self.draw.randint(1, 20)))
            else:
                event = event._replace(at=at)
            batch.append(event)
        return batch

    def _feed(self, batch: list[Event]) -> None:
        foreseen = self.machine.waits_again() if isinstance(batch[0], Resumed) and batch[0].takes_back else []
        decisions = self.machine.feed(*batch)
        self.journal.append((tuple(batch), decisions))
        self.watch.see(batch, decisions, self.machine)
        if isinstance(batch[0], Resumed):
            assert foreseen == self.watch.taken_back, f"foreseen were {foreseen}, not {self.watch.taken_back}"
        if self.draw.random() < 0.1:
            self.machine.check()
        now = max(self.watch.now, batch[-1].at)
        for decision in decisions:
            self._obey(decision, now)

    def _obey(self, decision: Decision, now: int) -> None:
        draw = self.draw
        if isinstance(decision, Start):
            stage, attempt = decision.stage, decision.attempt
            self.alive[stage] = attempt
            outcome, exit, reason = ("success", 0, None) if self.calm else self.world.end()
            if self.mended and outcome == "error" and reason != "interrupted":
                outcome, exit, reason = "success", 0, None
            self.push(now, Started(now, stage, attempt, 1, 1))
            took = self.world.duration()
            self.push(now + took, Exited(now, stage, attempt, outcome, exit, None, reason))
            if self.readers[stage]:
                self._announce(stage, attempt, now, took)
        elif isinstance(decision, Kill):
            stage, attempt = decision.stage, decision.attempt
            wait = draw.randint(10, 80) if not decision.now and self.world.has("deaf", 0.5) else draw.randint(0, 2)
            self.push(now + wait, Exited(now, stage, attempt, "failure", None, 15))
        elif isinstance(decision, SetTimer):
            late = draw.randint(1, 30) if self.world.has("late_timer", 0.3) else 0
            self.push(decision.at + late, TimerFired(decision.at + late, decision.timer))
        elif isinstance(decision, Judge):
            self._judge(decision.stage, now)
        elif isinstance(decision, AskLease):
            self._lease(decision.stage, now)
        elif isinstance(decision, AskRerun):
            self.unanswered.add(decision.stage)
            if not self.world.has("no_answer", 0.6):
                self._answer(decision.stage, now + draw.randint(0, 20))
        elif isinstance(decision, AskGate):
            self._ask(decision.stage, now)

    def _ask(self, stage: int, now: int) -> None:
        """Whoever does not answer now does when nothing else is left to wait for."""
        draw = self.world.waits
        self.undecided.add(stage)
        if not self.world.waits_by("gate_unanswered", 0.6):
            at = now + (draw.randint(20, 90) if self.world.waits_by("gate_late", 0.5) else draw.randint(0, 10))
            self._decide(stage, at)
            while self.world.waits_by("gate_twice", 0.5):
                self._decide(stage, at + draw.randint(0, 10))

    def _decide(self, stage: int, at: int) -> None:
        self.undecided.discard(stage)
        self.push(at, self._decision_of_a_person(stage, at))

    def _decision_of_a_person(self, stage: int, at: int) -> GateAnswered:
        draw = self.world.waits
        return GateAnswered(at, stage, draw.random() < 0.7, draw.choice((None, "ann", "bob: too early")))

    def _announce(self, stage: int, attempt: int, now: int, took: int) -> None:
        """Some of it while it runs, perhaps twice; now and then too late."""
        draw = self.world.speaks
        for _ in range(draw.randint(0, 3)):
            at = now + draw.randint(0, took + 2)
            some = tuple(reader for reader in self.readers[stage] if draw.random() < 0.7)
            self.push(at, Announced(at, stage, attempt, some))

    def _judge(self, stage: int, now: int) -> None:
        draw = self.world.governs
        verdict = draw.choice(("run", "run", "run", "skip", "error" if "errors" in self.world.on else "run"))
        if self.mended and verdict == "error":
            verdict = "run"
        at = now + draw.randint(0, 3)
        answer = Judged(at, stage, verdict, None if verdict == "run" else "when: x")
        self.push(at, answer)
        if self.world.governs_by("doubled_exit", 0.2):
            self.push(at + draw.randint(0, 9), answer)

    def _lease(self, stage: int, now: int) -> None:
        """Another run may have it, and gives it back after a while."""
        draw = self.world.governs
        at = now + draw.choice((0, 0, 1))
        if self.calm or draw.random() < 0.6:
            self.push(at, Leased(at, stage))
            return
        self.push(at, Refused(at, stage, "another"))
        later = at + draw.randint(1, 30)
        self.push(later, Freed(later, stage))

    def _answer(self, stage: int, at: int | None = None) -> None:
        if at is None:
            self.unanswered.discard(stage)
            at = self.watch.now
        self.push(at, RerunAnswered(at, stage, self.draw.random() < 0.7))

    # ------------------------------------------------------------ crash and replay

    def _replayed(self) -> Machine:
        """A new machine that has heard the journal: it must say the same again and be in the same state."""
        again = self.make(self.world.plan)
        for batch, decisions in self.journal:
            assert again.feed(*batch) == decisions, "a replay decides otherwise"
        assert again.snapshot() == self.machine.snapshot(), "a replay ends in another state"
        return again

    def _crash(self, always: bool = False) -> None:
        """The engine dies, and its processes with it; a new one goes on from the journal."""
        self.machine = self._replayed()
        now = self.watch.now
        alive = sorted(self.alive.items())
        found: list[Event] = [Exited(now, *attempt, "error", None, None, "interrupted") for attempt in alive]
        self.alive.clear()
        if self.world.unheld and not always and self.draw.random() < 0.2:
            self.resumes += 1
            self._feed([Resumed(now, takes_back=False), *found, CancelAsked(now, "cancel")])
            return
        resumed: list[Event] = [Resumed(now)] if always or self.world.has("resume", 0.9) else []
        if resumed:
            lost = (Judged, Leased, Refused, Freed)
            self.heap = [entry for entry in self.heap if not isinstance(entry[2], lost)]
            heapify(self.heap)
        self.resumes += len(resumed)
        if self.world.unheld and resumed:
            begun = [stage for stage in range(len(self.world.plan.stages)) if self.machine.attempt(stage)]
            answered = self.draw.choices(begun, k=2 * len(begun)) if begun else []  # people change their minds, too
            said = [RerunAnswered(now, stage, self.draw.random() < 0.5) for stage in answered]
            self._feed([*resumed, *found, *said, *self._decided_meanwhile(now)])
            return
        batches = [found + resumed] if self.draw.random() < 0.5 else [resumed, found]
        if resumed:
            batches[-1] = batches[-1] + self._decided_meanwhile(now)
        for batch in batches:
            if batch:
                self._feed(batch)

    def _decided_meanwhile(self, now: int) -> list[Event]:
        """What people have said at gates while there was no engine."""
        chosen = [stage for stage in self.gates if self.world.waits.random() < 0.2]
        return [self._decision_of_a_person(stage, now) for stage in chosen]
