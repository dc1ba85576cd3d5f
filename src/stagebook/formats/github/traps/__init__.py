"""What a workflow's text holds against itself: text of strangers that becomes code, foreign code that runs with rights,
jobs without a timeout, deployments that overtake each other. What its shape says is in `graph`.
"""

from __future__ import annotations

from stagebook.formats.github.traps import deploys, injection, timeouts
from stagebook.formats.github.triggers import triggers_of
from stagebook.formats.source.nodes import MAP, read
from stagebook.model.problem import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.graph.findings import Finding
    from stagebook.model.pipeline import Pipeline


def find(data: bytes, pipeline: Pipeline) -> list[Finding]:
    """All there are, the most harmful first. Empty where the data is no workflow."""
    try:
        source = read(data, pipeline.file)
    except InputError:
        return []
    root = source.documents[0] if source.documents else None
    jobs = root.get("jobs") if root is not None else None
    if root is None or jobs is None or jobs.kind != MAP:
        return []
    started = triggers_of(root.get("on") or root.get("true"))
    made = [
        *injection.foreign_code(source, jobs, started),
        *injection.injections(source, jobs, started),
        *deploys.overtaking(root, jobs, started, pipeline),
        *timeouts.endless(jobs),
    ]
    ids: dict[str, list[str]] = {}
    for stage in pipeline.stages:
        ids.setdefault(stage.name.partition("/")[0], []).append(stage.id)
    return [each._replace(stages=tuple(id for job in each.stages for id in ids.get(job, ()))) for each in made]
