"""The benchmark of items on their way: that it counts what it says, and judges more as better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Iterator

import flows
import inside
import pytest
import streaming
import throughrun
from measured import Bench
from section import Section
from table import Goals


@pytest.fixture
def section(tmp_path: Path) -> Iterator[Section]:
    with Bench(str(tmp_path)) as bench:
        yield Section(bench, Goals(), 1, True, {})


def test_more_items_a_second_are_better() -> None:
    goals = Goals()
    goals.at_least("twice", [20.0, 30.0], [10.0, 10.0], 2)
    goals.at_least("thrice", [20.0, 30.0], [10.0, 10.0], 3)
    goals.at_least("by itself", [7.0], None, 5, " items/s")
    goals.at_least("none", [], [], 1)
    assert [goal["verdict"] for goal in goals.judged] == ["ok", "under", "ok", "not measured"]
    assert "≥ 5 items/s" in goals.show()
    assert goals.closing().endswith("2 of 4 goals kept")


def test_every_row_of_a_table_is_a_flow_and_every_section_is_there() -> None:
    assert set(inside.SHARES) | {f"slow {workers}" for workers in (1, 2, 4)} == set(flows.FLOWS)
    assert {"trivial", "slow", "slow-run", "workers", "commands", "million", "auto"} == set(streaming.SECTIONS)


def test_flows_take_all_items_through() -> None:
    for name in ("stagebook", "stagebook, a generator", "stagebook, threads, batch 100", "asyncio.Queue"):
        assert flows.FLOWS[name](777) == 777


def test_a_library_that_is_not_there_or_too_slow_is_told_and_has_no_figure(
    section: Section, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = inside.figures(section, "some", {"stagebook": 1000, "slow 1": 100}, 2, "1000")
    assert list(rates) == ["stagebook"] and rates["stagebook"][0] > 0
    assert "failed: slow 1: not over after 2 s" in capsys.readouterr().out


def test_kills_are_survived_and_what_was_begun_again_is_counted(section: Section) -> None:
    throughrun.killed(section, 6000, 1)
    found = section.raw["killed"]
    assert found["kills"] == 1 and found["done"] == found["begun"] == 6000
    assert [goal["verdict"] for goal in section.goals.judged] == ["ok", "ok", "ok"]


def test_items_that_are_on_record_twice_are_seen(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    rows = [[[0, 0, "1-3", 5, 0]], [[0, 1, "3-4", 5, 0, [[4, "failure", 1, None]]]]]
    journal.write_text("".join(json.dumps({"event": "items.done", "calls": calls}) + "\n" for calls in rows))
    assert list(throughrun.done(journal)) == [[1, 2, 3], [3]]
