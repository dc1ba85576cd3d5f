"""A changed plan for a run that has begun: what stands of what was done, and what is done again. Pure.

A stage that was changed, or that depends on one that was, is done again. Every other stage that has run and ended
keeps its end; its number of attempts goes on in any case, so that no log is written twice.
"""

from __future__ import annotations

from stagebook.scheduler.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Mapping, TypeAlias

#: (outcome, reason) by stage id
Ends: TypeAlias = "Mapping[str, tuple[str, str | None]]"


def standing(plan: Plan, changed: Collection[str], ends: Ends) -> dict[str, tuple[str, str | None]]:
    """Of `ends`, those that hold under the new plan: neither the stage nor anything above it has changed."""
    touched = [stage.id in changed for stage in plan.stages]
    followers: list[list[int]] = [[] for _ in plan.stages]
    for index, stage in enumerate(plan.stages):
        for need in stage.needs:
            followers[need].append(index)
    open_ends = [index for index, is_touched in enumerate(touched) if is_touched]
    while open_ends:
        for follower in followers[open_ends.pop()]:
            if not touched[follower]:
                touched[follower] = True
                open_ends.append(follower)
    return {stage.id: ends[stage.id] for stage, again in zip(plan.stages, touched) if not again and stage.id in ends}


def keep(plan: Plan, kept: Ends, begun: Mapping[str, int]) -> Plan:
    """The plan with what stands: the ends of `kept`, and the attempts that were `begun`, by stage id."""
    stages = [
        stage._replace(kept=kept.get(stage.id), begun=begun[stage.id]) if stage.id in begun else stage
        for stage in plan.stages
    ]
    return plan._replace(stages=tuple(stages))
