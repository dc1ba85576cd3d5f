"""Figures of many runs: Wilson's interval, quantiles, and when two lots are said to differ."""

from __future__ import annotations

import random
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.history import figures


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        # Table I of R. G. Newcombe, Two-sided confidence intervals for the single proportion, Stat. Med. 17 (1998).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(count: int, of: int, low: float, high: float) -> None:
    found = figures.wilson(count, of)
    assert found is not None
    assert found == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 5000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_wilson_holds_the_share_and_mirrors(pair: tuple[int, int]) -> None:
    count, of = pair
    low, high = figures.wilson(count, of) or (2.0, -1.0)
    assert 0 <= low <= count / of <= high <= 1
    other = figures.wilson(of - count, of) or (2.0, -1.0)
    assert (1 - high, 1 - low) == pytest.approx(other)


def test_wilson_covers_about_as_often_as_it_says() -> None:
    n = 20
    for share in (0.1, 0.2, 0.5):
        covered = sum(
            comb(n, k) * share**k * (1 - share) ** (n - k)
            for k in range(n + 1)
            if (interval := figures.wilson(k, n)) and interval[0] <= share <= interval[1]
        )
        assert 0.92 <= covered <= 0.99, share


def test_nothing_has_no_share() -> None:
    assert figures.wilson(0, 0) is None
    assert figures.rate(0, 0)["rate"] is None


@given(st.lists(st.integers(0, 10**9), min_size=1), st.floats(0, 1))
def test_a_quantile_lies_among_the_values(values: list[int], share: float) -> None:
    values.sort()
    assert values[0] <= figures.quantile(values, share) <= values[-1]
    assert figures.quantile(values, 0) == values[0]
    assert figures.quantile(values, 1) == values[-1]


def test_quantiles_are_those_of_the_textbook() -> None:
    assert figures.quantile([1, 2, 3, 4], 0.5) == 2.5
    assert figures.quantile([10, 20, 30, 40, 50], 0.95) == pytest.approx(48)


@pytest.mark.parametrize("number", range(figures.ENOUGH + 1))
def test_too_few_values_have_no_quantile(number: int) -> None:
    found = figures.spread([3.0] * number)
    assert found["n"] == number
    assert (found["median"] is None) == (number < figures.ENOUGH)
    assert (found["max"] is None) == (number == 0)


def test_the_interval_of_a_median_holds_it_as_often_as_it_says() -> None:
    chance = random.Random(7)
    for n in (6, 15, 40):
        held = 0
        for _ in range(2000):
            low, high = figures.median_interval([chance.random() for _ in range(n)]) or (1.0, 0.0)
            held += low <= 0.5 <= high
        assert held >= 0.94 * 2000, n
    assert figures.median_interval([1.0] * 5) is None
    low, high = figures.median_interval([float(value) for value in range(2001)]) or (0, 0)
    assert 950 < low < 1000 < high < 1050


def test_a_difference_is_only_told_where_it_is_shown() -> None:
    lot = [float(value) for value in range(100, 115)]
    assert figures.differs(lot, [value + 50 for value in lot]) == 1
    assert figures.differs([value + 50 for value in lot], lot) == -1
    assert figures.differs(lot, [value + 2 for value in lot]) == 0
    assert figures.differs(lot[:5], lot) is None
