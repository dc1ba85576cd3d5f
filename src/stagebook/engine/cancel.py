"""Cancels a run or one stage of it: by the engine that holds the run, or where there is none by a line in its journal.

That line, `run.cancel` with `pending`, is a decision on record; the next engine takes it up (`resume`) before it
starts anything. Leads no run itself.
"""

from __future__ import annotations

import os
import select
from time import monotonic, time_ns

from stagebook.engine import control
from stagebook.model.problem import InputError, SurroundingsError
from stagebook.record import lock, measured, reader, runs, state
from stagebook.record.line import BrokenLine, decode, quote
from stagebook.record.retelling import retell
from stagebook.record.story import Story
from stagebook.record.writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

ANSWER_S = 5.0  #: how long an engine may take to put the request into its journal
LOOK_S = 0.01


def cancel(directory: str, stage: str | None) -> bool:
    """Cancel the run of this directory, or one stage of it; when it returns, that is on record.

    True: an engine holds the run and has heard of it. False: there is none, so nothing goes on until the run is
    resumed. Raises InputError for a stage that is not there and for what is over, SurroundingsError for an engine
    that does not answer.
    """
    deadline = monotonic() + ANSWER_S
    _check(directory, stage)
    news = News(directory)
    is_asked = False
    while True:
        is_asked = is_asked or control.ask(directory, {"ask": "cancel", "stage": stage})
        for record in news.read():
            if record["event"] == "run.cancel" and record.get("stage") == stage and not record.get("pending"):
                return True
            if record["event"] == "run.ended":
                raise InputError(f"run {os.path.basename(directory)} was over before: {record['outcome']}")
        holder = lock.holder(directory)
        if holder is None:
            try:
                held = lock.take(directory)
            except SurroundingsError:
                continue  # an engine has just begun to go on with it
            try:
                _check(directory, stage)
                _record(directory, stage)
            finally:
                lock.release(held)
            return False
        if monotonic() > deadline:
            raise SurroundingsError(
                f"the engine of run {os.path.basename(directory)} (pid {holder}) has not answered in {ANSWER_S:.0f} s"
            )
        select.select((), (), (), LOOK_S)


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


class News:
    """The lines that come to a journal from now on."""

    def __init__(self, directory: str) -> None:
        self._path = state.journal_path(directory)
        self._at = os.stat(self._path).st_size
        self._rest = b""

    def read(self) -> Iterator[dict[str, Any]]:
        with open(self._path, "rb") as file:
            file.seek(self._at)
            data = file.read()
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                yield decode(line)
            except BrokenLine:
                continue  # the rest of a line that was half there when we began
