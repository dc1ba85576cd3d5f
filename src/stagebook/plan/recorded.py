"""What the journals of a state directory say of the attempts in a stretch of time: when, for how long, what they took.

Journals are read line by line and each is forgotten when the next is opened; of an attempt a few numbers are kept.
A journal that is damaged or is none is left out and named. Judges nothing.

An attempt lies on the wall clock where its start was noted, and is as long as the run's own clock says, which nobody
can set. One whose end is not on record counts up to the last line of its journal, or up to now if its run goes on.
"""

from __future__ import annotations

import os

from stagebook.model.pipeline import MEASURED, Resources
from stagebook.model.problem import SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record import lock, reader, runs
from stagebook.record.clock import epoch_us
from stagebook.record.line import time_us
from stagebook.record.retelling import header, pipeline_of
from stagebook.record.state import journal_path, run_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, Sequence

    from stagebook.model.pipeline import Pipeline

NOTHING = Resources()


class Attempt(NamedTuple):
    """Times are microseconds since 1970. `is_over`: its end is on record. `waited` is what it waited for since
    `ready_us`. `cpu_us` and `rss_bytes` are None where they are not known."""

    run: int  #: index into `History.runs`
    stage: str
    ready_us: int
    from_us: int
    to_us: int
    is_over: bool
    waited: str | None
    resources: Resources
    cpu_us: int | None = None
    rss_bytes: int | None = None
    rss_method: str | None = None


class Run(NamedTuple):
    """`is_own`: it is of the pipeline that was asked about, or was measured, which has no file to tell it by."""

    id: str
    pipeline: str
    is_own: bool


class History(NamedTuple):
    """`runs` are those with an attempt in the stretch. `is_older`: there is a run from before it, so all of the
    stretch is on record. `left_out` says which journals were not counted, and why."""

    runs: list[Run]
    attempts: list[Attempt]
    is_older: bool
    left_out: list[str]


def read(state: str, file: str, since_us: int, now_us: int, tell: Callable[[int, int], None] | None = None) -> History:
    """All attempts that were under way at any time from `since_us` to `now_us`. `file` is the pipeline's, absolute.

    `tell` is called with the number of journals read and that of all. Raises SurroundingsError if the state directory
    cannot be read.
    """
    found = History([], [], False, [])
    is_older = False
    plans: dict[tuple[str, str], Mapping[str, Resources]] = {}
    ids = runs.ids(state)
    for number, run in enumerate(ids):
        if tell is not None:
            tell(number, len(ids))
        directory = run_directory(state, run)
        path = journal_path(directory)
        try:
            if os.stat(path).st_mtime_ns // 1000 < since_us:
                is_older = True
                continue
        except OSError:
            continue  # a directory that never had a journal, or that was removed meanwhile
        try:
            attempts, is_own, pipeline = _attempts(directory, path, len(found.runs), file, now_us, plans)
        except (SurroundingsError, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
            found.left_out.append(f"{run}: {_why(error)}")
            continue
        is_older = is_older or any(one.from_us < since_us for one in attempts)
        kept = [one for one in attempts if one.to_us >= since_us and one.from_us <= now_us]
        if kept:
            found.runs.append(Run(run, pipeline, is_own))
            found.attempts.extend(kept)
    return found._replace(is_older=is_older)


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, SurroundingsError) else "it holds lines that this version cannot read"


def _attempts(
    directory: str, path: str, run: int, file: str, now_us: int,
    plans: dict[tuple[str, str], Mapping[str, Resources]],
) -> tuple[list[Attempt], bool, str]:  # fmt: skip
    """The attempts of one journal, whether it is of `file`, and the name of its pipeline."""
    done: list[Attempt] = []
    open_ones: dict[str, tuple[Attempt, int]] = {}  #: with the time of the run at which each began
    places: dict[tuple[str, int], int] = {}
    takes: Mapping[str, Resources] = {}
    first: dict[str, Any] | None = None
    us = 0
    for record in reader.read(path):
        event = record["event"]
        us = time_us(record)
        if event == "stage.started":
            stage, wall_us = record["stage"], epoch_us(record["at"])
            ready = record.get("ready")
            ready_us = wall_us if ready is None else min(wall_us, wall_us - us + round(ready * 1_000_000))
            resources = takes.get(stage, NOTHING)
            begun = Attempt(run, stage, ready_us, wall_us, wall_us, False, record.get("waited"), resources)
            open_ones[stage] = begun, us
        elif event == "stage.exited":
            stage = record["stage"]
            if stage in open_ones:
                begun, began_us = open_ones.pop(stage)
                to_us = begun.from_us + max(0, us - began_us)
                over = begun._replace(to_us=to_us, is_over=record.get("reason") != "interrupted")
                places[stage, record["attempt"]] = len(done)
                done.append(_used(over, record.get("usage")))
        elif event == "usage":
            place = places.get((record["stage"], record["attempt"]))
            if place is not None:
                done[place] = _used(done[place], record)
        elif event == "run.started":
            first = record
            takes = _takes(record, path, plans)
        elif event == "run.resumed" and "plan" in record:
            takes = _reserved(pipeline_of(header(first or {}, path)._replace(plan=record["plan"])))
    if first is None:
        return [], False, ""
    if open_ones:
        goes_on = lock.holder(directory) is not None or lock.is_shared(directory)
        for begun, began_us in open_ones.values():
            last_us = begun.from_us + us - began_us
            done.append(begun._replace(to_us=max(begun.from_us, now_us if goes_on else last_us)))
    is_own = first.get("format") == MEASURED or first.get("file") == file
    return done, is_own, str(first.get("pipeline", ""))


def _used(attempt: Attempt, usage: Mapping[str, Any] | None) -> Attempt:
    if usage is None:
        return attempt
    user_s, system_s = usage.get("cpu_user_s"), usage.get("cpu_system_s")
    cpu_us = None if user_s is None or system_s is None else round((user_s + system_s) * 1_000_000)
    return attempt._replace(
        cpu_us=cpu_us, rss_bytes=usage.get("max_rss_bytes"), rss_method=usage.get("max_rss_method")
    )  # fmt: skip


def _takes(
    record: dict[str, Any], path: str, plans: dict[tuple[str, str], Mapping[str, Resources]]
) -> Mapping[str, Resources]:
    """What each stage of a run reserved. Runs of one file share it, as its digest is of the file's bytes."""
    key = str(record.get("file", "")), str(record.get("digest", ""))
    known = plans.get(key)
    if known is None:
        known = _reserved(pipeline_of(header(record, path)))
        if key[1]:
            plans[key] = known
    return known


def _reserved(pipeline: Pipeline) -> dict[str, Resources]:
    return {stage.id: stage.resources for stage in pipeline.stages if stage.resources != NOTHING}


def peak_demand(attempts: Sequence[Attempt], kind: str) -> int:
    """The most attempts of one run that were under way, or waited for `kind` only, at one time."""
    from stagebook.plan.overlap import curve

    if not attempts:
        return 0
    spans = [(one.ready_us if one.waited == kind else one.from_us, one.to_us, 1) for one in attempts]
    return curve(spans, min(span[0] for span in spans), max(span[1] for span in spans)).peak
