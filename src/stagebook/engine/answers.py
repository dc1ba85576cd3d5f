"""Answers what the machine asks beside starting and ending processes: conditions, leases, and how the machine beneath
fares. It decides nothing: each answer is an event with its line for the journal. Rooms that cost are opened when asked.
"""

from __future__ import annotations

import os

from stagebook.engine.outputs import Outputs
from stagebook.model.outcome import OUTCOMES
from stagebook.model.pipeline import Pipeline
from stagebook.model.value import NamedTuple
from stagebook.record.line import members, quote
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Choice, Plan
from stagebook.scheduler.vocabulary import Event, Freed, Judged, Leased, Refused, Shortage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.condition.court import Court
    from stagebook.condition.facts import Facts
    from stagebook.engine.lease import Leases, Want
    from stagebook.observe import shortage
    from stagebook.record.mask import Mask

SHORTAGE_US = 1_000_000  #: how often it is looked whether the machine is short, while anything happens
SATISFIABLE = 80  #: percent of the machine's memory: so much is as good as whatever a stage asks for beyond it
HELD_US = 60_000_000  #: how long a shortage may keep a run from its next start while nothing of it runs
PATIENCE_US = 1_000_000  #: how long a place in the line is kept for a stage that cannot use it now
FAR_US = 1 << 62  #: no run gets so far


class Answer(NamedTuple):
    """An event, the name of its line, the stage that it names, and what else stands in the line."""

    event: Event
    name: str
    stage: int | None
    tail: str


class Answers:
    """The answers for one run. `facts` are those that the plan was made with, where there were any."""

    def __init__(
        self, pipeline: Pipeline, plan: Plan, machine: Machine, run: str, choice: Choice, outputs: Outputs,
        facts: Facts | None = None, watches_memory: bool = True,
    ) -> None:  # fmt: skip
        self._pipeline = pipeline
        self._plan = plan
        self._machine = machine
        self._run = run
        self._choice = choice
        self._outputs = outputs
        self._facts = facts
        self.warnings = outputs.warnings  #: to be told and taken out, with what was wrong with outputs
        self.mask: Mask | None = None  #: hides secrets in reasons
        self._court = self._open_court() if any(stage.when or stage.changed for stage in pipeline.stages) else None
        self._leases: Leases | None = None
        self.leased: set[int] = set()  #: stages that hold a lease, or are being told of it
        self._told_free: dict[int, int] = {}  #: stages that were told to try again, and when
        self._free_at = FAR_US
        self._shortage: shortage.Shortage | None = None
        self._short: str | None = None
        self._short_at = 0 if watches_memory else FAR_US
        self._held_since: int | None = None

    def grew(self, pipeline: Pipeline, plan: Plan) -> None:
        """The run has further stages. What was gathered for conditions holds; they may ask for more."""
        added = pipeline.stages[len(self._pipeline.stages) :]
        self._pipeline, self._plan = pipeline, plan
        if any(stage.when or stage.changed for stage in added):
            self._facts = None
        if self._court is not None or self._facts is None:
            self._court = self._open_court()

    @property
    def due_us(self) -> int:
        """When `look` must be called, whatever else happens."""
        return self._free_at if self._short is None else self.look_at_us

    @property
    def is_short(self) -> bool:
        """Whether the machine beneath is."""
        return self._short is not None

    @property
    def look_at_us(self) -> int:
        """When `look` has something to do, if anything happens."""
        return min(self._free_at, self._short_at)

    def close(self) -> None:
        """Give everything back."""
        if self._leases is not None:
            self._leases.close()
        if self._shortage is not None:
            self._shortage.close()

    # Conditions -----------------------------------------------------------------------------------------------

    def judge(self, stage: int) -> tuple[str, str | None]:
        """What the condition of a stage says, with the reason."""
        if self._court is None:
            return "run", None
        when = self._pipeline.stages[stage].when
        outcome_of = self._outcome_of if when is None or when.language == "cel" else self._result_of
        verdict, reason = self._court.verdict(stage, outcome_of, self._outputs.of, self._machine.outcome_so_far)
        return verdict, self.mask.text(reason) if self.mask and reason else reason

    def judged(self, stage: int, us: int, verdict: str, reason: str | None) -> Answer:
        """The answer that this makes."""
        event = Judged(us // 1000, stage, verdict, reason)
        text = "null" if reason is None else quote(reason)
        return Answer(event, "condition.judged", stage, f'"verdict":"{verdict}","reason":{text}')

    def _open_court(self) -> Court:
        from stagebook.condition import facts
        from stagebook.condition.court import Court

        if self._facts is None:
            folder = self._pipeline.folder
            params = dict(self._choice.params)
            want = facts.wanted(self._pipeline)
            self._facts = facts.gather(folder, params, os.environ, self._choice.base, want)
        court = Court(self._pipeline, self._facts)
        self.warnings += court.warnings()
        return court

    def _outcome_of(self, stage: str) -> str | None:
        index = self._outputs.index(stage)
        word = None if index is None else self._machine.state(index)
        return word if word in OUTCOMES else None

    def _result_of(self, stage: str) -> str | None:
        """As `_outcome_of`, for the rules of CI systems, which know no stage that is not selected: it is taken as
        done."""
        index = self._outputs.index(stage)
        is_left_out = index is not None and self._plan.stages[index].skip is not None
        return "success" if is_left_out else self._outcome_of(stage)

    # Leases ---------------------------------------------------------------------------------------------------

    def ask_lease(self, stage: int, us: int) -> Answer:
        """Try to take what the stage shares with other runs."""
        if self._leases is None:
            from stagebook.engine.lease import Leases

            self._leases = Leases(self._run, warnings=self.warnings)
        self._told_free.pop(stage, None)
        self._leases.want(stage, self._plan.stages[stage].id, self._wants(stage))
        by = self._leases.take(stage)
        if by is None:
            self.leased.add(stage)
            return Answer(Leased(us // 1000, stage), "lease.taken", stage, members())
        self._free_at = us + (self._leases.pause_us or 0)
        return Answer(Refused(us // 1000, stage, by), "lease.refused", stage, members(by=by))

    def shares(self, stage: int) -> bool:
        """Whether the stage needs something that other runs have as well."""
        return bool(self._wants(stage))

    def _wants(self, stage: int) -> list[Want]:
        from stagebook.engine.lease import Want

        demand = self._plan.demands[self._plan.stages[stage].demand]
        pools = [(self._plan.pools[pool], units) for pool, units in demand]
        return [Want(pool.name, units, pool.size, pool.rate) for pool, units in pools if pool.machine]

    def started(self, stages: set[int]) -> None:
        """These start by the latest decisions: who else holds a lease and has no attempt gives it back."""
        for stage in self.leased - stages:
            if self._machine.state(stage) not in ("running", "killing"):
                self.over(stage)

    def began(self, stage: int) -> None:
        """The stage has a process: what it takes of a rate counts from now."""
        if stage in self.leased and self._leases is not None:
            self._leases.began(stage)

    def over(self, stage: int) -> None:
        """No attempt of the stage lives."""
        if self._leases is None:
            return
        if stage in self.leased:
            self.leased.discard(stage)
            self._leases.give_back(stage)

    def ended(self, stage: int) -> None:
        """The stage has ended: it wants nothing any more."""
        if self._leases is not None:
            self._told_free.pop(stage, None)
            self._leases.forget(stage)

    # What is due ----------------------------------------------------------------------------------------------

    def look(self, us: int) -> list[Answer]:
        """What has changed outside."""
        answers = []
        if self._leases is not None and us >= self._free_at:
            answers += self._look_for_leases(us)
        if us >= self._short_at:
            answers += self._look_for_shortage(us)
        return answers

    def _look_for_leases(self, us: int) -> list[Answer]:
        assert self._leases is not None
        for stage, told_us in list(self._told_free.items()):
            if us - told_us >= PATIENCE_US:
                self._leases.passive(stage)
                del self._told_free[stage]
        answers = []
        for stage in self._leases.freed():
            if stage not in self._told_free and self._machine.state(stage) == "held":
                self._told_free[stage] = us
                answers.append(Answer(Freed(us // 1000, stage), "lease.freed", stage, members()))
        pause_us = self._leases.pause_us
        self._free_at = FAR_US if pause_us is None else us + max(pause_us, 1000)
        return answers

    def _look_for_shortage(self, us: int) -> list[Answer]:
        self._short_at = us + SHORTAGE_US
        if self._shortage is None:
            from stagebook.observe.shortage import Shortage as Watch

            most = max((stage.resources.memory_bytes for stage in self._pipeline.stages), default=0)
            self._shortage = Watch(need_bytes=min(most, self._choice.memory_bytes * SATISFIABLE // 100))
        reason, free = self._shortage.look(us)
        if reason is not None and self._waits_in_vain(us):
            self.warnings.append(f"{reason} for {HELD_US // 1_000_000} s while nothing ran; admission looks no more")
            self._short_at = FAR_US
            reason = free = None
        if reason == self._short:
            return []
        self._short = reason
        holds_all = reason is not None and (free is None or free < self._shortage.floor)
        tail = members(reason=reason, memory_free_bytes=free, holds_all=holds_all)
        return [Answer(Shortage(us // 1000, reason, free, holds_all), "machine.short", None, tail)]

    def _waits_in_vain(self, us: int) -> bool:
        """Whether it is not this run that makes the machine short: nothing of it has run for long."""
        if any(self._machine.state(stage) in ("running", "killing") for stage in self._machine.outstanding()):
            self._held_since = None
            return False
        if self._held_since is None:
            self._held_since = us
        return us - self._held_since >= HELD_US
