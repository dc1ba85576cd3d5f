"""The promises of the machine, checked from outside: from the plan, the events and the decisions only.

Nothing here trusts the machine's books, with two exceptions after `Resumed`: whether the timeout of an attempt was cut
short by the cancel, and whether errors of a run that may be out of time were taken back.
"""

from __future__ import annotations

from tests.sim.gated import Gated
from tests.sim.governed import Governed

from stagebook.model.outcome import SEVERITY
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Plan, PlannedStage
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
    Kill,
    RerunAnswered,
    Resumed,
    RunEnded,
    SetTimer,
    Start,
    Started,
    TimerFired,
)


class Watch:
    """What an onlooker knows of one run."""

    def __init__(self, plan: Plan) -> None:
        count = len(plan.stages)
        self.plan = plan
        self.governed = Governed(plan)
        self.gated = Gated(plan)
        self.now = 0
        self.batch_began = 0
        self.free = [pool.size for pool in plan.pools]
        self.running: dict[int, int] = {}  #: stage to attempt, until its exit is reported
        self.killed: dict[int, str] = {}  #: running stages that were told to end, and why
        self.attempts = [0] * count
        self.extra = [0] * count  #: attempts granted: interruptions, and ends that a resume took back
        self.ended: dict[int, Ended] = {}
        self.asked: set[int] = set()
        self.again: set[int] = set()  #: a person allows one more start
        self.done: set[int] = set()  #: a person says that it is done
        self.answered: dict[int, set[bool]] = {}  #: of these a person said so (again: True) in this batch
        self.unsure: set[int] = set()  #: the answer came in the batch in which the stage ended: perhaps too late
        self.fresh = [True] * count  #: not started since it last began to wait
        self.first_start = [0] * count
        self.last_start = [0] * count
        self.earliest = [0] * count  #: no later attempt before this
        self.run_since = 0
        self.asked_to_cancel: set[int] = set()
        self.may_wait_again: set[int] = set()  #: a resume found a need of it open: its time may begin anew
        self.restart = [False] * count  #: the next start begins the stage's time anew
        self.announced: dict[int, set[int]] = {}  #: of running stages, those to which they are as good as done
        self.cancels = 0
        self.for_good = False
        self.stopping = False
        self.over = False
        self.outcome = ""  #: of the run, with its reason, while it is over
        self.reason: str | None = None
        self.maybe_timed_out = False
        self.lifted = False
        self.taken_back: list[int] = []  #: the stages whose ends the latest `Resumed` took back
        self.batch = 0
        self.ready: dict[int, tuple[int, int]] = {}  #: ready stages: batch in which they became so, rank
        self.ready_at: dict[int, int] = {}
        self.other_waits = {"rate", "stagger", "machine", *(f"rate:{pool.name[5:]}" for pool in plan.pools)}
        self.other_waits |= {f"rate:{pool.name}" for pool in plan.pools}
        self.first = -1
        self.passes = 0
        self.timers: list[str] = []
        self.exits: dict[int, Exited] = {}
        #: The batch has one event, or nothing but starts and exits, so that it is plain what brought about what.
        self.alone = self.plain = True

    # ------------------------------------------------------------ one batch

    def see(self, events: list[Event], decisions: list[Decision], machine: Machine) -> None:
        self.batch += 1
        self.governed.batch()
        self.gated.batch(events, decisions)
        self.timers = []
        self.exits = {}
        self.asked_to_cancel = set()
        self.answered = {}
        self.alone = len(events) == 1
        self.plain = self.alone or all(isinstance(event, (Started, Exited)) for event in events)
        self.batch_began = max(self.now, events[0].at)
        for event in events:
            self._event(event, machine)
        self._starts_come_last(decisions)
        starts = [decision for decision in decisions if isinstance(decision, (Start, AskLease))]
        for decision in decisions:
            if not isinstance(decision, (Start, AskLease)):
                self._decision(decision)
        self.gated.settle(machine, self.ended)
        self._queue(machine, {start.stage for start in starts if start.stage not in self.governed.leased})
        for start in starts:
            if isinstance(start, Start):
                self._start(start)
            else:
                self.governed.asks(start, len(self.running))
                self._takes_units(start.stage)
        for decision in decisions:
            if type(decision) is SetTimer:
                self._timer(decision, {start.stage for start in starts})
        self._after(machine)

    def _event(self, event: Event, machine: Machine) -> None:
        self.now = max(self.now, event.at)
        for stage in self.governed.event(event, self.now):
            self._gives_back(stage)
        if isinstance(event, Exited):
            if self.running.get(event.stage) == event.attempt:
                del self.running[event.stage]
                self.exits[event.stage] = event
                self._announces_no_more(event.stage, event.outcome == "success")
                self._gives_back(event.stage)
                self._expect_after_exit(event)
        elif isinstance(event, TimerFired):
            self.timers.append(event.timer)
            self.maybe_timed_out |= event.timer.startswith("run:") and not self.over
        elif isinstance(event, Announced):
            if self.running.get(event.stage) == event.attempt and event.stage not in self.killed:
                self.announced.setdefault(event.stage, set()).update(event.dependents)
        elif isinstance(event, CancelAsked) and event.stage is not None:
            self.asked_to_cancel.add(event.stage)
        elif isinstance(event, CancelAsked) and not self.over:
            self.cancels += 1
            self.for_good |= event.why == "cancel"
            self.stopping = True
        elif isinstance(event, RerunAnswered):
            self._answered(event.stage, event.again)
        elif isinstance(event, Resumed):
            self._resumed(event.takes_back, machine)

    def _announces_no_more(self, stage: int, is_done: bool) -> None:
        """Its end counts now, or its next word. Who was ready by it alone is so no longer, and becomes it anew."""
        for dependent in self.announced.pop(stage, ()) if not is_done else ():
            self.may_wait_again.add(dependent)
            if not self._needs_are_done(dependent):
                self.ready.pop(dependent, None)
            self.lifted |= self.plan.stages[dependent].join == "any" and not self.alone  # it may have stayed in line
        self.announced.pop(stage, None)

    def _answered(self, stage: int, again: bool) -> None:
        """It holds for what has begun, is not safe to repeat, and is neither over nor running."""
        if self.plan.stages[stage].retry_safe or not self.attempts[stage]:
            return
        if stage in self.ended or stage in self.running:
            return
        self.asked.discard(stage)
        self.answered.setdefault(stage, set()).add(again)
        self.unsure.discard(stage)
        if again:
            self.done.discard(stage)
            self.again.add(stage)
            self.restart[stage] = True
            self.extra[stage] += 1
        else:
            self.again.discard(stage)
            self.done.add(stage)

    def _expect_after_exit(self, event: Exited) -> None:
        stage = self.plan.stages[event.stage]
        why = self.killed.get(event.stage)
        if why is None and event.outcome == "error" and event.reason == "interrupted":
            self.extra[event.stage] += 1
            return
        if why is None and event.outcome == "success":
            return
        if not self.plain:
            return
        delays = stage.delays_ms
        attempt = event.attempt
        self.earliest[event.stage] = self.now + (delays[min(attempt, len(delays)) - 1] if delays else 0)
        if stage.retry_only:
            words = ["timeout"] if why == "timeout" else [event.outcome, f"exit {event.exit}"]
            if event.exit is not None and why == "timeout":
                words.append(f"exit {event.exit}")
            if not set(words) & set(stage.retry_only):
                self.earliest[event.stage] = 1 << 60

    def _resumed(self, takes_back: bool, machine: Machine) -> None:
        self.taken_back = []
        if self.for_good or (self.over and not takes_back):
            return
        ended = set(self.ended)
        for index, end in list(self.ended.items()) if takes_back else ():
            reason = end.reason or ""
            by_signal = end.outcome == "cancellation" and reason.startswith("cancelled by")
            cut_short = end.outcome == "timeout" and reason == "attempt timeout" and machine.state(index) != "timeout"
            if by_signal or (self.cancels and cut_short) or self._is_error_taken_back(end, machine):
                self._wait_again(index)
        while takes_back and (
            more := [at for at, end in self.ended.items() if self._goes_with_its_needs(end, ended, machine)]
        ):
            for index in more:
                self._wait_again(index)
        self.taken_back = sorted(ended - set(self.ended))
        if not self.taken_back and not self.cancels:
            return
        self.lifted = True
        self.over = False
        self.cancels = 0
        self.earliest = [0] * len(self.earliest)  # who goes back to waiting has no backoff any more
        self.stopping = False  # found again by `_decision`, where it still holds
        for index in [*self.running, *self.exits]:
            if self.killed.get(index) == "cancelled":
                self.extra[index] += 1
                self.fresh[index] = True
            elif index in self.killed and not self.plan.stages[index].always:
                self.restart[index] = True
            elif index in self.exits and any(need not in self.ended for need in self.plan.stages[index].needs):
                self.extra[index] += 1  # it may have ended in this batch
        for index, stage in enumerate(self.plan.stages):
            if index not in self.ended and any(need not in self.ended for need in stage.needs):
                self.may_wait_again.add(index)

    def _is_error_taken_back(self, end: Ended, machine: Machine) -> bool:
        """An error that stopped something, unless the run has come to another end, or is out of time."""
        if end.outcome != "error" or self.plan.stages[end.stage].allow_failure:
            return False
        if self.over and not self.cancels and self.outcome != "error":
            return False
        return not self.maybe_timed_out or machine.state(end.stage) != "error"

    def _goes_with_its_needs(self, end: Ended, before: set[int], machine: Machine) -> bool:
        """Whether it ended because of a stage that waits again, or cleans up after one."""
        plan = self.plan.stages[end.stage]
        reason = end.reason or ""
        if plan.skip is not None:
            return False
        is_need_open_again = any(need in before and need not in self.ended for need in plan.needs)
        if plan.early and any(need in self.exits for need in plan.needs):  # it may have ended in this batch
            is_need_open_again |= machine.state(end.stage) != end.outcome
        if end.outcome == "skip" and not reason.startswith("needs "):
            return is_need_open_again
        if end.outcome == "skip":
            return not self._still_skipped(end.stage)
        if reason.startswith("fail-fast: "):
            return int(reason[len("fail-fast: s") :].partition(" ")[0]) not in self.ended
        return plan.always and end.outcome != "cancellation" and is_need_open_again

    def _still_skipped(self, stage: int) -> bool:
        """Whether the need that it was skipped for still stands as it did."""
        reason = self.ended[stage].reason or ""
        plan = self.plan.stages[stage]
        ended = [need for need in plan.needs if need in self.ended]
        names = {f"needs {self.plan.stages[need].id} ({self.ended[need].outcome})" for need in ended}
        if plan.join == "any":
            return len(ended) == len(plan.needs)
        return reason in names

    def _wait_again(self, stage: int) -> None:
        if self.attempts[stage]:
            self.extra[stage] += 1
        del self.ended[stage]
        self.governed.waits_again(stage)
        self.fresh[stage] = True
        self.earliest[stage] = 0

    # ------------------------------------------------------------ ends, kills, questions

    def _starts_come_last(self, decisions: list[Decision]) -> None:
        started = False
        for decision in decisions:
            if isinstance(decision, (Start, AskLease)):
                started = True
            else:
                assert not started or type(decision) is SetTimer, f"{decision} comes after a start"

    def _decision(self, decision: Decision) -> None:
        if isinstance(decision, Ended):
            self._end(decision)
        elif isinstance(decision, Kill):
            self._kill(decision)
        elif isinstance(decision, AskRerun):
            stage = self.plan.stages[decision.stage]
            assert not stage.retry_safe and self.attempts[decision.stage], f"nothing to ask about {stage.id}"
            assert decision.stage not in self.ended and decision.stage not in self.running
            exit = self.exits.get(decision.stage)
            if self.alone and exit is not None and decision.stage not in self.killed:
                assert exit.reason == "interrupted", f"{decision} after {exit}"
            if decision.stage in self.unsure:
                for known in (self.unsure, self.again, self.done):
                    known.discard(decision.stage)
            if decision.stage not in self.answered:
                assert decision.stage not in self.again | self.done, f"{decision}, though it was answered"
                self.asked.add(decision.stage)
            self.killed.pop(decision.stage, None)
        elif isinstance(decision, AskGate):
            self.gated.asks(decision)
            assert decision.stage not in self.ended, f"{decision} after its end"
            if self.alone:
                assert self._needs_are_done(decision.stage), f"{decision} before its needs are done"
        elif isinstance(decision, RunEnded):
            self._run_end(decision)
        elif isinstance(decision, SetTimer) and decision.timer.startswith("gate:"):
            self.gated.sets_timer(decision, self.batch_began, self.now)
        else:
            self.governed.decision(decision)

    def _end(self, end: Ended) -> None:
        index = end.stage
        stage = self.plan.stages[index]
        assert index not in self.ended, f"{stage.id} ended twice"
        assert index not in self.running, f"{stage.id} ended while an attempt of it runs"
        self.asked.discard(index)
        if self.governed.ends(index):
            self._gives_back(index)
        may_pass = self.gated.ends(end, self.now)
        killed = self.killed.pop(index, None)
        exit = self.exits.get(index)
        if not self.alone:
            pass
        elif killed is not None:
            assert end.outcome == {"timeout": "timeout", "cancelled": "cancellation"}[killed], f"{end} after {killed}"
        elif exit is not None and end.reason not in ("queue timeout", "stage timeout"):
            assert end.outcome == exit.outcome, f"{end} after {exit}"
        if self.alone and exit is not None and killed is None and not self.stopping:
            assert exit.reason != "interrupted", f"{end}: an interrupted attempt is no end"
        if self.alone and exit is not None and exit.outcome in ("failure", "error", "timeout") and not killed:
            self._must_not_try_again(index, exit)
        if end.outcome == "success":
            went_well = exit is not None and exit.outcome == "success"
            said_so = index in self.done or False in self.answered.get(index, ()) or may_pass
            assert went_well or said_so, f"{stage.id} succeeded, and neither it nor a person said so"
            self.done.discard(index)
        if index in self.answered:
            self.unsure.add(index)
        assert not end.flaky or (end.outcome == "success" and self.attempts[index] > 1), (
            "flaky without a second attempt"
        )
        if end.outcome == "skip":
            self._skip(index, end)
        if end.reason == "queue timeout":
            assert stage.queue_timeout_ms is not None
            assert self.now - self.ready_at[index] >= stage.queue_timeout_ms, "ended by a stale queue timer"
        if end.reason == "stage timeout":
            assert stage.stage_timeout_ms is not None
            assert self.now - self.first_start[index] >= stage.stage_timeout_ms, "ended by a stale stage timer"
        if end.reason == "attempt timeout":
            assert stage.attempt_timeout_ms is not None
        if end.reason == "run timeout":
            assert self.plan.timeout_ms is not None
            assert self.now - self.run_since >= self.plan.timeout_ms, "ended by a stale run timer"
        if end.outcome == "cancellation":
            assert end.reason is not None
            if end.reason.startswith("cancelled by"):
                assert not stage.always or self.cancels > 1, f"{stage.id} cleans up and was cancelled"
            if end.reason.startswith("fail-fast: "):
                self._by_fail_fast(stage, end.reason)
            assert self.cancels or not end.reason.startswith("cancelled by"), "cancelled though nobody asked"
        self.ended[index] = end
        cut_short = self.cancels and end.reason == "attempt timeout"
        if self._counts(stage, end) and not cut_short and self.plan.policy == "fail-fast":
            self.stopping = True
        if end.reason == "run timeout":
            self.stopping = True

    def _by_fail_fast(self, stage: PlannedStage, reason: str) -> None:
        name, _, outcome = reason[len("fail-fast: ") : -1].rpartition(" (")
        cause = int(name[1:])
        by = self.plan.stages[cause]
        assert not stage.always
        assert outcome in ("failure", "error", "timeout")
        assert not by.allow_failure, f"{stage.id} was cancelled for an allowed failure"
        grouped = by.fail_fast_group == stage.fail_fast_group >= 0
        assert grouped or self.plan.policy == "fail-fast", f"{stage.id} was cancelled for {by.id}, and nothing says so"

    def _must_not_try_again(self, index: int, exit: Exited) -> None:
        stage = self.plan.stages[index]
        if self.stopping or exit.reason == "interrupted" or self.earliest[index] >= 1 << 60:
            return
        assert not stage.retry_safe or self.attempts[index] >= stage.attempts, f"{stage.id} had attempts left"

    def _counts(self, stage: PlannedStage, end: Ended) -> bool:
        return end.outcome in ("failure", "error", "timeout") and not stage.allow_failure

    def _well(self, index: int) -> bool:
        end = self.ended.get(index)
        stage = self.plan.stages[index]
        if end is None:
            return False
        if end.outcome == "skip":
            return not (end.reason or "").startswith("needs ")
        return end.outcome == "success" or (stage.allow_failure and end.outcome in ("failure", "error", "timeout"))

    def _skip(self, index: int, end: Ended) -> None:
        stage = self.plan.stages[index]
        if stage.skip is not None:
            assert end.reason == stage.skip
            return
        judged = self.governed.skipped.get(index)
        if judged is not None and (not stage.early or self.alone or judged.reason == end.reason):
            assert (judged.verdict, judged.reason) == ("skip", end.reason)
            return
        assert not stage.always, f"{stage.id} is always and was skipped"
        assert stage.join != "done", f"{stage.id} takes any end of its needs and was skipped"
        # The needs' own ends may come later in the same list only if they came first: ends are said in order.
        bad = [need for need in stage.needs if need in self.ended and not self._well(need)]
        reasons = {f"needs {self.plan.stages[need].id} ({self.ended[need].outcome})" for need in bad}
        assert end.reason in reasons, f"{stage.id}: {end.reason!r}, but the bad needs are {sorted(reasons)}"
        if stage.join == "any":
            assert len(bad) == len(stage.needs), f"{stage.id} was skipped though a need may still do"

    def _kill(self, kill: Kill) -> None:
        index = kill.stage
        stage = self.plan.stages[index]
        exited = index in self.exits and self.exits[index].attempt == kill.attempt
        assert exited or self.running.get(index) == kill.attempt, f"{kill}: no such attempt runs"
        if kill.why == "timeout" and index not in self.killed:
            own = (f"attempt:{index}:{kill.attempt}", f"stage:{index}:", "run:")
            names = [name for name in self.timers if name.startswith(own)]
            assert names, f"{kill} without its timer"
            since = {
                "attempt": (self.last_start[index], stage.attempt_timeout_ms),
                "stage": (self.first_start[index], stage.stage_timeout_ms),
                "run": (self.run_since, self.plan.timeout_ms),
            }
            held = [since[name.partition(":")[0]] for name in names]
            assert any(limit is not None and self.now - start >= limit for start, limit in held), f"{kill} too early"
            if all(name.startswith("run:") for name in names):
                self.stopping = True
        if kill.why == "cancelled" and stage.always:
            assert self.cancels > 1 or index in self.asked_to_cancel, f"{kill}, though it is for cleaning up"
        if kill.why == "cancelled" and index in self.killed:
            assert kill.now or not self.killed[index], f"{kill} twice"
        assert not kill.now or self.cancels > 1 or index in self.killed
        self._announces_no_more(index, is_done=False)
        self.killed[index] = self.killed.get(index, kill.why)

    def _run_end(self, end: RunEnded) -> None:
        assert not self.over, "the run ended twice"
        self.over = True
        self.outcome, self.reason = end
        assert not self.running and not self.asked
        if self.cancels:
            assert end.outcome == "cancellation" and (end.reason or "").startswith("cancelled by")
            return
        worst = "success"
        for index, stage in enumerate(self.plan.stages):
            if self.plan.policy == "lenient" and not stage.critical:
                continue
            outcome = self._root_outcome(index)
            if SEVERITY[outcome] > SEVERITY[worst]:
                worst = outcome
        if end.reason == "timeout":
            assert self.plan.timeout_ms is not None and self.maybe_timed_out
            assert end.outcome == ("error" if worst == "error" else "timeout")
            return
        assert end.outcome == worst, f"the run ended as {end.outcome}, the worst that counts is {worst}"

    def _root_outcome(self, index: int) -> str:
        """The outcome that a stage counts with."""
        lenient = self.plan.policy == "lenient"
        while True:
            stage, end = self.plan.stages[index], self.ended[index]
            by = None
            if lenient and end.outcome == "skip" and (end.reason or "").startswith("needs "):
                by = (end.reason or "")[len("needs ") :].rpartition(" (")[0]
            elif lenient and (end.reason or "").startswith("fail-fast: "):
                by = (end.reason or "")[len("fail-fast: ") :].rpartition(" (")[0]
            if by is None:
                break
            index = int(by[1:])
        if stage.allow_failure and end.outcome in ("failure", "error", "timeout"):
            return "success"
        return end.outcome

    # ------------------------------------------------------------ starts

    def _queue(self, machine: Machine, started: set[int]) -> None:
        """Who is ready in this batch, before anything starts; ties of readiness break by rank."""
        for index, stage in enumerate(self.plan.stages):
            if index in started or (index not in self.ended and machine.state(index) == "ready"):
                if index not in self.ready or index in self.exits:
                    self.ready[index] = (self.batch, stage.rank)
                    if index not in self.governed.sharing:
                        self.ready_at[index] = self.batch_began
            else:
                self.ready.pop(index, None)

    def _start(self, start: Start) -> None:
        index = start.stage
        stage = self.plan.stages[index]
        assert index not in self.running, f"{stage.id} starts while it runs"
        assert index not in self.ended, f"{stage.id} starts after its end"
        assert stage.skip is None, f"{stage.id} was to be skipped"
        assert start.attempt == self.attempts[index] + 1, f"{start}: attempts are numbered one by one"
        assert self._needs_are_done(index), f"{stage.id} starts before its needs are done"
        assert start.attempt <= stage.attempts + self.extra[index], f"{start}: too many attempts"
        assert self.now >= self.earliest[index] or self.extra[index], f"{start}: too early after a failure"
        assert start.ready <= self.now
        assert start.waited is None or start.waited in {pool.name for pool in self.plan.pools} | self.other_waits
        if start.attempt > 1 and not stage.retry_safe:
            assert index in self.again, f"{stage.id} runs a second time and nobody said so"
            assert index not in self.done, f"{stage.id} runs a second time though it is done"
            self.again.discard(index)
        if self.stopping:
            assert stage.always and self.cancels < 2, f"{stage.id} starts in a run that is stopping"
        if not self.governed.needs_lease(index):
            self._takes_units(index)
        self.governed.starts(start, len(self.running))
        if self.fresh[index] or self.restart[index]:
            self.first_start[index] = self.now
            self.restart[index] = False
        self.fresh[index] = False
        self.killed.pop(index, None)
        self.last_start[index] = self.now
        self.attempts[index] = start.attempt
        self.running[index] = start.attempt
        self.ready.pop(index, None)

    def _takes_units(self, index: int) -> None:
        if self.plan.in_order:
            before = self._keep_back(index)
            assert not before, f"s{index} starts out of order: not after {before}"
        self._not_past_a_claim(index)
        for pool, units in self._demand(index):
            self.free[pool] -= units
            assert self.free[pool] >= 0, f"{self.plan.pools[pool].name} is over its capacity"
        self.ready.pop(index, None)

    def _keep_back(self, index: int) -> list[int]:
        """The stages after which it comes in order: what is before it has ended, or a person keeps it from going on."""
        behind: set[int] = set()
        before = sorted(range(len(self.plan.stages)), key=lambda at: self.plan.stages[at].rank)
        keep = []
        for other in before[: before.index(index)]:
            if other in self.gated.open or (
                other not in self.ended | self.running
                and any(need in behind for need in self.plan.stages[other].needs)
                and not self._needs_are_done(other)
            ):
                behind.add(other)
            elif other not in self.ended:
                keep.append(other)
        return keep

    def _gives_back(self, index: int) -> None:
        for pool, units in self._demand(index):
            self.free[pool] += units

    def _timer(self, timer: SetTimer, started: set[int]) -> None:
        kind, _, rest = timer.timer.partition(":")
        if kind == "pace":
            assert timer.at > self.now, "to look again at once changes nothing"
            return
        if kind == "run":
            assert self.plan.timeout_ms is not None
            assert self.batch_began <= timer.at - self.plan.timeout_ms <= self.now
            self.run_since = self.batch_began
            return
        index = int(rest.partition(":")[0])
        stage = self.plan.stages[index]
        if kind == "attempt":
            assert stage.attempt_timeout_ms is not None and index in started
            assert timer.at == self.last_start[index] + stage.attempt_timeout_ms
        elif kind == "stage":
            assert stage.stage_timeout_ms is not None and index in started
            if index in self.may_wait_again and timer.at == self.last_start[index] + stage.stage_timeout_ms:
                self.first_start[index] = self.last_start[index]
            assert timer.at == self.first_start[index] + stage.stage_timeout_ms, (
                f"{timer} does not count from its start"
            )
        elif kind == "queue" and index in self.ready_at:
            assert stage.queue_timeout_ms is not None and timer.at >= self.ready_at[index] + stage.queue_timeout_ms

    def _needs_are_done(self, index: int) -> bool:
        """For a later attempt too: a need that has ended badly since does not matter then, one that is open does."""
        stage = self.plan.stages[index]
        met = [need for need in stage.needs if index in self.announced.get(need, ())]
        over = all(need in self.ended or need in met for need in stage.needs)
        if stage.always or stage.join == "done" or not self.fresh[index] and over:
            return over
        if stage.join == "any":
            return not stage.needs or bool(met) or any(self._well(need) for need in stage.needs)
        return all(self._well(need) or need in met for need in stage.needs)

    def _not_past_a_claim(self, index: int) -> None:
        """The bound on being passed over, and that nothing takes what the claiming stage lacks."""
        if self.lifted or self.plan.in_order:
            return
        first = min(self.ready, key=self.ready.__getitem__)
        if first != self.first:
            self.first, self.passes = first, 0
        if index == first:
            self.first = -1
            return
        if self.passes >= self.plan.passed_over_max:
            wanted = dict(self._demand(first))
            for pool, units in self._demand(index):
                if pool in wanted:
                    left = self.free[pool] - units
                    assert left >= wanted[pool], f"s{index} takes {self.plan.pools[pool].name} before s{first}"
            self.governed.not_before_a_claim(index, first)
        self.passes += 1

    def _demand(self, index: int) -> tuple[tuple[int, int], ...]:
        return self.plan.demands[self.plan.stages[index].demand]

    # ------------------------------------------------------------ after the batch

    def _after(self, machine: Machine) -> None:
        for index in self.exits:
            if index not in self.running:
                self.killed.pop(index, None)
        if self.stopping:
            for index in [*self.running, *self.gated.open]:
                told = index in self.killed or self.plan.stages[index].always
                assert told, f"s{index} runs on, or waits for a person, in a run that is stopping"
        for end in [self.ended[index] for index in self.exits if index in self.ended]:
            stage = self.plan.stages[end.stage]
            if self._counts(stage, end) and stage.fail_fast_group >= 0 and not self.cancels:
                self._group_is_stopped(stage.fail_fast_group)
        if self.cancels > 1:
            assert all(index in self.killed for index in self.running), "something runs on after a second cancel"
            assert not self.gated.open, "a gate is open after a second cancel"
        if self.over:
            assert len(self.ended) == len(self.plan.stages), "the run is over, but not every stage"
        assert machine.is_over == self.over
        if self.ready and not self.running and not self.governed.is_held_up:
            first = min(self.ready, key=lambda at: self.plan.stages[at].rank)
            is_kept = self.plan.in_order and self._keep_back(first)
            assert is_kept, "units are free, stages are ready, and nothing starts"
        if machine.waits_for_person:
            assert self.asked or self.gated.open, "the machine waits for a person whom nobody asked"
            assert not self.running, "the machine waits for a person while something runs"

    def _group_is_stopped(self, group: int) -> None:
        for index, stage in enumerate(self.plan.stages):
            if stage.fail_fast_group == group and not stage.always:
                assert index in self.ended or index in self.killed, f"{stage.id} goes on, its group has failed"
