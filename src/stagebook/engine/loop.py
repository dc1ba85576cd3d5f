"""The loop: gather what happened, make one batch, journal it, feed the machine, obey. It chooses nothing.

A batch is in the journal before the machine hears of it, and so before it is obeyed. Processes are `attempts`, words
about them are `account`. Times are microseconds on the monotonic clock since the run began. One thread, so that
directory, group and children are never in dispute.
"""

from __future__ import annotations

import heapq
import os
import signal

from stagebook.engine import keeper, kernel
from stagebook.engine.account import Account
from stagebook.engine.answers import Answer, Answers
from stagebook.engine.attempt import Attempt
from stagebook.engine.attempts import FAR_US, Attempts, Finished
from stagebook.engine.clock import Clock
from stagebook.engine.control import Control
from stagebook.engine.spawn import CannotStart
from stagebook.engine.wakeup import Wakeup
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.problem import InputError
from stagebook.record.line import members, quote
from stagebook.record.state import log_name
from stagebook.record.story import Around
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan
from stagebook.scheduler.vocabulary import (
    Announced,
    AskGate,
    AskLease,
    AskRerun,
    CancelAsked,
    Decision,
    Ended,
    Event,
    Exited,
    ItemFailed,
    Judge,
    Kill,
    KillItems,
    Leased,
    Refused,
    RunEnded,
    SetTimer,
    StagesAdded,
    Start,
    Started,
    StartItems,
    TimerFired,
    WantItems,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from stagebook.artifact.digest import File
    from stagebook.engine.artifacts import Artifacts
    from stagebook.engine.errands import Errands
    from stagebook.engine.gates import Gates
    from stagebook.engine.generation import Generation, Part
    from stagebook.engine.hasher import Told
    from stagebook.engine.items.source import Taken
    from stagebook.engine.items.streams import Streams
    from stagebook.engine.split import Place
    from stagebook.record.items import Call
    from stagebook.scheduler.vocabulary import ItemsDone, ItemsLot, ItemsReady, ItemsWorkers

SLEEP_MAX_US = 3_600_000_000  #: the longest sleep that is asked for; nothing comes of waking up


class Engine:
    """Drives one machine with real processes until its run is over or waits for a person."""

    def __init__(
        self, pipeline: Pipeline, plan: Plan, machine: Machine, account: Account, attempts: Attempts, clock: Clock,
        control: Control, wakeup: Wakeup, answers: Answers, artifacts: Artifacts | None = None,
        errands: Errands | None = None, gates: Gates | None = None, waits: bool = True, streams: Streams | None = None,
        generation: Generation | None = None,
    ) -> None:  # fmt: skip
        """`artifacts` are there where some stage has inputs or outputs, `errands` where a suite is split, `gates`
        where a person is asked, `streams` where a stage works through items, all of them where stages are generated.
        Not `waits`: the engine ends with gates open, once nothing else is left to do."""
        self.machine = machine
        self.over: RunEnded | None = None
        self._pipeline = pipeline
        self._plan = plan
        self._account = account
        self._attempts = attempts
        self._clock = clock
        self._control = control
        self._wakeup = wakeup
        self._answers = answers
        self._artifacts = artifacts
        self._errands = errands
        self._gates = gates
        self._waits = waits
        self._generation = generation
        self._aside = [each for each in (generation, artifacts, errands, gates) if each is not None]
        for each in self._aside:
            each.ear = self
            each.hasher.pids = attempts.others
        self._streams = streams
        if streams is not None:
            streams.ear = self
            account.writer.before_sync = streams.sync
        if control.fd is not None:
            wakeup.watch(control.fd)
        self._timers: list[tuple[int, str]] = []
        self._batch: list[Event] = []
        self._tick_next = FAR_US if not account.watcher.interval_us else 0
        #: Stages that have generated others which are to join, each with how it is recorded that it is over.
        self._joins: list[tuple[int, Callable[[str | None], None]]] = []
        self._owed_end: RunEnded | None = None  #: decided before the resume, and in no line yet

    def catch_up(self, owed: list[Ended | RunEnded | ItemFailed], timers: list[SetTimer]) -> None:
        """Before a resume: record the ends that the dead engine had no time for, and set the clock's timers again."""
        for end in owed:
            if isinstance(end, Ended):
                self._account.ended(end)
            elif isinstance(end, ItemFailed):
                self._item_failed(end)
            else:
                self._owed_end = end
        self._timers = sorted([(timer.at * 1000, timer.timer) for timer in timers])  # a heap, too

    def happened(self, event: Event, name: str, us: int, stage: int | None = None, tail: str = "") -> None:
        """Add one event to the batch being gathered, and its line to the journal's buffer."""
        self._batch.append(event)
        self._account.line(name, us, stage, None, tail)

    def interrupted(self, stage: int, us: int) -> None:
        """Report the attempt that a dead engine left: how it ended will never be known."""
        number = self.machine.attempt(stage)
        self._account.exited(stage, number, us, us, Finished("error", "interrupted"))
        self._batch.append(Exited(us // 1000, stage, number, "error", None, None, "interrupted"))

    def give_way(self) -> None:
        """Another engine goes on by another plan: what this one knows is written and told."""
        self._account.writer.write()
        self._account.closed()
        self.close()

    def run(self) -> RunEnded | None:
        """Go on from the batch that has been begun until the run is over; None: a person is asked."""
        account = self._account
        try:
            self._answer(self._answers.look(self._clock.us()))
            while True:
                if self._joins and not self._batch:
                    self._join(*self._joins.pop(0))
                batch, self._batch = self._batch, []
                account.writer.write()
                if self._streams is not None:
                    self._streams.written()
                decisions = self.machine.feed(*batch)
                account.decided(decisions)
                self._obey(decisions)
                if decisions or self._answers.is_short:
                    account.waits(decisions, self._answers.is_short)
                if self._batch or self._joins:
                    continue
                if self.over is None and self.machine.is_over:
                    self.over = self._owed_end
                if self.over is not None or (not self._is_any_running and self._is_left_to_people()):
                    break
                self._wait()
            if self._artifacts is not None:
                self._artifacts.tidy()
            for each in self._aside:
                each.close()
            if self._streams is not None:
                self._streams.finish()
            left = self._attempts.end_strays()
            account.finished(self._clock.us(), self.over, left, self._attempts.around_run())
        except BaseException:
            kernel.end_all_descendants(2.5)
            raise
        return self.over

    def _is_left_to_people(self) -> bool:
        """Whether the engine ends before the run does: not at a gate where it may wait, or whose time is over."""
        is_late = bool(self._timers) and self._timers[0][0] <= self._clock.us()
        return self.machine.waits_for_person and not (is_late or (self._waits and self.machine.is_gated))

    def close(self) -> None:
        """Give back what was taken from the system."""
        for each in self._aside:
            each.close()
        self._wakeup.close()
        self._control.close()
        self._attempts.close()
        self._answers.close()

    # Obeying --------------------------------------------------------------------------------------------------

    def _obey(self, decisions: list[Decision]) -> None:
        """What ended is recorded with the batch that ended it; what starts makes the next batch."""
        starts: list[Start] = []
        kills: list[Kill] = []
        asked: list[Judge | AskLease] = []
        gates: list[int] = []
        items: list[Decision] = []
        for decision in decisions:
            kind = type(decision)
            if kind is Start:
                starts.append(decision)  # type: ignore[arg-type]
            elif kind is Ended:
                self._account.ended(decision)  # type: ignore[arg-type]
                self._answers.ended(decision.stage)  # type: ignore[union-attr]
                if self._streams is not None:
                    self._streams.ended(decision.stage)  # type: ignore[union-attr]
                if self._artifacts is not None:
                    self._artifacts.ended(decision.stage)  # type: ignore[union-attr]
                if self._gates is not None:
                    self._gates.ended(decision)  # type: ignore[arg-type]
            elif kind is SetTimer:
                heapq.heappush(self._timers, (decision.at * 1000, decision.timer))  # type: ignore[union-attr]
            elif kind is Kill:
                kills.append(decision)  # type: ignore[arg-type]
            elif kind is RunEnded:
                self.over = decision  # type: ignore[assignment]
            elif kind is Judge or kind is AskLease:
                asked.append(decision)  # type: ignore[arg-type]
            elif kind is AskGate:
                gates.append(decision.stage)  # type: ignore[union-attr]
            elif kind is StartItems or kind is WantItems or kind is KillItems:
                items.append(decision)
            elif kind is ItemFailed:
                self._item_failed(decision)  # type: ignore[arg-type]
                self._streams.failed(decision)  # type: ignore[arg-type, union-attr]
            else:
                assert kind is AskRerun
        if gates and self._gates is not None:
            for stage in gates:
                self._gates.ask(stage)
        self._account.writer.next_batch()
        if self._answers.leased:
            self._answers.started({start.stage for start in starts})
        for kill in kills:
            self._kill(kill)
        for start in starts:
            self._start(start)
        for question in asked:
            if type(question) is Judge:
                self._judge(question.stage)
            elif self._gates is not None and self._plan.stages[question.stage].bound:
                self._gates.check(question.stage)
            else:
                self._answer([self._answers.ask_lease(question.stage, self._clock.us())])
        if items and self._streams is not None:
            self._streams.obey(items)
        if self._answers.warnings:
            self._answer([])  # a start has read outputs

    def _item_failed(self, failed: ItemFailed) -> None:
        streams = self._streams
        self._account.item_failed(failed, None if streams is None else streams.text_of(failed.stage, failed.item))

    def _answer(self, answers: list[Answer]) -> None:
        for event, name, stage, tail in answers:
            self.happened(event, name, self._clock.us(), stage, tail)
            if type(event) is Refused:
                self._account.refused(event.stage, event.by)
        for text in self._answers.warnings:
            self._account.warn(text)
        self._answers.warnings.clear()

    def _judge(self, stage: int) -> None:
        verdict, reason = self._answers.judge(stage)
        if verdict == "run" and self._errands is not None and self._errands.concerns(stage):
            verdict, reason = self._errands.judge(stage)
        if verdict == "run" and self._artifacts is not None and self._artifacts.judges(stage):
            self._artifacts.judge(stage, reason)
        else:
            self.judged(stage, verdict, reason)

    def _kill(self, decision: Kill) -> None:
        if not any(each.kill(decision) for each in self._aside):
            self._attempts.kill(decision, self._pipeline.stages[decision.stage].grace_ms)

    def _start(self, decision: Start) -> None:
        if self._streams is not None and self._streams.concerns(decision.stage):
            self._streams.begin(decision)
        elif self._errands is not None and self._errands.concerns(decision.stage):
            self._errands.begin(decision)
        elif self._artifacts is not None and self._artifacts.concerns(decision.stage):
            self._artifacts.begin(decision)
        else:
            self.cleared(decision)

    def cleared(self, decision: Start, place: Place | None = None) -> None:
        """Nothing is in the way of a start any more. `place` is where it works, if not where all do."""
        index, number, ready, waited = decision
        stage = self._pipeline.stages[index]
        if place is not None:
            stage = stage._replace(env={**stage.env, **place.variables})
        if not stage.retry_safe:
            self._account.sync(self._clock.us())
        log = log_name(stage.id, number)
        us = self._clock.us()
        try:
            if self._generation is not None and self._generation.concerns(index):
                stage = self._for_generation(index, number, stage)
            pid = self._attempts.start(index, number, stage, log, place.directory if place is not None else None)
        except CannotStart as error:
            us = self._clock.us()
            never_began = None if waited is None else (ready * 1000, waited)
            self._exited(index, number, us, us, Finished("error", str(error)), never_began)
            if self._artifacts is not None:
                self._artifacts.never_began(index)
            return
        if self.machine.is_paced:  # rates and gaps are promised for what processes see, and this one began before now
            us = self._clock.us()
            self._answers.began(index)
        self._account.started(index, number, us, ready * 1000, waited, log, pid)
        self._batch.append(Started(us // 1000, index, number, pid, 0))

    def _for_generation(self, index: int, number: int, stage: Stage) -> Stage:
        """With the file that it is to write. Raises CannotStart."""
        assert self._generation is not None
        try:
            path = self._generation.open(index, number)
        except OSError as error:
            raise CannotStart(f"no file for what it generates: {error.strerror}") from None
        return stage._replace(env={**stage.env, "STAGEBOOK_GENERATE": path})

    def _exited(
        self, index: int, number: int, us: int, started_us: int, end: Finished,
        never_began: tuple[int, str] | None = None, around: Around | None = None,
    ) -> None:  # fmt: skip
        mask = self._account.writer.mask
        if mask:
            warnings = tuple(map(mask.text, end.warnings))
            end = end._replace(reason=end.reason and mask.text(end.reason), warnings=warnings)
        self._account.exited(index, number, us, started_us, end, never_began, around)
        self._answers.over(index)
        self._batch.append(
            Exited(us // 1000, index, number, end.outcome, end.exit, end.signal, end.reason, end.is_final)
        )  # fmt: skip

    # What artifacts tell ----------------------------------------------------------------------------------------

    @property
    def _is_any_running(self) -> bool:
        if self._streams is not None and self._streams.is_busy:
            return True
        return self._attempts.is_any_running or any(each.is_busy for each in self._aside)

    def judged(self, stage: int, verdict: str, reason: str | None) -> None:
        """It has been found whether a stage runs."""
        if verdict == "skip" and self._generation is not None and self._generation.is_to_recall(stage, reason):
            self._generation.recall(stage, reason)
        else:
            self._judged(stage, verdict, reason)

    def _judged(self, stage: int, verdict: str, reason: str | None) -> None:
        self._answer([self._answers.judged(stage, self._clock.us(), verdict, reason)])
        if verdict == "run" and reason is not None:
            self._account.judged(stage, verdict, reason)

    def published(
        self, stage: int, attempt: int, files: Sequence[File], is_early: bool, dependents: tuple[int, ...]
    ) -> None:  # fmt: skip
        """Outputs may be used from now on: what led to them is durable before that."""
        self._account.sync(self._clock.us())
        us = self._clock.us()
        self._account.published(stage, attempt, us, files, is_early, dependents)
        if is_early:
            self._batch.append(Announced(us // 1000, stage, attempt, dependents))
        else:
            self._account.writer.write()  # before it is known beyond this run

    def closed(self, stage: int, attempt: int, end: Finished, process: Attempt | None) -> None:
        """An attempt is over, and so is what was to be done for its files."""
        generation = self._generation
        if generation is not None and generation.concerns(stage):
            if end.outcome == "success":
                self._joins.append((stage, lambda why: self._closed(stage, attempt, _failed(end, why), process)))
                return
            generation.over(stage)
        self._closed(stage, attempt, end, process)

    def _closed(self, stage: int, attempt: int, end: Finished, process: Attempt | None) -> None:
        us = self._clock.us()
        if process is None:
            self._exited(stage, attempt, us, us, end)
        else:
            self._exited(stage, attempt, us, process.started_us, end, around=process.around)

    def generated(self, attempt: Attempt, end: Finished) -> None:
        """What an attempt has generated has been read: its other files are next."""
        if not any(each.take(attempt, end) for each in self._aside[1:]):
            self.closed(attempt.stage, attempt.number, end, attempt)

    def generated_before(self, stage: int, verdict: str, reason: str | None) -> None:
        """What a stage that is up to date generated when it ran has been read, or (`verdict` run) cannot be had."""
        self._joins.append((stage, lambda why: self._judged(
            stage, verdict if why is None else "run", reason if why is None else why
        )))  # fmt: skip

    def _join(self, stage: int, tell: Callable[[str | None], None]) -> None:
        """What a stage has generated joins the run, in the batch that tells of its end: nobody has gone on without. A
        stage that is to end otherwise by now joins nothing."""
        generation, why = self._generation, None
        assert generation is not None
        if self.machine.state(stage) in ("running", "judging"):
            try:
                joined = generation.join(stage)
                if joined is not None:
                    self._grow(stage, *joined)
            except InputError as error:
                why = f"generated stages: {error}"
        tell(why)
        generation.over(stage)

    def _grow(self, stage: int, pipeline: Pipeline, plan: Plan, part: Part) -> None:
        us, known = self._clock.us(), len(self._plan.stages)
        critical = [planned.id for planned in plan.stages[known:] if planned.critical]
        tail = members(edges="needs", critical=critical)
        self.happened(StagesAdded(us // 1000, stage, plan), "stages.added", us, stage, f'{tail},"plan":{part.text}')
        self._pipeline, self._plan = pipeline, plan
        self._account.grew(pipeline, plan, critical)
        self._answers.grew(pipeline, plan)
        for each in (*self._aside, self._streams):
            if each is not None:
                each.grew(pipeline)
        self._control.grew(plan)

    # What gates tell --------------------------------------------------------------------------------------------

    def holds(self, stage: int, gates: list[str]) -> None:
        """What was approved before a stage is as it was: it may have what else it waits for."""
        us = self._clock.us()
        if self._answers.shares(stage):
            self._answer([self._answers.ask_lease(stage, us)])
        else:
            self.happened(Leased(us // 1000, stage), "gate.held", us, stage, members(gates=gates))

    def reading(self, stage: int, told: Told | None) -> None:
        self._account.reading(stage, told)

    def warned(self, text: str) -> None:
        self._account.warn(text)

    # What works through items tells --------------------------------------------------------------------------------

    def began(self, decision: Start) -> None:
        """An attempt of it has begun; it is no process."""
        index, number, ready, waited = decision
        us = self._clock.us()
        self._account.started(index, number, us, ready * 1000, waited, None, os.getpid())
        self._batch.append(Started(us // 1000, index, number, os.getpid(), 0))

    def items_ready(self, event: ItemsReady, us: int, taken: Taken) -> None:
        self._batch.append(event)
        self._account.items_ready(us, event, taken.position)

    def items_done(
        self, events: list[ItemsDone], stage: int, us: int, calls: list[Call], queues: list[int] | None
    ) -> None:  # fmt: skip
        self._batch += events
        self._account.items_done(stage, us, calls, queues)

    def items_workers(self, event: ItemsWorkers, us: int, why: str) -> None:
        self._batch.append(event)
        self._account.items_workers(us, event, why)

    def items_lot(self, event: ItemsLot, us: int) -> None:
        self._batch.append(event)
        self._account.items_lot(us, event)

    def items_over(self, stage: int) -> None:
        """Nothing that it started lives any more: what it had from other runs is theirs."""
        self._answers.over(stage)

    def items_told(self, stage: int) -> None:
        self._account.items_told(stage)

    # Waiting --------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Until something is to be told to the machine; everything else is done on the way."""
        account, attempts = self._account, self._attempts
        while not (self._batch or self._joins or (self._gates is not None and self._gates.has_asked())):
            us = self._clock.us()
            if us >= account.writer.sync_at_us:
                account.sync(us)
            if us >= self._tick_next:
                self._tick_next = us + account.watcher.interval_us
                account.tell()
                account.watcher.tick(us)
            elif us >= account.tell_at_us:
                account.tell()
            account.writer.write()
            self._listen(self._timeout(us))
            us = self._clock.us()
            while self._timers and self._timers[0][0] <= us:
                timer = heapq.heappop(self._timers)[1]
                if not (timer.startswith("gate:") and self._gates is not None and self._gates.by_default(timer)):
                    self.happened(TimerFired(us // 1000, timer), "timer.fired", us, tail=f'"timer":{quote(timer)}')
            attempts.look(us)
            if self._artifacts is not None and us >= self._artifacts.look_at_us:
                self._artifacts.look(us)
            if us >= self._answers.look_at_us:
                self._answer(self._answers.look(us))
            for attempt, end in attempts.finished():
                if self._streams is not None and self._streams.take(attempt, end):
                    continue
                if not any(each.take(attempt, end) for each in self._aside):
                    self.closed(attempt.stage, attempt.number, end, attempt)

            if self._streams is not None:
                self._streams.look(us)
                self._streams.flush()

    def _timeout(self, us: int) -> float:
        """Seconds until something is due."""
        account = self._account
        due = min(
            self._attempts.look_at_us, self._tick_next, account.tell_at_us, account.writer.sync_at_us,
            self._answers.due_us,
        )  # fmt: skip
        if self._timers:
            due = min(due, self._timers[0][0])
        if self._artifacts is not None:
            due = min(due, self._artifacts.look_at_us)
        if self._streams is not None:
            due = min(due, self._streams.look_at_us)
        return max(0, min(due - us, SLEEP_MAX_US)) / 1e6

    def _listen(self, timeout: float) -> None:
        for fd in self._wakeup.wait(timeout):
            if self._wakeup.is_forgotten(fd):
                pass  # whose it was has been closed by what was heard before
            elif fd == keeper.channel:
                keeper.die_with_keeper()
            elif fd == self._control.fd:
                self._hear_control()
            elif self._streams is not None and self._streams.pump(fd):
                pass
            elif not (self._attempts.pump(fd) or any(each.pump(fd) for each in self._aside)):
                self._hear_key(fd)
        for number in self._wakeup.signals():
            self._signalled(number)
        self._attempts.reap()

    def _hear_control(self) -> None:
        """What other commands ask; a stage that is not of this run is not heard of here, the asker has looked."""
        for request in self._control.read():
            us, stage = self._clock.us(), request.get("stage")
            index = None if stage is None else self._control.index(stage)
            if request["ask"] == "cancel" and (stage is None or index is not None):
                self.happened(CancelAsked(us // 1000, "cancel", index), "run.cancel", us, index, '"why":"cancel"')
            elif request["ask"] == "gate" and index is not None and self._gates is not None:
                self._hear_vote(index, request, us)

    def _hear_vote(self, stage: int, request: dict[str, Any], us: int) -> None:
        """A vote is durable before anything follows from it."""
        assert self._gates is not None
        answer = self._gates.hear(stage, request, us)
        if answer is not None:
            self.happened(answer, "gate.answered", us, stage, members(approved=answer.approved, reason=answer.reason))
        self._account.sync(us)

    def _hear_key(self, fd: int) -> None:
        """A key for the live view, which may be its way to say cancel."""
        data = os.read(fd, 64)
        if not data:
            self._wakeup.forget(fd)
        for character in data.decode(errors="replace"):
            asked = self._account.watcher.key(character)
            if asked == "cancel":
                self._signalled(signal.SIGINT)
            elif asked == "answer":
                self._hear_typed()

    def _hear_typed(self) -> None:
        """An answer at a gate by the keys of the live view; why it does not count, if so, is shown there."""
        watcher, typed = self._account.watcher, self._account.watcher.typed
        stage = None if typed is None else self._control.index(typed[0])
        if typed is None or stage is None or self._gates is None:
            return
        request = self._gates.typed(stage, *typed[1:])
        if request is not None:
            self._hear_vote(stage, request, self._clock.us())
        if self._gates.refusal is not None:
            watcher.note(f"refused: {self._gates.refusal.text}")

    def _signalled(self, number: int) -> None:
        us = self._clock.us()
        why = signal.Signals(number).name
        self.happened(CancelAsked(us // 1000, why), "run.cancel", us, tail=f'"why":"{why}"')


def _failed(end: Finished, why: str | None) -> Finished:
    return end if why is None else end._replace(outcome="failure", reason=why)
