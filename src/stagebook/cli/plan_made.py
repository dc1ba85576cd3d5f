"""Stages that are generated at run time, for `plan`: no file holds them, so they are taken to be what they were."""

from __future__ import annotations

import os

from stagebook.cli import place
from stagebook.model import joining
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import SurroundingsError
from stagebook.record import reader, retelling, runs, state
from stagebook.report.durations import plural

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stagebook.record.story import Story

RUNS = 20  #: so many of the newest runs are looked at


def with_made(args: Any, pipeline: Pipeline) -> tuple[Pipeline, list[str]]:
    """The pipeline with what its generators have generated last, and a sentence for each of them; the newest runs of
    its file are looked through for that. What was never generated is not there."""
    makers = [stage.id for stage in pipeline.stages if stage.kind == "generate"]
    if not makers:
        return pipeline, []
    latest = _latest(args, pipeline, makers)
    said, short = [], place.short_ids(place.state_directory(args, pipeline.file))
    for maker in makers:
        story = latest.get(maker)
        if story is None:
            said.append(f"what {maker} generates: it has not run yet, and is planned as one stage")
            continue
        inside = {stage.id for stage in story.pipeline.stages if stage.kind == "generate" and stage.made_by is not None}
        try:
            whole = joining.taken_over(pipeline, story.pipeline, {maker, *inside})
        except ValueError as clash:
            said.append(f"what {maker} generates: it is planned as one stage, as {clash}")
            continue
        count = plural(len(whole.stages) - len(pipeline.stages), "stage")
        said.append(f"what {maker} generates: {count}, as in run {short(story.run)}")
        pipeline = whole
    return pipeline, said


def _latest(args: Any, pipeline: Pipeline, makers: list[str]) -> dict[str, Story]:
    """By generator the latest run in which it ended well."""
    directory = place.state_directory(args, pipeline.file)
    found: dict[str, Story] = {}
    for run in runs.ids(directory)[:RUNS]:
        journal = state.journal_path(os.path.join(state.runs_directory(directory), run))
        try:
            story = retelling.retell(reader.read(journal), journal)
        except SurroundingsError:
            continue
        if story.pipeline.file != pipeline.file:
            continue
        for stage, end in zip(story.pipeline.stages, story.ends):
            if stage.id in makers and end is not None and (end.outcome == "success" or end.reason == "up to date"):
                found.setdefault(stage.id, story)
        if len(found) == len(makers):
            break
    return found
