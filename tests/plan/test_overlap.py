"""The sweep against counting each instant by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stagebook.plan import overlap

SPANS = st.lists(st.tuples(st.integers(-3, 30), st.integers(-3, 30), st.integers(0, 4)), max_size=12)
LOW, HIGH = 2, 24


def each_instant(spans: list[overlap.Span]) -> list[int]:
    """How much is in use in each whole step of time from LOW to HIGH."""
    return [
        sum(amount for begin, end, amount in spans if begin <= instant < end) for instant in range(LOW, HIGH)
    ]  # fmt: skip


@given(SPANS, st.integers(0, 8))
def test_a_curve_is_what_counting_each_instant_gives(spans: list[overlap.Span], line: int) -> None:
    used = each_instant(spans)
    found = overlap.curve(spans, LOW, HIGH, line)
    assert found.peak == max(used)
    assert found.peak_at_us == (LOW + used.index(max(used)) if max(used) else None)
    assert found.weights == {amount: used.count(amount) for amount in set(used) - {0}}
    assert found.busy_us == sum(amount > 0 for amount in used)
    assert found.above_us(line) == sum(amount > line for amount in used)
    above = [instant for instant in range(LOW, HIGH) if used[instant - LOW] > line]
    assert [instant for one in found.above for instant in range(one.from_us, one.to_us)] == above
    for one in found.above:
        assert one.peak == max(used[one.from_us - LOW : one.to_us - LOW])
    for before, after in zip(found.above, found.above[1:]):
        assert before.to_us < after.from_us, "stretches that touch are one"


@given(SPANS, st.sampled_from([0.5, 0.95, 1.0]), st.integers(0, 10))
def test_a_quantile_is_the_nearest_rank_over_all_instants(spans: list[overlap.Span], share: float, idle: int) -> None:
    used = sorted([0] * idle + each_instant(spans))
    found = overlap.curve(spans, LOW, HIGH)
    rank = next(number for number in range(1, len(used) + 1) if number >= share * len(used))
    assert found.quantile(share, len(used)) == used[rank - 1]


@given(SPANS, SPANS)
def test_use_within_other_times_is_counted_there_only(spans: list[overlap.Span], mask: list[overlap.Span]) -> None:
    used, masked = each_instant(spans), each_instant(mask)
    there = [amount for amount, is_there in zip(used, masked) if is_there]
    found, total = overlap.within(spans, mask, LOW, HIGH)
    assert total == len(there)
    assert found.peak == max(there, default=0)
    assert found.weights == {amount: there.count(amount) for amount in set(there) - {0}}


def test_an_end_and_a_beginning_at_one_time_do_not_overlap() -> None:
    assert overlap.curve([(5, 7, 3), (7, 9, 3), (7, 7, 9)], LOW, HIGH).peak == 3


def test_without_time_there_is_no_quantile() -> None:
    assert overlap.curve([], LOW, HIGH).quantile(0.95, 0) is None
