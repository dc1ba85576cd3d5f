"""GitLab's order of stages where nothing but that order makes jobs wait: what `needs` would free. Pure."""

from __future__ import annotations

from stagebook.graph.coupling import listed, named
from stagebook.graph.findings import Finding
from stagebook.graph.shape import shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Sequence

    from stagebook.graph.findings import Edge
    from stagebook.graph.shape import Shape
    from stagebook.model.pipeline import Pipeline, Stage

_NAMED_MAX = 3
_LITTLE = 0.01


def stage_order(
    pipeline: Pipeline, edges: Sequence[Edge], found: Shape, took: Sequence[float] | None
) -> Iterator[Finding]:
    """One for each stage whose jobs wait for earlier ones and get nothing of some of them. Costs O(n + edges) a
    stage."""
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    bare: dict[str, list[Edge]] = {}
    for edge in edges:
        stage = pipeline.stages[at[edge.stage]]
        if stage.job is not None and edge.need in stage.job.by_order and not edge.reasons:
            bare.setdefault(edge.stage, []).append(edge)
    groups: dict[str, list[Stage]] = {}
    for stage in pipeline.stages:
        if stage.id in bare and stage.job is not None:
            groups.setdefault(stage.job.stage or "", []).append(stage)
    durations: Sequence[float] = [1] * len(pipeline.stages) if took is None else took
    needs = [[at[need] for need in stage.needs] for stage in pipeline.stages]
    for name, jobs in groups.items():
        dropped = {(at[edge.need], at[edge.stage]) for job in jobs for edge in bare[job.id]}
        after = shape(_without(needs, dropped), durations)
        saves = max(0.0, found.length - after.length)
        earlier = sum(found.earliest[at[job.id]] - after.earliest[at[job.id]] > 0 for job in jobs)
        if earlier or took is None:
            yield _finding(pipeline, name, jobs, bare, saves, took is not None, found.length)


def _without(needs: list[list[int]], dropped: set[tuple[int, int]]) -> list[list[int]]:
    """What is no longer waited for is not waited for over others either: `needs` in place of the order means just
    these jobs."""
    return [[need for need in each if (need, node) not in dropped] for node, each in enumerate(needs)]


def _finding(
    pipeline: Pipeline, name: str, jobs: list[Stage], bare: dict[str, list[Edge]], saves: float, is_known: bool,
    length: float,
) -> Finding:  # fmt: skip
    pairs = tuple((edge.need, edge.stage) for job in jobs for edge in bare[job.id])
    by_id = {stage.id: stage for stage in pipeline.stages}
    waited = named([by_id[need] for need in dict.fromkeys(need for need, _ in pairs)])
    some = named(jobs)
    who = listed(some[:_NAMED_MAX], max(0, len(some) - _NAMED_MAX))
    what = listed(waited[:_NAMED_MAX], max(0, len(waited) - _NAMED_MAX))
    first = jobs[0]
    kept = [need for need in first.needs if (need, first.id) not in pairs]
    needs = ", ".join(named([by_id[need] for need in kept]))
    verb = "waits" if len(some) == 1 else "wait"
    text = f"{who} {verb} for {what} by the order of stages only"
    shorter = "" if is_known else f"; the longest chain becomes {saves:.0f} shorter" if saves else ""
    gets = "it gets" if len(some) == 1 else "they get"
    is_worth = saves > _LITTLE * length
    return Finding(
        "stage-order",
        "warning" if is_known and is_worth else "note",
        first.line,
        text,
        tuple(job.id for job in jobs),
        f"{gets} no artifact and no variable of it" + shorter,
        f"`needs: [{needs}]` in {first.name} lets it start earlier" + _others(some)
        + ", unless the wait is to spare runs after a failure",
        saves_ms=saves if is_known else None,
        evidence="none",
        edges=pairs,
    )  # fmt: skip


def _others(some: list[str]) -> str:
    return "" if len(some) == 1 else f", and so for the other{'s' if len(some) > 2 else ''}"
