"""From a journal's lines to a story: what `show`, `timeline` and a resume know of what happened. Reads no files.

The line `run.started` carries all that the other lines refer to; its keys that sum up a run stand before `choice` and
`plan`, which grow with the pipeline.
"""

from __future__ import annotations

import os

from stagebook.model.joining import joined
from stagebook.model.pipeline import MEASURED, Pipeline
from stagebook.model.problem import StagebookError, SurroundingsError
from stagebook.model.sound import is_sound
from stagebook.model.value import NamedTuple
from stagebook.record import gates, measured, publication
from stagebook.record.clock import epoch_us
from stagebook.record.items import call_of
from stagebook.record.line import time_us
from stagebook.record.state import logs_directory
from stagebook.record.story import Story, Usage, around_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

#: What is raised where values are of their types and mean nothing together.
ODD = (KeyError, ValueError, TypeError, IndexError, AttributeError, ArithmeticError, AssertionError, RecursionError)


class Header(NamedTuple):
    """What the first line says. `epoch_us` is the wall clock at time 0; `choice` and `plan` are plain values."""

    run: str
    epoch_us: int
    pipeline: str
    mode: str
    jobs: int
    policy: str
    file: str
    digest: str
    boot: str | None
    pid: int | None
    critical: tuple[str, ...]
    choice: dict[str, Any]
    plan: dict[str, Any]
    critical_by: str | None = None
    jobs_because: str | None = None
    policy_because: str | None = None
    traceparent: str | None = None
    rules: int = 1
    by: str | None = None


def header(record: dict[str, Any], path: str) -> Header:
    """The header in a journal's first record. Raises SurroundingsError if that is none."""
    try:
        if record["event"] != "run.started":
            raise ValueError(f"its first event is `{record['event']}`")
        return Header(
            record["run"],
            epoch_us(record["at"]) - time_us(record),
            record["pipeline"],
            record["mode"],
            record["jobs"],
            record["policy"],
            record["file"],
            record["digest"],
            record.get("boot"),
            record.get("pid"),
            tuple(record.get("critical", ())),
            record["choice"],
            record["plan"],
            record.get("critical_by"),
            record.get("jobs_because"),
            record.get("policy_because"),
            record.get("traceparent"),
            record.get("rules", 1),
            record.get("by"),
        )
    except (KeyError, ValueError, TypeError) as error:
        what = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else str(error)
        raise SurroundingsError(f"{path} is not the journal of a run: {what}") from error


def pipeline_of(head: Header) -> Pipeline:
    """The pipeline as it was when the run began. Raises SurroundingsError if the header holds none."""
    from stagebook.model.plain import from_plain

    try:
        pipeline = from_plain(head.plan)
    except ODD as error:
        raise SurroundingsError(f"the journal of run {head.run} holds no plan that this Stagebook can read") from error
    if not is_sound(pipeline):
        raise SurroundingsError(f"the journal of run {head.run} holds no plan that this Stagebook can read")
    return pipeline


def pipeline_in(record: dict[str, Any]) -> Pipeline:
    """The pipeline that a later line holds: stages that it adds, or the whole that takes the place of the first."""
    from stagebook.model.plain import from_plain

    try:
        pipeline = from_plain(record["plan"])
    except ODD:
        pipeline = None
    if pipeline is None or not is_sound(pipeline):
        raise SurroundingsError(
            f"record {record['seq']} of run {record['run']} holds no plan that this Stagebook can read"
        )
    return pipeline


def retell(records: Iterable[dict[str, Any]], path: str) -> Story:
    """The story of a journal, fed record by record; `path` is the journal's, beside which the logs lie.

    Raises SurroundingsError if there is not even a first record, or it is not that of a run.
    """
    lines = iter(records)
    first = next(lines, None)
    if first is None:
        raise SurroundingsError(f"{path} holds no whole record: the run ended before anything was started")
    head = header(first, path)
    record = first
    try:
        story, at = _begun(head, path)
        for record in lines:
            _take(story, record, at)
    except ODD as error:
        raise unfit(path, record, error) from error
    return story


def unfit(path: str, record: dict[str, Any], error: Exception) -> SurroundingsError:
    """That a record does not fit those before it, as what was made of it shows."""
    why = f": {error}" if isinstance(error, StagebookError) else ""
    return SurroundingsError(f"{path}: record {record['seq']} ({record['event']}) does not fit the run{why}")


def _begun(head: Header, path: str) -> tuple[Story, dict[str, int]]:
    """A story of which nothing is told yet, and the indices of its stages."""
    story = Story(
        pipeline_of(head), head.run, head.epoch_us, mode=head.mode, jobs=head.jobs, policy=head.policy,
        critical=head.critical, logs_directory=logs_directory(os.path.dirname(path)), critical_by=head.critical_by,
        jobs_because=head.jobs_because, policy_because=head.policy_because,
        today=str(head.choice.get("today", "")),
        known_ms={stage: round(ms) for stage, ms in head.choice.get("durations_ms", ())},
        traceparent=head.traceparent, started_by=head.by,
    )  # fmt: skip
    return story, {stage.id: index for index, stage in enumerate(story.pipeline.stages)}


def usage_of(plain: dict[str, Any] | None) -> Usage | None:
    """Usage as a line holds it; keys that are not there are unknown."""
    return None if plain is None else Usage(*map(plain.get, Usage._fields))


_FAILED = ("step", "item", "outcome", "exit", "reason", "text")


def _us(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1_000_000)


def _take(story: Story, record: dict[str, Any], at: dict[str, int]) -> None:
    event = record["event"]
    us = time_us(record)
    if event == "stage.started":
        ready_us = round(record["ready"] * 1_000_000) if record.get("ready") is not None else us
        waited, log = record.get("waited"), record.get("log")
        story.started(at[record["stage"]], record["attempt"], us, ready_us, waited, log)
    elif event == "stage.exited":
        story.exited(
            at[record["stage"]], record["attempt"], us, record["outcome"], record.get("reason"), record.get("exit"),
            record.get("signal"), usage_of(record.get("usage")), _us(record.get("ready")), record.get("waited"),
            around_of(record.get("around")),
        )  # fmt: skip
        for text in record.get("warnings", ()):
            story.warn(text)
    elif event == "stage.ended":
        story.ended(
            at[record["stage"]], us, record["outcome"], record.get("reason"), record.get("flaky", False),
            _us(record.get("ready")), record.get("queue_max"),
        )  # fmt: skip
    elif event == "items.ready":
        story.items_ready(
            at[record["stage"]], us, record["more"], record.get("skipped", 0), record.get("last", False),
            record["position"],
        )  # fmt: skip
    elif event == "items.done":
        calls = [call_of(row) for row in record["calls"]]
        story.items_done(at[record["stage"]], us, calls, record.get("queue_max"))
    elif event == "items.workers":
        story.items_workers(at[record["stage"]], us, record["step"], record["workers"])
    elif event == "items.dead":
        story.item_failed(at[record["stage"]], [record.get(name) for name in _FAILED])
    elif event == "condition.judged":
        story.judged(at[record["stage"]], record["verdict"], record.get("reason"))
    elif event == "output.published":
        story.published_by(at[record["stage"]], publication.read(record), record["early"])
    elif event == "stages.added" and story.pipeline.format != MEASURED:
        story.grew(joined(story.pipeline, pipeline_in(record), record["stage"]), record.get("critical", ()))
        at.update((stage.id, index) for index, stage in enumerate(story.pipeline.stages))
    elif event == "stages.added":
        added = pipeline_in(record).stages
        at.update((stage.id, index) for index, stage in enumerate(added, len(at)))
        story.added(added, record.get("edges", "needs"))
    elif event == "gate.asked":
        story.asked(at[record["stage"]], gates.asked_of(record))
    elif event == "gate.vote":
        gates.vote_of(story, at[record["stage"]], record)
    elif event == "gate.void":
        story.reopened(at[record["stage"]], f"{record['stage']}: {record['reason']}")
    elif event == "usage":
        used = usage_of(record)
        if used is not None:
            story.used(at[record["stage"]], record["attempt"], used)
    elif event == "run.ended":
        if story.pipeline.format == MEASURED:
            measured.settle(story)
        else:
            story.finished(us, record["outcome"], record.get("reason"), around_of(record.get("around")))
        story.warnings = list(record.get("warnings", story.warnings))
    elif event == "run.resumed" and "plan" in record:
        story.replanned(
            pipeline_in(record), record["critical"], record["kept"], us, epoch_us(record["at"]) - us,
            record.get("critical_by"),
        )  # fmt: skip
        at.clear()
        at.update((stage.id, index) for index, stage in enumerate(story.pipeline.stages))
    elif event == "run.resumed":
        story.resumed([at[stage] for stage in record["waits_again"]], us, epoch_us(record["at"]) - us)
    elif event == "journal.synced" and "clock_jump_s" in record:
        story.clock_jumped(record["clock_jump_s"])
