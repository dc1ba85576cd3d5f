"""A plan for stages that have come up while a run goes on. Pure.

What has been decided stays: how stages of before end and whether they take part, what is critical, gaps and policy.
Needs, demands, capacities and ranks are those of the new whole, so that what is new takes its place among the rest.
"""

from __future__ import annotations

from stagebook.model.joining import joined
from stagebook.model.pipeline import Pipeline
from stagebook.scheduler.build import build
from stagebook.scheduler.plan import Choice, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping


def extend(
    pipeline: Pipeline, plan: Plan, choice: Choice, part: Pipeline, maker: str, begun: Mapping[str, int] | None = None
) -> tuple[Pipeline, Plan]:  # fmt: skip
    """The pipeline and the plan with the stages of `part`, which `maker` has generated. `begun`: attempts that stages
    of such ids had before the plan was changed. Raises InputError for what can never run."""
    whole = joined(pipeline, part, maker)
    fresh = build(whole, choice)
    known = len(plan.stages)
    stages = [
        new._replace(critical=old.critical, skip=old.skip, kept=old.kept, begun=old.begun)
        for old, new in zip(plan.stages, fresh.stages)
    ]
    for planned, stage in zip(fresh.stages[known:], whole.stages[known:]):
        # The critical set is fixed at the start, but for what nobody could know of then and must count.
        is_critical = stage.critical or stage.kind == "gate" or not stage.retry_safe
        stages.append(planned._replace(
            critical=is_critical and planned.skip is None, begun=(begun or {}).get(planned.id, 0)
        ))  # fmt: skip
    return whole, fresh._replace(
        stages=tuple(stages),
        timeout_ms=plan.timeout_ms,
        gaps_ms=plan.gaps_ms,
        critical_by=plan.critical_by,
        passed_over_max=plan.passed_over_max,
    )
