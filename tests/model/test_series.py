"""Series of items: whatever Python's own calendar says holds here, and nothing that is no range is taken for one."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.model.series import date_of, day_of, items, series


@given(st.dates(), st.integers(0, 800))
def test_days_follow_one_another_as_in_the_calendar(first: date, more: int) -> None:
    last = first + timedelta(min(more, (date.max - first).days))
    found = list(items(series(f"{first}..{last}"), 0))
    assert found == [str(first + timedelta(each)) for each in range((last - first).days + 1)]


@given(st.text("0123456789-", min_size=10, max_size=10) | st.dates().map(str))
def test_a_day_is_one_if_there_is_one(text: str) -> None:
    try:
        known = str(date.fromisoformat(text)) == text
    except ValueError:
        known = text.startswith("0000-") and day_of(text) is not None  # Python knows no year 0
    day = day_of(text)
    assert (day is not None) == known
    assert day is None or date_of(day) == text


def test_values_and_ranges_stand_side_by_side_and_are_gone_on_with_anywhere() -> None:
    parts = series("de, -1..2,2026-02-28..2026-03-01, fr")
    whole = ["de", "-1", "0", "1", "2", "2026-02-28", "2026-03-01", "fr"]
    for after in range(len(whole) + 1):
        assert list(items(parts, after)) == whole[after:]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "one of its values is empty"),
        ("a,,b", "one of its values is empty"),
        ("2026-02-01..2026-02-29", "nor of days that there are"),
        ("1..x", "is no range of whole numbers"),
        ("2026-01-01..7", "is no range of whole numbers"),
        ("3..1", "the range from 3 to 1 holds nothing"),
        ("2026-02-01..2026-01-01", "the range from 2026-02-01 to 2026-01-01 holds nothing"),
    ],
)
def test_what_is_no_series_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        series(text)
