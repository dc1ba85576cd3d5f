"""Declared beside measured: when it is said that they are far apart, and what to reserve instead."""

from __future__ import annotations

import pytest
from tests.plan.past import MIB, pipeline, stage

from stagebook.model.pipeline import Resources
from stagebook.plan import demand
from stagebook.plan.recorded import Attempt
from stagebook.record.story import UNKNOWN, Usage


def took(rss: int | None = None, cpu_s: float | None = None, wall_s: float = 10, method: str = "cgroup") -> Attempt:
    cpu_us = None if cpu_s is None else round(cpu_s * 1e6)
    return Attempt(0, "unit", 0, 0, round(wall_s * 1e6), True, None, Resources(), cpu_us, rss, method)


def compare(attempts: list[Attempt], **declared: int) -> demand.Demand:
    (one,) = demand.compare(pipeline(stage("unit", **declared), stage("other")), attempts)
    return one


def test_far_too_much_memory() -> None:
    """As the requirement has it: declared 1 GiB, measured 210 MiB, so reserve 256 MiB."""
    found = compare([took(210 * MIB)] * 10, memory_bytes=1024 * MIB)
    assert found == ("unit", "memory", 1024 * MIB, 10, 210 * MIB, 210 * MIB, None, 256 * MIB, "too much")


def test_too_little_memory_is_said_after_one_attempt_and_a_figure_after_five() -> None:
    one = compare([took(90 * MIB)], memory_bytes=64 * MIB)
    assert (one.verdict, one.p95, one.reserve) == ("too little", None, None)
    five = compare([took(90 * MIB)] * 5, memory_bytes=64 * MIB)
    assert (five.verdict, five.p95, five.reserve) == ("too little", 90 * MIB, 112 * MIB)


def test_what_is_reserved_holds_the_peak_too() -> None:
    found = compare([took(100 * MIB)] * 99 + [took(500 * MIB)], memory_bytes=600 * MIB)
    assert found.p95 == 100 * MIB
    assert found.reserve is not None
    assert found.reserve >= 500 * MIB
    assert found.verdict == "fits"


@pytest.mark.parametrize("declared", [101, 300, 400])
def test_up_to_four_times_is_not_far(declared: int) -> None:
    assert compare([took(100 * MIB)] * 9, memory_bytes=declared * MIB).verdict == "fits"
    assert compare([took(100 * MIB)] * 9, memory_bytes=401 * MIB).verdict == "too much"


def test_cpu_is_time_by_wall() -> None:
    assert compare([took(cpu_s=5)] * 9, cpu_milli=4000)[4:] == (500, 500, None, 500, "too much")
    assert compare([took(cpu_s=26)] * 9, cpu_milli=2000)[4:] == (2600, 2600, None, 3000, "too little")
    assert compare([took(cpu_s=11)] * 9, cpu_milli=1000).verdict == "fits"


def test_attempts_that_are_too_few_too_short_or_unknown_say_nothing() -> None:
    assert compare([took(cpu_s=5)] * 4, cpu_milli=4000).verdict == "unknown"
    assert compare([took(cpu_s=0.04, wall_s=0.01)] * 9, cpu_milli=1000).attempts == 0
    assert compare([took()] * 9, memory_bytes=MIB)[3:] == (0, None, None, None, None, "unknown")
    assert compare([took(MIB)] * 4, memory_bytes=100 * MIB).verdict == "unknown"


def test_a_peak_of_the_largest_process_is_marked() -> None:
    assert compare([took(MIB, method="wait4")] * 5, memory_bytes=9 * MIB).method == "wait4"


def test_only_what_is_declared_is_compared() -> None:
    assert demand.compare(pipeline(stage("unit")), [took(MIB)]) == []


def test_stages_stand_in_the_order_of_the_file() -> None:
    of = pipeline(stage("b", memory_bytes=MIB), stage("a", cpu_milli=1, memory_bytes=MIB))
    assert [(one.stage, one.resource) for one in demand.compare(of, [])] == [
        ("b", "memory"), ("a", "cpu"), ("a", "memory"),
    ]  # fmt: skip


def used(rss: int | None, method: str | None = "cgroup") -> Usage:
    return UNKNOWN._replace(max_rss_bytes=rss, max_rss_method=method)


def test_a_percentile_is_the_nearest_rank() -> None:
    assert demand.percentile([3], 0.95) == 3
    assert demand.percentile(list(range(1, 21)), 0.95) == 19
    assert demand.percentile(list(range(1, 101)), 0.95) == 95
    assert demand.percentile([1, 2], 0.95) == 2
