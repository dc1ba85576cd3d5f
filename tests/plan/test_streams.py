"""What a stage that works through items comes to by its rates, and what runs on record tell of it."""

from __future__ import annotations

from typing import Any

import pytest

from stagebook.model.pipeline import Each, Items, Pipeline, Pool, Resources, Retry, Stage, Step
from stagebook.plan import streams
from stagebook.plan.streams import StreamKnown, StreamRate
from stagebook.scheduler import build
from stagebook.scheduler.plan import Choice
from stagebook.simulate.work import ItemWork, StepWork


def pipeline(*steps: Step, pools: dict[str, Pool] | None = None) -> Pipeline:
    each = Each(Items("range", first=1, last=9), steps)
    return Pipeline("p", "/p.yaml", "native", "", (Stage("s", "s", 1, 1, "each", each=each),), pools=pools or {})


def step(name: str, **more: Any) -> Step:
    return Step(name, 1, "run", "true", **more)


def rate(made: Pipeline, *works: StepWork, jobs: int = 100, total: int = 100) -> StreamRate:
    plan = build.build(made, Choice(cores=4, jobs=jobs))
    return streams.rate(plan, 0, StreamKnown("R", ItemWork(total, works)))


def test_the_slowest_step_for_its_workers_binds() -> None:
    found = rate(pipeline(step("a"), step("b", workers=2), step("c")), *map(StepWork, (0.1, 0.4, 0.05)))
    assert (found.per_s, found.binds) == (pytest.approx(5.0), "s.b")
    assert [one.use for one in found.steps] == pytest.approx([0.5, 1.0, 0.25])
    assert [one.per_s for one in found.steps] == pytest.approx([10.0, 5.0, 20.0])


def test_each_step_should_have_as_many_workers_as_the_jobs_can_feed() -> None:
    """4 jobs over 0.5 s of work are 8 items a second: 0.8, 3.2 and 0 workers."""
    found = rate(pipeline(step("a"), step("b"), step("c")), *map(StepWork, (0.1, 0.4, 0.0)), jobs=4)
    assert (found.best_per_s, found.best_binds) == (pytest.approx(8.0), "slot")
    assert [one.should for one in found.steps] == [1, 4, 1]


def test_with_one_job_the_jobs_bind() -> None:
    found = rate(pipeline(step("a"), step("b")), StepWork(0.1), StepWork(0.1), jobs=1)
    assert (found.per_s, found.binds) == (pytest.approx(5.0), "slot")


def test_a_pool_binds_as_what_its_units_are_held_for() -> None:
    made = pipeline(
        step("a", workers=9), step("b", workers=9, resources=Resources(0, 0, {"gpu": 2})), pools={"gpu": Pool(4)}
    )
    found = rate(made, StepWork(0.1), StepWork(0.2))
    assert (found.per_s, found.binds) == (pytest.approx(10.0), "pool:gpu")
    assert found.steps[1].should == 2


def test_tries_that_fail_cost_and_lost_items_do_not_come_further() -> None:
    """Of a try in two that fails with two tries: 1.5 tries an item, and a quarter of the items is lost."""
    found = rate(pipeline(step("a", retry=Retry(attempts=2)), step("b")), StepWork(0.1, 0.5), StepWork(0.1), jobs=100)
    assert [one.per_s for one in found.steps] == pytest.approx([1 / 0.15, 1 / 0.075])


def test_a_step_in_which_all_fails_has_all_its_tries() -> None:
    found = rate(pipeline(step("a", retry=Retry(attempts=3)), step("b")), StepWork(0.1, 1.0), StepWork(0.1))
    assert found.per_s == pytest.approx(1 / 0.3) and found.steps[1].per_s is None


def test_workers_that_adjust_themselves_are_as_many_as_they_may_be() -> None:
    found = rate(pipeline(step("a", workers=0, workers_max=4)), StepWork(0.1))
    assert found.steps[0].workers is None and found.per_s == pytest.approx(40.0)


def test_items_that_take_no_time_have_no_rate() -> None:
    found = rate(pipeline(step("a")), StepWork(0.0))
    assert (found.per_s, found.binds, found.best_per_s) == (None, None, None)


def document(run: str, *steps: dict[str, Any], skipped: int = 0, known: int = 10) -> dict[str, Any]:
    told = {"stage": "s", "wall_s": 2.5, "items": {"known": known, "skipped": skipped}, "steps": list(steps)}
    return {"run": run, "stages": [told]}


def told(name: str, done: int, failed: int = 0, retried: int = 0, wall_s: float = 1.0) -> dict[str, Any]:
    return {"step": f"s.{name}", "done": done, "failed": failed, "retried": retried, "wall_s": wall_s, "cpu_s": 0.0}


def test_the_latest_run_that_did_items_is_what_is_known() -> None:
    made = pipeline(step("a"), step("b"))
    found = streams.known(
        made,
        [
            document("4", told("a", 8), told("b", 0)),  # none came that far
            document("3", told("a", 8), told("renamed", 8)),
            document("2", told("a", 8, failed=1, retried=1, wall_s=2.0), told("b", 8, wall_s=4.0)),
            document("1", told("a", 8, wall_s=8.0), told("b", 8, wall_s=8.0)),
        ],
    )
    works = ItemWork(10, (StepWork(0.2, 0.2), StepWork(0.5, 0.0)))
    assert found["s"] == StreamKnown("2", works, {"2": pytest.approx(0.7), "1": pytest.approx(2.0)}, "", 0)


def test_items_that_were_up_to_date_count_as_none_that_were_worked() -> None:
    """One run did all 20, then one did the new one only: the next is taken to do all, at what a call takes."""
    made = pipeline(step("a"))
    runs = [
        document("3", told("a", 0, wall_s=0.0), skipped=21, known=21),
        document("2", told("a", 1, wall_s=0.3), skipped=20, known=21),
        document("1", told("a", 20, wall_s=4.0), known=20),
    ]
    found = streams.known(made, runs)["s"]
    assert (found.run, found.work.total) == ("1", 21)
    assert found.work.steps == (StepWork(pytest.approx(0.2)),)
    assert found.said == "s is taken to do all of its 21 items"
    known = streams.streams(made, Choice(cores=2), {"s": found})
    assert known is not None and known.works["s"].whole_s == pytest.approx(21 * 0.2)
    assert known.walls_s["s"] == {"1": pytest.approx(4.2), "2": pytest.approx(6.3)}
    nightly = streams.known(made, [document(str(n), told("a", n), skipped=20, known=20 + n) for n in (3, 2, 4)])["s"]
    assert (nightly.run, nightly.work.total) == ("3", 3)
    assert "3 of its 23 items" in nightly.said


def test_the_cores_bound_what_workers_are_of_use() -> None:
    made = pipeline(step("a"))
    known = StreamKnown("R", ItemWork(100, (StepWork(0.1, 0.0, 0.1),)))
    plan = build.build(made, Choice(cores=2, jobs=8))
    found = streams.rate(plan, 0, known, cores=2)
    assert (found.best_binds, found.best_per_s) == ("cores", pytest.approx(20.0))
    assert found.steps[0].should == 2
    assert streams.rate(plan, 0, known).steps[0].should == 8


def test_what_was_up_to_date_as_a_whole_tells_nothing() -> None:
    assert streams.known(pipeline(step("a")), [document("1", told("a", 1), known=5, skipped=5)]) == {}


def test_rows_of_what_is_not_known_are_null() -> None:
    plan = build.build(pipeline(step("a", workers=3)), Choice(cores=2))
    [row] = streams.plain(plan, {})
    assert (row["stage"], row["per_s"], row["binds"], row["run"]) == ("s", None, None, None)
    assert row["steps"] == [
        {"step": "s.a", "item_s": None, "failed": None, "workers": 3, "per_s": None, "use": None, "should": None}
    ]
    [known] = streams.plain(plan, {"s": StreamKnown("R", ItemWork(9, (StepWork(0.1),)))})
    assert known.keys() == row.keys() and known["steps"][0].keys() == row["steps"][0].keys()


def test_what_a_call_takes_beside_others_is_no_measure_of_one_job_nor_the_other_way_round() -> None:
    made = pipeline(step("a"), step("b"))
    slow = document("1", told("a", 10, wall_s=1.0), told("b", 10, wall_s=1.0)) | {"mode": "sequential"}
    fast = document("2", told("a", 10, wall_s=3.0), told("b", 10, wall_s=1.0)) | {"mode": "parallel"}
    found = streams.known(made, [fast, slow])["s"]
    assert [each.wall_s for each in found.under(build.build(made, Choice(cores=2, jobs=1))).steps] == [0.1, 0.1]
    assert [each.wall_s for each in found.under(build.build(made, Choice(cores=2, jobs=4))).steps] == [0.3, 0.1]
    known = streams.streams(made, Choice(cores=2), {"s": found})
    assert known is not None and known.works["s"].whole_s == known.alone["s"].whole_s
    assert known.walls_s["s"]["1"] == pytest.approx(known.walls_s["s"]["2"]), "neither is slower than usual"
