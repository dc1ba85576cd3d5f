"""Jobs and workers, judged as one: what each number of jobs comes to with the workers that it can feed."""

from __future__ import annotations

from typing import Any

import pytest

from stagebook.model.pipeline import Each, Items, Pipeline, Stage, Step
from stagebook.plan import known, streams, workers
from stagebook.plan.streams import StreamKnown
from stagebook.scheduler.plan import Choice
from stagebook.simulate.work import ItemWork, StepWork

CHOICE = Choice(cores=16)


def step(name: str, **more: Any) -> Step:
    return Step(name, 1, "run", "true", **more)


def pipeline(*steps: Step) -> Pipeline:
    each = Each(Items("range", first=1, last=40), steps)
    return Pipeline("p", "/p.yaml", "native", "", (Stage("s", "s", 1, 1, "each", each=each),))


def fitted(made: Pipeline, *works: StepWork, cores: int = 16) -> list[workers.Fitted]:
    flows = {"s": StreamKnown("R", ItemWork(40, works), {"R": sum(work.wall_s for work in works)})}
    choice = CHOICE._replace(cores=cores)
    of = known.known(made, None, cores, count=1, streams=streams.streams(made, choice, flows))
    return workers.rows(made, choice, of, flows)


def named(found: workers.Fitted) -> dict[str, int | None]:
    return {row.step: row.workers for row in found.rates["s"].steps}


def test_more_jobs_come_with_the_workers_that_they_feed() -> None:
    """Over 0.5 s of work an item 8 jobs are 16 items a second: 1.6 workers of the first step, 6.4 of the second."""
    rows = fitted(pipeline(step("a"), step("b")), StepWork(0.1), StepWork(0.4))
    assert [row.jobs for row in rows] == [1, 2, 4, 8]
    assert named(rows[0]) == {"s.a": 1, "s.b": 1}
    assert named(rows[3]) == {"s.a": 2, "s.b": 7}
    assert [row.rates["s"].per_s for row in rows] == pytest.approx([2.0, 4.0, 8.0, 16.0])
    assert rows[0].makespan_s == pytest.approx(20.0)
    assert rows[3].makespan_s < 3.5
    assert rows[3].rates["s"].binds == "slot"


def test_neither_jobs_nor_workers_are_proposed_where_the_file_does_as_well() -> None:
    rows = fitted(pipeline(step("a"), step("b", workers=7)), StepWork(0.1), StepWork(0.4))
    assert all(named(row)["s.b"] == 7 for row in rows), "never fewer than in the file"
    assert workers.best(rows, rows[3].makespan_s) is None
    chosen = workers.best(rows, 20.0)
    assert chosen is not None and chosen.jobs == 8
    assert [change.change for change in workers.changes(pipeline(step("a")), chosen._replace(
        pipeline=pipeline(step("a", workers=2))), 20.0)] == ["workers: s.a 2 instead of 1"]  # fmt: skip


def test_what_keeps_the_cores_busy_gains_nothing_from_more_of_it_than_cores() -> None:
    rows = fitted(pipeline(step("a")), StepWork(0.2, 0.0, 0.2), cores=2)
    assert [named(row)["s.a"] for row in rows] == [1, 2, 2, 2]
    chosen = workers.best(rows, rows[0].makespan_s)
    assert chosen is not None and chosen.jobs == 2
