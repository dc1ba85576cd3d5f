"""What differs between two readings of one pipeline, by stage. Places in the file do not count, what is run does."""

from __future__ import annotations

from stagebook.model.pipeline import Pipeline, Stage


def changed_stages(before: Pipeline, after: Pipeline) -> list[str]:
    """Ids of the stages that are new, gone or different, in the order of `after`, then of `before`.

    What holds for the whole pipeline and reaches into commands (env, parameters) changes every stage.
    """
    old = {stage.id: _meaning(stage) for stage in before.stages}
    new = {stage.id: _meaning(stage) for stage in after.stages}
    if (before.env, before.params) != (after.env, after.params):
        return list(new) + [stage for stage in old if stage not in new]
    found = [stage for stage, meaning in new.items() if old.get(stage) != meaning]
    return found + [stage for stage in old if stage not in new]


def changed_settings(before: Pipeline, after: Pipeline) -> list[str]:
    """Names of what differs in the pipeline as a whole and steers the scheduler only."""
    names = ("limits", "pools", "policy", "timeout_ms", "matrices")
    return [name.removesuffix("_ms") for name in names if getattr(before, name) != getattr(after, name)]


def _meaning(stage: Stage) -> Stage:
    return stage._replace(line=0, col=0, need_lines=(), duration_ms=None, priority=0, group=None)
