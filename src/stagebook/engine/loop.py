"""The loop: gather what happened, make one batch, journal it, feed the machine, obey. It chooses nothing.

Read `Engine.run` first; the rest follows in the order in which things happen to an attempt: obey, wait, reap, sweep,
finish. A batch is in the journal before the machine hears of it, and so before it is obeyed. Times are microseconds on
the monotonic clock since the run began. One thread, so that directory, group and children are never in dispute.
"""

from __future__ import annotations

import heapq
import os
import signal
from typing import Protocol

from stagebook.engine import keeper, kernel
from stagebook.engine.attempt import Attempt
from stagebook.engine.clock import Clock
from stagebook.engine.control import Control
from stagebook.engine.ending import Memory, verdict
from stagebook.engine.spawn import CannotStart, Spawner
from stagebook.engine.wakeup import Wakeup
from stagebook.model.pipeline import Pipeline
from stagebook.observe import cgroup
from stagebook.observe import usage as usages
from stagebook.record import document
from stagebook.record.growth import Growth
from stagebook.record.line import quote
from stagebook.record.state import log_name
from stagebook.record.story import Story, Usage
from stagebook.record.writer import Writer
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan
from stagebook.scheduler.vocabulary import (
    AskRerun,
    CancelAsked,
    Decision,
    Ended,
    Event,
    Exited,
    Kill,
    RunEnded,
    SetTimer,
    Start,
    Started,
    TimerFired,
)

GROWTH_US = 100_000  #: how often the size of a growing log is noted
SWEEP_US = 500_000  #: from TERM to KILL for what a stage left behind
LOOK_US = 20_000  #: how often a tree that is being ended is looked at again
WAITED_IN_VAIN = ("timeout", "cancellation")  #: how a stage ends that could have started and never did
TOLD_WAITS_MAX = 200  #: in a larger plan nobody reads a line for each stage that waits
FAR_US = 3_600_000_000


class Watcher(Protocol):
    """Whoever shows the run while it goes on. Must be cheap and never raise."""

    interval_us: int  #: how often `tick` is wanted; 0: never

    def started(self, stage: str, attempt: int, us: int, wait_us: int, waited: str | None) -> None: ...
    def waits(self, stage: str, reason: str, holder: str | None) -> None: ...
    def exited(
        self, stage: str, attempt: int, attempts: int, us: int, outcome: str, reason: str | None, exit: int | None,
        wall_us: int, retry_in_us: int | None,
    ) -> None: ...  # fmt: skip
    def ended(self, stage: str, outcome: str, reason: str | None, us: int) -> None: ...
    def tick(self, us: int) -> None: ...
    def key(self, char: str) -> str | None: ...
    def flush(self) -> None: ...


class Engine:
    """Drives one machine with real processes until its run is over or waits for a person."""

    def __init__(
        self, pipeline: Pipeline, plan: Plan, machine: Machine, story: Story, writer: Writer, spawner: Spawner,
        clock: Clock, watcher: Watcher, control: Control, growth: Growth, folder: str, wakeup: Wakeup,
        names: list[str],
    ) -> None:  # fmt: skip
        """`folder` is the run's; `names` are the stages' ids as JSON text."""
        self.machine = machine
        self._pipeline = pipeline
        self._plan = plan
        self._story = story
        self._writer = writer
        self._spawner = spawner
        self._clock = clock
        self._watcher = watcher
        self._control = control
        self._growth = growth
        self._growth_next = FAR_US
        self._logs = os.path.join(folder, "logs")
        self._wakeup = wakeup
        if control.fd is not None:
            wakeup.watch(control.fd)
        self._names = names
        self._running: dict[int, Attempt] = {}  # by stage
        self._by_pid: dict[int, Attempt] = {}
        self._by_pipe: dict[int, Attempt] = {}
        self._ending: list[Attempt] = []
        self._timers: list[tuple[int, str]] = []
        self._batch: list[Event] = []
        self._memory = Memory()
        self._told_waits: set[int] = set()
        #: Ends of attempts that the watcher has not heard of: stage, attempt, us, outcome, reason, exit, wall_us.
        self._exits: list[tuple[int, int, int, str, str | None, int | None, int]] = []
        self._tick_next = FAR_US if not watcher.interval_us else 0
        self.over: RunEnded | None = None
        self._owed_end: RunEnded | None = None  #: decided before the resume, and in no line yet

    # The loop -------------------------------------------------------------------------------------------------

    def run(self) -> RunEnded | None:
        """Go on from the batch that has been begun with `happened` until the run is over; None: a person is asked."""
        try:
            while True:
                batch, self._batch = self._batch, []
                self._writer.write()
                decisions = self.machine.feed(*batch)
                if self._exits:
                    self._tell_exits(decisions)
                self._obey(decisions)
                if decisions:
                    self._tell_waits(decisions)
                if self._batch:
                    continue
                if self.over is None and self.machine.is_over:
                    self.over = self._owed_end
                if self.over is not None or (not self._running and self.machine.waits_for_person):
                    break
                self._wait()
            self._close()
        except BaseException:
            kernel.end_all_descendants(2.5)
            raise
        return self.over

    def catch_up(self, owed: list[Ended | RunEnded], timers: list[SetTimer]) -> None:
        """Before a resume: record the ends that the dead engine had no time for, and set the clock's timers again."""
        for end in owed:
            if isinstance(end, Ended):
                self._ended(end)
            else:
                self._owed_end = end
        for timer in timers:
            heapq.heappush(self._timers, (timer.at * 1000, timer.timer))

    def _tell_waits(self, decisions: list[Decision]) -> None:
        """Say of each stage whose needs have just ended, and that could not start, what it waits for and who has it."""
        if len(self._plan.stages) > TOLD_WAITS_MAX:
            return
        ended = {decision.stage for decision in decisions if type(decision) is Ended}
        for index, stage in enumerate(self._plan.stages):
            if index in self._told_waits or self.machine.state(index) != "ready":
                continue
            if not stage.needs or not ended.isdisjoint(stage.needs):
                self._told_waits.add(index)
                reason = self.machine.waiting(index)
                if reason is not None:
                    holders = self.machine.holders(reason)
                    holder = self._plan.stages[holders[0]].id if holders else None
                    self._watcher.waits(stage.id, reason, holder)

    def happened(self, event: Event, name: str, us: int, stage: int | None = None, attempt: int | None = None,
                 tail: str = "") -> None:  # fmt: skip
        """Add one event to the batch being gathered, and its line to the journal's buffer."""
        self._batch.append(event)
        self._writer.add(name, us, None if stage is None else self._names[stage], attempt, tail)

    # Obeying --------------------------------------------------------------------------------------------------

    def _obey(self, decisions: list[Decision]) -> None:
        """What ended is recorded with the batch that ended it; what starts makes the next batch."""
        starts: list[Start] = []
        for decision in decisions:
            kind = type(decision)
            if kind is Start:
                starts.append(decision)  # type: ignore[arg-type]
            elif kind is Ended:
                if self._plan.stages[decision.stage].kept is None:  # type: ignore[union-attr]
                    self._ended(decision)  # type: ignore[arg-type]
            elif kind is SetTimer:
                heapq.heappush(self._timers, (decision.at * 1000, decision.timer))  # type: ignore[union-attr]
            elif kind is Kill:
                self._kill(decision)  # type: ignore[arg-type]
            elif kind is RunEnded:
                self.over = decision  # type: ignore[assignment]
            else:
                assert kind is AskRerun
        self._writer.next_batch()
        for start in starts:
            self._start(start)

    def _ended(self, decision: Ended) -> None:
        stage, outcome, reason, flaky = decision
        us = self._clock.us()
        text = "null" if reason is None else quote(reason)
        tail = f'"outcome":"{outcome}","reason":{text},"flaky":{"true" if flaky else "false"}'
        ready_us = None
        if outcome in WAITED_IN_VAIN and not self._story.attempts[stage]:
            ready_ms = self.machine.ready_at(stage)
            if ready_ms is not None:
                ready_us = ready_ms * 1000
                tail += f',"ready":{ready_us / 1e6}'
        self._writer.add("stage.ended", us, self._names[stage], None, tail)
        self._story.ended(stage, us, outcome, reason, flaky, ready_us)
        self._watcher.ended(self._plan.stages[stage].id, outcome, reason, us)

    def _kill(self, decision: Kill) -> None:
        attempt = self._running.get(decision.stage)
        if attempt is None or attempt.number != decision.attempt:
            return
        if attempt.why is None:
            attempt.why = decision.why
        us = self._clock.us()
        grace = 0 if decision.now else self._pipeline.stages[decision.stage].grace_ms * 1000
        force_at = us + grace
        if attempt.force_at is None or force_at < attempt.force_at:
            attempt.force_at = force_at
        if attempt not in self._ending:
            self._ending.append(attempt)
        alive = self._alive(attempt)
        if decision.now:
            attempt.tree.force(alive)
        else:
            attempt.tree.ask(alive)
        attempt.look_at = us + LOOK_US

    def _start(self, decision: Start) -> None:
        index, number, ready, waited = decision
        stage = self._pipeline.stages[index]
        planned = self._plan.stages[index]
        if not planned.retry_safe:
            self._writer.sync(self._clock.us())
        name = log_name(stage.id, number)
        log = f"{self._logs}/{name}"
        us = self._clock.us()
        try:
            spawned = self._spawner.start(index, stage, number, log)
        except CannotStart as error:
            us = self._clock.us()
            self._record_exit(index, number, us, us, "error", str(error), None, None, None, "")
            return
        attempt = Attempt(index, number, spawned, log, us, stage)
        self._running[index] = self._by_pid[spawned.pid] = attempt
        if attempt.capture is not None:
            self._by_pipe[attempt.capture.pipe] = attempt
            self._wakeup.watch(attempt.capture.pipe)
        if self._growth_next == FAR_US:
            self._growth_next = us + GROWTH_US
        self._record_start(index, number, us, ready * 1000, waited, name, spawned.pid)

    def _record_start(
        self, index: int, number: int, us: int, ready_us: int, waited: str | None, log: str, pid: int
    ) -> None:
        if waited is None:
            ready_us = us
        wait_us = max(0, us - ready_us)
        text = "null" if waited is None else quote(waited)
        self.happened(
            Started(us // 1000, index, number, pid, 0), "stage.started", us, index, number,
            f'"pid":{pid},"start":null,"ready":{ready_us / 1e6},"waited":{text},"log":{quote(log)}',
        )  # fmt: skip
        self._story.started(index, number, us, ready_us, waited, log)
        self._watcher.started(self._plan.stages[index].id, number, us, wait_us, waited)

    # Waiting --------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Until something is to be told to the machine; everything else is done on the way."""
        while not self._batch:
            us = self._clock.us()
            if self._writer.sync_due(us):
                self._sync(us)
            if us >= self._growth_next:
                self._note_growth(us)
            if us >= self._tick_next:
                self._tick_next = us + self._watcher.interval_us
                self._watcher.tick(us)
            self._watcher.flush()
            self._writer.write()
            self._listen(self._timeout(us))
            us = self._clock.us()
            while self._timers and self._timers[0][0] <= us:
                timer = heapq.heappop(self._timers)[1]
                self.happened(TimerFired(us // 1000, timer), "timer.fired", us, tail=f'"timer":{quote(timer)}')
            if self._ending:
                self._sweep(us)

    def _timeout(self, us: int) -> float:
        """Seconds until something is due."""
        due = min(self._growth_next, self._tick_next)
        if self._timers:
            due = min(due, self._timers[0][0])
        for attempt in self._ending:
            due = min(due, attempt.look_at)
        sync_at = self._writer.sync_at_us
        if sync_at is not None:
            due = min(due, sync_at)
        return max(0, min(due - us, FAR_US)) / 1e6

    def _listen(self, timeout: float) -> None:
        for fd in self._wakeup.wait(timeout):
            if fd == keeper.channel:
                self._hear_keeper(fd)
            elif fd == self._control.fd:
                self._hear_control()
            elif fd in self._by_pipe:
                self._pump(self._by_pipe[fd])
            else:
                self._key(fd)
        for number in self._wakeup.signals():
            self._signalled(number)
        if self._wakeup.has_children():
            self._reap()

    def _hear_keeper(self, fd: int) -> None:
        numbers = os.read(fd, 64)
        if not numbers:
            keeper.die_with_keeper()
        for number in numbers:
            self._signalled(number)

    def _hear_control(self) -> None:
        """What `stagebook cancel` asks; a stage that is not of this run is not heard of here, the asker has looked."""
        for stage in self._control.read():
            us = self._clock.us()
            index = None if stage is None else self._control.index(stage)
            if stage is None or index is not None:
                self.happened(CancelAsked(us // 1000, "cancel", index), "run.cancel", us, index, None, '"why":"cancel"')

    def _signalled(self, number: int) -> None:
        us = self._clock.us()
        why = signal.Signals(number).name
        self.happened(CancelAsked(us // 1000, why), "run.cancel", us, tail=f'"why":"{why}"')

    def _key(self, fd: int) -> None:
        """A key for the live view, which may be its way to say cancel."""
        data = os.read(fd, 64)
        if not data:
            self._wakeup.forget(fd)
        for character in data.decode(errors="replace"):
            if self._watcher.key(character) == "cancel":
                self._signalled(signal.SIGINT)

    def _note_growth(self, us: int) -> None:
        for attempt in self._running.values():
            try:
                size = os.stat(attempt.log).st_size
            except OSError:
                continue
            if size != attempt.size:
                attempt.size = size
                self._growth.add(us, attempt.stage, attempt.number, size)
        self._growth.write()
        self._growth_next = us + GROWTH_US if self._running else FAR_US

    def _pump(self, attempt: Attempt) -> None:
        capture = attempt.capture
        if capture is not None and not capture.pump():
            self._close_capture(attempt)

    def _close_capture(self, attempt: Attempt) -> None:
        capture = attempt.capture
        if capture is None:
            return
        self._wakeup.forget(capture.pipe)
        del self._by_pipe[capture.pipe]
        capture.close()
        attempt.is_logged = attempt.is_logged and not capture.is_incomplete
        attempt.capture = None

    def _sync(self, us: int) -> None:
        """Make the record durable; the writer notices on the way if somebody has set the wall clock."""
        jump_us = self._writer.clock_jump_us
        self._writer.sync(us)
        if self._writer.clock_jump_us != jump_us:
            self._story.clock_jumped((self._writer.clock_jump_us - jump_us) / 1e6)

    # An attempt ends ------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        """Take every child that has ended: main processes, and orphans that came to us."""
        while True:
            try:
                pid, status, rusage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            attempt = self._by_pid.pop(pid, None)
            if attempt is None:
                continue
            attempt.ended_us = self._clock.us()
            attempt.status = status
            attempt.rusage = rusage
            attempt.tree.is_main_gone = True
            self._look_behind(attempt)

    def _look_behind(self, attempt: Attempt) -> None:
        """The main process is gone: finish, unless something of its tree still lives, which is then asked to end."""
        if attempt.tree.group is None and not self._orphans():
            self._finish(attempt)
            return
        alive = self._alive(attempt)
        if not alive:
            self._finish(attempt)
            return
        attempt.left = [f"{kernel.command_of(pid)} (pid {pid})" for pid in alive]
        attempt.tree.ask(alive)
        us = self._clock.us()
        if attempt.force_at is None:
            attempt.force_at = us + SWEEP_US
        attempt.look_at = us + LOOK_US
        if attempt not in self._ending:
            self._ending.append(attempt)

    def _orphans(self) -> list[int]:
        """Children that are no main process: left behind by some attempt, and adopted by us."""
        children = self._wakeup.children()
        if len(children) <= len(self._by_pid):
            return []
        return [pid for pid in children if pid not in self._by_pid]

    def _alive(self, attempt: Attempt) -> list[int]:
        is_alone = len(self._running) == 1
        return attempt.tree.alive(self._orphans() if attempt.tree.group is None else [], is_alone)

    def _sweep(self, us: int) -> None:
        """Look again at every tree that is being ended; force what is deaf."""
        for attempt in list(self._ending):
            if us < attempt.look_at:
                continue
            alive = self._alive(attempt)
            if not alive and attempt.tree.is_main_gone:
                self._finish(attempt)
                continue
            if attempt.force_at is not None and us >= attempt.force_at:
                attempt.tree.force(alive)
            attempt.look_at = us + LOOK_US

    def _finish(self, attempt: Attempt) -> None:
        """Nothing of it lives any more: record how it ended."""
        del self._running[attempt.stage]
        if attempt in self._ending:
            self._ending.remove(attempt)
        if attempt.capture is not None:
            attempt.capture.pump()
            self._close_capture(attempt)
        waited = usages.of_rusage(attempt.rusage)
        used = waited
        if attempt.tree.group is not None:
            used = cgroup.usage(attempt.tree.group, waited)
        outcome, reason, code, number = verdict(attempt, self._memory, self._logs)
        if attempt.tree.group is not None:
            cgroup.remove(attempt.tree.group)
        warnings = attempt.warnings(self._plan.stages[attempt.stage].id)
        extra = ""
        if warnings:
            extra = ',"warnings":[' + ",".join(map(quote, warnings)) + "]"
            for text in warnings:
                self._story.warn(text)
        self._record_exit(
            attempt.stage,
            attempt.number,
            self._clock.us(),
            attempt.started_us,
            outcome,
            reason,
            code,
            number,
            used,
            extra,
        )

    def _record_exit(self, stage: int, number: int, us: int, started_us: int, outcome: str, reason: str | None,
                     code: int | None, signalled: int | None, used: Usage | None, extra: str) -> None:  # fmt: skip
        text = "null" if reason is None else quote(reason)
        self.happened(
            Exited(us // 1000, stage, number, outcome, code, signalled, reason), "stage.exited", us, stage, number,
            f'"outcome":"{outcome}","reason":{text},"exit":{"null" if code is None else code},'
            f'"signal":{"null" if signalled is None else signalled},"usage":{usages.encode(used)}{extra}',
        )  # fmt: skip
        self._story.exited(stage, number, us, outcome, reason, code, signalled, used)
        self._exits.append((stage, number, us, outcome, reason, code, us - started_us))

    def _tell_exits(self, decisions: list[Decision]) -> None:
        """Only when the machine has decided is it known whether an attempt is followed by another."""
        delays = {}
        for decision in decisions:
            if type(decision) is SetTimer and decision.timer.startswith("backoff:"):
                delays[int(decision.timer.split(":")[1])] = decision.at * 1000
        for stage, number, us, outcome, reason, code, wall_us in self._exits:
            planned = self._plan.stages[stage]
            retry_in_us = max(0, delays[stage] - us) if stage in delays else None
            self._watcher.exited(
                planned.id, number, planned.attempts, us, outcome, reason, code, wall_us, retry_in_us
            )  # fmt: skip
        self._exits.clear()

    # The end --------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        """Nothing may outlive the run, and nothing is announced before it is safe on disk."""
        left = [kernel.command_of(pid) for pid in self._orphans()]
        if left:
            self._story.warn(f"left behind by stages of this run, and ended: {', '.join(left)}")
            kernel.end_all_descendants(2.5)
        us = self._clock.us()
        if self.over is not None:
            self._story.finished(us, *self.over)
            self._writer.add("run.ended", us, tail=document.closing(self._story))
        self._sync(us)
        self._growth.close()

    def close(self) -> None:
        """Give back what was taken from the system: signals, groups, the ear for other commands."""
        self._wakeup.close()
        self._control.close()
        self._spawner.close()
