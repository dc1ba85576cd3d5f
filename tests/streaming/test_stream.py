"""Streams by what a program sees of them: values, order, errors, how far ahead they run, and that nothing is left."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import Any, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.streaming.work import all_more, even_only, more

import stagebook
from stagebook import StreamError, step, stream
from stagebook.streaming import drive


def threads_left() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("stream ")]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    assert threads_left() == []


def test_values_go_from_function_to_function() -> None:
    assert sorted(stream(range(1000), more, step(more, workers=3), step(all_more, batch=7))) == list(range(3, 1003))


def test_no_items_are_no_results() -> None:
    assert list(stream([], more)) == []


def test_order_is_kept_where_it_is_asked_for_and_only_there() -> None:
    first_waits = threading.Event()

    def held(value: int) -> int:
        if value == 0:
            assert first_waits.wait(20)
        elif value == 3:
            first_waits.set()
        return value

    assert list(stream(range(50), step(held, workers=4), ordered=True)) == list(range(50))


def test_without_an_order_what_is_done_comes_out_at_once() -> None:
    is_taken = threading.Event()

    def held(value: int) -> int:
        assert value or is_taken.wait(20)
        return value

    with stream(range(50), step(held, workers=4)) as values:
        first = next(values)
        is_taken.set()
        assert first != 0
        assert sorted([first, *values]) == list(range(50))


def test_an_ordered_step_gets_its_values_in_the_order_of_the_items() -> None:
    seen: list[int] = []
    release = threading.Event()

    def held(value: int) -> int:
        if value == 0:
            assert release.wait(20)
        elif value == 2:
            release.set()
        return value

    def note(value: int) -> int:
        seen.append(value)
        return value

    assert sorted(stream(range(40), step(held, workers=4), step(note, ordered=True))) == list(range(40))
    assert seen == list(range(40))


@settings(max_examples=60, deadline=None)
@given(
    items=st.lists(st.integers(0, 999), max_size=120),
    block=st.sampled_from([1, 2, 3, 8, 50, 4096]),
    batch=st.sampled_from([1, 2, 5, 100]),
    workers=st.integers(1, 3),
    attempts=st.integers(1, 3),
    buffer=st.sampled_from([None, 0, 1, 9]),
    at_hand=st.booleans(),
    data=st.data(),
)
def test_results_are_the_same_for_every_block_size(
    items: list[int], block: int, batch: int, workers: int, attempts: int, buffer: int | None, at_hand: bool, data: Any
) -> None:
    """What fails how often is drawn for each item; an item that fails fewer times than there are attempts goes on."""
    fails = [data.draw(st.integers(0, 3), label=f"failures of {at}") for at in range(min(len(items), 12))]
    wrong = dict(enumerate(fails))
    tries: Counter[int] = Counter()
    lock = threading.Lock()

    def shaky(pair: tuple[int, int]) -> tuple[int, int]:
        with lock:
            tries[pair[0]] += 1
            if tries[pair[0]] <= wrong.get(pair[0], 0):
                raise ValueError(pair[0])
        return pair[0], pair[1] + 1

    def all_twice(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(at, 2 * value) for at, value in pairs]

    told: list[tuple[str, int]] = []
    source = list(enumerate(items))
    steps = [
        step(shaky, workers=workers, attempts=attempts, buffer=buffer),
        step(all_twice, batch=batch, workers=2) if batch > 1 else step(lambda pair: (pair[0], 2 * pair[1])),
    ]
    usual, drive.BLOCK_MAX, cost, drive.BLOCK_S = drive.BLOCK_MAX, block, drive.BLOCK_S, 1.0
    try:
        found = list(
            stream(
                source if at_hand else iter(source), *steps, ordered=True,
                on_failure=lambda name, item, error: told.append((name, item[0])),
            )
        )  # fmt: skip
    finally:
        drive.BLOCK_MAX, drive.BLOCK_S = usual, cost
    good = [at for at in range(len(items)) if wrong.get(at, 0) < attempts]
    assert found == [(at, 2 * (items[at] + 1)) for at in good]
    assert sorted(told) == [("shaky", at) for at in range(len(items)) if at not in good]
    assert tries == {at: min(wrong.get(at, 0) + 1, attempts) for at in range(len(items))}


def test_an_error_names_step_and_item_and_has_its_cause() -> None:
    with pytest.raises(StreamError, match=r"step `even_only`: item 6 \(6\): ValueError: 7 is odd") as caught:
        list(stream([1, 3, 5, 7, 9, 11, 6, 13], more, even_only))
    assert (caught.value.step, caught.value.item) == ("even_only", 6)
    assert isinstance(caught.value.__cause__, ValueError)


def test_what_came_out_before_an_error_is_given() -> None:
    def third_is_bad(value: int) -> int:
        if value == 3:
            time.sleep(0.05)
            raise ValueError
        return value

    found = []
    with pytest.raises(StreamError):
        for value in stream(range(10), third_is_bad):
            found.append(value)
    assert found == [0, 1, 2]


def test_nothing_is_begun_after_an_error() -> None:
    begun = []

    def bad(value: int) -> int:
        begun.append(value)
        raise ValueError

    with pytest.raises(StreamError):
        list(stream(range(1000), bad))
    assert begun == [0]


def test_failures_can_be_left_out() -> None:
    assert list(stream(range(100), even_only, ordered=True, on_failure="skip")) == list(range(0, 100, 2))


def test_a_batch_that_is_not_as_long_fails_with_all_its_values() -> None:
    lost: list[int] = []

    def shorter(values: list[int]) -> list[int]:
        return values if 5 not in values else values[1:]

    given = stream(
        range(20), step(shorter, batch=4), ordered=True, on_failure=lambda name, item, error: lost.append(item)
    )
    found = list(given)
    assert 5 in lost
    assert sorted(found + lost) == list(range(20))
    with pytest.raises(StreamError, match=r"got 1 values and gave int, not a list as long"):
        list(stream(range(1), step(len, batch=4)))


def test_stop_iteration_of_a_function_is_an_error_like_any_other() -> None:
    def last(value: int) -> int:
        return next(iter(())) if value % 10 == 9 else value

    found = list(stream(range(100), last, ordered=True, on_failure="skip"))
    assert found == [value for value in range(100) if value % 10 != 9]


def test_attempts_wait_in_between() -> None:
    times: list[float] = []

    def second_time(value: int) -> int:
        times.append(time.monotonic())
        if len(times) == 1:
            raise ValueError
        return value

    assert list(stream([7], step(second_time, attempts=2, wait=0.1))) == [7]
    assert times[1] - times[0] >= 0.1


def test_what_items_raise_comes_after_all_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(500)
        raise KeyError("no more")

    found: list[int] = []
    with pytest.raises(KeyError, match="no more"):
        for value in stream(items(), more, ordered=True):
            found.append(value)
    assert found == list(range(1, 501))


def test_leaving_the_loop_ends_everything_though_items_are_endless() -> None:
    def endless() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    for value in stream(endless(), step(more, workers=3), more, ordered=True):
        if value == 5000:
            break
    assert threads_left() == []


def test_leaving_the_loop_does_not_wait_for_a_block_to_be_through() -> None:
    slow = threading.Event()

    def late(value: int) -> int:
        if value >= 20_000:  # blocks are large by then
            slow.set()
            time.sleep(0.02)
        return value

    def noted() -> Iterator[int]:
        yield from range(10**9)

    given = iter(stream(noted(), late))
    for _ in given:
        if slow.is_set():
            break
    began = time.monotonic()
    given.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < drive.LEAVE_S


def test_nothing_begins_before_it_is_asked_for() -> None:
    drawn: list[int] = []
    with stream((drawn.append(value) for value in range(5)), lambda value: value) as values:
        assert drawn == []
        assert threads_left() == []
        next(values)
        assert drawn
    assert threads_left() == []


@pytest.mark.parametrize("first", [0, 1, 1000])
def test_items_that_come_slowly_go_on_at_once(first: int) -> None:
    """However fast the first came: the source goes on only when all before it have come out."""
    out = threading.Semaphore(0)

    def items() -> Iterator[int]:
        yield from range(first)
        for _ in range(first):
            assert out.acquire(timeout=20)
        for number in range(first, first + 5):
            yield number
            assert out.acquire(timeout=20)

    found = []
    for value in stream(items(), more, step(all_more, batch=100)):
        found.append(value)
        out.release()
    assert sorted(found) == list(range(2, first + 7))


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_is_drawn_than_the_loop_can_take(workers: int) -> None:
    drawn = [0]

    def items() -> Iterator[int]:
        for number in range(10**9):
            drawn[0] += 1
            yield number

    most = 0
    for taken, _ in enumerate(stream(items(), step(more, workers=workers), step(more, workers=workers))):
        time.sleep(0.003)
        most = max(most, drawn[0] - taken)
        if taken == 60:
            break
    # Each step has its workers and twice as many that wait; then come the loop with two that wait, and the source.
    assert most <= 2 * 3 * workers + 3 + 2


def test_large_blocks_are_bounded_too() -> None:
    drawn = [0]

    def items() -> Iterator[int]:
        for number in range(10**9):
            drawn[0] += 1
            yield number

    most = 0
    for taken, _ in enumerate(stream(items(), more, step(all_more, batch=100))):
        most = max(most, drawn[0] - taken)
        if taken == 200_000:
            break
    assert 100 < most <= 14 * drive.BLOCK_MAX


def test_slow_values_go_one_by_one_in_each_of_the_steps_at_once() -> None:
    """An assembly line: the second step ends an item only once the first has begun the next."""
    begun = [threading.Event() for _ in range(6)]
    begun[5].set()

    def first(value: int) -> int:
        begun[value].set()
        return value

    def second(value: int) -> int:
        assert begun[value + 1].wait(20)
        return value

    assert list(stream(range(5), first, second)) == list(range(5))


def test_what_no_stream_can_be_is_said_at_once() -> None:
    wrongs: list[dict[str, Any]] = [
        {"workers": 0}, {"batch": -1}, {"attempts": 0}, {"buffer": -1}, {"wait": -1}, {"workers": True},
        {"wait": math.nan}, {"wait": math.inf}, {"wait": 1e300}, {"workers": 10**9},
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(ValueError, match=f"step `more`: `{next(iter(wrong))}` is"):
            step(more, **wrong)
    with pytest.raises(ValueError, match="no function"):
        step(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs a step"):
        stream([])
    with pytest.raises(ValueError, match="on_failure"):
        stream([], more, on_failure="stopp")


def test_the_package_alone_imports_nothing_of_it() -> None:
    asked = "import stagebook, sys; print({'threading', 'pickle', 'stagebook.scheduler'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    with pytest.raises(AttributeError, match="no attribute 'streams'"):
        stagebook.streams  # noqa: B018
