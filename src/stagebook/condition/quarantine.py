"""Quarantines that end soon or have ended, in words for `lint`. What a quarantine does: `scheduler`."""

from __future__ import annotations

from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import Problem

#: So many days before a quarantine ends `lint` begins to say so.
NOTICE_DAYS = 7


def problems(pipeline: Pipeline, today: str) -> list[Problem]:
    """Warnings about quarantines that end within a week or have ended."""
    found = []
    for stage in pipeline.stages:
        if stage.quarantine is None:
            continue
        owner, until = stage.quarantine
        left = _days(today, until)
        if left < 0:
            said = f"quarantine expired on {until}, so a failure counts again; owner: {owner}"
        elif left <= NOTICE_DAYS:
            when = "today" if left == 0 else "tomorrow" if left == 1 else f"in {left} days"
            said = f"quarantine ends {when}, on {until}; owner: {owner}"
        else:
            continue
        found.append(Problem(pipeline.file, stage.line, stage.col, "quarantine", "warning", f"`{stage.id}`: {said}"))
    return found


def _days(start: str, end: str) -> int:
    import datetime

    return (datetime.date.fromisoformat(end) - datetime.date.fromisoformat(start)).days
