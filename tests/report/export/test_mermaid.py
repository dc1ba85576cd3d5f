"""Gantt charts: every line by the grammar of Mermaid, whatever names there are, and never too long to be drawn."""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.report import documents, golden
from tests.report.export import hostile, runs

from stagebook.report.export import mermaid

#: Text without what Mermaid's lexer or its preprocessor takes for something: after its character codes are read.
_CODE = re.compile(r"#\d+;")
_TEXT = re.compile(r"[^:;#%{}<>\"`\\\n&|@$^~]+")
_MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
_TASK = re.compile(rf"    (\S.*?) :((?:crit, )?)(active|done), ({_MOMENT}), ({_MOMENT})")
_WORDS = re.compile(r"(?i)(gantt|title|section|click|call|href|date|axis|todayMarker|excl|incl|week|acc|\d{4}-)")


def tasks(lines: list[str]) -> list[tuple[str, str, float, float]]:
    """(text, tags, from, to) of a chart that Mermaid would read so; fails for one that it would not."""
    text = "".join(lines)
    head, *rest = text.split("\n")[:-1]
    assert head == "gantt"
    found = []
    for line in rest:
        if (word := re.fullmatch(r"    (title|dateFormat|axisFormat|todayMarker) (.+)", line)) is not None:
            assert word[1] != "title" or _TEXT.fullmatch(_CODE.sub("", word[2]))
            continue
        task = _TASK.fullmatch(line)
        assert task is not None, line
        assert _TEXT.fullmatch(_CODE.sub("", task[1])), line
        assert not _WORDS.match(task[1]), line
        begin, end = ((datetime.fromisoformat(task[n]) - datetime(2001, 1, 1)).total_seconds() for n in (4, 5))
        assert begin < end
        found.append((task[1], task[2] + task[3], begin, end))
    assert found
    assert len(text) < 50_000  # more is refused
    return found


def test_a_chart_looks_as_designed() -> None:
    lines = mermaid.render(documents.release())
    tasks(lines)
    golden.check("export-mermaid", "".join(lines).splitlines())


def test_critical_stages_are_marked_failures_and_waits_named() -> None:
    told = {text: (tags, begin, end) for text, tags, begin, end in tasks(mermaid.render(documents.release()))}
    assert told["◌ integration waits for pool db"] == ("crit, done", 174, 196)
    assert told["✗ integration failed, exit 1"] == ("crit, active", 196, 354)
    assert told["✗ e2e failed, exit 1"] == ("active", 174, 212)
    assert {text for text, (tags, *_) in told.items() if "crit" in tags and "active" in tags} == {
        "✓ checkout", "✓ build", "✓ image", "✗ integration failed, exit 1",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
def test_bars_are_where_the_record_has_them(tmp_path: Path, seed: int) -> None:
    document, _ = runs.played(tmp_path, seed)
    told = [(begin, end) for _, tags, begin, end in tasks(mermaid.render(document)) if "active" in tags]
    attempts = [attempt for stage in document["stages"] for attempt in stage["attempts"]]
    assert sorted(begin for begin, _ in told) == pytest.approx(sorted(one["from_s"] for one in attempts), abs=0.001)
    assert sorted(end for _, end in told) == pytest.approx(sorted(one["to_s"] for one in attempts), abs=0.002)


def test_hostile_names_are_text() -> None:
    told = tasks(mermaid.render(hostile.run()))
    assert len(told) == 2 * len(hostile.NAMES)
    assert max(len(text) for text, *_ in told) < 500


def test_runs_of_all_kinds_are_charts() -> None:
    assert tasks(mermaid.render(runs.live(), runs.LIVE_US))[1][0] == "◷ slow timed out"
    assert tasks(mermaid.render(runs.nothing()))[0][0] == "nothing ran"


def test_a_run_of_days_has_its_days() -> None:
    long = {**documents.attempt(0, 1), "from_s": 0.0, "to_s": 40 * 86_400.0}
    lines = mermaid.render(documents.run([documents.stage("long", long)], 40 * 86_400.0))
    assert tasks(lines)[0][3] == 40 * 86_400
    assert "    axisFormat %d %H:%M\n" in lines


@pytest.mark.parametrize("failing", [0, 9_000])
def test_ten_thousand_stages_are_a_chart_that_can_be_drawn(failing: int) -> None:
    document = documents.wide(10_000, failing=failing)
    begun = time.perf_counter()
    lines = mermaid.render(document)
    assert time.perf_counter() - begun < 5
    told = tasks(lines)
    assert f"{10_000 - len(told)} of 10000 stages folded" in lines[1]


def test_a_chart_ends_where_it_would_be_too_long_and_says_so() -> None:
    stages: list[Any] = [
        documents.stage(f"{index:05d} {'#' * 60}", *[documents.attempt(n, n + 1, number=n) for n in range(1, 4)])
        for index in range(3000)
    ]
    for stage in stages:
        stage["flaky"] = True  # never folded
    lines = mermaid.render(documents.run(stages, 5.0))
    tasks(lines)
    assert re.search(r"\d+ of 3000 stages folded", lines[1])
