"""Job counts side by side: which are asked about, the knee, what binds, and no smoothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from tests.plan.test_forecast import always, basis, pipeline, stage
from tests.simulate.plans import path_s, worlds

from stagebook.model.pipeline import Pipeline, Pool, Resources, Stage
from stagebook.plan.forecast import Basis
from stagebook.plan.sweep import Sweep, binding, plain, sweep, with_jobs
from stagebook.scheduler.build import build
from stagebook.scheduler.plan import Cap, Choice, Plan
from stagebook.simulate.play import play

CHOICE = Choice(cores=2)


def asked(made: Sweep) -> list[int]:
    return [row.forecast.jobs for row in made.rows]


def seconds(made: Sweep) -> list[float]:
    return [row.forecast.makespan_s for row in made.rows]


def fan(count: int, **more: Any) -> Pipeline:
    return pipeline(*(stage(f"s{at}", **more) for at in range(count)))


def test_r089_sum_and_path_bound_what_jobs_can_do() -> None:
    made = sweep(pipeline(stage("unit"), stage("integration")), CHOICE, basis((600.0, 1200.0), runs=5))
    assert made.sequential.makespan_s == 1800.0 and made.path_s == 1200.0
    assert [(row.forecast.jobs, row.speedup, row.efficiency, row.gain) for row in made.rows] == [
        (1, 1.0, 1.0, None),
        (2, 1.5, 0.75, pytest.approx(1 / 3)),
    ]
    assert made.rows[made.knee].forecast.jobs == 2 and made.binds == ("path",)


def test_job_counts_double_up_to_what_can_run_at_once() -> None:
    assert asked(sweep(fan(8), CHOICE, basis((1.0,) * 8, runs=5), ())) == [1, 2, 4, 6, 7, 8]
    chain = pipeline(stage("a"), stage("b", "a"), stage("c", "b"))
    assert asked(sweep(chain, CHOICE, basis((1.0,) * 3, runs=5))) == [1]
    within = CHOICE._replace(cap=Cap("github-free", 5, "2026-07-01"))
    assert max(asked(sweep(fan(8), within, basis((1.0,) * 8, runs=5)))) == 5
    assert asked(sweep(fan(8), CHOICE, basis((1.0,) * 8, runs=5), (8, 2, 2))) == [2, 8], "exactly those"


def test_the_knee_is_the_fewest_jobs_within_5_percent_also_between_the_powers_of_two() -> None:
    """Twelve seconds of work in thirds beside a path of 4.1 s: three jobs do it, four and more gain nothing."""
    made = sweep(fan(7), CHOICE, basis((4.1, 1.0, 1.0, 2.0, 2.0, 1.0, 1.0), runs=5))
    found = dict(zip(asked(made), seconds(made)))
    assert found[2] == pytest.approx(6.1, abs=0.11) and found[3] == found[4] == 4.1
    assert made.rows[made.knee].forecast.jobs == 3 and made.binds == ("path",)


def test_where_cores_keep_a_run_from_being_as_short_as_its_path_they_bind_first() -> None:
    """4, 3, 3, 3, 3 minutes side by side, then 3, on two cores: three jobs take 11 m, four and five longer."""
    made = pipeline(*[stage(f"s{at}") for at in range(5)], stage("last", *[f"s{at}" for at in range(5)]))
    two = basis((240.0, 180.0, 180.0, 180.0, 180.0, 180.0), runs=5,
                speeds=lambda running: [min(1.0, 2 / len(running))] * len(running))  # fmt: skip
    found = sweep(made, CHOICE, two)
    assert dict(zip(asked(found), seconds(found))) == pytest.approx({1: 1140, 2: 720, 3: 660, 4: 720, 5: 690})
    assert (found.rows[found.knee].forecast.jobs, found.binds, found.path_s) == (3, ("cores", "path"), 420.0)
    six = with_jobs(found, made, CHOICE, two, 6)
    assert asked(six) == [1, 2, 3, 4, 5, 6] and six.rows[5].gain == pytest.approx(0)
    assert with_jobs(found, made, CHOICE, two, 5) is found


def test_points_that_are_not_monotone_are_shown_as_they_are() -> None:
    """R. L. Graham's anomaly (1969): the same list takes 12 on three machines and 15 on four."""
    took = (3, 2, 2, 2, 4, 4, 4, 4, 9)
    needs = {5: 4, 6: 4, 7: 4, 8: 4, 9: 1}
    stages: list[Stage] = [
        stage(f"t{at}", *([f"t{needs[at]}"] if at in needs else []), priority=-at) for at in range(1, 10)
    ]
    made = sweep(pipeline(*stages), CHOICE, basis([float(each) for each in took], runs=5), (3, 4))
    assert seconds(made) == [12.0, 15.0]
    assert made.rows[1].gain == pytest.approx(-0.25) and made.knee == 0


def test_more_jobs_that_only_slow_each_other_down_are_no_gain() -> None:
    """Stages that share one thing serially, dearer the more of them there are: parallel is slower than sequential."""
    crowded = basis((2.0,) * 8, runs=5, speeds=lambda running: [1 / len(running) ** 1.2] * len(running))
    made = sweep(fan(8), CHOICE, crowded, (1, 2, 4, 8))
    assert seconds(made) == sorted(seconds(made)) and seconds(made)[3] > made.sequential.makespan_s * 1.4
    assert made.knee == 0 and made.rows[3].speedup < 0.7 and made.binds == ("cores",)
    evenly = basis((2.0,) * 8, runs=5, speeds=lambda running: [1 / len(running)] * len(running))
    effectively_sequential = sweep(fan(8), CHOICE, evenly)
    assert effectively_sequential.rows[-1].speedup == pytest.approx(1.0)
    assert effectively_sequential.knee == 0 and effectively_sequential.binds[0] == "cores"


def test_a_pool_that_binds_is_named_and_so_are_jobs_where_more_would_help() -> None:
    held = Resources(pools={"db": 1})
    made = sweep(
        pipeline(*(stage(f"s{at}", resources=held) for at in range(4)), stage("free"), pools={"db": Pool(1)}),
        CHOICE, basis((2.0, 2.0, 2.0, 2.0, 1.0), runs=5),
    )  # fmt: skip
    assert made.rows[-1].forecast.makespan_s == 8.0 and made.binds[0] == "pool:db"
    assert sweep(fan(8), CHOICE, basis((1.0,) * 8, runs=5), (1, 2)).binds[0] == "slot"


def test_the_row_of_the_document_has_its_keys() -> None:
    row = plain(sweep(fan(2), CHOICE, basis((1.0, 1.0), runs=5)).rows[0])
    assert {"jobs", "makespan_s", "p95_s", "speedup", "efficiency", "cost"} <= row.keys()
    assert row["cost"] is None and row["jobs"] == 1 and row["makespan_s"] == 2.0


def test_every_row_stands_on_as_many_of_the_same_draws() -> None:
    made = sweep(fan(8), CHOICE, basis([1.0 + at for at in range(8)], 0.3))
    assert len({made.sequential.draws, *(row.forecast.draws for row in made.rows)}) == 1


def test_nothing_to_run_is_no_trouble() -> None:
    made = sweep(pipeline(), CHOICE, Basis([always()], always()))
    assert asked(made) == [1] and made.binds == () and made.path_s == 0.0
    nothing = sweep(pipeline(stage("a"), stage("b", "a")), CHOICE, basis((0.0, 0.0), runs=5))
    assert nothing.rows[0].speedup == 1.0 and nothing.rows[0].gain is None


@given(worlds())
@settings(max_examples=40)
def test_what_binds_adds_up_to_the_whole_run(world: tuple[Plan, list[float]]) -> None:
    """Where nothing is named but the path, the run is as long as the path; where no pool holds, neither is named."""
    plan, walls_s = world
    drawn = Basis([always(*walls_s)], always(*walls_s))
    played = play(plan, drawn.typical)
    named = binding(plan, played, drawn)
    assert set(named) <= {"path", "slot", "pool:db"}
    if not any(span.waited for span in played.spans) and sum(walls_s):
        assert named == ("path",) and played.end_s == pytest.approx(path_s(plan, walls_s), abs=1e-5)


def test_a_plan_is_built_with_the_choice_that_was_asked_for() -> None:
    """Only what is selected is swept."""
    made = sweep(fan(4), CHOICE._replace(only=("s0", "s1")), basis((1.0,) * 4, runs=5))
    assert made.sequential.makespan_s == 2.0 and asked(made) == [1, 2]
    assert build(fan(4), CHOICE).pools[0].size == 2
