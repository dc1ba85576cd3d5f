"""How a stage comes to its end: readiness, ends and what they mean for followers, and the ways of stopping.

Knows no event: `machine` translates. `_end` is the one place that gives a stage a final state; chains are walked
with a list. A run stops at two levels: at the first nothing new starts but `always` stages, at the second nothing.
"""

from __future__ import annotations

from stagebook.scheduler.books import JOIN_ALL, JOIN_ANY, Books
from stagebook.scheduler.moves import (
    ASKING,
    BACKOFF,
    CANCELLATION,
    GATE,
    HELD,
    JUDGING,
    KILLING,
    LEASING,
    NAMES,
    READY,
    RUNNING,
    SKIP,
    SUCCESS,
    TIMEOUT,
    WAITING,
)
from stagebook.scheduler.vocabulary import AskGate, AskRerun, Ended, Judge, Kill, SetTimer

#: Why a stage was told to end. The first decides its outcome; `LIFTED` was cancelled by a signal, or for an error
#: elsewhere, then resumed. `LAST_TIMEOUT` is the timeout of an attempt after which there must be no other.
ATTEMPT_TIMEOUT, LAST_TIMEOUT, STAGE_TIMEOUT, RUN_TIMEOUT, RUN_CANCEL, STAGE_CANCEL, FAIL_FAST, LIFTED = range(8)

#: Its needs have let it go on, and nothing but the scheduler, the driver or a person keeps it.
ABOUT_TO_START = (JUDGING, READY, LEASING, HELD, ASKING, GATE)

#: A stage may go on: see `Course._verdict`.
GO = -1

record = tuple.__new__


class Course(Books):
    """The moves of stages, whatever brought them about."""

    __slots__ = ()

    def _become_ready(self, stage: int) -> None:
        """Its needs are done, or its backoff is over. In a run that is stopping this is an end for most."""
        if self._stopping and self._is_stopped(stage):
            self._end_by_stop(stage)
            return
        if self._state[stage] != WAITING and self._must_wait(stage):
            self._back_to_waiting(stage)
            return
        plan = self.plan.stages[stage]
        if plan.skip is not None:
            self._end(stage, SKIP, plan.skip)
            return
        if plan.judged and stage not in self._judged:
            self._move(stage, JUDGING)
            self._active += 1
            self._out.append(Judge(stage))
            return
        if plan.gate is not None:
            self._move(stage, GATE)
            self._active += 1
            self._ready_at[stage] = self._now
            self._out.append(AskGate(stage))
            if plan.gate.timeout_ms is not None:
                self._gate_timer[stage] = self._set_timer(f"gate:{stage}", plan.gate.timeout_ms)
            return
        if not plan.retry_safe and self._attempt[stage] and stage not in self._may_rerun:
            if stage in self._said_done:
                self._said_done.remove(stage)
                self._end(stage, SUCCESS, "done, as a person said")
                return
            self._move(stage, ASKING)
            self._active += 1
            self._out.append(AskRerun(stage))
            return
        self._move(stage, READY)
        self._ready_at[stage] = self._now
        self._line.offer(stage)
        if plan.queue_timeout_ms is not None:
            self._queue_timer[stage] = self._set_timer(f"queue:{stage}", plan.queue_timeout_ms)

    def _back_to_waiting(self, stage: int) -> None:
        """It could go on, but a need of it is open again: since a resume, or because one that had announced has not
        held. When it starts, its time begins anew. Nobody is asked at a gate that this very batch has shut again."""
        if self._state[stage] == GATE:
            self._out[:] = [said for said in self._out if type(said) is not AskGate or said.stage != stage]
        self._move(stage, WAITING)
        self._queue_timer.pop(stage, None)
        self._stage_timer.pop(stage, None)
        self._judged.discard(stage)

    def _reopen(self, gate: int) -> None:
        """What was approved there is not so any more. What has begun by it goes on, and its ends stand; all else waits
        until it is decided anew, and so does what was skipped below it. Nobody's where nothing is approved."""
        state = self._state
        if self.plan.stages[gate].gate is None or state[gate] != SUCCESS or self._over:
            return
        back = [gate]
        while back:
            stage = back.pop()
            self._move(stage, WAITING)
            self._left += 1
            self._done_well[stage] = 0
            if stage != gate:
                self._judged.discard(stage)
            for other in self._followers[stage] or ():
                if state[other] == SKIP and other not in self._cause and other not in back:
                    if self.plan.stages[other].skip is None or self.plan.stages[other].skips_late:
                        back.append(other)
        behind = self._shut[gate] = self._behind(gate)
        self._line.rewind()
        self._wait_again()
        for stage in sorted({*behind, *(self._followers[gate] or ())}):
            if state[stage] == LEASING:  # another of its needs lets it go on, so it is looked at anew
                self._queue_anew(stage)

    def _queue_anew(self, stage: int) -> None:
        """Back into the line from wherever a lease was asked for."""
        if self._state[stage] == LEASING:
            self._line.undo(stage)
        self._held_by.pop(stage, None)
        self._active -= 1
        self._move(stage, READY)
        self._line.offer(stage)

    def _wait_again(self) -> None:
        """Count the open needs anew, then decide for all that wait as at the beginning.

        What was about to go on goes back to waiting if one of its needs does; what runs is left to run.
        """
        state = self._state
        for index, value in enumerate(state):
            if value in (*ABOUT_TO_START, BACKOFF) and self._must_wait(index):
                self._leave(index)
                self._back_to_waiting(index)
        # All verdicts before the first consequence: an end counts down what its followers wait for, once.
        waiting = [index for index, value in enumerate(state) if value == WAITING]
        for index, verdict in [(index, self._verdict(index)) for index in waiting]:
            if state[index] == WAITING:
                self._follow(index, verdict)

    def _end(
        self, stage: int, outcome: int, reason: str | None, flaky: bool = False, is_kept: bool = False
    ) -> None:  # fmt: skip
        """The one place where a stage gets a final state. What holds it must have been given back before.

        `is_kept`: it was recorded before the plan was changed."""
        self._move(stage, outcome)
        self._left -= 1
        if not is_kept:
            self._out.append(record(Ended, (stage, NAMES[outcome], reason, flaky)))
        plan = self.plan.stages[stage]
        if outcome == SUCCESS:
            self._done_well[stage] = 1
        elif outcome == SKIP:
            self._done_well[stage] = stage not in self._cause
        elif outcome != CANCELLATION:
            if plan.allow_failure:
                self._done_well[stage] = 1
            elif not is_kept and self._stopped[-1:] != [stage]:  # a cancel cut its attempts short: it may still pass
                self._fail_fast(stage, plan.fail_fast_group)
        if self._timed[stage]:
            self._queue_timer.pop(stage, None)
            self._stage_timer.pop(stage, None)
        if self._followers[stage]:
            self._settling[stage] = None

    def _settle(self) -> None:
        """Tell the followers of all that has ended; those that end by it are told in turn."""
        settling, state, open_needs, join = self._settling, self._state, self._open, self._join
        while settling:
            ended, _ = settling.popitem()
            well = self._done_well[ended]
            for stage in self._followers[ended] or ():
                if state[stage] != WAITING:
                    continue
                if self._shut and self._gates_above(stage):
                    self._follow(stage, self._verdict(stage))
                    continue
                open_needs[stage] -= 1
                kind = join[stage]
                if kind == JOIN_ALL:
                    if not well:
                        self._skip(stage, ended)
                    elif not open_needs[stage]:
                        self._become_ready(stage)
                elif kind == JOIN_ANY:
                    if well:
                        self._become_ready(stage)
                    elif not open_needs[stage]:
                        self._skip(stage, ended)
                elif not open_needs[stage]:
                    self._become_ready(stage)
            for stage in sorted(self._shut.get(ended, ())):
                if state[stage] == WAITING:
                    self._follow(stage, self._verdict(stage))

    def _announce(self, stage: int, dependents: tuple[int, ...]) -> None:
        """For these the need of a running stage is met. One that has begun remembers it for its next attempt."""
        met = self._announced.setdefault(stage, set())
        for dependent in dependents:
            if dependent in met:
                continue
            met.add(dependent)
            if self._state[dependent] == WAITING:
                if self._shut and self._gates_above(dependent):
                    self._follow(dependent, self._verdict(dependent))
                    continue
                self._open[dependent] -= 1
                if not self._open[dependent] or self._join[dependent] == JOIN_ANY:
                    self._become_ready(dependent)

    def _take_back(self, stage: int, is_done: bool) -> None:
        """What the stage has announced counts no longer, for it runs no longer. `is_done`: its end counts instead, so
        that those that could go on may; else they wait for its next word, but for those that run. A backoff looks again
        when it is over."""
        state = self._state
        for dependent in sorted(self._announced.pop(stage, ())):
            if state[dependent] == WAITING:
                self._open[dependent] += 1
            elif not is_done and state[dependent] in ABOUT_TO_START and self._must_wait(dependent):
                self._leave(dependent)
                self._back_to_waiting(dependent)

    def _verdict(self, stage: int) -> int | None:
        """What the needs of a waiting stage say as they stand: `GO`, None for wait, or the need to skip it for. An end
        of which the followers are still to be told is none yet, or it would be counted twice."""
        needs, state, well = self.plan.stages[stage].needs, self._state, self._done_well
        ended = [need for need in needs if state[need] >= SUCCESS and need not in self._settling]
        bad = [need for need in ended if not well[need]]
        met = sum(self._is_announced(need, stage) for need in needs) if self._announced else 0
        left = len(needs) - len(ended) - met
        kind = self._join[stage]
        gates = self._gates_above(stage) if self._shut else ()
        shut = [gate for gate in gates if state[gate] < SUCCESS or gate in self._settling]
        self._open[stage] = left + len(shut)
        if kind == JOIN_ALL and bad:
            return bad[0]
        if shut:
            return None
        for gate in gates:
            if not well[gate]:
                return gate
        if kind == JOIN_ANY and (met or len(bad) < len(ended)):
            return GO
        if left:
            return None
        return bad[-1] if kind == JOIN_ANY and bad else GO

    def _must_wait(self, stage: int) -> bool:
        """For one that was let go on once: a need that has failed since keeps it from no attempt, but one that is open
        does."""
        return self._verdict(stage) != GO and self._open[stage] > 0

    def _follow(self, stage: int, verdict: int | None) -> None:
        """Do as the verdict says, unless the matrix of a stage that waits again has failed meanwhile."""
        if self.plan.stages[stage].fail_fast_group in self._failed_groups and not self._always[stage]:
            self._end_unstarted(stage, FAIL_FAST)
        elif verdict == GO:
            self._become_ready(stage)
        elif verdict is not None:
            self._skip(stage, verdict)

    def _skip(self, stage: int, need: int) -> None:
        self._cause[stage] = need
        self._end(stage, SKIP, f"needs {self.plan.stages[need].id} ({NAMES[self._state[need]]})")

    def _fail_fast(self, stage: int, group: int) -> None:
        """A failure that counts: it may cancel its group, and under fail-fast the run."""
        if group >= 0 and group not in self._failed_groups:
            self._failed_groups[group] = stage
            for other in self._groups[group]:
                if not self._always[other]:
                    self._stop_stage(other, FAIL_FAST)
        if self.plan.policy == "fail-fast" and self._failed_fast < 0:
            self._failed_fast = stage
            self._stop_all(FAIL_FAST)

    def _stop_anew(self) -> None:
        self._stopping = self._cancels > 0 or self._timed_out or self._failed_fast >= 0

    def _is_stopped(self, stage: int) -> bool:
        return self._cancels > 1 or not self._always[stage]

    def _cancel_reason(self) -> str:
        return "cancelled by stagebook cancel" if self._cancel_why == "cancel" else f"cancelled by {self._cancel_why}"

    def _end_fast(self, stage: int) -> None:
        """Cancelled because of a failure elsewhere: in its group, else in the run."""
        cause = self._failed_groups.get(self.plan.stages[stage].fail_fast_group, self._failed_fast)
        self._fast_cause[stage] = cause
        reason = f"fail-fast: {self.plan.stages[cause].id} ({NAMES[self._state[cause]]})"
        self._end(stage, CANCELLATION, reason)

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
            if self._killing[stage] == LIFTED:
                self._killing[stage] = cause
            elif self._killing[stage] == ATTEMPT_TIMEOUT and cause == FAIL_FAST:
                self._killing[stage] = LAST_TIMEOUT
        else:
            self._end_unstarted(stage, cause)

    def _kill(self, stage: int, cause: int, now: bool = False) -> None:
        if self._state[stage] == RUNNING:
            self._move(stage, KILLING)
            if self._announced:
                self._take_back(stage, is_done=False)
        self._killing[stage] = cause
        why = "timeout" if cause in (ATTEMPT_TIMEOUT, LAST_TIMEOUT, STAGE_TIMEOUT, RUN_TIMEOUT) else "cancelled"
        self._out.append(Kill(stage, self._attempt[stage], why, now))

    def _end_by_stop(self, stage: int) -> None:
        """The stage could go on, were the run not stopping."""
        self._end_unstarted(stage, RUN_CANCEL if self._cancels else RUN_TIMEOUT if self._timed_out else FAIL_FAST)

    def _end_unstarted(self, stage: int, cause: int) -> None:
        """End a stage of which no attempt exists now."""
        self._leave(stage)
        if cause == RUN_CANCEL:
            self._stopped.append(stage)
            self._end(stage, CANCELLATION, self._cancel_reason())
        elif cause == STAGE_CANCEL:
            self._end(stage, CANCELLATION, "cancelled")
        elif cause == FAIL_FAST:
            self._end_fast(stage)
        else:
            self._end(stage, TIMEOUT, "stage timeout" if cause == STAGE_TIMEOUT else "run timeout")

    def _leave(self, stage: int) -> None:
        """Take the stage out of what would have moved it on: the line, a backoff, somebody's answer."""
        state = self._state[stage]
        if state == READY:
            self._line.withdraw(stage)
        elif state == LEASING:
            self._line.undo(stage)
        elif state == HELD:
            del self._held_by[stage]
        elif state == GATE:
            self._gate_timer.pop(stage, None)
            self._line.rewind()
        elif state == WAITING:
            self._line.rewind()  # it may have been passed over, and with it what needs it
        if state not in (WAITING, READY):
            self._active -= 1
        self._waited.pop(stage, None)

    def _set_timer(self, name: str, delay_ms: int) -> str:
        self._timer_last += 1
        timer = f"{name}:{self._timer_last}"
        self._out.append(SetTimer(timer, self._now + delay_ms))
        return timer
