"""Pairs that overlap in runs that fail: the arithmetic against scipy's, a planted pair, false alarms."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from stagebook.history import together
from stagebook.history.together import Pair, fisher, holm, suspects
from stagebook.report.together import question

NAMES = "abcdefgh"


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 60), st.data())
def test_p_is_that_of_fishers_exact_test(of: int, of_others: int, data: Any) -> None:
    hits, others = data.draw(st.integers(0, of)), data.draw(st.integers(0, of_others))
    expected = fisher_exact([[hits, of - hits], [others, of_others - others]], alternative="greater").pvalue
    assert fisher(hits, of, others, of_others) == pytest.approx(float(expected), abs=1e-9)


def test_holm_by_hand() -> None:
    pairs = [Pair(("a", name), 0, 1, 0, 1, p, p) for name, p in (("b", 0.01), ("c", 0.04), ("d", 0.03), ("e", 0.5))]
    assert [pair.corrected for pair in holm(pairs)] == pytest.approx([0.04, 0.09, 0.09, 0.5])


def history(seed: int, runs: int = 60, planted: bool = False, failing: float = 0.2) -> list[tuple[bool, Any]]:
    """Stages that begin by chance; with `planted`, a run fails when a and b meet."""
    chance = random.Random(seed)
    made = []
    for _ in range(runs):
        spans = [(name, begin, begin + 10) for name in NAMES for begin in [chance.randrange(60)]]
        meets = abs(spans[0][1] - spans[1][1]) < 10
        fails = (meets and chance.random() < 0.9) if planted else chance.random() < failing
        made.append((fails, spans))
    return made


@pytest.mark.parametrize("seed", range(10))
def test_a_planted_pair_is_found_and_clearest(seed: int) -> None:
    found = suspects(history(seed, planted=True))
    assert found[0].stages == ("a", "b")
    assert found[0].failed == found[0].of_failed, "it fails at no other time"


def test_chance_is_blamed_no_more_often_than_is_said() -> None:
    """So many of 200 histories, at 5 %, would be exceeded by chance in one of a thousand; the test is stricter than it
    says, as counts are whole."""
    alarms = sum(bool(suspects(history(seed))) for seed in range(200))
    assert alarms <= 20, alarms


def test_nothing_is_said_where_nothing_can_be_told() -> None:
    assert suspects([]) == []
    assert suspects(history(1, failing=0.0)) == suspects(history(1, failing=1.0)) == []
    always = [(number % 2 == 0, [("a", 0, 9), ("b", 1, 8)]) for number in range(40)]
    assert suspects(always) == []


def test_stages_that_only_touch_do_not_overlap() -> None:
    touching = [(True, [("a", 0, 5), ("b", 5, 9)])] * 9 + [(False, [("a", 0, 5), ("b", 20, 25)])] * 9
    assert suspects(touching) == []
    meeting = [(True, [("a", 0, 6), ("b", 5, 9)])] * 9 + [(False, [("a", 0, 5), ("b", 20, 25)])] * 9
    assert [pair.stages for pair in suspects(meeting)] == [("a", "b")]


def test_a_wide_pipeline_takes_no_longer_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "OVERLAPS_MAX", 3000)
    wide = [(number % 2 == 0, [(f"s{at}", 0, 5) for at in range(60)]) for number in range(1000)]
    assert suspects(wide) == []


def test_it_is_a_question() -> None:
    said = question(together.plain(Pair(("a", "b"), 9, 10, 1, 40, 1e-6, 3e-5)))
    assert said == (
        "do a and b disturb each other? They overlapped in 9 of 10 failed and 1 of 40 passed runs "
        "(p = 3e-05, corrected for the number of pairs)"
    )
