"""Whether a stage takes part: `when` in CEL, `changed` against a revision, policies by place. Starts nothing."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

    from stagebook.model.pipeline import Pipeline


def has_conditions(pipeline: Pipeline) -> bool:
    """Whether anything of this room is needed: a run without conditions must not pay for the rest of it."""
    if pipeline.policies:
        return True
    return any(stage.when is not None or stage.changed for stage in pipeline.stages)


def asked(pipeline: Pipeline) -> Mapping[str, tuple[str, ...]]:
    """For each stage whose condition asks for others, which: what no need says by itself. Wrong conditions ask for
    nothing."""
    some = [
        (stage.id, stage.when)
        for stage in pipeline.stages
        if stage.when is not None and stage.when.language == "cel" and "stages" in stage.when.text
    ]
    if not some:
        return {}
    from stagebook.condition import expression

    compiler = expression.compiler_of(pipeline)
    return {id: tuple(dict.fromkeys(name for name, _, _ in compiler.compile(when).stages)) for id, when in some}
