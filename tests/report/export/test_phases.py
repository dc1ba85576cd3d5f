"""What exports say each stage did is what the drawing in the terminal says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.report import documents
from tests.report.export import runs

from stagebook.report import rows
from stagebook.report.export import phases


def same_as_drawn(document: dict[str, Any], now_us: int | None = None) -> None:
    known, total_us = phases.courses(document, now_us)
    shape = phases.shape(document, now_us)
    drawn = {row.name: row.segments for row in shape.rows if row.segments}
    told = {
        course.stage["stage"]: tuple(rows.Segment(phase.kind, phase.from_us, phase.to_us) for phase in course.phases)
        for course in known
    }
    assert told == drawn
    assert total_us == shape.total_us


@pytest.mark.parametrize("seed", range(20))
def test_phases_are_the_segments_of_the_drawing(tmp_path: Path, seed: int) -> None:
    same_as_drawn(runs.played(tmp_path, seed)[0])


def test_of_runs_made_by_hand_too() -> None:
    same_as_drawn(documents.release())
    same_as_drawn(runs.live(), runs.LIVE_US)
    same_as_drawn(runs.live())
    same_as_drawn(runs.nothing())


def test_what_runs_goes_on_until_now() -> None:
    known, total_us = phases.courses(runs.live(), runs.LIVE_US)
    unit = next(course for course in known if course.stage["stage"] == "unit")
    assert unit.phases == (phases.Phase("work", 20_000_000, runs.LIVE_US, unit.stage["attempts"][0], True),)
    assert total_us == runs.LIVE_US


def test_phases_in_words() -> None:
    known = {course.stage["stage"]: course for course in phases.courses(runs.live(), runs.LIVE_US).courses}
    assert [phases.said(phase) for phase in known["again"].phases] == [
        "attempt 1: exit 1", "waits to try again", "attempt 2: exit 1", "waits to try again", "waits for lock db",
        "attempt 3: exit 1",
    ]  # fmt: skip
    assert phases.said(known["unit"].phases[0]) == "attempt 1: running"
    assert phases.said(known["halted"].phases[0]) == "attempt 1: cancelled by cancel"
    assert phases.ended(known["broken"].phases[0].attempt) == "failed, missing program: foo"
    assert phases.ended(known["halted"].phases[0].attempt) == "cancelled by cancel"
    assert phases.ended(known["slow"].phases[0].attempt) == "timed out"


def test_who_never_ran_stands_with_the_reason() -> None:
    assert phases.asides(runs.live()) == [
        phases.Aside("skip", ("smoke",), "skipped ← slow timed out"),
        phases.Aside("skip", ("web",), "skipped: when: branch == 'main'"),
        phases.Aside("slot", ("docs",), "waits for a slot"),
        phases.Aside("slot", ("pack",), "waits for pool db"),
        phases.Aside("needs", ("deploy",), "waits for its needs"),
    ]
    assert phases.asides(documents.release()) == [
        phases.Aside("skip", ("deploy-staging", "smoke", "approve", "deploy"), "skipped ← integration failed")
    ]
