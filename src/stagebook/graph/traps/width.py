"""A matrix with more cells than a provider runs at once. Pure: what providers allow is handed in."""

from __future__ import annotations

from stagebook.graph.findings import Finding
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Sequence

    from stagebook.model.pipeline import Pipeline, Stage


class Cap(NamedTuple):
    """`jobs` at once on machines whose label begins with one of `labels`; without labels on all together. `of`: whose
    cap it is and from when that figure is. `is_asked`: the user named the provider."""

    jobs: int
    of: str
    labels: tuple[str, ...] = ()
    is_asked: bool = False


def wide(pipeline: Pipeline, caps: Sequence[Cap]) -> Iterator[Finding]:
    """Matrices that do not fit, each for the tightest cap."""
    by_id = {stage.id: stage for stage in pipeline.stages}
    for name, matrix in pipeline.matrices.items():
        stages = [by_id[cell] for cell in matrix.cells if cell in by_id]
        stages = [stage for stage in stages if stage.job is not None and "self-hosted" not in stage.job.runner]
        over = []
        for cap in caps:
            some = [each for each in stages if each.job is not None and _is_on(each.job.runner, cap.labels)]
            count = min(len(some), matrix.max_parallel or len(some))
            if count > cap.jobs:
                over.append((cap, some, count))
        if not over:
            continue
        cap, some, count = min(over, key=lambda one: one[0].jobs)
        where = f" on {cap.labels[0]}" if cap.labels else ""
        rounds = -(-count // cap.jobs)
        yield Finding(
            "wide-matrix",
            "warning" if cap.is_asked else "note",
            some[0].line,
            f"{name} has {count} jobs{where} at once, and {cap.of} runs {cap.jobs}",
            tuple(stage.id for stage in some),
            f"they come in {rounds} rounds, and every other run of the account waits meanwhile",
            _fix(cap, stages, some),
        )


def _fix(cap: Cap, stages: Sequence[Stage], some: Sequence[Stage]) -> str:
    """A limit of the matrix holds for all of its cells, so it is no cure where only some of them are meant."""
    if len(some) < len(stages):
        return f"leave out cells on {cap.labels[0]} that tell nothing new"
    if some[0].job is not None and some[0].job.system == "github":
        return f"set max-parallel to {max(1, cap.jobs * 4 // 5)}, or leave out cells that tell nothing new"
    return "leave out cells that tell nothing new, or split them over pipelines"


def _is_on(runner: str, labels: tuple[str, ...]) -> bool:
    return not labels or any(each.strip().lower().startswith(labels) for each in runner.split(","))
