"""What users of CI systems run into: order by habit, artifacts that miss each other, matrices wider than what is
allowed, deployments that overtake each other. Pure, and true of any system that is read; what takes a system's own
words is found by its format.
"""

from __future__ import annotations

from stagebook.graph.traps import data, deploys, order, width
from stagebook.graph.traps.width import Cap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from stagebook.graph.findings import Edge, Finding
    from stagebook.graph.shape import Shape
    from stagebook.model.pipeline import Pipeline

__all__ = ["Cap", "find"]


def find(
    pipeline: Pipeline,
    edges: Sequence[Edge],
    found: Shape,
    took: Sequence[float] | None,
    caps: Sequence[Cap] = (),
) -> list[Finding]:
    """All there are, those first that may save time. `edges` are those of `findings.judge`, `took` milliseconds of each
    stage (None: unknown) and `found` the shape with them. Empty where there is no job of a CI system."""
    if not any(stage.job is not None for stage in pipeline.stages):
        return []
    made = [] if pipeline.missing else list(order.stage_order(pipeline, edges, found, took))
    made += width.wide(pipeline, caps)
    made += data.missed(pipeline, found)
    made += deploys.overtaking(pipeline)
    return made
