"""What lines tell of items: rows there and back, counts that stay small, and which items are dead at the end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.record.items import (
    LATENCIES_MAX,
    Bad,
    Call,
    FailedItem,
    ItemBook,
    call_of,
    dead,
    numbers,
    spans,
)

items = st.lists(st.integers(1, 200), max_size=40).map(tuple)
bad = st.builds(
    Bad, st.integers(1, 200), st.sampled_from(["failure", "error"]), st.none() | st.integers(1, 255), st.none()
)


@given(items)
def test_spans_keep_items_in_their_order(some: tuple[int, ...]) -> None:
    assert numbers(spans(some)) == some


def test_spans_are_short_where_items_follow_each_other() -> None:
    assert spans((17, 18, 19, 42, 7)) == "17-19,42,7"
    assert spans(range(1, 100_001)) == "1-100000"


@pytest.mark.parametrize("text", ["x", "1-9999999999", "-3", "1,,2"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        numbers(text)


@given(
    st.integers(0, 9), st.integers(0, 9), items, st.integers(0, 10**9), st.integers(0, 10**9), st.lists(bad, max_size=3)
)
def test_a_call_goes_through_its_row(
    step: int, slot: int, some: tuple[int, ...], wall_us: int, cpu_us: int, wrong: list[Bad]
) -> None:
    call = Call(step, slot, some, wall_us, cpu_us, tuple(wrong))
    assert call_of(call.row()) == call


def book(count: int) -> ItemBook:
    made = ItemBook([1, 2])
    for number in range(1, count + 1):
        made.ready(number * 10, 1, 0, number == count, number)
        made.calls_over(number * 10 + 5, [Call(0, 0, (number,), 5, 1)])
        made.calls_over(number * 10 + 9, [Call(1, number % 2, (number,), 4, 1)], [2, 1])
    return made


def test_counts_and_times_of_many_items_stay_small() -> None:
    made = book(50_000)
    document = made.document(["w.a", "w.b"], True, lambda step, slot: f"{step}.{slot}", lambda step, item: step)
    assert document["items"]["done"] == document["items"]["total"] == 50_000
    assert document["items"]["latency_s"] == {"median": 9e-6, "p95": 9e-6, "max": 9e-6}
    assert document["items"]["per_s"] == pytest.approx(100_000, rel=0.01)
    assert [step["logs"] for step in document["steps"]] == [["w.a.1"], ["w.b.1", "w.b.2"]]
    assert [step["queue_max"] for step in document["steps"]] == [2, 1]
    assert len(made._latencies) <= LATENCIES_MAX and not made._began


def test_what_failed_is_told_by_step_and_what_stopped_is_tried_again() -> None:
    made = ItemBook([1, 1])
    made.ready(0, 3, 2, True, 5)
    made.calls_over(5, [Call(0, 0, (1, 2, 3), 5, 1, (Bad(2, "failure", 1, "exit 1"),))])
    made.item_failed(FailedItem(2, 0, "failure", 1, "exit 1"))
    told = made.document(["w.a", "w.b"], False, lambda step, slot: step, lambda step, item: step)
    assert (told["items"]["failed"], told["items"]["dead"], told["items"]["skipped"]) == (1, 0, 2)
    assert (told["steps"][0]["done"], told["steps"][0]["failed"], told["steps"][0]["retried"]) == (2, 1, 0)
    made.begun_again(is_stopping=True)
    assert made.failed == 0 and made.failures == []


def test_dead_is_what_failed_and_was_not_done_later() -> None:
    def failed(item: int) -> dict[str, object]:
        return {
            "event": "items.dead",
            "stage": "w",
            "step": 0,
            "item": item,
            "outcome": "failure",
            "exit": 1,
            "reason": "x",
        }

    done = {
        "event": "items.done",
        "stage": "w",
        "calls": [Call(1, 0, (3, 4), 1, 1, (Bad(4, "failure", 1, None),)).row()],
    }
    records = [failed(3), failed(4), failed(9), {**failed(5), "stage": "other"}, done]
    assert sorted(dead(records, "w", 2)) == [4, 9]
