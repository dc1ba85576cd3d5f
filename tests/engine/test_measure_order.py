"""Measured order: what a command came after, with nothing said twice. Compared with the definition, word by word."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stagebook.record.measured import Past

Record = dict[str, Any]


def records(text: str) -> list[Record]:
    """`+a` begins a stage, `-a` ends it, `!a` ends it in failure."""
    made: list[Record] = []
    for word in text.split():
        stage = word[1:]
        if word[0] == "+":
            plan = {"likes": [{"kind": "cmd"}], "stages": [{"id": stage, "command": ["do", stage]}]}
            made.append({"event": "stages.added", "stage": stage, "plan": plan})
            made.append({"event": "stage.started", "stage": stage, "attempt": 1})
        else:
            outcome = "failure" if word[0] == "!" else "success"
            made.append({"event": "stage.exited", "stage": stage, "attempt": 1, "outcome": outcome})
            made.append({"event": "stage.ended", "stage": stage, "outcome": outcome})
    return [{**record, "seq": seq} for seq, record in enumerate(made, 1)]


def order(text: str) -> set[str]:
    return set(Past(records(text)).order())


def test_a_sequence_is_a_chain() -> None:
    assert order("") == set()
    assert order("+a -a") == {"a"}
    assert order("+a -a +b -b") == {"b"}


def test_what_waits_for_two_that_ran_side_by_side_comes_after_both() -> None:
    assert order("+a +b -a -b") == {"a", "b"}
    assert order("+a -a +b +c -b -c") == {"b", "c"}


def test_each_of_two_that_begin_after_one_comes_after_it() -> None:
    assert order("+a -a +b") == {"a"}


def test_what_still_runs_is_nobodys_order() -> None:
    assert order("+server +a -a") == {"a"}
    assert order("+outer +inner -inner +second -second -outer") == {"second", "outer"}


def test_a_failure_is_an_end_too() -> None:
    assert order("+a !a") == {"a"}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=12))
def test_it_is_the_transitive_reduction_of_what_ended_before_what_began(spans: list[tuple[int, int]]) -> None:
    moments = sorted(
        [(begin, 1, index) for index, (begin, _) in enumerate(spans)]
        + [(begin + length, 0, index) for index, (begin, length) in enumerate(spans)]
    )
    past = records(" ".join(f"{'+' if kind else '-'}s{index}" for _, kind, index in moments))
    begun = {record["stage"]: record["seq"] for record in past if record["event"] == "stage.started"}
    over = {record["stage"]: record["seq"] for record in past if record["event"] == "stage.ended"}
    expected = {
        stage for stage in over if not any(over[stage] < begun[between] for between in over if between != stage)
    }
    assert set(Past(past).order()) == expected


def test_only_a_failure_that_nothing_followed_is_tried_again() -> None:
    def again(text: str, name: str, argv: tuple[str, ...]) -> str | None:
        return Past(records(text)).failed_last(name, argv)

    assert again("+a !a", "a", ("do", "a")) == "a"
    assert again("+a !a", "a", ("do", "other")) is None
    assert again("+a -a", "a", ("do", "a")) is None
    assert again("+a !a +b", "a", ("do", "a")) is None
    assert again("+b +a !a -b", "a", ("do", "a")) is None


def test_ids_are_free() -> None:
    assert Past(records("+a")).free_id("b") == "b"
    assert Past(records("+a -a")).free_id("a") == "a#2"
    assert Past(records("+a -a +a#2 -a#2")).free_id("a") == "a#3"
