"""Whether a stage takes part: `when` in CEL, `changed` against a revision, policies by place. Starts nothing."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.model.pipeline import Pipeline


def has_conditions(pipeline: Pipeline) -> bool:
    """Whether anything of this room is needed: a run without conditions must not pay for the rest of it."""
    if pipeline.policies:
        return True
    return any(stage.when is not None or stage.changed for stage in pipeline.stages)
