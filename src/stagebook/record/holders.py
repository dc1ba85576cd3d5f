"""Who has what the stages of a run wait for, as its machine knows it. Decides nothing, asks nobody else."""

from __future__ import annotations

from stagebook.model.outcome import OUTCOMES
from stagebook.scheduler.machine import Machine

NAMES_MAX = 3  #: of several who hold something


class Holders:
    """Answers for the machine as it stands now; one for each look, since what is known of a pool is kept."""

    __slots__ = ("_known", "_machine")

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._known: dict[str, list[str]] = {}

    def of(self, stage: int) -> list[str]:
        """The needs that have not ended; or ids of the stages that hold the units; or, where it is another run or the
        machine beneath, one text that says so. Empty where nobody has it."""
        machine, stages = self._machine, self._machine.plan.stages
        reason = machine.waiting(stage)
        if reason == "needs":
            return [stages[need].id for need in stages[stage].needs if machine.state(need) not in OUTCOMES]
        beyond = machine.held_by(stage)
        if beyond is not None:
            return [beyond]
        if reason is None:
            return []
        known = self._known.get(reason)
        if known is None:
            known = self._known[reason] = [stages[holder].id for holder in machine.holders(reason)]
        return known

    def said(self, stage: int) -> str | None:
        """`a, b, c and 7 more`; None for nobody."""
        names = self.of(stage)
        more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
        return ", ".join(names[:NAMES_MAX]) + more or None
