"""The Machine: events in, decisions out. It has no clock, I/O, thread or random number; times arrive in events.

State is a function of the plan and the batches of events, so a journal fed to a new machine gives an equal
`snapshot`. Read `feed` first, then the events in the order in which they happen, then the ends. Who starts among the
ready is `dispatch`; the table of legal moves is `moves`. One function writes a stage's state (`_move`), one a final
state (`_end`), and chains are walked with a list (`_settle`).

Trouble of two families: a messy world (doubled exits, late timers, answers after the end, a clock that steps back)
is absorbed; a driver that lies (an exit of an attempt never started, an event before `Began`) gets `DriverError`,
for going on would corrupt the record.
"""

from __future__ import annotations

from stagebook.model.problem import DefectError
from stagebook.scheduler import ends
from stagebook.scheduler.dispatch import Line, SequentialLine
from stagebook.scheduler.moves import (
    ASKING,
    BACKOFF,
    CANCELLATION,
    ERROR,
    KILLING,
    LEGAL,
    NAMES,
    READY,
    RUNNING,
    SKIP,
    STATE_COUNT,
    STATES,
    SUCCESS,
    TIMEOUT,
    WAITING,
)
from stagebook.scheduler.plan import Plan
from stagebook.scheduler.vocabulary import (
    AskRerun,
    Began,
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

#: How a stage that depends on others decides. `always` overrides the plan's join.
_ALL, _ANY, _DONE = range(3)
_JOINS = {"all": _ALL, "any": _ANY, "done": _DONE}

#: Why a stage was told to end. The first decides its outcome; `_LIFTED` was cancelled by a signal, then resumed.
#: `_LAST_TIMEOUT` is the timeout of an attempt after which there must be no other.
_ATTEMPT_TIMEOUT, _LAST_TIMEOUT, _STAGE_TIMEOUT, _RUN_TIMEOUT = range(4)
_RUN_CANCEL, _STAGE_CANCEL, _FAIL_FAST, _LIFTED = range(4, 8)

_TIMEOUTS = (_ATTEMPT_TIMEOUT, _LAST_TIMEOUT, _STAGE_TIMEOUT, _RUN_TIMEOUT)

_EXIT_STATES = {word: STATES[word] for word in ("success", "failure", "error", "timeout", "cancellation")}

_record = tuple.__new__


class DriverError(DefectError):
    """The driver said what cannot be. Its journal is not to be trusted further."""


class Machine:
    """Runs one plan. Feed it batches of events, obey the decisions it returns, in their order."""

    __slots__ = (
        "_active",
        "_always",
        "_attempt",
        "_began",
        "_cancel_for_good",
        "_cancel_why",
        "_cancels",
        "_cause",
        "_done_well",
        "_failed_before",
        "_failed_fast",
        "_fast_cause",
        "_followers",
        "_granted",
        "_groups",
        "_join",
        "_killing",
        "_left",
        "_line",
        "_may_rerun",
        "_now",
        "_open",
        "_out",
        "_over",
        "_queue_timer",
        "_ready_at",
        "_run_timer",
        "_settling",
        "_stage_timer",
        "_state",
        "_stopped",
        "_stopping",
        "_timed",
        "_timed_out",
        "_timer_last",
        "plan",
    )

    def __init__(self, plan: Plan) -> None:
        stages = plan.stages
        count = len(stages)
        self.plan = plan
        self._state = bytearray(count)
        self._attempt = [0] * count
        #: Needs that have not ended, per stage, and the stages that need it.
        self._open = [len(stage.needs) for stage in stages]
        followers: list[list[int] | None] = [None] * count
        for index, stage in enumerate(stages):
            for need in stage.needs:
                known = followers[need]
                if known is None:
                    followers[need] = [index]
                else:
                    known.append(index)
        self._followers = followers
        self._join = bytearray(_DONE if stage.always else _JOINS[stage.join] for stage in stages)
        self._always = bytearray(stage.always for stage in stages)
        #: Whether a stage has timers of its own, so that others pay nothing for them.
        self._timed = bytearray(
            not (stage.attempt_timeout_ms is stage.stage_timeout_ms is stage.queue_timeout_ms is None)
            for stage in stages
        )
        #: Ended so that its dependents may go on.
        self._done_well = bytearray(count)
        self._ready_at = [0] * count
        self._line = SequentialLine(plan) if plan.in_order else Line(plan)
        self._now = 0
        self._began = False
        self._over = False
        #: Stages without an end; and those that something outside will move: an attempt, a timer, a person.
        self._left = count
        self._active = 0
        self._out: list[Decision] = []
        self._settling: list[int] = []
        #: Of each skipped stage, the need that made it so.
        self._cause: dict[int, int] = {}
        self._granted: dict[int, int] = {}
        self._failed_before: set[int] = set()
        self._may_rerun: set[int] = set()
        self._killing: dict[int, int] = {}
        #: Of each stage that a failure elsewhere cancelled, that stage.
        self._fast_cause: dict[int, int] = {}
        self._groups: dict[int, list[int]] = {}
        for index, stage in enumerate(stages):
            if stage.fail_fast_group >= 0:
                self._groups.setdefault(stage.fail_fast_group, []).append(index)
        #: The live timers of stages; any other name that comes back is stale.
        self._queue_timer: dict[int, str] = {}
        self._stage_timer: dict[int, str] = {}
        self._timer_last = 0
        self._run_timer = ""
        #: 0: goes on. 1: nothing new but `always` stages. 2: nothing at all. Follows from the four below.
        self._stopping = 0
        self._cancels = 0
        self._cancel_why = ""
        self._cancel_for_good = False
        self._timed_out = False
        self._failed_fast = -1
        #: Stages that a cancel of the run has ended, in order: they wait again when it is lifted.
        self._stopped: list[int] = []

    # ---------------------------------------------------------------- the door

    def feed(self, *events: Event) -> list[Decision]:
        """One batch: all moves run to rest, then what can start is started. Batch borders belong to the journal."""
        out = self._out = []
        for event in events:
            kind = type(event)
            if kind is not Began and not self._began:
                raise DriverError(f"`{kind.__name__}` came before `Began`")
            if event.at > self._now:
                self._now = event.at
            if kind is Exited:
                self._exited(event)  # type: ignore[arg-type]
            elif kind is Started:
                self._started(event)  # type: ignore[arg-type]
            else:
                self._seldom(event)
            if self._settling:
                self._settle()
        for stage in self._line.choose(self._state):
            self._start(stage)
        if not self._active and not self._over:
            if self._left:
                raise DefectError("no stage can move and the run is not over: this is a bug in the scheduler")
            self._close()
        self._out = []
        return out

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
        elif isinstance(event, Resumed):
            self._resumed()
        elif isinstance(event, Began):
            self._begin()
        else:
            raise DriverError(f"`{type(event).__name__}` is no event")

    def _known(self, stage: int) -> int:
        if not 0 <= stage < len(self._state):
            raise DriverError(f"stage {stage} is not in the plan")
        return stage

    # ---------------------------------------------------------------- questions

    @property
    def is_over(self) -> bool:
        """`RunEnded` has been said, and no `Resumed` has opened the run again."""
        return self._over

    @property
    def waits_for_person(self) -> bool:
        """Nothing goes on but questions to a person: the driver ends with exit 3."""
        asking = self._state.count(ASKING)
        return bool(asking) and asking == self._active

    def outstanding(self) -> list[int]:
        """The stages that something outside will move: an attempt, a backoff or a person."""
        return [index for index, state in enumerate(self._state) if state in (RUNNING, KILLING, BACKOFF, ASKING)]

    def state(self, stage: int) -> str:
        """The word of `moves.NAMES` for where the stage is."""
        return NAMES[self._state[stage]]

    def attempt(self, stage: int) -> int:
        """The number of the latest attempt that was started; 0 if there is none."""
        return self._attempt[stage]

    def cause(self, stage: int) -> int | None:
        """The need that a skipped stage was skipped for, else None."""
        return self._cause.get(stage)

    def waiting(self, stage: int) -> str | None:
        """What a stage waits for: `needs`, `backoff`, `person`, or the name of a pool as in `Plan.pools`."""
        state = self._state[stage]
        if state == WAITING:
            return "needs"
        if state == READY:
            return self._line.lacks(stage)
        return {BACKOFF: "backoff", ASKING: "person"}.get(state)

    def holders(self, pool: str) -> list[int]:
        """The stages that hold units of the pool of that name now."""
        found = [index for index, known in enumerate(self.plan.pools) if known.name == pool]
        using = {index for index, demand in enumerate(self.plan.demands) if any(at in found for at, _ in demand)}
        return [
            index
            for index, state in enumerate(self._state)
            if state in (RUNNING, KILLING) and self.plan.stages[index].demand in using
        ]

    def snapshot(self) -> tuple[object, ...]:
        """All of the state as plain values: equal for equal batches."""
        return (
            bytes(self._state),
            tuple(self._attempt),
            tuple(self._open),
            bytes(self._done_well),
            tuple(self._ready_at),
            self._line.snapshot(),
            (self._now, self._began, self._over, self._left, self._active, self._run_timer, self._timer_last),
            (self._cancels, self._cancel_why, self._cancel_for_good, self._timed_out, self._failed_fast),
            tuple(sorted(self._cause.items())),
            tuple(sorted(self._granted.items())),
            tuple(sorted(self._killing.items())),
            tuple(sorted(self._fast_cause.items())),
            tuple(sorted(self._failed_before)),
            tuple(sorted(self._may_rerun)),
            tuple(sorted(self._queue_timer.items())),
            tuple(sorted(self._stage_timer.items())),
            tuple(self._stopped),
        )

    def check(self) -> None:
        """Compare every redundant part of the state with what it is derived from. For tests."""
        state = self._state
        assert self._left == sum(value < SUCCESS for value in state), "count of stages left"
        assert self._active == len(self.outstanding()), "count of outstanding stages"
        assert not self._settling, "a chain was not walked to its end"
        assert sorted(self._killing) == [i for i, value in enumerate(state) if value == KILLING], "reasons of kills"
        for index, stage in enumerate(self.plan.stages):
            if state[index] == WAITING and self._began:
                left = sum(state[need] < SUCCESS for need in stage.needs)
                assert self._open[index] == left, f"open needs of `{stage.id}`: {self._open[index]}, not {left}"
        self._line.check(
            [index for index, value in enumerate(state) if value == READY],
            [index for index, value in enumerate(state) if value in (RUNNING, KILLING)],
        )

    # ---------------------------------------------------------------- the course of a stage

    def _move(self, stage: int, new: int) -> None:
        old = self._state[stage]
        if not LEGAL[old * STATE_COUNT + new]:
            raise DefectError(f"`{self.plan.stages[stage].id}` cannot go from {NAMES[old]} to {NAMES[new]}")
        self._state[stage] = new

    def _begin(self) -> None:
        if self._began:
            raise DriverError("`Began` came twice")
        self._began = True
        if self.plan.timeout_ms is not None:
            self._run_timer = self._set_timer("run", self.plan.timeout_ms)
        state = self._state
        for index, stage in enumerate(self.plan.stages):
            if stage.skip is not None:
                self._end(index, SKIP, stage.skip)
        for index, needs in enumerate(self._open):
            if not needs and state[index] == WAITING:
                self._become_ready(index)

    def _become_ready(self, stage: int) -> None:
        """Its needs are done, or its backoff is over. In a run that is stopping this is an end for most."""
        if self._stopping and self._is_stopped(stage):
            self._end_by_stop(stage)
            return
        plan = self.plan.stages[stage]
        if not plan.retry_safe and self._attempt[stage] and stage not in self._may_rerun:
            self._move(stage, ASKING)
            self._active += 1
            self._out.append(AskRerun(stage))
            return
        self._move(stage, READY)
        self._ready_at[stage] = self._now
        self._line.offer(stage)
        if plan.queue_timeout_ms is not None:
            self._queue_timer[stage] = self._set_timer(f"queue:{stage}", plan.queue_timeout_ms)

    def _start(self, stage: int) -> None:
        self._move(stage, RUNNING)
        self._active += 1
        attempt = self._attempt[stage] + 1
        self._attempt[stage] = attempt
        self._out.append(_record(Start, (stage, attempt, self._ready_at[stage], self._line.waited(stage))))
        if self._may_rerun:
            self._may_rerun.discard(stage)
        if self._timed[stage]:
            self._arm(stage, attempt)

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
        self._active -= 1
        self._line.release(self.plan.stages[stage].demand)
        if state == KILLING:
            self._killed(stage, event)
        elif outcome == SUCCESS:
            self._end(stage, SUCCESS, event.reason, stage in self._failed_before)
        elif outcome == ERROR and event.reason == "interrupted":
            self._interrupted(stage)
        elif outcome == CANCELLATION or not self._try_again(stage, event.outcome, event):
            self._end(stage, outcome, event.reason)

    def _killed(self, stage: int, event: Exited) -> None:
        """The outcome was decided with the kill, whatever the exit says."""
        cause = self._killing.pop(stage)
        if cause == _ATTEMPT_TIMEOUT and self._try_again(stage, "timeout", event):
            return
        if cause in (_ATTEMPT_TIMEOUT, _LAST_TIMEOUT):
            if self._cancels and cause == _ATTEMPT_TIMEOUT and self._is_due(stage, "timeout", event):
                self._stopped.append(stage)
            self._end(stage, TIMEOUT, "attempt timeout")
        elif cause == _STAGE_TIMEOUT:
            self._end(stage, TIMEOUT, "stage timeout")
        elif cause == _RUN_TIMEOUT:
            self._end(stage, TIMEOUT, "run timeout")
        elif cause == _RUN_CANCEL:
            self._stopped.append(stage)
            self._end(stage, CANCELLATION, self._cancel_reason())
        elif cause == _STAGE_CANCEL:
            self._end(stage, CANCELLATION, "cancelled")
        elif cause == _FAIL_FAST:
            self._end(stage, CANCELLATION, self._fast_reason(stage))
        else:
            self._move(stage, WAITING)
            self._stage_timer.pop(stage, None)
            self._grant(stage)
            self._reconsider(stage)

    def _interrupted(self, stage: int) -> None:
        """The end of this attempt is unknown. It counts; where it was the last one, one more is granted."""
        self._grant(stage)
        self._become_ready(stage)

    def _grant(self, stage: int) -> None:
        granted = self._granted.get(stage, 0)
        if self._attempt[stage] >= self.plan.stages[stage].attempts + granted:
            self._granted[stage] = granted + 1

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
        if self._state[stage] != ASKING:
            return
        self._active -= 1
        if not again:
            self._end(stage, SUCCESS, "done, as a person said")
            return
        self._may_rerun.add(stage)
        self._grant(stage)
        self._stage_timer.pop(stage, None)
        self._become_ready(stage)

    # ---------------------------------------------------------------- ends and their followers

    def _end(self, stage: int, outcome: int, reason: str | None, flaky: bool = False) -> None:
        """The one place where a stage gets a final state. What holds it must have been given back before."""
        self._move(stage, outcome)
        self._left -= 1
        self._out.append(_record(Ended, (stage, NAMES[outcome], reason, flaky)))
        plan = self.plan.stages[stage]
        if outcome == SUCCESS:
            self._done_well[stage] = 1
        elif outcome == SKIP:
            self._done_well[stage] = stage not in self._cause
        elif outcome != CANCELLATION:
            if plan.allow_failure:
                self._done_well[stage] = 1
            else:
                self._fail_fast(stage, plan.fail_fast_group)
        if self._timed[stage]:
            self._queue_timer.pop(stage, None)
            self._stage_timer.pop(stage, None)
        if self._followers[stage]:
            self._settling.append(stage)

    def _settle(self) -> None:
        """Tell the followers of all that has ended; those that end by it are told in turn."""
        settling, state, open_needs, join = self._settling, self._state, self._open, self._join
        while settling:
            ended = settling.pop()
            well = self._done_well[ended]
            for stage in self._followers[ended] or ():
                if state[stage] != WAITING:
                    continue
                open_needs[stage] -= 1
                kind = join[stage]
                if kind == _ALL:
                    if not well:
                        self._skip(stage, ended)
                    elif not open_needs[stage]:
                        self._become_ready(stage)
                elif kind == _ANY:
                    if well:
                        self._become_ready(stage)
                    elif not open_needs[stage]:
                        self._skip(stage, ended)
                elif not open_needs[stage]:
                    self._become_ready(stage)

    def _reconsider(self, stage: int) -> None:
        """Decide for a waiting stage from its needs as they stand."""
        needs = self.plan.stages[stage].needs
        open_needs = [need for need in needs if self._state[need] < SUCCESS]
        self._open[stage] = len(open_needs)
        kind = self._join[stage]
        ended = [need for need in needs if self._state[need] >= SUCCESS]
        bad = [need for need in ended if not self._done_well[need]]
        if kind == _ALL and bad:
            self._skip(stage, bad[0])
        elif kind == _ANY and len(bad) < len(ended):
            self._become_ready(stage)
        elif not open_needs:
            if kind == _ANY and bad:
                self._skip(stage, bad[-1])
            else:
                self._become_ready(stage)

    def _skip(self, stage: int, need: int) -> None:
        self._cause[stage] = need
        self._end(stage, SKIP, f"needs {self.plan.stages[need].id} ({NAMES[self._state[need]]})")

    def _fail_fast(self, stage: int, group: int) -> None:
        """A failure that counts: it may cancel its group, and under fail-fast the run."""
        for other in self._groups.get(group, ()):
            if other != stage and not self._always[other] and self._state[other] < SUCCESS:
                self._fast_cause[other] = stage
                self._stop_stage(other, _FAIL_FAST)
        if self.plan.policy == "fail-fast" and self._failed_fast < 0:
            self._failed_fast = stage
            self._stop_all(_FAIL_FAST)

    def _close(self) -> None:
        self._over = True
        if self._cancels:
            self._out.append(RunEnded("cancellation", self._cancel_reason()))
            return
        self._out.append(ends.run_end(self.plan, self._state, self._cause, self._timed_out))

    # ---------------------------------------------------------------- stopping

    def _stop_anew(self) -> None:
        self._stopping = min(2, self._cancels) or int(self._timed_out or self._failed_fast >= 0)

    def _is_stopped(self, stage: int) -> bool:
        return self._cancels > 1 or not self._always[stage]

    def _cancel_reason(self) -> str:
        return "cancelled by stagebook cancel" if self._cancel_why == "cancel" else f"cancelled by {self._cancel_why}"

    def _fast_reason(self, stage: int) -> str:
        cause = self._fast_cause.get(stage, self._failed_fast)
        return f"fail-fast: {self.plan.stages[cause].id} ({NAMES[self._state[cause]]})"

    def _cancel_run(self, why: str) -> None:
        if self._over:
            return
        self._cancels += 1
        if why == "cancel":
            self._cancel_for_good = True
        self._stop_anew()
        if self._cancels == 1:
            self._cancel_why = why
            self._stop_all(_RUN_CANCEL)
        elif self._cancels == 2:
            for stage, state in enumerate(self._state):
                if state in (RUNNING, KILLING):
                    self._kill(stage, self._killing.get(stage, _RUN_CANCEL), now=True)
                elif READY <= state <= ASKING:
                    self._end_by_stop(stage)

    def _cancel_stage(self, stage: int) -> None:
        state = self._state[stage]
        if state != KILLING:
            self._stop_stage(stage, _STAGE_CANCEL)
            return
        cause = self._killing[stage]
        if cause == _ATTEMPT_TIMEOUT:
            self._killing[stage] = _LAST_TIMEOUT
        elif cause == _LIFTED:
            self._killing[stage] = _STAGE_CANCEL
        else:
            self._kill(stage, _STAGE_CANCEL if cause == _RUN_CANCEL else cause, now=True)

    def _stop_all(self, cause: int) -> None:
        """End what has not started, kill what runs; `always` stages and those that wait for needs are left alone."""
        self._stop_anew()
        for stage, state in enumerate(self._state):
            if WAITING < state < SUCCESS and not self._always[stage]:
                self._stop_stage(stage, cause)

    def _stop_stage(self, stage: int, cause: int) -> None:
        state = self._state[stage]
        if state >= SUCCESS:
            return
        if state == RUNNING:
            self._kill(stage, cause)
        elif state == KILLING:
            if self._killing[stage] == _LIFTED:
                self._killing[stage] = cause
            elif self._killing[stage] == _ATTEMPT_TIMEOUT and cause == _FAIL_FAST and stage in self._fast_cause:
                self._killing[stage] = _LAST_TIMEOUT
        else:
            self._end_unstarted(stage, cause)

    def _kill(self, stage: int, cause: int, now: bool = False) -> None:
        if self._state[stage] == RUNNING:
            self._move(stage, KILLING)
        self._killing[stage] = cause
        why = "timeout" if cause in _TIMEOUTS else "cancelled"
        self._out.append(Kill(stage, self._attempt[stage], why, now))

    def _end_by_stop(self, stage: int) -> None:
        """The stage could go on, were the run not stopping."""
        if self._cancels:
            self._end_unstarted(stage, _RUN_CANCEL)
        elif self._timed_out:
            self._end_unstarted(stage, _RUN_TIMEOUT)
        else:
            self._end_unstarted(stage, _FAIL_FAST)

    def _end_unstarted(self, stage: int, cause: int) -> None:
        """End a stage of which no attempt exists now."""
        state = self._state[stage]
        if state == READY:
            self._line.withdraw(stage)
        elif state in (BACKOFF, ASKING):
            self._active -= 1
        if cause == _RUN_CANCEL:
            self._stopped.append(stage)
            self._end(stage, CANCELLATION, self._cancel_reason())
        elif cause == _STAGE_CANCEL:
            self._end(stage, CANCELLATION, "cancelled")
        elif cause == _FAIL_FAST:
            self._end(stage, CANCELLATION, self._fast_reason(stage))
        else:
            self._end(stage, TIMEOUT, "stage timeout" if cause == _STAGE_TIMEOUT else "run timeout")

    # ---------------------------------------------------------------- resuming

    def _resumed(self) -> None:
        """Lift a cancel that came by signal: what it ended, and what was skipped for that, waits again."""
        if not self._cancels or self._cancel_for_good:
            return
        self._cancels = 0
        self._cancel_why = ""
        self._stop_anew()
        for stage, cause in self._killing.items():
            if cause == _RUN_CANCEL:
                self._killing[stage] = _LIFTED
        lifted, self._stopped = self._stopped, []
        self._over = False
        state = self._state
        while lifted:
            stage = lifted.pop()
            self._move(stage, WAITING)
            self._left += 1
            self._done_well[stage] = 0
            self._cause.pop(stage, None)
            if self._attempt[stage]:
                self._grant(stage)
            for follower in self._followers[stage] or ():
                if state[follower] == SKIP and follower in self._cause:
                    if self._cause[follower] == stage or self._join[follower] == _ANY:
                        self._cause.pop(follower)
                        lifted.append(follower)
        self._line.rewind()
        self._wait_again()
        if self.plan.timeout_ms is not None and not self._timed_out:
            self._run_timer = self._set_timer("run", self.plan.timeout_ms)

    def _wait_again(self) -> None:
        """Count the open needs anew, also of ready stages, then decide for all that wait as at the beginning."""
        state = self._state
        for index, stage in enumerate(self.plan.stages):
            if state[index] == READY and any(state[need] < SUCCESS for need in stage.needs):
                self._line.withdraw(index)
                self._queue_timer.pop(index, None)
                self._move(index, WAITING)
        waiting = [index for index, value in enumerate(state) if value == WAITING]
        for index in waiting:
            self._open[index] = sum(state[need] < SUCCESS for need in self.plan.stages[index].needs)
        for index in waiting:
            if state[index] == WAITING:
                self._reconsider(index)
            if self._settling:
                self._settle()

    # ---------------------------------------------------------------- timers

    def _set_timer(self, name: str, delay_ms: int) -> str:
        self._timer_last += 1
        timer = f"{name}:{self._timer_last}"
        self._out.append(SetTimer(timer, self._now + delay_ms))
        return timer

    def _timer_fired(self, timer: str) -> None:
        kind, _, rest = timer.partition(":")
        if kind == "run":
            if timer == self._run_timer and not self._over and not self._stopping:
                self._timed_out = True
                self._stop_all(_RUN_TIMEOUT)
            return
        first, _, second = rest.partition(":")
        if kind not in ("attempt", "backoff", "queue", "stage") or not first.isdigit() or not second.isdigit():
            raise DriverError(f"`{timer}` is no timer that was ever set")
        stage = self._known(int(first))
        state = self._state[stage]
        if kind == "attempt":
            if state == RUNNING and self._attempt[stage] == int(second):
                self._kill(stage, _ATTEMPT_TIMEOUT)
        elif kind == "backoff":
            if state == BACKOFF and self._attempt[stage] == int(second):
                self._active -= 1
                self._become_ready(stage)
        elif kind == "queue":
            if self._queue_timer.get(stage) == timer:
                self._line.withdraw(stage)
                self._end(stage, TIMEOUT, "queue timeout")
        elif self._stage_timer.get(stage) == timer:
            self._stage_timed_out(stage, state)

    def _stage_timed_out(self, stage: int, state: int) -> None:
        if state == RUNNING:
            self._kill(stage, _STAGE_TIMEOUT)
        elif state == KILLING:
            if self._killing[stage] == _ATTEMPT_TIMEOUT:
                self._killing[stage] = _STAGE_TIMEOUT
        elif state in (READY, BACKOFF):
            self._end_unstarted(stage, _STAGE_TIMEOUT)
