"""Places of a map: levels as they are, no box on another, heavy edges straight, the same each time."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.graph.shape import shape
from stagebook.report.export.map_layout import GAP, Placed, place

Edges = list[tuple[int, int]]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[float], Edges]:
    count = draw(st.integers(1, 24))
    heights = draw(st.lists(st.sampled_from([32.0, 46.0]), min_size=count, max_size=count))
    order = draw(st.permutations(range(count)))
    pairs = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=60))
    return heights, [(order[min(pair)], order[max(pair)]) for pair in pairs if pair[0] != pair[1]]


def needs_of(count: int, edges: Edges) -> list[list[int]]:
    needs: list[list[int]] = [[] for _ in range(count)]
    for need, node in edges:
        needs[node].append(need)
    return needs


def whole(heights: list[float], edges: Edges, placed: Placed) -> None:
    assert placed.level == shape(needs_of(len(heights), edges)).level
    columns: dict[int, list[tuple[float, float]]] = {}
    for level, y, height in zip(placed.level, placed.y, heights):
        columns.setdefault(level, []).append((y - height / 2, y + height / 2))
    for column in columns.values():
        for above, below in pairwise(sorted(column)):
            assert below[0] - above[1] >= GAP - 1.5
        assert min(column)[0] >= -1 and max(column)[1] <= placed.height + 1
    for need, node in edges:
        assert len(edges) > 1000 or len(placed.passes[need]) >= placed.level[node] - placed.level[need] - 1


@settings(deadline=None)
@given(graphs())
def test_any_graph_is_in_its_levels_and_no_box_lies_on_another(graph: tuple[list[float], Edges]) -> None:
    heights, edges = graph
    placed = place(heights, edges)
    whole(heights, edges, placed)
    assert place(heights, list(reversed(edges))) == placed


def test_it_is_the_same_in_another_process() -> None:
    code = (
        "from tests.report import mapped; from stagebook.report.export import map_svg;"
        "import hashlib; print(hashlib.sha256(map_svg.draw(mapped.layered(120)).encode()).hexdigest())"
    )
    said = {subprocess.check_output([sys.executable, "-c", code], text=True) for _ in range(3)}
    assert len(said) == 1


def test_a_heavy_path_is_a_straight_line() -> None:
    edges = [(0, one) for one in range(1, 6)] + [(3, 6), (4, 6), (6, 7), (2, 7), (7, 8), (1, 8)]
    placed = place([32.0] * 9, edges, [(0, 4), (4, 6), (6, 7), (7, 8)])
    assert max(placed.y[one] for one in (0, 4, 6, 7, 8)) - min(placed.y[one] for one in (0, 4, 6, 7, 8)) <= 2


def test_what_has_no_edge_is_below_the_rest_in_the_order_of_the_file() -> None:
    placed = place([32.0] * 5, [(0, 1)])
    assert placed.level == [0, 1, 0, 0, 0]
    assert placed.y[0] < placed.y[2] < placed.y[3] < placed.y[4]


@pytest.mark.parametrize("count", [200, 2000])
def test_many_nodes_take_little_time(count: int) -> None:
    edges = [(at, min(count - 1, at + 1 + at * 7 % 40)) for at in range(count - 1)]
    begun = time.perf_counter()
    placed = place([32.0] * count, edges)
    assert time.perf_counter() - begun < 5
    whole([32.0] * count, edges, placed)
