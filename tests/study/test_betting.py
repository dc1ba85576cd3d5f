"""The bet against chance: arithmetic that can be done by hand, and what it promises over many imagined experiments."""

from __future__ import annotations

import math

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.study import betting

ALPHA = 0.05
differences = st.lists(st.floats(-3, 3, allow_nan=False), min_size=1, max_size=25)


def drifting(generator: numpy.random.Generator, pairs: int, draws: int) -> numpy.ndarray:
    """(pairs, draws): log ratios of equal arms on a machine that gets slower, in bursts; a coin orders each pair."""
    steps = generator.normal(0, 0.3, (2 * pairs, draws))
    load = numpy.empty_like(steps)
    load[0] = steps[0]
    for at in range(1, 2 * pairs):
        load[at] = 0.8 * load[at - 1] + steps[at] + 0.03
    coin = 2 * generator.integers(0, 2, (pairs, draws)) - 1
    return (load[1::2] - load[0::2]) * coin


def test_r107_seven_equal_pairs_are_enough_and_six_are_not() -> None:
    capital = betting.capital([-0.5] * 7)
    assert capital[0] == pytest.approx(1.0)
    by_hand = sum((1 + stake) ** 7 + (1 - stake) ** 7 for stake in betting.STAKES) / (2 * len(betting.STAKES))
    assert capital[6] == pytest.approx(by_hand)
    assert capital[5] < 1 / ALPHA <= capital[6]
    assert (betting.least_pairs(ALPHA), betting.least_pairs(0.001)) == (7, 13)


def test_a_small_difference_is_staked_less_than_a_great_one() -> None:
    assert betting.capital([-1, -1, -0.01])[-1] < betting.capital([-1, -1, -1])[-1]


@given(differences)
def test_which_arm_is_called_first_makes_no_difference(values: list[float]) -> None:
    assert betting.capital(values) == pytest.approx(betting.capital([-value for value in values]))


@given(differences)
def test_the_unit_of_time_makes_no_difference(values: list[float]) -> None:
    moderate = [value for value in values if value == 0 or abs(value) > 1e-3]
    assert betting.capital(moderate) == pytest.approx(betting.capital([2 * value for value in moderate]))


@given(differences)
def test_the_next_pair_is_fair_whatever_was_before(values: list[float]) -> None:
    """A martingale: with the sizes given, the mean over both signs of the last pair is what one had before."""
    *before, last = values
    had = betting.capital(before)[-1] if before else 1.0
    have = [betting.capital([*before, sign * last])[-1] for sign in (1, -1)]
    assert sum(have) / 2 == pytest.approx(had)


@settings(max_examples=40)
@given(differences)
def test_the_interval_leaves_out_zero_exactly_when_the_bet_was_ever_won(values: list[float]) -> None:
    found = betting.interval(values, ALPHA)
    assert found is not None
    won = max(betting.capital(values)) >= 1 / ALPHA
    has_zero = (found.low is None or found.low <= 0) and (found.high is None or found.high >= 0)
    assert not won or not has_zero or found.low == found.high == 0


@settings(max_examples=30)
@given(differences, st.floats(-2, 2))
def test_a_faster_second_arm_moves_the_interval_as_far(values: list[float], by: float) -> None:
    one, other = betting.interval(values, ALPHA), betting.interval([value + by for value in values], ALPHA)
    assert one is not None and other is not None
    assert other.median == pytest.approx(one.median + by)
    for before, after in zip(one[1:], other[1:]):
        assert (before is None) == (after is None)
        assert before is None or after == pytest.approx(before + by, abs=0.02)


def test_too_few_pairs_bound_nothing() -> None:
    assert betting.interval([], ALPHA) is None
    assert betting.interval([-0.5] * 6, ALPHA) == (-0.5, None, None)


def test_more_pairs_narrow_the_interval() -> None:
    values = [-0.5 + 0.1 * math.sin(at) for at in range(40)]
    widths = []
    for count in (8, 16, 40):
        found = betting.interval(values[:count], ALPHA)
        assert found is not None and found.low is not None and found.high is not None
        assert found.low <= -0.5 <= found.high
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.12


def test_r107_false_alarms_stay_below_the_level_with_a_look_after_every_pair_and_drift() -> None:
    paths = drifting(numpy.random.default_rng(5), 40, 2000)
    alarms = (betting.capitals(paths) >= 1 / ALPHA).any(axis=0).mean()
    assert 0.005 < alarms <= ALPHA  # as good as no alarm at all would be a bet that is never won


def test_r107_the_interval_holds_the_truth_at_all_times_at_once() -> None:
    """The running intersection, after the last pair, is what was possible after every one."""
    missed = 0
    for series in drifting(numpy.random.default_rng(6), 15, 120).T:
        found = betting.interval(list(series + math.log(0.7)), ALPHA)
        assert found is not None
        truth = math.log(0.7)
        missed += not ((found.low or -9) - 1e-3 <= truth <= (found.high if found.high is not None else 9) + 1e-3)
    assert missed <= 10  # 6 are expected at most; of 120 with a chance of 5 %, more than 10 come once in 30


def test_a_difference_of_thirty_percent_is_found_soon() -> None:
    paths = drifting(numpy.random.default_rng(7), 40, 1000) * 0.5 + math.log(0.7)
    won = betting.capitals(paths) >= 1 / ALPHA
    assert won.any(axis=0).mean() > 0.97


def test_how_many_more_pairs() -> None:
    noisy = [-0.1, 0.2, -0.3, 0.1, -0.2, 0.05]
    large = betting.more_pairs(noisy, ALPHA, math.log(0.7), 1)
    small = betting.more_pairs(noisy, ALPHA, math.log(0.9), 1)
    assert large is not None and small is not None
    assert 2 <= large < small
    assert large == betting.more_pairs(noisy, ALPHA, math.log(0.7), 1)
    assert betting.more_pairs([-0.5] * 4, ALPHA, -0.5, 1) == 3
    assert betting.more_pairs([-1, 1, -1, 1], ALPHA, math.log(0.95), 1) is None
    assert betting.more_pairs([-0.5], ALPHA, -0.5, 1) is None
