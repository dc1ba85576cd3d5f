from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stagebook.graph.cycles import find_cycle
from stagebook.graph.shape import CycleError, order


@st.composite
def graphs(draw: st.DrawFn) -> list[list[int]]:
    count = draw(st.integers(1, 8))
    return [sorted(draw(st.sets(st.integers(0, count - 1), max_size=2))) for _ in range(count)]


@given(graphs())
def test_a_cycle_is_found_exactly_where_there_is_no_order(needs: list[list[int]]) -> None:
    found = find_cycle(needs)
    try:
        order(needs)
    except CycleError:
        assert found is not None
        assert len(set(found)) == len(found)
        assert found[0] == min(found)
        for before, after in zip(found, found[1:] + found[:1]):
            assert before in needs[after]
    else:
        assert found is None


def test_the_way_work_would_flow_from_the_earliest() -> None:
    assert find_cycle([[3], [0], [1], [2]]) == [0, 1, 2, 3]
    assert find_cycle([[], [3, 0], [1], [2]]) == [1, 2, 3]
    assert find_cycle([[0]]) == [0]


def test_the_short_way_round() -> None:
    assert find_cycle([[1, 4], [2], [3], [4], [0]]) == [0, 4]


def test_a_long_chain_between_two_cycles_costs_no_square() -> None:
    count = 50_000
    needs = [[node - 1] for node in range(count)]
    needs[0] = [1]
    needs[count - 2].append(count - 1)
    assert find_cycle(needs) == [0, 1]
    backwards = [[node + 1] for node in range(count)]
    backwards[-1] = [count - 2]
    assert find_cycle(backwards) == [count - 2, count - 1]
