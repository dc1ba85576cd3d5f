"""Quantiles of simulated runs: exact where nothing varies, firm where it does, the same for any number of processes."""

from __future__ import annotations

import math
import multiprocessing
import random
from typing import Any, Sequence

import pytest

from stagebook.model.pipeline import Pipeline, Pool, Resources, Retry, Stage
from stagebook.plan import forecast as forecasting
from stagebook.plan.contention import UNTAUGHT, Calibration
from stagebook.plan.forecast import Basis, count, ends, forecast, forecasts, interval, most_at_once, quantile, typical
from stagebook.scheduler.plan import Choice
from stagebook.simulate.work import Draw, Span, Work

TWO = Choice(cores=2, jobs=2)


def stage(id: str, *needs: str, **more: Any) -> Stage:
    return Stage(id, id, 1, 1, "run", "true", needs, **more)


def pipeline(*stages: Stage, **more: Any) -> Pipeline:
    return Pipeline("p", "/x/stagebook.yaml", "native", "", stages, **more)


def always(*walls_s: float) -> Draw:
    return lambda stage, attempt: Work(walls_s[stage])


def basis(walls_s: Sequence[float], spread: float = 0.0, runs: int = 500, **more: Any) -> Basis:
    """Each run's stages are drawn around `walls_s`, by the number of the run."""

    def run(number: int) -> Draw:
        return lambda stage, attempt: Work(
            walls_s[stage] * random.Random(number * 100 + stage).lognormvariate(0, spread)
        )

    return Basis([run(number) for number in range(runs)], always(*walls_s), **more)


FAN = pipeline(*(stage(f"s{at}") for at in range(6)), stage("end", *(f"s{at}" for at in range(6))))
FAN_S = (3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 4.0)


def test_where_nothing_varies_the_forecast_is_the_run() -> None:
    found = forecast(FAN, TWO, basis(FAN_S))
    assert (found.makespan_s, found.p95_s, found.low_s, found.high_s) == (10.0, 10.0, 10.0, 10.0)
    assert (found.jobs, found.sequential, found.width, found.failed) == (2, False, 2, 0.0)
    assert found.draws == forecasting.DRAWS_FIRST, "more runs were played though all is firm"
    in_order = forecast(FAN, TWO._replace(sequential=True), basis(FAN_S))
    assert (in_order.makespan_s, in_order.jobs, in_order.sequential) == (16.0, 1, True)


def test_use_and_waiting_are_those_of_the_pools() -> None:
    held = Resources(pools={"db": 1})
    made = pipeline(stage("a", resources=held), stage("b", resources=held), stage("c"), pools={"db": Pool(1)})
    found = forecast(made, Choice(cores=2, jobs=4), basis((2.0, 2.0, 1.0)))
    assert found.makespan_s == 4.0
    assert found.utilisation == {"slot": pytest.approx(5 / 16), "pool:db": 1.0}
    assert found.waits_s == {"pool:db": 2.0}


def test_runs_are_played_until_both_quantiles_are_firm_or_none_are_left() -> None:
    few = forecast(FAN, TWO, basis(FAN_S, 0.02))
    many = forecast(FAN, TWO, basis(FAN_S, 0.5))
    assert few.draws < many.draws == 500
    assert few.low_s > few.makespan_s * 0.99 and few.high_s < few.makespan_s * 1.01
    assert forecast(FAN, TWO, basis(FAN_S, 0.5, runs=30)).draws == 30


def test_the_interval_holds_the_true_quantile_in_about_95_of_100_cases() -> None:
    chance = random.Random(5)
    held = {0.5: 0, 0.95: 0}
    for _ in range(400):
        some = sorted(chance.random() for _ in range(200))
        for share in held:
            low, high = interval(some, share)
            held[share] += low <= share <= high
            assert low <= quantile(some, share) <= high
    assert all(370 <= times <= 395 for times in held.values()), held


def test_the_result_is_the_same_for_any_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stagebook.simulate.spread.STAGES_MIN", 1)
    monkeypatch.setattr("stagebook.simulate.spread.STAGES_CHUNK", 70)
    by_itself = forecasts(FAN, [TWO, TWO._replace(jobs=3)], basis(FAN_S, 0.4), workers=1)
    assert forecasts(FAN, [TWO, TWO._replace(jobs=3)], basis(FAN_S, 0.4), workers=3) == by_itself

    def none(*_: object) -> object:
        raise OSError("no more processes")

    monkeypatch.setattr(multiprocessing, "get_context", none)
    assert forecasts(FAN, [TWO, TWO._replace(jobs=3)], basis(FAN_S, 0.4), workers=3) == by_itself


def test_other_processes_do_play(monkeypatch: pytest.MonkeyPatch) -> None:
    """A draw that tells which process it was asked in."""
    import os

    monkeypatch.setattr("stagebook.simulate.spread.STAGES_MIN", 1)
    tells = Basis([lambda stage, attempt: Work(float(os.getpid()))] * 10, always(1.0))
    (found,) = ends(pipeline(stage("a")), [TWO], tells, workers=2)
    assert {each.end_s for each in found}.isdisjoint({float(os.getpid())}) and len(found) == 10


def test_choices_are_compared_draw_by_draw() -> None:
    """More jobs never cost this fan time in any single run, which medians of different draws could not tell."""
    two, three = ends(FAN, [TWO, TWO._replace(jobs=6)], basis(FAN_S, 0.5))
    assert len(two) == len(three) == 500
    assert all(fast.end_s <= slow.end_s for slow, fast in zip(two, three))
    assert ends(FAN, [TWO], basis(FAN_S, 0.5), runs=7)[0] == two[:7]


def test_runs_that_fail_are_counted_and_left_out_of_the_quantiles() -> None:
    def run(number: int) -> Draw:
        return lambda stage, attempt: Work(1.0, "failure") if number % 4 == 0 else Work(10.0 if stage else 5.0)

    drawn = Basis([run(number) for number in range(100)], always(5.0, 10.0))
    found = forecast(pipeline(stage("a"), stage("b", "a")), TWO, drawn)
    assert (found.failed, found.makespan_s, found.low_s) == (0.25, 15.0, 15.0)
    fails = drawn._replace(draws=[run(0)] * 20)
    assert (forecast(FAN, TWO, fails).failed, forecast(FAN, TWO, fails).makespan_s) == (1.0, 3.0)


def test_a_stage_that_is_tried_again_takes_its_time_twice() -> None:
    drawn = Basis([lambda stage, attempt: Work(2.0, "failure" if attempt == 1 else "success")] * 20, always(2.0))
    found = forecast(pipeline(stage("a", retry=Retry(2, backoff_ms=500))), TWO, drawn)
    assert (found.makespan_s, found.failed) == (4.5, 0.0)


def test_what_was_predicted_wrong_before_widens_the_interval_by_kind_of_run() -> None:
    taught = Calibration({}, 1.0, None, 2, 3, misses=(0.05, -0.05, 0.05, -0.05), misses_alone=(0.3, -0.3))
    found = forecast(FAN, TWO, basis(FAN_S, calibration=taught))
    assert found.high_s / 10 == pytest.approx(10 / found.low_s) == pytest.approx(1.146, abs=0.001)
    assert not found.beyond
    assert forecast(FAN, TWO._replace(jobs=3), basis(FAN_S, calibration=taught)).beyond
    assert forecast(FAN, TWO, basis(FAN_S)).beyond, "nothing was ever measured at two"
    in_order = forecast(FAN, TWO._replace(sequential=True), basis(FAN_S, calibration=taught))
    assert in_order.high_s / 16 == pytest.approx(1.827, abs=0.001) and not in_order.beyond


def test_before_any_prediction_could_be_checked_the_interval_is_that_of_the_benchmark() -> None:
    unchecked = Calibration({}, 1.0, None, 1, 0, others=0.0)
    found = forecast(FAN, TWO, basis(FAN_S, calibration=unchecked))
    assert found.high_s == pytest.approx(13.2, abs=0.1)
    declared = forecast(FAN, TWO, basis(FAN_S, calibration=UNTAUGHT))
    assert (declared.low_s, declared.high_s) == (10.0, 10.0), "nothing ran: what is declared is taken at its word"


def test_about_95_of_100_runs_lie_within_however_few_are_on_record() -> None:
    chance = random.Random(3)
    held = dict.fromkeys((1, 3, 8), 0)
    for _ in range(400):
        size = chance.choice((0.05, 0.1, 0.2))
        for many in held:
            taught = UNTAUGHT._replace(misses=tuple([chance.gauss(0, size) for _ in range(many)]))
            found = forecast(FAN, TWO, basis(FAN_S, runs=5, calibration=taught), workers=1)
            held[many] += found.low_s <= 10 * math.exp(chance.gauss(0, size)) <= found.high_s
    assert held[8] >= 370 and held[3] >= 350 and held[1] >= 340, held


def test_the_interval_holds_what_the_load_on_record_makes_of_it() -> None:
    bounds = tuple([lambda running, by=by: [by] * len(running) for by in (0.9, 0.5)])
    found = forecast(FAN, TWO, basis(FAN_S, speeds=lambda running: [0.8] * len(running), bounds=bounds))
    assert (found.makespan_s, found.low_s, found.high_s) == pytest.approx((12.5, 10 / 0.9, 20.0), abs=1e-4)


def test_speeds_and_verdicts_are_those_of_the_basis() -> None:
    slow = basis(FAN_S, speeds=lambda running: [1 / len(running)] * len(running))
    assert forecast(FAN, TWO, slow).makespan_s == pytest.approx(16.0, abs=1e-5), "two share one core"
    left_out = basis(FAN_S, verdicts=lambda stage: ("skip", "when: x") if stage == 0 else ("run", None))
    conditional = FAN._replace(stages=(FAN.stages[0]._replace(changed=("docs/**",)), *FAN.stages[1:]))
    assert forecast(conditional, TWO._replace(sequential=True), left_out).makespan_s == 13.0


def test_the_typical_run_can_be_shown() -> None:
    played = typical(FAN, TWO, basis(FAN_S, 0.5))
    assert played.end_s == 10.0 and {span.stage for span in played.spans} == set(range(7))
    assert most_at_once(played.spans) == 2
    ends_as_next_begins = [Span(0, 1, 0, 0, 1, "success", None), Span(1, 1, 1, 1, 2, "success", None)]
    assert most_at_once(ends_as_next_begins) == 1


def test_fewer_runs_are_worth_it_where_there_are_many_stages() -> None:
    assert [count(stages) for stages in (0, 1, 60, 1000, 10_000, 10**6)] == [500, 500, 500, 40, 5, 5]
    assert [count(60, sharing) for sharing in (1, 8, 20, 60)] == [296, 166, 95, 39]
