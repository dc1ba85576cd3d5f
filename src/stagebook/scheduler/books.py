"""What a machine knows of a run, and the questions one may ask it. Nothing here decides; only `_move` writes a state.

Most of it is one flat row per stage, as ten thousand stages are a normal plan; what few stages have is kept in
dictionaries. `snapshot` and `check` see all of it: a row that is not in both is not part of the state.
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
    FAILURE,
    GATE,
    HELD,
    JUDGING,
    KILLING,
    LEASING,
    LEGAL,
    NAMES,
    READY,
    RUNNING,
    SKIP,
    STATE_COUNT,
    SUCCESS,
    TIMEOUT,
    WAITING,
)
from stagebook.scheduler.plan import Plan
from stagebook.scheduler.stream import Stream
from stagebook.scheduler.vocabulary import Decision, RunEnded

#: How a stage that depends on others decides. `always` overrides the plan's join.
JOIN_ALL, JOIN_ANY, JOIN_DONE = range(3)
_OUTSTANDING = (JUDGING, LEASING, HELD, RUNNING, KILLING, BACKOFF, ASKING, GATE)
_JOINS = {"all": JOIN_ALL, "any": JOIN_ANY, "done": JOIN_DONE}


class Books:
    """The state of one run of one plan."""

    __slots__ = (
        "_active",
        "_always",
        "_announced",
        "_attempt",
        "_bound",
        "_began",
        "_cancel_for_good",
        "_cancel_why",
        "_cancels",
        "_cause",
        "_done_well",
        "_failed_before",
        "_failed_fast",
        "_failed_groups",
        "_fast_cause",
        "_followers",
        "_gate_timer",
        "_granted",
        "_groups",
        "_held_by",
        "_join",
        "_judged",
        "_killing",
        "_leased",
        "_leases",
        "_left",
        "_line",
        "_may_rerun",
        "_now",
        "_open",
        "_out",
        "_over",
        "_pace_timer",
        "_paced",
        "_queue_timer",
        "_ready_at",
        "_run_timer",
        "_said_done",
        "_settling",
        "_short",
        "_shut",
        "_stage_timer",
        "_state",
        "_stirred",
        "_stopped",
        "_stopping",
        "_streams",
        "_timed",
        "_timed_out",
        "_timer_last",
        "_waited",
        "plan",
    )

    def __init__(self, plan: Plan) -> None:
        stages = plan.stages
        count = len(stages)
        self.plan = plan
        self._state = bytearray(count)
        self._attempt = [0] * count
        #: Needs that have neither ended nor announced, per stage, and the stages that need it.
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
        self._join = bytearray(JOIN_DONE if stage.always else _JOINS[stage.join] for stage in stages)
        self._always = bytearray(stage.always for stage in stages)
        #: Whether a stage has timers of its own, so that others pay nothing for them.
        self._timed = bytearray(
            not (stage.attempt_timeout_ms is stage.stage_timeout_ms is stage.queue_timeout_ms is None)
            for stage in stages
        )
        #: Ended so that its dependents may go on.
        self._done_well = bytearray(count)
        self._ready_at = [-1] * count
        self._line = SequentialLine(plan) if plan.in_order else Line(plan)
        self._now = 0
        self._began = False
        self._over = False
        #: Stages without an end; and those that something outside will move: an attempt, a timer, a person.
        self._left = count
        self._active = 0
        self._out: list[Decision] = []
        #: Ends of which the followers are to be told, the latest first.
        self._settling: dict[int, None] = {}
        #: Of each skipped stage, the need that made it so.
        self._cause: dict[int, int] = {}
        #: Attempts from before the plan was changed: they do not count.
        self._granted: dict[int, int] = {}
        self._failed_before: set[int] = set()
        #: What a person has said of stages that would ask: to run again, or done.
        self._may_rerun: set[int] = set()
        self._said_done: set[int] = set()
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
        #: Nothing new starts but `always` stages; after a second cancel not even these. Follows from what is below.
        self._stopping = False
        self._cancels = 0
        self._cancel_why = ""
        self._cancel_for_good = False
        self._timed_out = False
        self._failed_fast = -1
        #: The matrices (`fail_fast_group`) that have failed, and by which stage.
        self._failed_groups: dict[int, int] = {}
        #: Stages that a cancel of the run has ended, in order: they wait again when it is lifted.
        self._stopped: list[int] = []

        self._open_governed()

    def _open_governed(self) -> None:
        """What few plans have: items, early outputs, conditions, gates, rates, gaps, shared units; and a shortage."""
        plan = self.plan
        #: Of running stages, those to which they have announced what these read: a need that is met before its end.
        self._announced: dict[int, set[int]] = {}
        #: Stages with a condition that has been found to hold.
        self._judged: set[int] = set()
        self._gate_timer: dict[int, str] = {}
        #: Stages before whose starts it is seen whether what was approved is still so.
        self._bound = {index for index, stage in enumerate(plan.stages) if stage.bound}
        #: Of gates of which an approval was void: what goes on by them and needs them through others only.
        self._shut: dict[int, set[int]] = {}
        self._paced = self._line.pace is not None
        self._pace_timer = ""
        #: Demands for which a lease is needed: by index, the most telling pool that other runs share.
        self._leased: dict[int, str] = {}
        for index, demand in enumerate(plan.demands):
            shared = [plan.pools[pool].name for pool, _ in demand if plan.pools[pool].machine]
            if shared:
                self._leased[index] = shared[-1]
        #: Of stages that are held: who has what they need. And what stages on their way to a lease have waited for.
        self._held_by: dict[int, str] = {}
        self._waited: dict[int, str | None] = {}
        #: Stages that got a lease in this batch.
        self._leases: list[int] = []
        #: Why nothing new starts beside what runs: the machine beneath is short of something.
        self._short: str | None = None
        #: The items of each stage that has some; and the stages of which something has happened to them.
        self._streams = {
            index: Stream(stage.each, stage.retry_safe)
            for index, stage in enumerate(plan.stages)
            if stage.each is not None
        }
        self._stirred: set[int] = set()

    @property
    def is_paced(self) -> bool:
        """Starts are held to rates or gaps, so it matters when each is reported."""
        return self._paced

    @property
    def is_over(self) -> bool:
        """`RunEnded` has been said, and no `Resumed` has opened the run again."""
        return self._over

    @property
    def can_go_on(self) -> bool:
        """`Resumed` would move something: the run has no end yet, or one that a new engine takes back."""
        return not self._over or (self._cancels > 0 and not self._cancel_for_good) or bool(self.waits_again())

    @property
    def is_cancelled(self) -> bool:
        """A person has cancelled the run, for good."""
        return self._cancel_for_good

    @property
    def waits_for_person(self) -> bool:
        """Nothing goes on but questions to a person: the driver may end with exit 3."""
        asking = self._state.count(ASKING) + self._state.count(GATE)
        if not asking or self._pace_timer or self._short is not None:
            return False
        return asking == self._active - (sum(map(self._is_held_up, self._streams)) if self._streams else 0)

    def _is_held_up(self, stage: int) -> bool:
        """It runs, and none of its items does, for its calls do not get their turn."""
        stream = self._streams[stage]
        return self._state[stage] == RUNNING and not (stream.calls or stream.asked or stream.timer)

    @property
    def is_gated(self) -> bool:
        """Some gate is open: a person may decide at any time."""
        return GATE in self._state

    def is_due(self, timer: str) -> bool:
        """Whether that timer of a gate would decide it now; others are stale."""
        stage = timer.split(":")[1]
        return timer == self._gate_timer.get(int(stage))

    def outstanding(self) -> list[int]:
        """The stages that something outside will move: an attempt, a backoff, a person, the driver's answer."""
        return [index for index, state in enumerate(self._state) if state in _OUTSTANDING]

    def state(self, stage: int) -> str:
        """The word of `moves.NAMES` for where the stage is."""
        return NAMES[self._state[stage]]

    def attempt(self, stage: int) -> int:
        """The number of the latest attempt that was started; 0 if there is none."""
        return self._attempt[stage]

    def ready_at(self, stage: int) -> int | None:
        """When the stage could last have started, in milliseconds; None if it never could."""
        at = self._ready_at[stage]
        return at if at >= 0 else None

    def waits_again(self) -> list[int]:
        """The stages whose ends `Resumed` would take back now: those that a signal ended, errors (unless they are
        allowed, the run is out of time, or it has come to another end), those that ended because of such a stage, and
        clean-up after one."""
        state = self._state
        found = [] if self._cancel_for_good else self._stopped[:]
        if not self._cancel_for_good and not self._timed_out:
            if not self._over or self._cancels or self._run_end().outcome == "error":
                found += [stage for stage, value in enumerate(state) if value == ERROR and not self._done_well[stage]]
        if not found:
            return []
        stopped_by: dict[int, list[int]] = {}
        for stage, by in self._fast_cause.items():
            stopped_by.setdefault(by, []).append(stage)
        again: set[int] = set()
        while found:
            stage = found.pop()
            if stage not in again:
                again.add(stage)
                found += stopped_by.get(stage, ())
                found += [other for other in self._followers[stage] or () if self._waits_with(other, stage)]
        return sorted(again)

    def _waits_with(self, stage: int, need: int) -> bool:
        """Whether the end of a stage falls with that of a need: it was skipped for it, or cleans up after it. What a
        condition skipped may be judged otherwise then."""
        state = self._state[stage]
        if state == SKIP:
            if stage not in self._cause:
                return self.plan.stages[stage].skip is None
            return self._cause[stage] == need or self._join[stage] == JOIN_ANY
        return bool(self._always[stage]) and SUCCESS <= state <= TIMEOUT

    @property
    def outcome_so_far(self) -> str:
        """How the run would end if it ended now: `success` as long as nothing has failed that counts."""
        if self._cancels:
            return "cancellation"
        return self._run_end().outcome

    def _run_end(self) -> RunEnded:
        return ends.run_end(self.plan, self._state, self._cause, self._fast_cause, self._timed_out)

    def cause(self, stage: int) -> int | None:
        """The need that a skipped stage was skipped for, else None."""
        return self._cause.get(stage)

    def waiting(self, stage: int) -> str | None:
        """What a stage waits for: `needs`, `condition`, `backoff`, `person`, the name of a pool as in `Plan.pools`,
        `rate`, `rate:NAME`, `stagger`, or `machine` while the machine beneath is short."""
        state = self._state[stage]
        if state == READY:
            return self._line.lacks(stage)
        if state in (LEASING, HELD):
            return self._leased.get(self.plan.stages[stage].demand, "gate")
        return {WAITING: "needs", JUDGING: "condition", BACKOFF: "backoff", ASKING: "person", GATE: "gate"}.get(state)

    def held_by(self, stage: int) -> str | None:
        """Who beyond this run has what a stage waits for, or of what the machine beneath is short."""
        if self._state[stage] == READY and self._short is not None and self._line.lacks(stage) == "machine":
            return self._short
        return self._held_by.get(stage)

    def holders(self, pool: str) -> list[int]:
        """The stages that hold units of the pool of that name now."""
        found = [index for index, known in enumerate(self.plan.pools) if known.name == pool]
        using = {index for index, demand in enumerate(self.plan.demands) if any(at in found for at, _ in demand)}
        held = [
            index
            for index, state in enumerate(self._state)
            if state in (RUNNING, KILLING) and self.plan.stages[index].demand in using
        ]
        for stage in self._streams:
            if any(self._line.demand_of[number] in using for number in self._calls(stage)):
                held.append(stage)
        return sorted(held)

    def _calls(self, stage: int) -> list[int]:
        """The calls that hold units for items of a stage, each as the number of its step in the line."""
        first = self._line.steps_of[stage]
        return [first + step for step, lane in enumerate(self._streams[stage].lanes) for _ in range(lane.calls)]

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
            (self._pace_timer, self._short),
            (self._cancels, self._cancel_why, self._cancel_for_good, self._timed_out, self._failed_fast),
            tuple(sorted(self._cause.items())),
            tuple(sorted(self._granted.items())),
            tuple(sorted(self._killing.items())),
            tuple(sorted(self._fast_cause.items())),
            tuple(sorted(self._failed_groups.items())),
            tuple(sorted(self._failed_before)),
            tuple(sorted(self._may_rerun)),
            tuple(sorted(self._judged)),
            tuple(sorted((stage, tuple(sorted(to))) for stage, to in self._announced.items())),
            tuple(self._shut),
            tuple(sorted(self._held_by.items())),
            tuple(sorted(self._waited.items())),
            tuple(sorted(self._said_done)),
            tuple(sorted(self._queue_timer.items())),
            tuple(sorted(self._stage_timer.items())),
            tuple(sorted(self._gate_timer.items())),
            tuple(self._stopped),
            tuple(stream.snapshot() for stream in self._streams.values()),
        )

    def check(self) -> None:
        """Compare every redundant part of the state with what it is derived from. For tests."""
        state = self._state
        assert self._left == sum(value < SUCCESS for value in state), "count of stages left"
        assert self._active == len(self.outstanding()), "count of outstanding stages"
        assert not self._settling, "a chain was not walked to its end"
        assert sorted(self._killing) == [i for i, value in enumerate(state) if value == KILLING], "reasons of kills"
        for index, stage in enumerate(self.plan.stages):
            if state[index] == SKIP:
                well = index not in self._cause
            else:
                well = SUCCESS <= state[index] < (CANCELLATION if stage.allow_failure else FAILURE)
            assert self._done_well[index] == well, f"whether `{stage.id}` is done well"
            if state[index] == WAITING:
                left = sum(state[need] < SUCCESS for need in stage.needs if not self._is_announced(need, index))
                left += sum(state[gate] < SUCCESS for gate in self._gates_above(index))
                assert self._open[index] == left, f"open needs of `{stage.id}`: {self._open[index]}, not {left}"
        for index, dependents in self._announced.items():
            assert state[index] == RUNNING, f"`{self.plan.stages[index].id}` has announced and does not run"
            early = [stage for stage in dependents if index in self.plan.stages[stage].early]
            assert len(early) == len(dependents) > 0, f"`{self.plan.stages[index].id}` has announced to others"
        calls = [number for stage in self._streams for number in self._calls(stage)]
        self._line.check(
            [index for index, value in enumerate(state) if value == READY],
            [index for index, value in enumerate(state) if value in (LEASING, RUNNING, KILLING)] + calls,
        )
        assert not self._stirred, "what has happened to items was not looked at"
        for index, stream in self._streams.items():
            stream.check()
            assert state[index] in (RUNNING, KILLING) or not stream.calls, "calls of a stage that does not run"
        assert sorted(self._held_by) == [i for i, value in enumerate(state) if value == HELD], "who holds what is held"
        on_the_way = {index for index in self._waited if state[index] not in (READY, LEASING, HELD)}
        assert not on_the_way, f"{on_the_way} are on no way to a lease"

    def _gates_above(self, stage: int) -> list[int]:
        """The gates that it waits for beside its needs, for what was approved there was not so any more."""
        return [gate for gate, behind in self._shut.items() if stage in behind]

    def _behind(self, gate: int) -> set[int]:
        """The stages that go on by what was approved at a gate, and need it through others only. One that any of its
        needs can let go on is none while one of these is not behind the gate."""
        stages, found = self.plan.stages, set[int]()
        left = list(self._followers[gate] or ())
        while left:
            stage = left.pop()
            needs = stages[stage].needs
            if stage in found or self._join[stage] == JOIN_DONE or stages[stage].gate is not None:
                continue
            if self._join[stage] == JOIN_ANY and not found.issuperset(set(needs) - {gate}):
                continue
            found.add(stage)
            left += self._followers[stage] or ()
        return {stage for stage in found & self._bound if gate not in stages[stage].needs}

    def _is_announced(self, need: int, stage: int) -> bool:
        return need in self._announced and stage in self._announced[need]

    def _move(self, stage: int, new: int) -> None:
        old = self._state[stage]
        if not LEGAL[old * STATE_COUNT + new]:
            raise DefectError(f"`{self.plan.stages[stage].id}` cannot go from {NAMES[old]} to {NAMES[new]}")
        self._state[stage] = new
