"""Runs drawn from a profile: the same by seed, as far apart as those on record, stages of a run together."""

from __future__ import annotations

import pickle
import random
from math import exp, sqrt
from statistics import median
from typing import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plan.known import of, row, samples, walls
from tests.plan.past import pipeline, stage

from stagebook.model.pipeline import Pipeline, Retry
from stagebook.plan.draws import draws, typical
from stagebook.plan.profile import Profile, StageProfile, build
from stagebook.simulate.work import Draw, Work


def took(draw: Draw, count: int) -> list[float]:
    return [draw(index, 1).wall_s for index in range(count)]


def known(*stages: StageProfile) -> tuple[Profile, Pipeline]:
    return Profile(tuple(stages), "history", 5), of(*[each.stage for each in stages])


# The same again ---------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**64), st.integers(1, 30))
def test_draws_are_the_same_by_seed_in_whatever_order_they_are_asked(seed: int, count: int) -> None:
    chance = random.Random(seed)
    pipe = of("a", "b", "c")
    profile = build(pipe, walls({name: [chance.lognormvariate(0, 0.5) for _ in range(9)] for name in "abc"}))
    first = [took(draw, 3) for draw in draws(profile, pipe, count, seed)]
    again = [[draw(index, 1).wall_s for index in (2, 1, 0)] for draw in reversed(draws(profile, pipe, count, seed))]
    assert [each[::-1] for each in reversed(again)] == first
    assert [took(draw, 3) for draw in draws(profile, pipe, count + 5, seed)][:count] == first
    assert count < 3 or first != [took(draw, 3) for draw in draws(profile, pipe, count, seed + 1)]


def test_draws_can_be_sent_to_another_process() -> None:
    pipe = of("a")
    drawn = draws(build(pipe, walls({"a": [1.0, 2.0, 3.0]})), pipe, 3, 1)
    sent = pickle.loads(pickle.dumps(drawn))
    assert [took(draw, 1) for draw in sent] == [took(draw, 1) for draw in drawn]


# How far apart ----------------------------------------------------------------------------------------------------


def test_what_is_known_to_be_always_alike_is_drawn_so() -> None:
    pipe = pipeline(stage("a"), stage("b")._replace(duration_ms=0), stage("c")._replace(duration_ms=7000), stage("d"))
    assert took(draws(build(pipe, walls({"a": [2.0] * 6})), pipe, 1, 1)[0], 4) == pytest.approx([2.0, 0.0, 7.0, 2.0])
    assert took(draws(build(pipe, walls({"a": [2.0]})), pipe, 1, 1)[0], 4) == pytest.approx([2.0, 0.0, 7.0, 2.0])
    assert took(draws(build(pipe, None), pipe, 1, 1)[0], 4) == [3.5, 0.0, 7.0, 3.5]


def test_no_stage_at_all() -> None:
    assert len(draws(build(pipeline(), None), pipeline(), 2, 1)) == 2


def test_a_stage_with_one_run_is_as_uncertain_as_the_others() -> None:
    chance = random.Random(5)
    pipe = of("a", "b", "c", "new")
    rows = {name: [chance.lognormvariate(0, 0.4) for _ in range(40)] for name in "abc"}
    profile = build(pipe, walls(rows | {"new": [3.0]}))
    new = sorted(draw(3, 1).wall_s for draw in draws(profile, pipe, 400, 2))
    assert median(new) == pytest.approx(3.0, rel=0.15)
    assert new[360] / new[40] > 2


def test_what_company_costs_is_no_spread_of_a_stage() -> None:
    rows = [row(number, "a", 1.0) for number in range(6)] + [
        row(6 + number, "a", 4.0, company=2.0) for number in range(6)
    ]
    pipe = of("a")
    assert {draw(0, 1).wall_s for draw in draws(build(pipe, samples(rows)), pipe, 50, 3)} == {1.0}


def test_the_latest_runs_are_likelier_than_old_ones() -> None:
    pipe = of("a")
    profile = build(pipe, walls({"a": [1.0] * 20 + [3.0] * 20}))
    drawn = [draw(0, 1).wall_s for draw in draws(profile, pipe, 400, 4)]
    assert 0.8 < sum(each > 2.0 for each in drawn) / 400 < 0.95


# Quantiles --------------------------------------------------------------------------------------------------------


def history(chance: random.Random, runs: int, stages: int, common: float) -> list[list[float]]:
    """How long stages took, a run each: their logarithms vary by 0.35, of which runs have a share in common."""
    apart = 0.35 * sqrt(1 - common)
    together = [0.35 * sqrt(common) * chance.gauss(0, 1) for _ in range(runs)]
    return [
        [(1 + index) * exp(shift + apart * chance.gauss(0, 1)) for index in range(stages)] for shift in together
    ]  # fmt: skip


def hits(common: float, on_record: int, shares: Sequence[float], stages: int = 7) -> tuple[list[float], list[float]]:
    """Which share of runs to come took no longer than each quantile that is foretold: by draws, and by drawing each
    stage for itself."""
    pipe = of(*[f"s{index}" for index in range(stages)])
    told, alone, cases, count = [0] * len(shares), [0] * len(shares), 60, 200
    for case in range(cases):
        chance = random.Random(f"{common} {on_record} {case}")
        runs = history(chance, on_record + 5, stages, common)
        past, to_come = runs[:on_record], [sum(each) for each in runs[on_record:]]
        profile = build(pipe, walls({f"s{index}": [each[index] for each in past] for index in range(stages)}))
        drawn = sorted(sum(took(draw, stages)) for draw in draws(profile, pipe, count, case))
        apart = sorted(sum(chance.choice(past)[index] for index in range(stages)) for _ in range(count))
        for at, share in enumerate(shares):
            told[at] += sum(each <= drawn[int(share * count)] for each in to_come)
            alone[at] += sum(each <= apart[int(share * count)] for each in to_come)
    return [each / cases / 5 for each in told], [each / cases / 5 for each in alone]


@pytest.mark.parametrize(("common", "on_record"), [(0.0, 30), (0.5, 10), (0.5, 30)])
def test_r090_so_many_runs_to_come_lie_under_a_quantile(common: float, on_record: int) -> None:
    shares = [0.1, 0.5, 0.8, 0.95]
    found, _ = hits(common, on_record, shares)
    assert found == pytest.approx(shares, abs=0.09)


def test_r090_stages_that_have_something_in_common_are_not_drawn_apart() -> None:
    together, apart = hits(0.7, 30, [0.1, 0.9])
    assert together == pytest.approx([0.1, 0.9], abs=0.07)
    assert apart[0] > 0.2
    assert apart[1] < 0.82


def test_what_waits_for_an_answer_has_no_share_in_a_busy_machine() -> None:
    """Though it is the larger part of the stages, runs are as far apart as they were, and it is as steady as it was."""
    chance = random.Random(8)
    busy = [exp(0.4 * chance.gauss(0, 1)) for _ in range(30)]
    pipe = of("w1", "work", "w2", "w3")
    waits = {name: [1.0 + 0.01 * chance.random() for _ in busy] for name in ("w1", "w2", "w3")}
    profile = build(pipe, walls(waits | {"work": [3.0 * factor for factor in busy]}))
    drawn = [took(draw, 4) for draw in draws(profile, pipe, 400, 9)]
    assert max(each[0] for each in drawn) < 1.4
    work = sorted(each[1] for each in drawn)
    assert work[360] / work[40] > 1.8


# Failures and conditions ------------------------------------------------------------------------------------------


def failing(failed: int, ran: int, retry: Retry, count: int = 300) -> list[list[Work]]:
    profile, _ = known(StageProfile("a", "history", (1.0,) * 5, tuple(range(5)), failed=failed, ran=ran))
    pipe = pipeline(stage("a")._replace(retry=retry))
    return [[draw(0, attempt) for attempt in (1, 2, 3)] for draw in draws(profile, pipe, count, 6)]


def test_attempts_fail_as_often_as_they_did_and_the_last_one_passes() -> None:
    drawn = failing(1, 4, Retry(3))
    assert 0.18 < sum(works[0].outcome == "failure" for works in drawn) / 300 < 0.32
    assert 0.03 < sum(works[1].outcome == "failure" for works in drawn) / 300 < 0.11
    assert {works[2].outcome for works in drawn} == {"success"}
    assert all(works[0].outcome == "failure" for works in drawn if works[1].outcome == "failure")


@pytest.mark.parametrize(
    ("retry", "word"), [(Retry(1), "success"), (Retry(2, only=("timeout", "exit 3")), "timeout"),
                        (Retry(2, only=("exit 75",)), "success"), (Retry(2), "failure")],
)  # fmt: skip
def test_an_attempt_fails_only_where_another_follows(retry: Retry, word: str) -> None:
    for first, second, _ in failing(3, 3, retry, 5):
        assert (first.outcome, second.outcome) == (word, "success")


def test_stages_that_a_condition_skips_together_are_skipped_together() -> None:
    off = tuple(range(0, 20, 2))
    on = tuple(range(1, 20, 2))
    profile, pipe = known(
        StageProfile("always", "history", (1.0,) * 20, tuple(range(20))),
        *[
            StageProfile(name, "history", (5.0,) * 10, on, failed=1, ran=9, ran_share=0.5, skipped_at=off)
            for name in "ab"
        ],
    )  # fmt: skip
    drawn = [tuple(took(draw, 3)) for draw in draws(profile, pipe, 300, 7)]
    assert {*drawn} == {(1.0, 5.0, 5.0), (1.0, 0.0, 0.0)}
    assert 0.35 < drawn.count((1.0, 0.0, 0.0)) / 300 < 0.65
    assert took(typical(profile), 3) == [1.0, 5.0, 5.0]
    rare = profile._replace(stages=tuple([each._replace(ran_share=0.4) for each in profile.stages[1:]]))
    assert took(typical(rare), 2) == [0.0, 0.0]


def test_the_typical_run_is_of_medians_and_passes() -> None:
    profile = build(of("a", "b"), walls({"a": [1.0, 9.0, 2.0], "b": [4.0]}))
    assert [typical(profile)(index, 2) for index in (0, 1)] == [Work(2.0), Work(4.0)]


def test_what_one_stage_had_in_a_run_of_a_part_is_not_what_a_run_has() -> None:
    """`b` was run alone once, when it took ten times as long."""
    pipe = of("a", "b")
    told = walls({"a": [10.0, 10.5, 10.0, 10.5], "b": [1.0, 1.0, 1.0, 1.0]})
    part = samples([*told.rows, row(4, "b", 10.0)])
    part = part._replace(runs=(*part.runs[:4], part.runs[4]._replace(part=True)))
    profile = build(pipe, part)
    assert (profile.runs, profile.parts) == (4, {4})
    assert max([took(draw, 1)[0] for draw in draws(profile, pipe, 300, 1)]) < 12
    only = build(pipe, samples([row(0, "a"), row(1, "b"), row(2, "b")], part=True))
    assert only.runs == 1, "as many whole runs could be put together"
