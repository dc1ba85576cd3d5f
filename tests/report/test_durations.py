"""Numbers as DESIGN writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.report.durations import NO_BREAK, Form, count, instant_us, plural, size, span, ticks


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.0004, "0 ms"),
        (0.64, "640 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (9, "9 s"),
        (9.4, "9.4 s"),
        (9.96, "10 s"),
        (38, "38 s"),
        (59.6, "1 m 00 s"),
        (361, "6 m 01 s"),
        (3599.6, "1 h 00 m"),
        (3840, "1 h 04 m"),
        (86_399, "1 d 0 h"),
        (183_600, "2 d 3 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_a_page_can_ask_for_spaces_that_do_not_break() -> None:
    assert span(361, NO_BREAK) == "6\u00a0m\u00a001\u00a0s"


@given(st.floats(0, 1e7), st.floats(0, 1e7))
def test_a_longer_time_never_reads_shorter(one: float, other: float) -> None:
    units = {"ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86_400}

    def value(text: str) -> float:
        words = text.split()
        return sum(float(number) * units[unit] for number, unit in zip(words[::2], words[1::2]))

    low, high = sorted((one, other))
    assert value(span(low)) <= value(span(high))


def test_a_column_has_one_form() -> None:
    assert [Form(131_000_000).text(us) for us in (0, 400_000, 9_400_000, 131_000_000)] == [
        "–",
        "<1 s",
        "9 s",
        "2 m 11 s",
    ]
    assert [Form(2_500_000).text(us) for us in (0, 10_000, 640_000, 2_500_000)] == ["–", "<0.1 s", "0.6 s", "2.5 s"]
    assert [Form(640_000).text(us) for us in (0, 10, 640_000)] == ["–", "<1 ms", "640 ms"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (1023, "1023 B"),
        (4096, "4.0 KiB"),
        (2**20 - 1, "1.0 MiB"),
        (int(3.8 * 2**30), "3.8 GiB"),
        (2**50, "1024 TiB"),
    ],
)
def test_sizes_count_in_1024(number: int | None, text: str) -> None:
    assert size(number) == text


def test_counts_have_thin_spaces_and_nouns_their_plural() -> None:
    assert count(1_204_000) == "1\u2009204\u2009000"
    assert plural(1, "stage") == "1 stage"
    assert plural(2, "stage") == "2 stages"


@given(st.integers(1, 10**13), st.integers(8, 200))
def test_labels_of_an_axis_never_touch(total_us: int, width: int) -> None:
    last = 0
    for cell, label in ticks(total_us, width):
        assert cell - len(label) + 1 > last
        assert cell <= width
        last = cell


@given(st.datetimes(datetime(1970, 1, 2), datetime(2199, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_instants_are_read_as_datetime_reads_them(moment: datetime, offset: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for form in ("microseconds", "milliseconds", "seconds"):
        text = aware.isoformat(timespec=form)
        assert instant_us(text) == (datetime.fromisoformat(text) - epoch) // timedelta(microseconds=1)
    assert instant_us("2026-07-12T07:12:03Z") == instant_us("2026-07-12T09:12:03+02:00")
