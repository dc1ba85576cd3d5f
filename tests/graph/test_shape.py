from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.graph.shape import CycleError, dependents_of, order, shape


@st.composite
def graphs(draw: st.DrawFn, largest: int = 9) -> list[list[int]]:
    """Acyclic, but in no particular order of positions."""
    count = draw(st.integers(0, largest))
    names = draw(st.permutations(range(count)))
    needs: list[list[int]] = [[] for _ in range(count)]
    for index in range(count):
        for other in draw(st.sets(st.integers(0, max(index - 1, 0)), max_size=3)) if index else ():
            needs[names[index]].append(names[other])
    return needs


def paths(needs: list[list[int]], node: int) -> list[list[int]]:
    """All chains of needs that end in `node`."""
    return [[*path, node] for need in needs[node] for path in paths(needs, need)] or [[node]]


@given(graphs(), st.data())
def test_times_agree_with_every_path(needs: list[list[int]], data: st.DataObject) -> None:
    count = len(needs)
    took = data.draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
    made = shape(needs, took)
    every = [path for node in range(count) for path in paths(needs, node)]
    weight = {tuple(path): sum(took[node] for node in path) for path in every}
    assert made.length == max(weight.values(), default=0)
    for node in range(count):
        own = paths(needs, node)
        assert made.earliest[node] == max(weight[tuple(path)] for path in own) - took[node]
        assert made.level[node] == max(len(path) for path in own) - 1
        assert made.latest[node] - made.earliest[node] == made.slack[node] >= 0
    through = [max((weight[tuple(path)] for path in every if node in path), default=0) for node in range(count)]
    assert [made.length - each for each in through] == made.slack
    assert made.depth == max((len(path) for path in every), default=0)
    assert made.width == max((made.level.count(each) for each in made.level), default=0)


@given(graphs(), st.data())
def test_the_critical_path_is_a_longest_chain(needs: list[list[int]], data: st.DataObject) -> None:
    took = data.draw(st.lists(st.integers(1, 9), min_size=len(needs), max_size=len(needs)))
    made = shape(needs, took)
    path = made.critical
    assert bool(path) == bool(needs)
    assert sum(took[node] for node in path) == made.length
    assert all(before in needs[after] for before, after in pairwise(path))
    assert all(made.slack[node] == 0 for node in path)
    if path:
        assert needs[path[0]] == []


@given(graphs())
def test_order_is_topological_and_the_nearest_to_positions(needs: list[list[int]]) -> None:
    made = order(needs)
    done: set[int] = set()
    for node in made:
        able = [each for each in range(len(needs)) if each not in done and done.issuperset(needs[each])]
        assert node == min(able)
        done.add(node)
    assert sorted(shape(needs).order) == sorted(made) == list(range(len(needs)))


@given(graphs())
def test_dependents_turn_needs_round(needs: list[list[int]]) -> None:
    pairs = {(need, node) for node, each in enumerate(needs) for need in each}
    assert {(node, each) for node, of in enumerate(dependents_of(needs)) for each in of} == pairs


def test_a_cycle_is_refused() -> None:
    for needs in ([[0]], [[1], [0]], [[], [2, 0], [1]]):
        with pytest.raises(CycleError):
            order(needs)
        with pytest.raises(CycleError):
            shape(needs)


def test_a_hundred_thousand_in_a_chain_and_side_by_side() -> None:
    count = 100_000
    chain = shape([[node - 1] if node else [] for node in range(count)])
    assert (chain.depth, chain.width, chain.length, len(chain.critical)) == (count, 1, count, count)
    turned = [[node + 1] if node + 1 < count else [] for node in range(count)]
    assert order(turned) == list(range(count - 1, -1, -1))
    wide = shape([[] for _ in range(count)])
    assert (wide.depth, wide.width, wide.length) == (1, count, 1)


def test_nothing_at_all() -> None:
    assert shape([]) == ([], [], [], [], [], [], 0, 0, 0)
    assert order([]) == []
