"""Deployments of GitLab that two pipelines may do at once: no `resource_group` keeps them apart. Pure."""

from __future__ import annotations

from stagebook.graph.coupling import listed, named
from stagebook.graph.duty import deploys, group_of
from stagebook.graph.findings import Finding
from stagebook.graph.intent import outside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from stagebook.model.pipeline import Pipeline

_NAMED_MAX = 3


def overtaking(pipeline: Pipeline) -> Iterator[Finding]:
    """One for each environment. One whose name a variable makes is a pipeline's own."""
    by_place: dict[str, list[int]] = {}
    acting: dict[str, str] = {}
    for index, stage in enumerate(pipeline.stages):
        job = stage.job
        if job is None or job.system != "gitlab" or not job.environment or stage.locks or "$" in job.environment:
            continue
        acting = acting or outside(pipeline)
        if stage.id in acting and deploys(stage, acting[stage.id]):
            by_place.setdefault(job.environment, []).append(index)
    for place, found in by_place.items():
        stages = [pipeline.stages[index] for index in found]
        names = named(stages)
        yield Finding(
            "no-concurrency",
            "warning",
            stages[0].line,
            f"two pipelines may do {listed(names[:_NAMED_MAX], max(0, len(names) - _NAMED_MAX))} at once",
            tuple(stage.id for stage in stages),
            f"it deploys to {place} and has no resource group",
            f"give it `resource_group: {group_of(stages[0], ())}`",
        )
