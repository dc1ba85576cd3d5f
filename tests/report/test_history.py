"""The words and signs of views over many runs."""

from __future__ import annotations

from typing import Any

import pytest

from stagebook.report import diff, stats, trend
from stagebook.report.style import Style


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3.0, "+3.0 s"), (-3.04, "−3.0 s"), (0.64, "+640 ms"), (0.9996, "+1.0 s"), (-9.94, "−9.9 s"), (9.96, "+10 s"),
        (65, "+1 m 05 s"), (-7500, "−2 h 05 m"),
    ],
)  # fmt: skip
def test_r082_a_change_has_a_sign_and_below_ten_seconds_its_tenth(seconds: float, text: str) -> None:
    assert diff.signed(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (0.0001, "<0.1 %"),
        (0.004, "0.4 %"),
        (0.5, "50 %"),
        (0.995, "99.5 %"),
        (0.99999, ">99.9 %"),
        (1, "100 %"),
    ],
)
def test_a_percentage_is_whole_but_at_the_ends(share: float, text: str) -> None:
    assert stats.percent(share) == text


def runs(*walls: float | None) -> list[dict[str, Any]]:
    return [{"outcome": "success" if wall else "failure", "wall_s": wall or 1.0} for wall in walls]


def test_a_line_of_runs_shows_the_longest_highest_and_failures_apart() -> None:
    assert trend.spark(runs(1, 5, None, 9), Style()) == "▁▅✗█"
    assert trend.spark(runs(1, 5, None, 9), Style(ascii=True)) == "_+x#"


def test_what_hardly_differs_is_no_range_of_mountains() -> None:
    assert trend.spark(runs(100, 101, 100.5), Style()) == "▁▁▁"
    assert trend.spark(runs(None), Style()) == "✗"


def test_a_run_that_is_not_over_has_no_verdict_on_its_time() -> None:
    side = {"run": "A", "outcome": None, "wall_s": None}
    nothing: dict[str, Any] = {
        "slower": [],
        "faster": [],
        "added": [],
        "removed": [],
        "outcomes": [],
        "wall_change_s": None,
    }
    said = diff.verdict({"before": side, "after": side, **nothing}, str)
    assert said == "no stage differs by 0.1 s and 5 % or more"
