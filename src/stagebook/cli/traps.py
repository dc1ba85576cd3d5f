"""What is found in a CI system's file beside its shape: with its provider's caps, and in its own words."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.graph.findings import Finding
    from stagebook.graph.traps import Cap
    from stagebook.model.pipeline import Pipeline

#: Whose caps are meant where nobody named a provider: the smallest plan, which most repositories are under.
_USUAL = {"github": "github-free", "gitlab": "gitlab-free"}


def caps(pipeline: Pipeline) -> list[Cap]:
    """What its provider runs at once, by kind of machine and in all. Empty for a native file."""
    usual = _USUAL.get(pipeline.format)
    if usual is None:
        return []
    from stagebook.graph.traps import Cap
    from stagebook.plan import providers

    table = providers.of(pipeline) or providers.table(usual)
    of = f"{table.name} (as of {table.as_of})"
    is_asked = pipeline.limits.provider is not None
    found = [] if table.jobs is None else [Cap(table.jobs, of, (), is_asked)]
    return found + [Cap(each.jobs, of, (each.name,), is_asked) for each in table.classes if each.jobs is not None]


def of_source(pipeline: Pipeline) -> list[Finding]:
    """What its format finds in the text of the file. Empty for a native file, and for one that is gone or has changed
    since it was read."""
    if pipeline.format not in _USUAL or not os.path.isfile(pipeline.file):
        return []
    from stagebook.formats import load

    return load.traps(pipeline)


def all_of(pipeline: Pipeline) -> list[Finding]:
    """All that `map` finds in a CI system's file, for `lint`."""
    from stagebook.graph import steps, traps
    from stagebook.graph.findings import judge
    from stagebook.graph.shape import shape

    if pipeline.format not in _USUAL:
        return []
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    found = shape([[at[need] for need in stage.needs] for stage in pipeline.stages])
    judged = judge(pipeline, found=found)
    made = [*judged.findings, *traps.find(pipeline, judged.edges, found, None, caps(pipeline)), *of_source(pipeline)]
    made += steps.findings(pipeline)
    return [each for each in made if not each.minor]
