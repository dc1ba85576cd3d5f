"""Journals that `stagebook measure` has left on other machines, one a job of a CI system's run, as recorded runs. Where
they come from is not known here.
"""

from __future__ import annotations

import os

from stagebook.model.outcome import SEVERITY
from stagebook.model.pipeline import MEASURED
from stagebook.model.problem import InputError, Problem, SurroundingsError
from stagebook.model.recorded import RecordedJob, RecordedRun, RecordedStep, RecordedTry, Recordings
from stagebook.record import measured, reader
from stagebook.record.retelling import retell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from stagebook.record.story import Attempt, Story

#: How the key of a run begins that a CI system has told, and which system that is.
_SYSTEMS = {"GITHUB_RUN_ID=": "github", "CI_PIPELINE_ID=": "gitlab"}


def read(files: Sequence[str]) -> Recordings:
    """The runs in these journals; those of one key are one run. InputError for what is no such journal."""
    found: dict[str, list[tuple[dict[str, Any], Story]]] = {}
    for file in files:
        first, story = _story(file)
        found.setdefault(str(first.get("key") or first.get("run")), []).append((first, story))
    return Recordings(tuple(_run(key, stories) for key, stories in found.items()))


def _story(file: str) -> tuple[dict[str, Any], Story]:
    if not os.path.isfile(file):
        raise _wrong(file, "there is no such file")
    try:
        recording = reader.load(file)
        story = retell(recording.records, file)
    except SurroundingsError as error:
        raise _wrong(file, f"it is no journal of a run: {error}") from None
    first = recording.records[0]
    if first.get("format") != MEASURED:
        raise _wrong(file, "it is not the journal of a measured run")
    measured.settle(story)
    return first, story


def _run(key: str, stories: list[tuple[dict[str, Any], Story]]) -> RecordedRun:
    prefix = next((prefix for prefix in _SYSTEMS if key.startswith(prefix)), None)
    jobs: dict[str, list[RecordedTry]] = {}
    for _, story in stories:
        for name, one in _jobs(story):
            jobs.setdefault(name, []).append(one)
    made = tuple(RecordedJob(name, (one,)) for name, tries in jobs.items() for one in tries)
    system = _SYSTEMS[prefix] if prefix is not None else MEASURED
    return RecordedRun(system, f"measured {key}", 1, made, stories[0][0].get("pipeline"))


def _jobs(story: Story) -> list[tuple[str, RecordedTry]]:
    """Commands of one name on one machine are the steps of one job."""
    lots: dict[str, list[tuple[str, Attempt]]] = {}
    for stage, attempts in zip(story.pipeline.stages, story.attempts):
        lots.setdefault(stage.name, []).extend((stage.id, attempt) for attempt in attempts)
    return [(name, _try(story, lot)) for name, lot in lots.items() if lot]


def _try(story: Story, lot: list[tuple[str, Attempt]]) -> RecordedTry:
    begun = [story.epoch_us + attempt.started_us for _, attempt in lot]
    ended = [story.epoch_us + (attempt.finished_us or attempt.started_us) for _, attempt in lot]
    steps = tuple(
        RecordedStep(id, attempt.outcome or "error", from_us, to_us)
        for (id, attempt), from_us, to_us in zip(lot, begun, ended)
    )
    last = max((attempt for _, attempt in lot), key=lambda attempt: SEVERITY[attempt.outcome or "error"])
    outcome = last.outcome or "error"
    usage = _together([attempt.usage._asdict() for _, attempt in lot])
    return RecordedTry(outcome, None, None, min(begun), max(ended), last.reason, None, steps, usage)


def _together(usages: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Sums of what commands used one after another, and the most memory of any; unknown where it is of one of them."""
    made: dict[str, Any] = {}
    for name in ("cpu_user_s", "cpu_system_s", "read_bytes", "write_bytes"):
        known = [each[name] for each in usages if each[name] is not None]
        made[name] = sum(known) if len(known) == len(usages) else None
    made["max_rss_bytes"] = max(
        [each["max_rss_bytes"] for each in usages if each["max_rss_bytes"] is not None], default=None
    )
    for name in ("method", "max_rss_method"):
        made[name] = usages[0][name]
    return made if made["method"] is not None else None


def _wrong(file: str, why: str) -> InputError:
    return InputError(f"{file}: {why}", [Problem(file, 0, 0, "recording", "error", why)])
