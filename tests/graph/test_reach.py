"""Order between nodes, against going all the ways; sets as wide as any; what an edge costs."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from stagebook.graph.reach import Reach, alone, bits_of, widest
from stagebook.graph.shape import shape
from stagebook.graph.spare import savings

Graph = list[list[int]]


@st.composite
def graphs(draw: st.DrawFn, most: int = 9) -> Graph:
    """Needs of up to `most` nodes, numbered against their order as well as along it."""
    count = draw(st.integers(0, most))
    places = draw(st.permutations(range(count)))
    needs: Graph = [[] for _ in range(count)]
    for late in range(count):
        earlier = draw(st.sets(st.integers(0, late - 1), max_size=4)) if late else set()
        needs[places[late]] = [places[each] for each in sorted(earlier)]
    return needs


def ancestors(needs: Graph) -> list[set[int]]:
    found: list[set[int]] = [set() for _ in needs]
    for node in shape(needs).order:
        for need in needs[node]:
            found[node] |= found[need] | {need}
    return found


@given(graphs())
def test_what_comes_before_what(needs: Graph) -> None:
    above = ancestors(needs)
    reach = Reach(needs, shape(needs).level)
    for one in range(len(needs)):
        for other in range(len(needs)):
            assert reach.before(one, other) is (one in above[other])
            if one != other:
                assert reach.ordered(one, other) is (one in above[other] or other in above[one])


@given(graphs())
def test_a_need_is_implied_if_another_one_leads_to_it(needs: Graph) -> None:
    above = ancestors(needs)
    reach = Reach(needs, shape(needs).level)
    for node, each in enumerate(needs):
        found = reach.implied(node)
        for need in each:
            assert found.get(need, False) is any(need in above[other] for other in each)


@given(graphs())
def test_without_a_budget_nothing_is_claimed(needs: Graph) -> None:
    above = ancestors(needs)
    reach = Reach(needs, shape(needs).level, budget=0)
    for one, other in combinations(range(len(needs)), 2):
        said = reach.ordered(one, other)
        assert said is None or said is (one in above[other] or other in above[one])


@given(graphs())
def test_alone_is_what_has_nobody_beside_it(needs: Graph) -> None:
    above = ancestors(needs)
    for node, is_alone in enumerate(alone(needs)):
        others = [other for other in range(len(needs)) if other != node]
        beside = [other for other in others if node not in above[other] and other not in above[node]]
        assert is_alone is (not beside)


@given(graphs(8))
def test_no_set_of_nodes_side_by_side_is_wider(needs: Graph) -> None:
    above = ancestors(needs)

    def is_free(nodes: tuple[int, ...]) -> bool:
        return all(one not in above[other] and other not in above[one] for one, other in combinations(nodes, 2))

    found = widest(needs, shape(needs).order)
    assert is_free(tuple(found))
    assert found == sorted(set(found))
    larger = combinations(range(len(needs)), len(found) + 1)
    assert not any(is_free(nodes) for nodes in larger)


@given(graphs(), st.data())
def test_what_is_saved_is_what_the_longest_path_loses(needs: Graph, data: st.DataObject) -> None:
    took = [data.draw(st.integers(0, 5)) for _ in needs]
    found = shape(needs, took)
    saved = savings(needs, took, found)
    for node, each in enumerate(needs):
        for need in each:
            others = [list(one) for one in needs]
            others[node] = [one for one in each if one != need]
            others[node] += [one for one in needs[need] if one not in others[node]]
            assert saved.get((need, node), 0) == found.length - shape(others, took).length


def test_bits() -> None:
    assert bits_of(0b10110) == [1, 2, 4]
    assert bits_of(0b10110, 2) == [1, 2]
    assert bits_of(0) == []
