"""Cancels a run or one stage of it: by the engine that holds the run, or where there is none by a line in its journal.

That line, `run.cancel` with `pending`, is a decision on record; the next engine takes it up (`resume`) before it
starts anything. Leads no run itself.
"""

from __future__ import annotations

import os
from time import time_ns

from stagebook.engine.asking import News, ask
from stagebook.model.problem import InputError
from stagebook.record import measured, reader, runs, state
from stagebook.record.line import quote
from stagebook.record.retelling import retell
from stagebook.record.story import Story
from stagebook.record.writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def cancel(directory: str, stage: str | None) -> bool:
    """Cancel the run of this directory, or one stage of it; when it returns, that is on record.

    True: an engine holds the run and has heard of it. False: there is none, so nothing goes on until the run is
    resumed. Raises InputError for a stage that is not there and for what is over, SurroundingsError for an engine
    that does not answer.
    """
    _check(directory, stage)

    def heard(record: dict[str, Any]) -> bool | None:
        if record["event"] == "run.ended":
            raise InputError(f"run {os.path.basename(directory)} was over before: {record['outcome']}")
        is_it = record["event"] == "run.cancel" and record.get("stage") == stage and not record.get("pending")
        return True if is_it else None

    def alone(news: News) -> bool:
        _check(directory, stage)
        _record(directory, stage)
        return False

    return ask(directory, {"ask": "cancel", "stage": stage}, heard, alone)


def _check(directory: str, stage: str | None) -> None:
    path = state.journal_path(directory)
    recording = reader.load(path)
    measured.refuse(recording)
    story = retell(recording.records, path)
    summary = runs.summarise(directory)
    if summary is not None and summary["state"] == "ended":
        raise InputError(f"run {story.run} is over: {story.reason or story.outcome}")
    if stage is not None:
        _check_stage(story, stage)


def _check_stage(story: Story, stage: str) -> None:
    ids = [known.id for known in story.pipeline.stages]
    if stage not in ids:
        import difflib

        near = difflib.get_close_matches(stage, ids, 1)
        hint = f", did you mean `{near[0]}`?" if near else f"; `stagebook show {story.run}` lists its stages"
        raise InputError(f"no stage `{stage}` in run {story.run}{hint}")
    end = story.ends[ids.index(stage)]
    if end is not None:
        raise InputError(f"`{stage}` is over: {end.outcome}")


def _record(directory: str, stage: str | None) -> None:
    """Add the decision to a journal that no engine holds; only for who holds the run's lock."""
    path = state.journal_path(directory)
    recording = reader.load(path)
    reader.repair(path, recording)
    position = recording.position
    writer = Writer(path, os.path.basename(directory), time_ns() // 1000 - position.us, position)
    try:
        name = None if stage is None else quote(stage)
        writer.add("run.cancel", position.us, name, None, '"why":"cancel","pending":true')
        writer.close(position.us)
    finally:
        writer.abandon()
