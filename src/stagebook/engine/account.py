"""Tells the journal, the story and whoever watches the same thing about each step of a run. Decides and starts nothing.

A line is in the journal's buffer before anybody else hears of it; when the buffer is written is the loop's business.
The story and whoever watches hear of it at most `TELL_US` later, many steps at once: between two starts of processes
little of an interpreter is left in the caches, and words in a row cost a third of what they cost one by one.
"""

from __future__ import annotations

from stagebook.engine.attempts import Finished
from stagebook.engine.clock import Clock
from stagebook.model.outcome import AttemptEnd, ItemsTold
from stagebook.model.pipeline import Pipeline
from stagebook.observe import usage as usages
from stagebook.observe import world
from stagebook.record import demand, document
from stagebook.record.holders import Holders
from stagebook.record.items import TEXT_MAX
from stagebook.record.line import members, quote
from stagebook.record.story import Around, Story
from stagebook.record.writer import Writer
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan
from stagebook.scheduler.vocabulary import (
    Decision,
    Ended,
    ItemFailed,
    ItemsLot,
    ItemsReady,
    ItemsWorkers,
    RunEnded,
    SetTimer,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, Protocol, Sequence

    from stagebook.artifact.digest import File
    from stagebook.engine.steps import Steps
    from stagebook.record.gates import Asked
    from stagebook.record.items import Call
else:
    Protocol = object

WAITED_IN_VAIN = ("timeout", "cancellation")  #: how a stage ends that could have started and never did
TOLD_WAITS_MAX = 200  #: in a larger plan nobody reads a line for each stage that waits
TELL_US = 20_000  #: how long words to people may be kept back
TELL_AGAIN_US = 100_000  #: when to tell again what whoever reads could not take
NEVER_US = 1 << 62


class Watcher(Protocol):
    """Whoever shows the run while it goes on. Must be cheap and never raise."""

    interval_us: int  #: how often `tick` is wanted; 0: never
    typed: tuple[str, bool, str | None] | None  #: what a person has just answered at a gate, once `key` says so
    follows_waits: bool  #: whether another reason, or another holder, is worth telling of a stage that waits

    def started(self, stage: str, attempt: int, us: int, wait_us: int, waited: str | None) -> None: ...
    def waits(self, stage: str, reason: str, holder: str | None) -> None: ...
    def grew(self, maker: str, news: Sequence[Mapping[str, Any]], count: int) -> None: ...
    def reading(self, stage: str, told: tuple[int, int, str] | None) -> None: ...
    def gate(self, card: dict[str, Any]) -> None: ...
    def items(self, stage: str, told: ItemsTold) -> None: ...
    def exited(self, end: AttemptEnd) -> None: ...
    def ended(self, stage: str, outcome: str, reason: str | None, us: int) -> None: ...
    def tick(self, us: int) -> None: ...
    def key(self, char: str) -> str | None: ...
    def note(self, text: str) -> None: ...
    def flush(self) -> bool: ...
    def hurry(self) -> None: ...


class Account:
    """The account of one run. `names` are the stages' ids as JSON text."""

    def __init__(
        self, plan: Plan, machine: Machine, story: Story, writer: Writer, clock: Clock, watcher: Watcher,
        names: list[str],
    ) -> None:  # fmt: skip
        self.writer = writer
        self.watcher = watcher
        self._plan = plan
        self._machine = machine
        self._story = story
        self._clock = clock
        self._names = names
        self.steps: Steps | None = None  #: what attempts of jobs say of their steps
        self._told_waits: dict[int, tuple[str, str | None]] = {}
        self._untold: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.tell_at_us = NEVER_US  #: when `tell` has to be called
        #: Ends of attempts that the watcher has not heard of: (stage, attempt, us, outcome, reason, exit, wall_us).
        self._exits: list[tuple[int, int, int, str, str | None, int | None, int]] = []

    def line(self, name: str, us: int, stage: int | None = None, attempt: int | None = None, tail: str = "") -> None:
        """Add a line to the journal's buffer."""
        self.writer.add(name, us, None if stage is None else self._names[stage], attempt, tail)

    def grew(self, pipeline: Pipeline, plan: Plan, critical: Sequence[str]) -> None:
        """The run has further stages, and others wait for them. The line is an event's."""
        before, self._plan = self._plan, plan
        known = len(before.stages)
        maker = pipeline.stages[-1].made_by or ""
        self._names += [quote(stage.id) for stage in plan.stages[known:]]
        us = self._clock.us()
        self._later(us, self._story.grew, (pipeline, critical))
        news = [
            {"stage": stage.id, "needs": pipeline.stages[index].needs, "critical": stage.critical}
            for index, stage in enumerate(plan.stages)
            if index >= known or stage.needs != before.stages[index].needs
        ]
        self._later(us, self.watcher.grew, (maker, news, len(plan.stages) - known))
        self.tell()  # the story is asked about these stages before anything else is told

    def started(
        self, index: int, number: int, us: int, ready_us: int, waited: str | None, log: str | None, pid: int
    ) -> None:  # fmt: skip
        """An attempt has a process. `log` is the name of its log; None: it has none, and `pid` is ours."""
        if waited is None:
            ready_us = us
        text = "null" if waited is None else quote(waited)
        named = "null" if log is None else quote(log)
        self.writer.add(
            "stage.started", us, self._names[index], number,
            f'"pid":{pid},"start":null,"ready":{ready_us / 1e6},"waited":{text},"log":{named}',
        )  # fmt: skip
        self._later(us, self._story.started, (index, number, us, ready_us, waited, log))
        self._later(us, self.watcher.started, (self._plan.stages[index].id, number, us, max(0, us - ready_us), waited))

    def exited(
        self, index: int, number: int, us: int, started_us: int, end: Finished,
        never_began: tuple[int, str] | None = None, around: Around | None = None,
    ) -> None:  # fmt: skip
        """An attempt is over. Whether another follows is told to the watcher when that is decided (`decided`).
        `never_began` is for one that waited and then never had a process: since when, and for what."""
        outcome, reason, code, signalled, used, warnings, is_final = end
        text = "null" if reason is None else quote(reason)
        extra = ""
        if self.steps is not None:
            said = self.steps.warnings(index, number)
            warnings = (*warnings, *(f"{self._plan.stages[index].id}: {text}" for text in said))
        if warnings:
            extra = ',"warnings":[' + ",".join(map(quote, warnings)) + "]"
            for warning in warnings:
                self._later(us, self._story.warn, (warning,))
        if is_final:
            extra += ',"final":true'
        ready_us = waited = None
        if never_began is not None:
            ready_us, waited = never_began
            extra += f',"ready":{ready_us / 1e6},"waited":{quote(waited)}'
        if around is not None:
            extra += f',"around":{world.encode(around)}'
        steps = self.steps.of(index, number) if self.steps is not None else ""
        if steps:
            extra += f',"steps":{steps}'
        self.writer.add(
            "stage.exited", us, self._names[index], number,
            f'"outcome":"{outcome}","reason":{text},"exit":{"null" if code is None else code},'
            f'"signal":{"null" if signalled is None else signalled},"usage":{usages.encode(used)}{extra}',
        )  # fmt: skip
        self._later(
            us, self._story.exited,
            (index, number, us, outcome, reason, code, signalled, used, ready_us, waited, around),
        )  # fmt: skip
        self._exits.append((index, number, us, outcome, reason, code, us - started_us))

    def items_ready(self, us: int, event: ItemsReady, position: int) -> None:
        """Items have come, up to that position in their source. Their names are where the run keeps its items."""
        _, stage, more, is_last, skipped = event
        said: dict[str, Any] = {"more": more, "position": position}
        if skipped:
            said["skipped"] = skipped
        if is_last:
            said["last"] = True
        self.line("items.ready", us, stage, tail=members(**said))
        self._later(us, self._story.items_ready, (stage, us, more, skipped, is_last, position))

    def items_done(self, stage: int, us: int, calls: list[Call], queues: list[int] | None) -> None:
        """Calls are over; `queues` are the most that were queued before each step so far, where they are told."""
        said: dict[str, Any] = {"calls": [call.row() for call in calls]}
        if queues is not None:
            said["queue_max"] = queues
        self.line("items.done", us, stage, tail=members(**said))
        self._later(us, self._story.items_done, (stage, us, calls, queues))

    def items_told(self, stage: int) -> None:
        """Whoever watches hears how far the items of a stage are. No part of the record."""
        planned, known, book = self._plan.stages[stage], self._machine.items(stage), self._story.items.get(stage)
        if book is None:
            return  # it has just joined the run, which the story has not heard yet
        queues = tuple((step.step, step.queued + step.again) for step in known.steps)
        total = known.known + known.skipped if known.is_all else None
        slowest = book.slowest()
        binds = None if slowest is None else known.steps[slowest].step
        told = ItemsTold(known.done + known.skipped, total, known.failed, book.per_s(), queues, binds)
        self._later(self._clock.us(), self.watcher.items, (planned.id, told))

    def items_workers(self, us: int, event: ItemsWorkers, why: str) -> None:
        """A step has another number of workers."""
        _, stage, step, workers = event
        self.line("items.workers", us, stage, tail=members(step=step, workers=workers, reason=why))
        self._later(us, self._story.items_workers, (stage, us, step, workers))

    def items_lot(self, us: int, event: ItemsLot) -> None:
        """Calls of a step have another number of items. No part of the story: calls say what they had."""
        self.line("items.lot", us, event.stage, tail=members(step=event.step, lot=event.lot))

    def item_failed(self, failed: ItemFailed, text: str | None) -> None:
        """An item is not tried again; `text` is what it is."""
        us = self._clock.us()
        text = None if text is None else self.hidden(text)[:TEXT_MAX]
        said = {**dict(zip(failed._fields[1:], failed[1:])), "text": text}
        self.line("items.dead", us, failed.stage, tail=members(**said))
        self._later(us, self._story.item_failed, (failed.stage, tuple(said.values())))

    def judged(self, stage: int, verdict: str, reason: str) -> None:
        """Whether a stage runs, and why. The line is an answer's."""
        self._later(self._clock.us(), self._story.judged, (stage, verdict, reason))

    def published(
        self, stage: int, attempt: int, us: int, files: Sequence[File], is_early: bool, dependents: Sequence[int]
    ) -> None:  # fmt: skip
        """Outputs are there to be used; with `is_early` while the attempt goes on."""
        from stagebook.artifact.digest import digest_of
        from stagebook.record import publication

        rows = publication.rows(files)
        tail = f'"early":{"true" if is_early else "false"}'
        if is_early:
            tail += f',"dependents":[{",".join([self._names[index] for index in dependents])}]'
        self.writer.add(
            "output.published", us, self._names[stage], attempt, f"{publication.members_of(rows, digest_of)},{tail}"
        )  # fmt: skip
        self._later(us, self._story.published_by, (stage, rows, is_early))

    def asked(self, stage: int, us: int, question: Asked) -> None:
        """A person is asked at a gate."""
        self.writer.add("gate.asked", us, self._names[stage], None, question.tail())
        self._story.asked(stage, question)

    def gate(self, stage: int, question: Asked) -> None:
        """Tell whoever watches how a question at a gate stands."""
        from stagebook.record import gates

        card = {**gates.told(self._story, stage), "stage": self._plan.stages[stage].id, "run": self._story.run}
        self._later(self._clock.us(), self.watcher.gate, (card,))

    def void(self, stage: int, us: int, text: str) -> None:
        """An approval does not count any more. The line is the loop's."""
        self._later(us, self._story.reopened, (stage, self.hidden(text)))
        self._later(us, self.watcher.note, (self.hidden(text),))

    def ended(self, decision: Ended) -> None:
        """A stage has its final outcome."""
        stage, outcome, reason, flaky = decision
        us = self._clock.us()
        text = "null" if reason is None else quote(reason)
        tail = f'"outcome":"{outcome}","reason":{text},"flaky":{"true" if flaky else "false"}'
        ready_us = None
        if outcome in WAITED_IN_VAIN and not self._machine.attempt(stage):
            ready_ms = self._machine.ready_at(stage)
            if ready_ms is not None:
                ready_us = ready_ms * 1000
                tail += f',"ready":{ready_us / 1e6}'
        queues = None
        if self._plan.stages[stage].each is not None:
            queues = [step.queue_max for step in self._machine.items(stage).steps]
            tail += f',"queue_max":{queues}'
        self.writer.add("stage.ended", us, self._names[stage], None, tail)
        self._later(us, self._story.ended, (stage, us, outcome, reason, flaky, ready_us, queues))
        self._later(us, self._told_end, (stage, self._plan.stages[stage].id, us))

    def _told_end(self, stage: int, name: str, us: int) -> None:
        """Whoever watches hears of an end in the story's words, which know more than the scheduler's."""
        end = self._story.ends[stage]
        assert end is not None
        self.watcher.ended(name, end.outcome, end.reason, us)

    def decided(self, decisions: list[Decision]) -> None:
        """What the decisions tell about attempts that have just ended: whether each is followed by another."""
        if not self._exits:
            return
        delays = {}
        for decision in decisions:
            if type(decision) is SetTimer and decision.timer.startswith("backoff:"):
                delays[int(decision.timer.split(":")[1])] = decision.at * 1000
        for stage, number, us, outcome, reason, code, wall_us in self._exits:
            planned = self._plan.stages[stage]
            retry_in_us = max(0, delays[stage] - us) if stage in delays else None
            end = AttemptEnd(
                planned.id, number, planned.attempts, us, outcome, reason, code, wall_us, retry_in_us
            )  # fmt: skip
            self._later(us, self.watcher.exited, (end,))
        self._exits.clear()

    def waits(self, decisions: list[Decision], is_short: bool) -> None:
        """Say of each stage whose needs have just ended, and that could not start, what it waits for and who has it;
        of any that is held as the machine beneath `is_short`; and to those who follow it, whatever changes in that."""
        if len(self._plan.stages) > TOLD_WAITS_MAX:
            return
        machine = self._machine
        ended = {decision.stage for decision in decisions if type(decision) is Ended}
        holders = None
        for index, stage in enumerate(self._plan.stages):
            if machine.state(index) not in ("ready", "held"):
                continue
            told = self._told_waits.get(index)
            is_news = told is None and (not stage.needs or not ended.isdisjoint(stage.needs))
            if not (is_news or is_short or self.watcher.follows_waits):
                continue
            reason = machine.waiting(index)
            if reason is None or not (is_news or reason == "machine" or self.watcher.follows_waits):
                continue
            if told is not None and told[0] == reason == "machine":
                continue  # how much is free changes all the time
            holders = holders or Holders(machine)
            holder = holders.said(index)
            if told != (reason, holder):
                self._told_waits[index] = reason, holder
                self._later(self._clock.us(), self.watcher.waits, (stage.id, reason, holder))

    def refused(self, stage: int, by: str) -> None:
        """Another run has what the stage needs. Said once for each who has it."""
        told = self._machine.waiting(stage) or "pool", by
        if self._told_waits.get(stage) != told:
            self._told_waits[stage] = told
            self._later(self._clock.us(), self.watcher.waits, (self._plan.stages[stage].id, *told))

    def reading(self, stage: int, told: tuple[int, int, str] | None) -> None:
        """How far work on a stage's files is that takes long; None: that is over. No part of the record."""
        self._later(self._clock.us(), self.watcher.reading, (self._plan.stages[stage].id, told))

    def _later(self, us: int, tell: Callable[..., None], what: tuple[Any, ...]) -> None:
        self._untold.append((tell, what))
        if self.tell_at_us == NEVER_US:
            self.tell_at_us = us + TELL_US

    def tell(self) -> None:
        """Bring the story and whoever watches up to date."""
        untold, self._untold = self._untold, []
        self.tell_at_us = NEVER_US
        for tell, what in untold:
            tell(*what)
        if self.watcher.flush():
            self.tell_at_us = self._clock.us() + TELL_AGAIN_US

    def closed(self) -> None:
        """The plan of this account no longer holds: all that it knows is told, though nothing more is decided."""
        self.decided([])
        self.tell()

    def warn(self, text: str) -> None:
        """Something that a person should know, and that the record keeps with the end of the run."""
        self._later(self._clock.us(), self._story.warn, (self.hidden(text),))

    def hidden(self, text: str) -> str:
        return self.writer.mask.text(text) if self.writer.mask else text

    def sync(self, us: int) -> None:
        """Make the record durable; the writer notices on the way if somebody has set the wall clock."""
        jump_us = self.writer.clock_jump_us
        self.writer.sync(us)
        if self.writer.clock_jump_us != jump_us:
            self._story.clock_jumped((self.writer.clock_jump_us - jump_us) / 1e6)

    def finished(self, us: int, over: RunEnded | None, left: list[str], around: Around | None) -> None:
        """The run is over, or (None) waits for a person; `left` are processes that no stage could be named for."""
        self.tell()
        if left:
            self._story.warn(f"left behind by stages of this run, and ended: {self.hidden(', '.join(left))}")
        for text in demand.far_off(self._story):
            self._story.warn(text)
        if over is not None:
            self._story.finished(us, *over, around)
            self.line("run.ended", us, tail=document.closing(self._story))
        self.sync(us)
