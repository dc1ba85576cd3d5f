"""Many runs on one clock: each as if it were alone where there is enough, and never more at once than there is."""

from __future__ import annotations

from collections import Counter
from random import Random
from statistics import mean
from typing import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulate.plans import SLOT, draws, same, worlds

from stagebook.scheduler.plan import Plan, PlannedStage, Pool
from stagebook.simulate.crowd import Arrival, Trip, crowd
from stagebook.simulate.play import play
from stagebook.simulate.work import Work

ONE = Plan((PlannedStage("one", (), 0, 0),), (Pool("slot", 1, None, True),), (SLOT,))


def shared(plan: Plan, jobs: int | None = None) -> Plan:
    """Its jobs are runners of all."""
    slot = plan.pools[0]
    return plan._replace(pools=(slot._replace(size=jobs or slot.size, machine=True), *plan.pools[1:]))


def took(trips: Sequence[Trip]) -> list[float]:
    return [trip.end_s - trip.at_s for trip in trips]


@given(worlds(), st.sampled_from((None, 1.0, 0.5)))
def test_one_run_alone_goes_as_it_is_played(world: tuple[Plan, list[float]], speed: float | None) -> None:
    plan, walls_s = world
    speeds = None if speed is None else same(speed)
    [trip] = crowd([Arrival(7.0, shared(plan), draws(walls_s))], {"slot": plan.pools[0].size}, speeds)
    assert trip.at_s == 7.0
    assert trip.end_s - 7.0 == pytest.approx(play(plan, draws(walls_s), speeds).end_s, abs=1e-5)
    assert trip.held_s.get("slot", 0.0) == pytest.approx(sum(walls_s) / (speed or 1.0), abs=1e-4)


@given(st.lists(worlds(), min_size=2, max_size=5), st.integers(1, 4), st.randoms())
def test_no_more_run_at_once_than_there_are_runners(
    several: list[tuple[Plan, list[float]]], runners: int, chance: Random
) -> None:
    """And all runs come to their end, however they meet."""
    arrivals, first = [], 0
    for plan, walls_s in several:
        at_s = chance.choice((0.0, 1.0, 2.5))
        arrivals.append(Arrival(at_s, shared(plan, runners), draws(walls_s), 0, first))
        first += len(plan.stages)
    seen: list[int] = []

    def speeds(running: tuple[int, ...]) -> list[float]:
        seen.append(len(running))
        return [1.0] * len(running)

    trips = crowd(arrivals, {"slot": runners}, speeds)
    assert len(trips) == len(several) and all(trip.end_s >= trip.at_s for trip in trips)
    assert max(seen, default=0) <= runners
    assert sum(trip.held_s.get("slot", 0.0) for trip in trips) == pytest.approx(
        sum(sum(walls_s) for _, walls_s in several), abs=1e-3
    )


def test_who_asks_first_is_served_first() -> None:
    arrivals = [Arrival(at_s, ONE, draws([10.0])) for at_s in (3.0, 1.0, 2.0)]
    trips = crowd(arrivals, {"slot": 1})
    assert [(trip.at_s, trip.end_s) for trip in trips] == [(1.0, 11.0), (2.0, 21.0), (3.0, 31.0)]
    assert [trip.waits_s for trip in trips] == [(0.0,), (9.0,), (18.0,)]


def test_a_pool_of_all_runs_is_one_pool() -> None:
    """Free runners do not help where the database is what is shared, and who waits for it keeps nobody from them."""
    demands = (SLOT, ((0, 1), (1, 1)))
    pools = (Pool("slot", 3, None, True), Pool("pool:db", 1, None, True))
    wants = Plan((PlannedStage("wants", (), 1, 0),), pools, demands)
    free = Plan((PlannedStage("free", (), 0, 0),), pools, demands)
    arrivals = [
        Arrival(0.0, wants, draws([10.0])),
        Arrival(1.0, wants, draws([10.0])),
        Arrival(2.0, free, draws([1.0])),
    ]
    assert [trip.end_s for trip in crowd(arrivals, {"slot": 3, "pool:db": 1})] == [10.0, 20.0, 3.0]


def test_waits_are_those_of_a_queue_with_one_server() -> None:
    """Pollaczek and Khinchine: with constant work of 1 s and half of the time in use, 0.5 s on the average."""
    chance, now_s, arrivals = Random(4), 0.0, []
    for _ in range(6000):
        now_s += chance.expovariate(0.5)
        arrivals.append(Arrival(now_s, ONE, draws([1.0])))
    waits = [trip.waits_s[0] for trip in crowd(arrivals, {"slot": 1})]
    assert mean(waits) == pytest.approx(0.5, rel=0.1)


def test_attempts_that_fail_are_tried_again_among_others() -> None:
    twice = ONE._replace(stages=(ONE.stages[0]._replace(attempts=2, delays_ms=(500,)),))

    def fails_once(stage: int, attempt: int) -> Work:
        return Work(1.0, "failure" if attempt == 1 else "success")

    first, second = crowd([Arrival(0.0, twice, fails_once), Arrival(0.0, ONE, draws([4.0]))], {"slot": 1})
    assert (first.end_s, second.end_s) == (6.0, 5.0)
    assert first.waits_s == (0.0, 3.5)


def test_a_timeout_ends_an_attempt_and_frees_its_runner() -> None:
    short = ONE._replace(stages=(ONE.stages[0]._replace(attempt_timeout_ms=2000),))
    trips = crowd([Arrival(0.0, short, draws([9.0])), Arrival(1.0, ONE, draws([1.0]))], {"slot": 1}, same(1.0))
    assert took(trips) == [2.0, 2.0]


def test_stages_of_all_runs_slow_each_other_down() -> None:
    seen: Counter[tuple[int, ...]] = Counter()

    def halved(running: tuple[int, ...]) -> list[float]:
        seen[running] += 1
        return [1.0 / len(running)] * len(running)

    plan = shared(ONE, 2)
    trips = crowd([Arrival(0.0, plan, draws([2.0])), Arrival(1.0, plan, draws([2.0]))], {"slot": 2}, halved)
    assert [trip.end_s for trip in trips] == [3.0, 4.0]
    assert (0, 0) in seen
