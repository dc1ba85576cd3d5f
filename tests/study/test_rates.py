"""Failure rates of two arms, pair by pair, against what others compute."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stagebook.study import rates

ALPHA = 0.05
BOTH, FIRST, SECOND, NONE = (True, True), (True, False), (False, True), (False, False)


def test_one_arm_that_fails_in_every_pair_is_shown_to() -> None:
    found = rates.compare([SECOND] * 7, ALPHA)
    assert (found["difference"], found["shown"]) == (1.0, "fails more")
    assert found["p"] == pytest.approx(2 * 0.5**7, abs=1e-6)
    assert rates.compare([FIRST] * 7, ALPHA)["shown"] == "fails less"


def test_r107_two_of_twenty_are_not_enough_and_the_interval_says_so() -> None:
    found = rates.compare([SECOND] * 2 + [NONE] * 18, ALPHA)
    assert (found["difference"], found["shown"], found["p"]) == (0.1, None, 0.5)
    # Newcombe's method 10 for 2/20 against 0/20, by hand of his formula
    assert (found["low"], found["high"]) == (pytest.approx(-0.0765, abs=2e-4), pytest.approx(0.3010, abs=2e-4))


def test_pairs_in_which_both_fail_tell_nothing() -> None:
    found = rates.compare([BOTH] * 12, ALPHA)
    assert (found["difference"], found["p"], found["evidence"], found["shown"]) == (0.0, None, 1.0, None)
    assert rates.compare([], ALPHA)["difference"] is None


@given(st.lists(st.sampled_from([BOTH, FIRST, SECOND, NONE]), min_size=1, max_size=30))
def test_exact_as_scipy_and_even_handed(pairs: list[tuple[bool, bool]]) -> None:
    found, turned = rates.compare(pairs, ALPHA), rates.compare([(b, a) for a, b in pairs], ALPHA)
    apart = pairs.count(FIRST) + pairs.count(SECOND)
    if apart:
        assert found["p"] == pytest.approx(stats.binomtest(pairs.count(SECOND), apart).pvalue, abs=1e-6)
    assert found["difference"] == pytest.approx(-turned["difference"])
    assert found["low"] == pytest.approx(-turned["high"], abs=1e-5)
    assert found["low"] <= found["difference"] <= found["high"]
