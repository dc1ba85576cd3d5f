"""A quarantine in words, before, on and after its last day."""

from __future__ import annotations

import pytest
from tests.condition.reading import pipeline

from stagebook.condition.quarantine import problems

MADE = pipeline("stages: {a: {run: x, quarantine: {owner: ops, until: 2027-01-31}}, b: x}\n")


@pytest.mark.parametrize(
    ("today", "words", "warning"),
    [
        ("2026-11-25", "quarantined: ops, until 2027-01-31", None),
        ("2027-01-23", "quarantined: ops, until 2027-01-31", None),
        ("2027-01-24", "quarantined: ops, until 2027-01-31", "quarantine ends in 7 days, on 2027-01-31; owner: ops"),
        ("2027-01-30", "quarantined: ops, until 2027-01-31", "quarantine ends tomorrow, on 2027-01-31; owner: ops"),
        ("2027-01-31", "quarantined: ops, until 2027-01-31", "quarantine ends today, on 2027-01-31; owner: ops"),
        (
            "2027-02-01",
            "quarantine expired on 2027-01-31",
            "quarantine expired on 2027-01-31, so a failure counts again; owner: ops",
        ),
    ],
)
def test_before_on_and_after_its_last_day(today: str, words: str, warning: str | None) -> None:
    quarantine = MADE.stages[0].quarantine
    assert quarantine is not None
    assert quarantine.said(today) == words
    said = [(each.level, each.message) for each in problems(MADE, today)]
    assert said == ([] if warning is None else [("warning", f"`a`: {warning}")])
