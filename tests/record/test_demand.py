"""Declared demand that is far from the measured is told, and nothing that is not known to be far."""

from __future__ import annotations

from typing import Any

import pytest
from tests.record.play import pipeline, stage
from tests.record.scribe import EPOCH_US

from stagebook.model.pipeline import Resources
from stagebook.record.story import Around, Story, Usage

SECOND = 1_000_000
GIB = 1 << 30
CALM = Around(over_s=10.0, pressure_method="cgroup", cpu_some=0.02)


def demand(
    resources: Resources, usage: Usage, around: Around | None = CALM, outcome: str = "success", wall_s: int = 10
) -> Any:
    pipe = pipeline(stage("a")._replace(resources=resources))
    told = Story(pipe, "01M86ACQ6N2NG1B6NHNQHWE882", EPOCH_US, mode="parallel", jobs=2)
    told.started(0, 1, 0, 0)
    told.exited(0, 1, wall_s * SECOND, outcome, usage=usage, around=around)
    told.ended(0, wall_s * SECOND, outcome)
    told.finished(wall_s * SECOND, outcome)
    return told.document()["demand"]


def cpu(seconds: float) -> Usage:
    return Usage(cpu_user_s=seconds, cpu_system_s=0.0, method="cgroup")


@pytest.mark.parametrize(
    ("declared", "seconds", "measured"),
    [(1000, 10.0, None), (1000, 21.0, 2.1), (1000, 19.0, None), (4000, 9.0, 0.9), (4000, 21.0, None), (100, 4.0, None)],
)
def test_cores_are_far_off_from_twice_or_half_on(declared: int, seconds: float, measured: float | None) -> None:
    far = [{"stage": "a", "what": "cpu", "declared": declared / 1000, "measured": measured}]
    assert demand(Resources(cpu_milli=declared), cpu(seconds)) == (far if measured is not None else [])


@pytest.mark.parametrize("around", [None, Around(), CALM._replace(cpu_some=0.4)])
def test_too_few_cores_are_not_said_where_it_may_have_wanted_more(around: Around | None) -> None:
    assert demand(Resources(cpu_milli=4000), cpu(5.0), around) == []
    assert demand(Resources(cpu_milli=1000), cpu(30.0), around) != [], "too many are"


@pytest.mark.parametrize(
    ("peak", "method", "is_far"),
    [
        (GIB, "cgroup", False),
        (GIB * 6 // 5, "wait4", False),
        (GIB * 4 // 3, "wait4", True),
        (GIB // 4, "cgroup", True),
        (GIB // 4, "wait4", False),
        (None, None, False),
    ],
)
def test_memory_of_the_largest_process_says_only_that_it_took_no_less(
    peak: int | None, method: str | None, is_far: bool
) -> None:
    found = demand(Resources(memory_bytes=GIB), Usage(max_rss_bytes=peak, max_rss_method=method))
    assert found == ([{"stage": "a", "what": "memory", "declared": GIB, "measured": peak}] if is_far else [])


def test_nothing_is_said_of_what_did_not_declare_or_did_not_end_well_or_was_short() -> None:
    assert demand(Resources(), cpu(100.0)) == []
    assert demand(Resources(cpu_milli=1000), cpu(100.0), outcome="failure") == []
    assert demand(Resources(cpu_milli=1000), cpu(10.0), wall_s=0) == []
    assert demand(Resources(cpu_milli=1000), Usage()) == []
