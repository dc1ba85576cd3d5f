"""How far a run under way has come, for pictures of it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.report import documents

from stagebook.cli.timeline import _now_us
from stagebook.report.rows import instants

HOUR = 3600.0


def resumed() -> dict[str, Any]:
    """Its engine was killed after 5 s, and another went on an hour later: the run's own clock stood still meanwhile."""
    first = {**documents.attempt(0, 5, outcome="error", reason="interrupted"), "from_s": 0.0, "to_s": 5.0}
    second = {**documents.attempt(HOUR, None, outcome=None, number=2), "from_s": 5.0, "to_s": None}
    return documents.run([documents.stage("a", first, second)], None, outcome=None, state="running")


@pytest.mark.parametrize(("after_s", "now_s"), [(HOUR, 5.0), (HOUR + 7, 12.0)])
def test_now_is_on_the_clock_of_the_run(monkeypatch: pytest.MonkeyPatch, after_s: float, now_s: float) -> None:
    document = resumed()
    us = instants()(document["started"]) + round(after_s * 1e6)
    monkeypatch.setattr(time, "time_ns", lambda: us * 1000)
    assert _now_us(document) == now_s * 1e6


def test_a_run_that_nothing_holds_has_no_now() -> None:
    assert _now_us({**resumed(), "state": "interrupted"}) is None
    assert _now_us(documents.release(state="ended")) is None
