"""The Machine: events in, decisions out. It has no clock, I/O, thread or random number; times arrive in events.

State is a function of the plan and the batches of events, so a journal fed to a new machine gives an equal
`snapshot`. Read `feed` first, then the events in the order in which they happen. What follows from them is
`course`, how stages are added `growth`, who starts among the ready `dispatch`, what is known `books`, which moves are
legal `moves`. One function writes a stage's state (`Books._move`), one a final state (`Course._end`).

Trouble of two families: a messy world (doubled exits, late timers, answers after the end, a clock that steps back)
is absorbed; a driver that lies (an exit of an attempt never started, an event before `Began`) gets `DriverError`,
for going on would corrupt the record.
"""

from __future__ import annotations

from stagebook.model.problem import DefectError
from stagebook.scheduler import ends
from stagebook.scheduler.course import (
    ATTEMPT_TIMEOUT,
    FAIL_FAST,
    LAST_TIMEOUT,
    LIFTED,
    RUN_CANCEL,
    RUN_TIMEOUT,
    STAGE_CANCEL,
    STAGE_TIMEOUT,
    record,
)
from stagebook.scheduler.flow import DriverError as DriverError
from stagebook.scheduler.growth import Growth
from stagebook.scheduler.moves import (
    ASKING,
    BACKOFF,
    CANCELLATION,
    ERROR,
    FAILURE,
    GATE,
    HELD,
    JUDGING,
    KILLING,
    LEASING,
    READY,
    RUNNING,
    SKIP,
    STATES,
    SUCCESS,
    TIMEOUT,
    WAITING,
)
from stagebook.scheduler.plan import Plan
from stagebook.scheduler.vocabulary import (
    Announced,
    AskGate,
    AskLease,
    Began,
    CancelAsked,
    Decision,
    Ended,
    Event,
    Exited,
    Freed,
    GateAnswered,
    GateReopened,
    ItemsDone,
    ItemsLot,
    ItemsReady,
    ItemsWorkers,
    Judge,
    Judged,
    Leased,
    Refused,
    RerunAnswered,
    Resumed,
    RunEnded,
    SetTimer,
    Shortage,
    StagesAdded,
    Start,
    Started,
    TimerFired,
)

_BEFORE_START = (WAITING, JUDGING, READY, LEASING, HELD, ASKING)
NOBODY_DECIDED = "nobody decided in time"
_EXIT_STATES = {word: STATES[word] for word in ("success", "failure", "error", "timeout", "cancellation")}


class Machine(Growth):
    """Runs one plan. Feed it batches of events, obey the decisions it returns, in their order.

    The questions that it answers are in `Books`.
    """

    __slots__ = ()

    def feed(self, *events: Event) -> list[Decision]:
        """One batch: all moves run to rest, then what can start is started. Batch borders belong to the journal."""
        out = self._out = []
        is_news = False
        for event in events:
            kind = type(event)
            if kind is not Began and not self._began:
                raise DriverError(f"`{kind.__name__}` came before `Began`")
            if event.at > self._now:
                self._now = event.at
            if kind is Started:
                self._started(event)  # type: ignore[arg-type]
                is_news |= self._paced
                continue
            is_news = True
            if kind is Exited:
                self._exited(event)  # type: ignore[arg-type]
            elif kind is ItemsDone:
                self._items_done(event)  # type: ignore[arg-type]
            else:
                self._seldom(event)
            if self._settling:
                self._settle()
        if self._leases:
            self._start_leased()
        if is_news:
            if self._stirred:
                self._stir()
            self._choose()
            while self._stirred:  # a call that begins makes room for others
                self._stir()
                if self._line.offered or self.plan.in_order:
                    self._choose()
            if self._paced and not self._pace_timer:
                self._look_again()
        if not self._active and not self._over and self._began:
            if not self._left:
                self._close()
            elif not self._pace_timer and self._short is None:
                raise DefectError("no stage can move and the run is not over: this is a bug in the scheduler")
        return out

    def _choose(self) -> None:
        stage_count = len(self._state)
        for stage in self._line.choose(self._state, self._now):
            if stage >= stage_count:
                self._start_items(stage)
            elif stage in self._bound or (self._leased and self.plan.stages[stage].demand in self._leased):
                self._ask_lease(stage)
            else:
                self._start(stage, self._line.waited(stage))

    def _seldom(self, event: Event) -> None:
        if isinstance(event, TimerFired):
            self._timer_fired(event.timer)
        elif isinstance(event, CancelAsked):
            if event.stage is None:
                self._cancel_run(event.why)
            else:
                self._cancel_stage(self._known(event.stage))
        elif isinstance(event, RerunAnswered):
            self._rerun_answered(self._known(event.stage), event.again)
        elif isinstance(event, ItemsReady):
            self._items_ready(event)
        elif isinstance(event, ItemsWorkers):
            self._set_workers(event)
        elif isinstance(event, ItemsLot):
            self._set_lot(event)
        elif isinstance(event, Judged):
            self._condition_judged(self._known(event.stage), event.verdict, event.reason)
        elif isinstance(event, GateAnswered):
            self._gate_answered(self._known(event.stage), event)
        elif isinstance(event, GateReopened):
            self._reopen(self._known(event.stage))
        elif isinstance(event, Announced):
            self._stage_announced(event)
        elif isinstance(event, (Leased, Refused, Freed)):
            self._lease_answered(self._known(event.stage), event)
        elif isinstance(event, Shortage):
            self._short = event.reason
            self._line.shortage = None if event.reason is None else (event.memory_free, event.holds_all)
        elif isinstance(event, StagesAdded):
            self._stages_added(self._known(event.stage), event.plan)
        elif isinstance(event, Resumed):
            self._resumed(event.takes_back)
        elif isinstance(event, Began):
            self._begin()
        else:
            raise DriverError(f"`{type(event).__name__}` is no event")

    def _known(self, stage: int) -> int:
        if not 0 <= stage < len(self._state):
            raise DriverError(f"stage {stage} is not in the plan")
        return stage

    def _begin(self) -> None:
        if self._began:
            raise DriverError("`Began` came twice")
        self._began = True
        if self.plan.timeout_ms is not None:
            self._run_timer = self._set_timer("run", self.plan.timeout_ms)
        state = self._state
        for index, stage in enumerate(self.plan.stages):
            self._attempt[index] = stage.begun
            if stage.begun:
                self._granted[index] = stage.begun
            if stage.kept is not None:
                self._end(index, STATES[stage.kept[0]], None, is_kept=True)
            elif stage.skip is not None and not stage.skips_late:
                self._end(index, SKIP, stage.skip)
        # Only now, for what stands beside it must not be taken for stages that a failure ends.
        for index, stage in enumerate(self.plan.stages):
            if stage.kept is not None and state[index] < CANCELLATION and not self._done_well[index]:
                self._fail_fast(index, stage.fail_fast_group)
        for index, needs in enumerate(self._open):
            if not needs and state[index] == WAITING:
                self._become_ready(index)

    def _look_again(self) -> None:
        """Where only time keeps a ready stage from its start: be told when it is over."""
        at = self._line.looks_again_at(self._now)
        if at is not None:
            self._pace_timer = self._set_timer("pace", at - self._now)

    def _ask_lease(self, stage: int) -> None:
        self._waited.setdefault(stage, self._line.waited(stage))
        self._move(stage, LEASING)
        self._active += 1
        self._out.append(AskLease(stage))

    def _lease_answered(self, stage: int, event: Leased | Refused | Freed) -> None:
        """Answers that come too late are for nobody: the driver gives back what does not start."""
        state = self._state[stage]
        if state == LEASING and type(event) is Leased:
            self._leases.append(stage)
        elif state == LEASING and type(event) is Refused:
            self._line.undo(stage)
            self._move(stage, HELD)
            self._held_by[stage] = event.by
            self._waited[stage] = self.waiting(stage)
        elif state == HELD and type(event) is Freed:
            self._queue_anew(stage)

    def _start_leased(self) -> None:
        """Those that got a lease in this batch, unless it has ended them too."""
        leases, self._leases = self._leases, []
        for stage in leases:
            if self._state[stage] == LEASING:
                self._active -= 1
                self._start(stage, self._waited.pop(stage))

    def _condition_judged(self, stage: int, verdict: str, reason: str | None) -> None:
        if verdict not in ("run", "skip", "error"):
            raise DriverError(f"`{verdict}` is no verdict on a condition")
        if self._state[stage] != JUDGING:
            return
        if verdict == "run":
            self._judged.add(stage)
            self._active -= 1
            self._become_ready(stage)
        else:
            self._active -= 1
            self._end(stage, SKIP if verdict == "skip" else ERROR, reason)

    def _stages_added(self, stage: int, plan: Plan) -> None:
        """They join before the end of the stage that generates them is told, so that no one has gone on without."""
        known = self.plan.stages
        if self._state[stage] not in (RUNNING, JUDGING):
            raise DriverError(f"stage {stage} generates others and does not run")
        if [each.id for each in plan.stages[: len(known)]] != [each.id for each in known]:
            raise DriverError(f"the plan with what stage {stage} generates is not the plan of this run")
        self._grow(plan)

    def _gate_answered(self, stage: int, event: GateAnswered) -> None:
        """An answer after the end is nobody's."""
        if self.plan.stages[stage].gate is None:
            raise DriverError(f"stage {stage} is no gate")
        if self._state[stage] == GATE:
            self._leave(stage)
            self._end(stage, SUCCESS if event.approved else FAILURE, event.reason)

    def _gate_timed_out(self, stage: int) -> None:
        gate = self.plan.stages[stage].gate
        assert gate is not None, "only gates have such a timer"
        self._leave(stage)
        self._end(stage, SUCCESS if gate.default == "approve" else TIMEOUT, f"{NOBODY_DECIDED}: {gate.default}")

    def _stage_announced(self, event: Announced) -> None:
        """What comes of an attempt that does not run any more is nobody's. In order of rank it changes nothing: a stage
        starts there only after all before it have ended."""
        stage = self._known(event.stage)
        if not 1 <= event.attempt <= self._attempt[stage]:
            raise DriverError(f"attempt {event.attempt} of stage {stage} was never started")
        for dependent in event.dependents:
            if stage not in self.plan.stages[self._known(dependent)].early:
                raise DriverError(f"stage {dependent} does not wait for what stage {stage} announces")
        if event.dependents and event.attempt == self._attempt[stage] and self._state[stage] == RUNNING:
            if not self.plan.in_order:
                self._announce(stage, event.dependents)

    def _start(self, stage: int, waited: str | None) -> None:
        self._move(stage, RUNNING)
        self._active += 1
        attempt = self._attempt[stage] + 1
        self._attempt[stage] = attempt
        self._out.append(record(Start, (stage, attempt, self._ready_at[stage], waited)))
        if self._may_rerun:
            self._may_rerun.discard(stage)
        if self._timed[stage]:
            self._arm(stage, attempt)
        if stage in self._streams:
            self._open_stream(stage)

    def _arm(self, stage: int, attempt: int) -> None:
        plan = self.plan.stages[stage]
        self._queue_timer.pop(stage, None)
        if plan.attempt_timeout_ms is not None:
            self._out.append(SetTimer(f"attempt:{stage}:{attempt}", self._now + plan.attempt_timeout_ms))
        if plan.stage_timeout_ms is not None and stage not in self._stage_timer:
            self._stage_timer[stage] = self._set_timer(f"stage:{stage}", plan.stage_timeout_ms)

    def _started(self, event: Started) -> None:
        if not 1 <= event.attempt <= self._attempt[self._known(event.stage)]:
            raise DriverError(f"attempt {event.attempt} of stage {event.stage} was never started")
        if self._paced and event.attempt == self._attempt[event.stage]:
            self._line.began(event.stage, self._now)

    def _exited(self, event: Exited) -> None:
        stage = event.stage
        if not 0 <= stage < len(self._state) or not 1 <= event.attempt <= self._attempt[stage]:
            raise DriverError(f"attempt {event.attempt} of stage {stage} was never started")
        outcome = _EXIT_STATES.get(event.outcome)
        if outcome is None:
            raise DriverError(f"`{event.outcome}` is no outcome of an attempt")
        state = self._state[stage]
        if event.attempt != self._attempt[stage] or (state != RUNNING and state != KILLING):
            return
        if stage in self._streams:
            if event.reason != "interrupted":
                self._source_ended(stage, event.outcome, event.reason)
                return
            self._suspend(stage)
        self._active -= 1
        if self._paced:
            self._line.began(stage, self._now)
        self._line.release(self.plan.stages[stage].demand)
        if self._announced:
            self._take_back(stage, is_done=outcome == SUCCESS)
        if state == KILLING:
            self._killed(stage, event)
        elif outcome == SUCCESS:
            self._end(stage, SUCCESS, event.reason, stage in self._failed_before)
        elif outcome == ERROR and event.reason == "interrupted":
            # Its end is unknown. It counts, but is tried again though it was the last one.
            self._become_ready(stage)
        elif outcome == CANCELLATION or event.is_final or not self._try_again(stage, event.outcome, event):
            self._end(stage, outcome, event.reason)

    def _killed(self, stage: int, event: Exited) -> None:
        """The outcome was decided with the kill, whatever the exit says."""
        cause = self._killing.pop(stage)
        if cause == ATTEMPT_TIMEOUT and self._try_again(stage, "timeout", event):
            return
        if cause in (ATTEMPT_TIMEOUT, LAST_TIMEOUT):
            only_cancel = self._cancels and not self._timed_out and self._failed_fast < 0
            if only_cancel and cause == ATTEMPT_TIMEOUT and self._is_due(stage, "timeout", event):
                # Nothing but the cancel keeps it from another attempt, so a lifted cancel gives it back.
                self._failed_before.add(stage)
                self._stopped.append(stage)
            self._end(stage, TIMEOUT, "attempt timeout")
        elif cause == STAGE_TIMEOUT:
            self._end(stage, TIMEOUT, "stage timeout")
        elif cause == RUN_TIMEOUT:
            self._end(stage, TIMEOUT, "run timeout")
        elif cause == RUN_CANCEL:
            self._stopped.append(stage)
            self._end(stage, CANCELLATION, self._cancel_reason())
        elif cause == STAGE_CANCEL:
            self._end(stage, CANCELLATION, "cancelled")
        elif cause == FAIL_FAST:
            self._end_fast(stage)
        else:
            self._move(stage, WAITING)
            self._stage_timer.pop(stage, None)
            self._follow(stage, self._verdict(stage))

    def _end_killed(self, stage: int) -> None:
        self._killed(stage, Exited(self._now, stage, self._attempt[stage], "timeout"))

    def _is_due(self, stage: int, outcome: str, event: Exited) -> bool:
        """Whether the plan grants another attempt after this end."""
        plan = self.plan.stages[stage]
        if self._attempt[stage] >= plan.attempts + self._granted.get(stage, 0) or not plan.retry_safe:
            return False
        return not plan.retry_only or ends.matches(plan.retry_only, outcome, event.exit, event.signal)

    def _try_again(self, stage: int, outcome: str, event: Exited) -> bool:
        """Go on to another attempt, now or after a backoff, if there may be one."""
        if not self._is_due(stage, outcome, event) or (self._stopping and self._is_stopped(stage)):
            return False
        self._failed_before.add(stage)
        attempt = self._attempt[stage]
        delays = self.plan.stages[stage].delays_ms
        delay = delays[min(attempt, len(delays)) - 1] if delays else 0
        if delay <= 0:
            self._become_ready(stage)
            return True
        self._move(stage, BACKOFF)
        self._active += 1
        self._out.append(SetTimer(f"backoff:{stage}:{attempt}", self._now + delay))
        return True

    def _rerun_answered(self, stage: int, again: bool) -> None:
        """The answer holds for any stage that would ask, also one that waits for its needs until then."""
        state = self._state[stage]
        if state not in _BEFORE_START or self.plan.stages[stage].retry_safe or not self._attempt[stage]:
            return
        if again:
            self._said_done.discard(stage)
            self._may_rerun.add(stage)
            self._stage_timer.pop(stage, None)
        else:
            self._may_rerun.discard(stage)
            self._said_done.add(stage)
        if state == ASKING or (state in (READY, LEASING, HELD) and not again):
            self._leave(stage)
            self._become_ready(stage)

    def _cancel_run(self, why: str) -> None:
        if self._over:
            return
        self._cancels += 1
        if why == "cancel":
            self._cancel_for_good = True
        self._stop_anew()
        if self._cancels == 1:
            self._cancel_why = why
            self._stop_all(RUN_CANCEL)
        elif self._cancels == 2:
            for stage, state in enumerate(self._state):
                if state in (RUNNING, KILLING):
                    self._kill(stage, self._killing.get(stage, RUN_CANCEL), now=True)
                elif WAITING < state < SUCCESS:
                    self._end_by_stop(stage)

    def _cancel_stage(self, stage: int) -> None:
        state = self._state[stage]
        if state != KILLING:
            self._stop_stage(stage, STAGE_CANCEL)
            return
        cause = self._killing[stage]
        if cause == ATTEMPT_TIMEOUT:
            self._killing[stage] = LAST_TIMEOUT
        elif cause == LIFTED:
            self._killing[stage] = STAGE_CANCEL
        else:
            self._kill(stage, STAGE_CANCEL if cause == RUN_CANCEL else cause, now=True)

    def _resumed(self, takes_back: bool) -> None:
        """A new engine goes on: it is asked what the old one was asked, and knows nothing yet of a shortage."""
        self._short = self._line.shortage = None
        self._lift(takes_back)
        for stage, state in enumerate(self._state):
            if state == JUDGING and Judge(stage) not in self._out:
                self._out.append(Judge(stage))
            elif state in (LEASING, HELD):
                self._queue_anew(stage)
            elif state == GATE and AskGate(stage) not in self._out:
                self._out.append(AskGate(stage))

    def _lift(self, takes_back: bool) -> None:
        """Lift a cancel that came by signal, and take back the ends of `waits_again`: these stages wait again."""
        if self._over and not takes_back:
            return
        lifted = self.waits_again() if takes_back else []
        if self._cancel_for_good or not (lifted or self._cancels):
            return
        self._cancels = 0
        self._stopped = []
        self._over = False
        state = self._state
        for stage in lifted:
            self._move(stage, WAITING)
            self._left += 1
            self._done_well[stage] = 0
            self._cause.pop(stage, None)
            self._fast_cause.pop(stage, None)
            self._judged.discard(stage)
        if lifted:
            # Ends of this very batch were never heard of.
            self._out[:] = [said for said in self._out if type(said) is not Ended or state[said.stage] >= SUCCESS]
        self._forget_failures()
        self._stop_anew()
        self._line.rewind()
        self._wait_again()
        if self.plan.timeout_ms is not None and not self._timed_out:
            self._run_timer = self._set_timer("run", self.plan.timeout_ms)

    def _forget_failures(self) -> None:
        """What an error that was taken back had stopped under fail-fast goes on; what dies of it waits at its exit."""
        state = self._state
        if self._failed_fast >= 0 and state[self._failed_fast] == WAITING:
            self._failed_fast = -1
        self._failed_groups = {group: by for group, by in self._failed_groups.items() if state[by] != WAITING}
        for stage, cause in self._killing.items():
            is_fast = self._failed_fast >= 0 or self.plan.stages[stage].fail_fast_group in self._failed_groups
            if cause == RUN_CANCEL or (cause == FAIL_FAST and not is_fast):
                self._killing[stage] = LIFTED

    def _timer_fired(self, timer: str) -> None:
        kind, _, rest = timer.partition(":")
        if kind == "pace":
            if timer == self._pace_timer:
                self._pace_timer = ""
            return
        if kind == "run":
            if timer == self._run_timer and not self._over and not self._stopping:
                self._timed_out = True
                self._stop_all(RUN_TIMEOUT)
            return
        first, _, second = rest.partition(":")
        if (
            kind not in ("attempt", "backoff", "queue", "stage", "gate", "items")
            or not first.isdigit()
            or not second.isdigit()
        ):
            raise DriverError(f"`{timer}` is no timer that was ever set")
        stage = self._known(int(first))
        state = self._state[stage]
        if kind == "attempt":
            if state == RUNNING and self._attempt[stage] == int(second):
                self._kill(stage, ATTEMPT_TIMEOUT)
        elif kind == "backoff":
            if state == BACKOFF and self._attempt[stage] == int(second):
                self._active -= 1
                self._become_ready(stage)
        elif kind == "items":
            self._items_timer(stage, timer)
        elif kind == "gate":
            if self._gate_timer.get(stage) == timer:
                self._gate_timed_out(stage)
        elif kind == "queue":
            if self._queue_timer.get(stage) == timer:
                self._leave(stage)
                self._end(stage, TIMEOUT, "queue timeout")
        elif self._stage_timer.get(stage) == timer:
            self._stage_timed_out(stage, state)

    def _stage_timed_out(self, stage: int, state: int) -> None:
        if state == RUNNING:
            self._kill(stage, STAGE_TIMEOUT)
        elif state == KILLING:
            if self._killing[stage] == ATTEMPT_TIMEOUT:
                self._killing[stage] = STAGE_TIMEOUT
        elif state in (READY, LEASING, HELD, BACKOFF):
            self._end_unstarted(stage, STAGE_TIMEOUT)

    def _close(self) -> None:
        self._over = True
        if self._cancels:
            self._out.append(RunEnded("cancellation", self._cancel_reason()))
            return
        self._out.append(self._run_end())
