"""When workers of a step were busy: nothing is lost where pieces grow, and there are never many of them."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.record.busy import PIECES_MAX, Busy
from stagebook.record.items import Call, ItemBook

calls = st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**7)), max_size=50)


@given(st.integers(0, 10**6), calls)
def test_all_that_ran_is_in_some_piece_and_in_its_own(begin: int, some: list[tuple[int, int]]) -> None:
    busy = Busy(1)
    busy.begins(begin)
    for start, length in some:
        busy.ran(begin + start, begin + start + length)
    assert sum(busy.spent_us) == sum(length for _, length in some)
    assert len(busy.spent_us) <= PIECES_MAX
    for piece, spent in enumerate(busy.spent_us):
        first, last = piece * busy.grain_us, (piece + 1) * busy.grain_us
        assert spent == sum(max(0, min(last, start + length) - max(first, start)) for start, length in some)


def test_the_pieces_of_a_long_run_are_fine_enough_for_a_picture() -> None:
    busy = Busy(1)
    busy.begins(0)
    busy.ran(0, 3_600_000_000)
    assert PIECES_MAX // 2 <= len(busy.spent_us) <= PIECES_MAX
    assert busy.spent_us[0] == busy.grain_us


def test_the_share_is_of_the_workers_there_were_at_the_time() -> None:
    busy = Busy(1)
    busy.begins(1_000_000)
    busy.has(3, 3_000_000)  # two seconds of one worker, then two of three
    assert busy.share(4_000_000, 5_000_000) == pytest.approx(0.5)
    assert Busy(1).share(0, None) is None
    assert Busy(1).document() is None


def test_calls_of_one_worker_in_one_line_follow_each_other_and_those_of_two_run_together() -> None:
    book = ItemBook([2])
    book.ready(0, 4, 0, True, 4)
    book.calls_over(10_000, [Call(0, 0, (1,), 4_000, 0), Call(0, 0, (2,), 6_000, 0), Call(0, 1, (3, 4), 5_000, 0)])
    assert book.steps[0].busy.spent_us == [1_000] * 5 + [2_000] * 5
    (step,) = book.document(["w.a"], False, lambda step, slot: step, lambda step, item: step)["steps"]
    assert step["busy"] == pytest.approx(0.75)
    assert step["course"] == {"from_s": 0.0, "grain_s": 0.001, "at_once": [1.0] * 5 + [2.0] * 5}


def test_a_hundred_thousand_calls_take_no_more_memory_than_a_thousand() -> None:
    def peak(count: int) -> int:
        busy = Busy(4)
        busy.begins(0)
        tracemalloc.start()
        for number in range(count):
            busy.ran(number * 900, number * 900 + 3_000)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(100_000) < 2 * peak(1_000) + 10_000
