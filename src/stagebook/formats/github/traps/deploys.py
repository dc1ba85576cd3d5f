"""Deployments of two runs that may overtake each other: no `concurrency` group keeps them apart."""

from __future__ import annotations

import re

from stagebook.graph.duty import deploys, group_of, of_versions
from stagebook.graph.findings import Finding
from stagebook.graph.intent import outside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping

    from stagebook.formats.source.nodes import Node
    from stagebook.model.pipeline import Pipeline, Stage

#: What has a version of its own cannot overtake anything.
_VERSIONED = re.compile(
    r"pypi|npm|crate|release|publish|docker|registry|marketplace|gem|nuget|maven|sonatype|upload|twine|poetry|cargo",
    re.IGNORECASE,
)


#: Each pull request has a place of its own, as a rule, to try things in.
_ON_PULLS = frozenset(("pull_request", "pull_request_target", "pull_request_review", "issue_comment"))


def overtaking(
    root: Node, jobs: Node, started: Mapping[str, Any], pipeline: Pipeline
) -> Iterator[Finding]:  # fmt: skip
    """Jobs that deploy to one place, of a workflow that two pushes start twice."""
    if root.get("concurrency") is not None or _is_only_of_tags(started) or _ON_PULLS.issuperset(started):
        return
    acting = outside(pipeline)
    versions = of_versions(pipeline.stages)
    places = list({stage.name: stage.job and stage.job.environment for stage in pipeline.stages}.values())
    for name, key, job in jobs.items():
        if job.get("concurrency") is not None:
            continue
        stages = [stage for stage in pipeline.stages if stage.name == name and stage.id in acting]
        stages = [stage for stage in stages if _is_deployment(stage, acting[stage.id]) and stage.id not in versions]
        if stages:
            yield Finding(
                "no-concurrency",
                "warning",
                key.line,
                f"two runs may do {name} at once, and the older one may end last",
                (name,),
                f"it deploys ({acting[stages[0].id]}) and has no concurrency group",
                f"give it `concurrency: {{group: {_plain(group_of(stages[0], places))}, cancel-in-progress: false}}`",
            )


def _plain(group: str) -> str:
    return group if re.fullmatch(r"[\w./-]+", group) else f"'{group}'"


def _is_deployment(stage: Stage, why: str) -> bool:
    return deploys(stage, why) and not _VERSIONED.search(f"{stage.name} {why}")


def _is_only_of_tags(started: Mapping[str, Any]) -> bool:
    """Whether it is started for versions only, each of which comes once."""
    events = {name: each for name, each in started.items() if name not in ("workflow_dispatch", "workflow_call")}
    return bool(events) and all(
        name in ("release", "create") or (name == "push" and "tags" in each and "branches" not in each)
        for name, each in events.items()
    )
