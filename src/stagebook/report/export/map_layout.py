"""Where the nodes of a map go: levels as columns from left to right, few crossings, straight paths. No drawing.

Levels and the order within a level are found by `fast_sugiyama` (Sugiyama's method: longest-path ranks, crossings
reduced by barycentres). Its heights are taken as a first guess only: they are then straightened by least squares under
the order, level by level (pool adjacent violators), where heavier edges pull harder. The same graph gives the same
numbers on every machine.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Sequence, TypeAlias

Edge: TypeAlias = "tuple[int, int]"

GAP = 16.0  #: between two nodes of a level
_PASS = 10.0  #: the room of an edge that passes a level
_CAREFUL = 400  #: of more nodes, crossings are reduced with less care
_SWEEPS = 10
_UNIT = 10  #: of the heights that are asked for


class Placed(NamedTuple):
    """`level` and `y` (the middle) of each node; `passes`: for each edge the `y` at which it passes each level in
    between, from left to right; `height` of all of it, from 0 on."""

    level: list[int]
    y: list[float]
    passes: dict[Edge, list[float]]
    height: float


class _Item:
    """A node, or the place at which an edge passes a level."""

    __slots__ = ("height", "left", "right", "y")

    def __init__(self, y: float, height: float) -> None:
        self.y = y
        self.height = height
        self.left: list[tuple[_Item, float]] = []
        self.right: list[tuple[_Item, float]] = []


def place(heights: Sequence[float], edges: Iterable[Edge], heavy: Iterable[Edge] = ()) -> Placed:
    """`heights` of the nodes; `edges` lead from a need to what needs it, and must have no cycle; those of `heavy` are
    kept straight where they can be. Parts that no edge joins are put below each other, in the order of their nodes."""
    level = [0] * len(heights)
    y = [0.0] * len(heights)
    passes: dict[Edge, list[float]] = {}
    heavier = frozenset(heavy)
    floor: dict[int, float] = {}
    height = 0.0
    for part in _parts(len(heights), sorted(set(edges)), heights):
        columns, nodes, chains = _items(part, heights, heavier)
        _straighten(columns)
        shift = max([floor.get(at, 0.0) - _top(column[0]) for at, column in columns.items()])
        for at, column in columns.items():
            for item in column:
                item.y = float(round(item.y + shift))
            floor[at] = column[-1].y + column[-1].height / 2 + GAP
            height = max(height, floor[at] - GAP)
        for node, (at, item) in nodes.items():
            level[node], y[node] = at, item.y
        for edge, chain in chains.items():
            passes[edge] = [item.y for item in chain]
    return Placed(level, y, passes, height)


class _Part(NamedTuple):
    """One connected part as `fast_sugiyama` has it: `at` gives level and height of nodes and of passing places, which
    have numbers from `count` on; `links` join neighbouring levels."""

    count: int
    at: dict[int, tuple[int, float]]
    links: list[Edge]


def _parts(count: int, edges: list[Edge], heights: Sequence[float]) -> list[_Part]:
    joined = sorted({node for edge in edges for node in edge})
    lonely = sorted(set(range(count)) - set(joined))
    parts = [_Part(count, {node: (0, 0.0)}, []) for node in lonely]
    if edges:
        parts += _ranked(count, edges, joined)
    return sorted(parts, key=lambda part: min(part.at))


def _ranked(count: int, edges: list[Edge], joined: list[int]) -> Iterable[_Part]:
    from fast_sugiyama import from_edges

    number = {node: index for index, node in enumerate(joined)}
    found = from_edges(
        [(number[need], number[node]) for need, node in edges],
        minimum_length=1, vertex_spacing=_UNIT, dummy_vertices=True, dummy_size=0.3, ranking_type="up",
        crossing_minimization="barycenter", transpose=len(joined) <= _CAREFUL, check_layout=False,
    )  # fmt: skip

    def real(each: int | str) -> int:
        return joined[int(each)] if int(each) < len(joined) else count + int(each) - len(joined)

    for places, _, _, links in found:
        lowest = max(down for _, (_, down) in places)
        at = {real(each): (round((lowest - down) / _UNIT), across) for each, (across, down) in places}
        yield _Part(count, at, sorted((real(need), real(node)) for need, node in links or ()))


def _items(
    part: _Part, heights: Sequence[float], heavy: frozenset[Edge]
) -> tuple[dict[int, list[_Item]], dict[int, tuple[int, _Item]], dict[Edge, list[_Item]]]:
    """The columns in order, the items of nodes with their levels, and for each edge the items at which it passes."""
    scale = (max(heights) + GAP) / _UNIT
    made = {
        each: _Item(across * scale, heights[each] if each < part.count else _PASS)
        for each, (_, across) in part.at.items()
    }
    ahead: dict[int, list[int]] = {}
    for one, other in part.links:
        ahead.setdefault(one, []).append(other)
    chains: dict[Edge, list[_Item]] = {}
    for node in sorted(made):
        if node >= part.count:
            break
        for first in ahead.get(node, ()):
            way = [node, first]
            while way[-1] >= part.count:
                way.append(ahead[way[-1]][0])
            edge = (node, way[-1])
            chains[edge] = [made[each] for each in way[1:-1]]
            weight = 60.0 if edge in heavy else 1.0
            for one, other in zip(way, way[1:]):
                straight = weight * (1 + (one >= part.count)) * (1 + (other >= part.count))
                made[one].right.append((made[other], straight))
                made[other].left.append((made[one], straight))
    columns: dict[int, list[_Item]] = {}
    for each in sorted(made, key=lambda each: (part.at[each][0], part.at[each][1], each)):
        columns.setdefault(part.at[each][0], []).append(made[each])
    nodes = {each: (part.at[each][0], item) for each, item in made.items() if each < part.count}
    return columns, nodes, chains


def _straighten(columns: dict[int, list[_Item]]) -> None:
    order = sorted(columns)
    for sweep in range(_SWEEPS):
        for at in order if sweep % 2 == 0 else reversed(order):
            column = columns[at]
            sides = [item.left if sweep % 2 == 0 else item.right for item in column]
            if sweep >= _SWEEPS - 2:
                sides = [item.left + item.right for item in column]
            _settle(column, sides)


def _settle(column: list[_Item], sides: list[list[tuple[_Item, float]]]) -> None:
    """Each item as near to the mean of its neighbours as the order and the room between items allow."""
    blocks: list[tuple[float, float, int]] = []  # the mean above what the items need, its weight, how many items
    needed = [0.0]
    for above, below in zip(column, column[1:]):
        needed.append(needed[-1] + (above.height + below.height) / 2 + _room(above, below))
    for item, side, offset in zip(column, sides, needed):
        weight = sum(each for _, each in side)
        wish = sum(other.y * each for other, each in side) / weight if weight else item.y
        weight = weight or 0.05
        mean, many = wish - offset, 1
        while blocks and blocks[-1][0] >= mean:
            before, before_weight, before_many = blocks.pop()
            mean = (before * before_weight + mean * weight) / (before_weight + weight)
            weight += before_weight
            many += before_many
        blocks.append((mean, weight, many))
    at = 0
    for mean, _, many in blocks:
        for index in range(at, at + many):
            column[index].y = mean + needed[index]
        at += many


def _room(above: _Item, below: _Item) -> float:
    return 2.0 if above.height == below.height == _PASS else GAP


def _top(item: _Item) -> float:
    return item.y - item.height / 2
