"""Who held what an attempt waited for, as the record tells it when all is over."""

from __future__ import annotations

from typing import Any

from stagebook.model.pipeline import Pipeline, Pool, Resources, Stage
from stagebook.record.held import holders
from stagebook.record.story import Attempt, Story


def story(stages: dict[str, tuple[Resources, dict[str, str]]], **pools: Pool) -> Story:
    made = [
        Stage(name, name.partition("[")[0], 1, 1, "run", command="true", resources=takes, locks=locks)
        for name, (takes, locks) in stages.items()
    ]
    pipeline = Pipeline(name="p", file="stagebook.yaml", format="native", digest="", stages=tuple(made), pools=pools)
    return Story(pipeline, "R", 0, mode="parallel", jobs=4)


def attempt(number: int, ready: int, started: int, finished: int | None, waited: str | None = None) -> Attempt:
    return Attempt(number, ready, started, waited, None, finished)


def found(told: Story) -> dict[tuple[str, int], list[str]]:
    return {(told.pipeline.stages[index].id, number): names for (index, number), names in holders(told).items()}


DB: Any = (Resources(pools={"db": 1}), {})


def test_those_that_ran_meanwhile_and_took_of_it_the_last_first() -> None:
    told = story({"a": DB, "b": DB, "c": DB, "free": (Resources(), {})}, db=Pool(1))
    told.attempts[0] = (attempt(1, 0, 0, 10),)
    told.attempts[1] = (attempt(1, 0, 10, 20, "pool:db"),)
    told.attempts[2] = (attempt(1, 5, 20, 30, "pool:db"), attempt(2, 40, 40, 50))
    told.attempts[3] = (attempt(1, 0, 0, 100),)
    assert found(told) == {("b", 1): ["a"], ("c", 1): ["b", "a"]}


def test_locks_matrices_and_pools_inside_others() -> None:
    told = story(
        {
            "inner": (Resources(pools={"small": 1}), {}), "outer": (Resources(pools={"large": 1}), {}),
            "x": (Resources(), {"table": "exclusive"}), "y": (Resources(), {"table": "shared"}),
            "m[n=1]": (Resources(), {}), "m[n=2]": (Resources(), {}),
        },
        small=Pool(1, inside="large"), large=Pool(1),
    )  # fmt: skip
    told.attempts[0] = (attempt(1, 0, 0, 10),)
    told.attempts[1] = (attempt(1, 0, 10, 20, "pool:large"),)
    told.attempts[2] = (attempt(1, 0, 0, None),)
    told.attempts[3] = (attempt(1, 0, 7, 20, "lock:table"),)
    told.attempts[4] = (attempt(1, 0, 0, 3),)
    told.attempts[5] = (attempt(1, 0, 3, 5, "matrix:m"),)
    assert found(told) == {("outer", 1): ["inner"], ("y", 1): ["x"], ("m[n=2]", 1): ["m[n=1]"]}


def test_nobody_of_this_run_is_nobody() -> None:
    told = story({"a": DB, "b": (Resources(), {})}, db=Pool(1))
    told.attempts[0] = (attempt(1, 0, 10, 20, "pool:db"),)
    told.attempts[1] = (attempt(1, 0, 5, 20, "slot"),)
    assert found(told) == {("a", 1): []}
