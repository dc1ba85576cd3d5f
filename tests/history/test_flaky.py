"""What counts as evidence of a flake, on rows put into the tables by hand."""

from __future__ import annotations

from typing import Any, Iterator

import pytest
from sqlalchemy import Connection, create_engine, insert

from stagebook.history import flaky
from stagebook.history.schema import metadata, runs, tests


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as made:
        yield made
    engine.dispose()


def put(connection: Connection, run: int, outcome: str, **more: Any) -> None:
    """A run of its own with one try of one test."""
    columns = {name: more.pop(name) for name in ("commit_sha", "dirty", "pipeline", "digest") if name in more}
    connection.execute(insert(runs), {
        "id": run, "run": f"R{run}", "pipeline": "p", "is_final": True, "started_us": run, "journal_size": 0,
        "journal_ino": 0, "journal_mtime_ns": 0, "commit_sha": "a", "dirty": False, "digest": "d", **columns,
    })  # fmt: skip
    one = {"run_id": run, "stage": "s", "classname": "c", "name": "n", "outcome": outcome}
    connection.execute(insert(tests), {**one, **more})


def names(connection: Connection) -> list[str]:
    return [one["stage"] for one in flaky.find(connection)["flaky"]]


@pytest.mark.parametrize("outcome", ["failure", "error"])
def test_both_outcomes_on_one_commit_are_a_flake(connection: Connection, outcome: str) -> None:
    put(connection, 1, "success")
    put(connection, 2, outcome)
    (one,) = flaky.find(connection)["flaky"]
    assert (one["failed"]["count"], one["failed"]["of"], one["mixed"], one["tried"]) == (1, 2, 1, 1)
    assert one["commits"][0]["commit"] == "a"


@pytest.mark.parametrize(
    "second",
    [{"commit_sha": "b"}, {"dirty": True}, {"commit_sha": None}, {"digest": "another file"}, {"pipeline": "q"},
     {"stage": "t"}, {"classname": "d"}, {"name": "m"}, {"file": "b.py"}, {"outcome": "skip"}],
    ids=str,
)  # fmt: skip
def test_what_is_not_the_same_twice_is_none(connection: Connection, second: dict[str, Any]) -> None:
    put(connection, 1, "success")
    put(connection, 2, **{"outcome": "failure", **second})
    found = flaky.find(connection)
    assert found["flaky"] == []
    assert found["looked_at"]["tests"] >= 1


def test_shards_are_one_suite(connection: Connection) -> None:
    put(connection, 1, "success", stage="unit 1", shard="1/2", suite="unit")
    put(connection, 2, "failure", stage="unit 2", shard="2/2", suite="unit")
    put(connection, 3, "success", stage="other 1", shard="1/2", suite="other")
    assert names(connection) == ["unit 2"]


def test_shards_of_two_suites_are_two(connection: Connection) -> None:
    put(connection, 1, "success", stage="unit 1", shard="1/2", suite="unit")
    put(connection, 2, "failure", stage="other 2", shard="2/2", suite="other")
    assert names(connection) == []


def test_a_commit_on_which_it_never_passed_is_left_out_of_the_rate(connection: Connection) -> None:
    for run, (commit, outcome) in enumerate(
        [("a", "success"), ("a", "failure"), ("b", "failure"), ("b", "failure"), ("c", "success"), ("c", "success"),
         ("d", "success")]
    ):  # fmt: skip
        put(connection, run + 1, outcome, commit_sha=commit)
    (one,) = flaky.find(connection)["flaky"]
    assert (one["failed"]["count"], one["failed"]["of"], one["mixed"], one["tried"]) == (1, 4, 1, 2)
