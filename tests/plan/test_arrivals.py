"""Runs that come by chance: what is possible, whether a queue grows, what one pipeline costs another."""

from __future__ import annotations

from typing import Any

import pytest
from tests.plan.known import of, walls
from tests.plan.past import stage

from stagebook.model.pipeline import Pipeline, Pool
from stagebook.plan import known
from stagebook.plan.arrivals import Party, Traffic, document, traffic
from stagebook.scheduler.plan import Choice


def party(pipeline: Pipeline, took_s: dict[str, float], per_h: float | None, jobs: int = 4) -> Party:
    """Its stages always take the same, and compute only."""
    found = known.known(pipeline, walls({name: [seconds] * 6 for name, seconds in took_s.items()}), 2, count=50)
    return Party(pipeline, Choice(cores=2, jobs=jobs), found, per_h)


def minute(per_h: float | None, name: str = "minute", **more: Any) -> Party:
    return party(of("work", name=name, file=f"/{name}/stagebook.yaml", **more), {"work": 60.0}, per_h)


def test_r098_more_than_can_be_done_lets_the_queue_grow_and_the_highest_rate_is_said() -> None:
    """One runner does sixty minutes of work an hour."""
    found = traffic([minute(90)], 1, True, 0)
    assert found.grows and found.scarce == "slot"
    assert found.stable_per_h == pytest.approx(60)
    assert found.used == pytest.approx(1.5) and found.grows_per_h == pytest.approx(30)
    [met] = found.met
    assert met.alone_s == 60.0 and met.run_s > 600 and met.wait_p95_s > met.wait_s


def test_r098_less_than_that_does_not() -> None:
    found = traffic([minute(30)], 1, True, 0)
    assert not found.grows and found.grows_per_h == 0.0 and found.used == pytest.approx(0.5)
    [met] = found.met
    assert 60.0 <= met.run_s < 120 < met.run_p95_s < 400, (
        "half of the time in use: on the average half a minute of wait"
    )
    assert met.added_s is met.before_s is None


def test_four_runners_do_four_times_as_much_and_nobody_waits() -> None:
    found = traffic([minute(30)], 4, True, 0)
    assert found.stable_per_h == pytest.approx(240) and found.met[0].wait_p95_s == 0.0


def test_jobs_of_one_machine_share_its_cores() -> None:
    """Four stages at once on two cores take twice as long, so four jobs do no more than two."""
    found = traffic([minute(30)], 4, False, 0)
    assert found.stable_per_h == pytest.approx(120, rel=0.05)


def test_what_is_scarce_may_be_a_pool_of_the_machine() -> None:
    stages = stage("work")._replace(resources=stage("x", pools={"db": 1}).resources)
    shop = of(name="shop", pools={"db": Pool(1, None, True)})._replace(stages=(stages,))
    found = traffic([party(shop, {"work": 60.0}, 90)], 8, True, 0)
    assert (found.scarce, found.grows) == ("pool:db", True) and found.stable_per_h == pytest.approx(60)


def test_r054_what_a_pipeline_adds_to_the_wait_of_another() -> None:
    """Both begin at once on one runner, and take turns in being first: every second time the other waits a minute."""
    quick = party(of("quick", name="other", file="/other/stagebook.yaml"), {"quick": 10.0}, None)
    found = traffic([minute(None), quick], 1, True, 0)
    mine, other = found.met
    assert (found.per_h, found.stable_per_h, found.grows) == (None, None, False)
    assert (other.alone_s, other.before_s, other.added_p95_s) == (10.0, 10.0, 60.0)
    assert mine.added_p95_s == 10.0
    assert traffic([minute(None), quick], 2, True, 0).met[1].added_p95_s == 0.0


def test_r054_the_same_of_runs_that_keep_coming() -> None:
    quick = party(of("quick", name="other", file="/other/stagebook.yaml"), {"quick": 10.0}, 12)
    found = traffic([minute(30), quick], 1, True, 0)
    other = found.met[1]
    assert found.per_h == 42 and found.used == pytest.approx(0.5 + 12 / 360, rel=0.02)
    assert other.added_p95_s is not None and other.added_p95_s > 30
    assert other.before_s == 10.0


def test_the_same_seed_gives_the_same_and_another_one_does_not() -> None:
    one, again, other = (traffic([minute(50)], 1, True, seed) for seed in (3, 3, 4))
    assert one == again and one.met != other.met


def test_a_document_has_all_of_it() -> None:
    found = document(traffic([minute(30)], 1, True, 0))
    assert set(found) == {*Traffic._fields, "pipelines"} - {"met"}
