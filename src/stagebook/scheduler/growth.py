"""How the books of a run grow when a stage has generated others. Knows no event: `machine` translates.

All that follows from the plan alone is made anew; what has happened is carried over. Stages keep their numbers.
"""

from __future__ import annotations

from stagebook.scheduler.books import Books
from stagebook.scheduler.flow import Flow
from stagebook.scheduler.moves import KILLING, LEASING, RUNNING, SKIP, WAITING
from stagebook.scheduler.plan import Plan


class Growth(Flow):
    """The moves of stages in a run that may have more of them later."""

    __slots__ = ()

    def _grow(self, plan: Plan) -> None:
        """Go on by a plan that has further stages. Whoever generates them is still to end, and they wait for it."""
        old, self.plan = self.plan, plan
        first = len(old.stages)
        added = plan.stages[first:]
        self._take_over(Books(plan))
        self._state += bytes(len(added))
        self._done_well += bytes(len(added))
        self._attempt += [stage.begun for stage in added]
        self._granted.update((index, stage.begun) for index, stage in enumerate(added, first) if stage.begun)
        self._ready_at += [-1] * len(added)
        self._left += len(added)
        for index, stage in enumerate(added, first):
            if stage.skip is not None and not stage.skips_late:
                self._end(index, SKIP, stage.skip)
        self._count_anew(old)

    def _take_over(self, fresh: Books) -> None:
        """What follows from the new plan, in place of what followed from the old one."""
        first = len(self._open)
        self._followers, self._groups = fresh._followers, fresh._groups
        self._join, self._always, self._timed = fresh._join, fresh._always, fresh._timed
        self._open += fresh._open[first:]
        self._leased, self._paced, self._bound = fresh._leased, fresh._paced, fresh._bound
        self._shut = {gate: self._behind(gate) for gate in self._shut}
        before, self._line = self._line, fresh._line
        holding = [index for index, value in enumerate(self._state) if value in (RUNNING, KILLING, LEASING)]
        holding += [number for stage in self._streams for number in self._calls(stage)]
        self._line.carry(before, holding)
        self._streams.update((stage, stream) for stage, stream in fresh._streams.items() if stage >= first)

    def _count_anew(self, old: Plan) -> None:
        """The open needs of what is new, and of what waits for it. A need of a new stage may have ended long ago."""
        state, stages = self._state, self.plan.stages
        first = len(old.stages)
        waiting = [
            index
            for index, value in enumerate(state)
            if value == WAITING and (index >= first or stages[index].needs != old.stages[index].needs)
        ]
        for index, verdict in [(index, self._verdict(index)) for index in waiting]:
            if state[index] == WAITING:
                self._follow(index, verdict)
