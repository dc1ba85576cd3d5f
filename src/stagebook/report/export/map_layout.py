"""Where the nodes of a map go: levels as columns from left to right, few crossings, straight paths. No drawing.

The order within a level is found by `fast_sugiyama` (Sugiyama's method: longest-path ranks, crossings reduced by
barycentres). All edges of a node pass a level at one place, so that what many need is one line with branches. Heights
are found by least squares under that order, level by level (pool adjacent violators), where heavier edges pull harder.
The same graph gives the same numbers on every machine.
"""

from __future__ import annotations

import itertools

from stagebook.graph.shape import shape
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Sequence, TypeAlias

Edge: TypeAlias = "tuple[int, int]"

GAP = 16.0  #: between two nodes of a level
_PASS = 10.0  #: the room of an edge that passes a level
_CAREFUL = 600  #: of more nodes and passing places, crossings are reduced with less care
_PLACES_MAX = 10_000  #: at which edges pass levels
_SWEEPS = 10
_HEAVY = 1000.0  #: more than all other edges of a node together, as a rule


class Placed(NamedTuple):
    """`level` and `y` (the middle) of each node; `passes`: for each node the `y` at which its edges pass the levels
    after its own, as far as they go; `height` of all of it, from 0 on."""

    level: list[int]
    y: list[float]
    passes: list[list[float]]
    height: float


class _Item:
    """A node, or the place at which edges pass a level."""

    __slots__ = ("height", "left", "right", "y")

    def __init__(self, height: float) -> None:
        self.y = 0.0
        self.height = height
        self.left: list[tuple[_Item, float]] = []
        self.right: list[tuple[_Item, float]] = []


def place(heights: Sequence[float], edges: Iterable[Edge], heavy: Iterable[Edge] = ()) -> Placed:
    """`heights` of the nodes; `edges` lead from a need to what needs it, and must have no cycle; those of `heavy` are
    kept straight where they can be. Parts that no edge joins are put below each other, in the order of their nodes."""
    count = len(heights)
    items, level, links, chains = _items(heights, sorted(set(edges)), frozenset(heavy))
    floor: dict[int, float] = {}
    height = 0.0
    for part in _parts(len(items), links):
        columns: dict[int, list[_Item]] = {}
        for each in part:
            columns.setdefault(level[each], []).append(items[each])
        _straighten(columns)
        shift = max([floor.get(at, 0.0) - column[0].y + column[0].height / 2 for at, column in columns.items()])
        for at, column in columns.items():
            for item in column:
                item.y = float(round(item.y + shift))
            floor[at] = column[-1].y + column[-1].height / 2 + GAP
            height = max(height, floor[at] - GAP)
    return Placed(
        level[:count], [item.y for item in items[:count]], [[items[at].y for at in one] for one in chains], height
    )


def _items(
    heights: Sequence[float], edges: list[Edge], heavy: frozenset[Edge]
) -> tuple[list[_Item], list[int], list[Edge], list[list[int]]]:
    """Nodes and behind them passing places; their levels; links between neighbouring levels; each node's places."""
    needs: list[list[int]] = [[] for _ in heights]
    for need, node in edges:
        needs[node].append(need)
    level = shape(needs).level
    items = [_Item(height) for height in heights]
    chains: list[list[int]] = [[] for _ in heights]
    weights: dict[Edge, float] = {}
    for need, node in sorted(edges, key=lambda edge: level[edge[1]] - level[edge[0]]):
        chain, apart = chains[need], level[node] - level[need]
        if len(items) + apart > len(heights) + _PLACES_MAX:
            break  # what is left joins what lies far apart, and is drawn right across
        while len(chain) + 1 < apart:
            chain.append(len(items))
            level.append(level[need] + len(chain))
            items.append(_Item(_PASS))
        for link in itertools.pairwise([need, *chain[: apart - 1], node]):
            is_within = link[0] >= len(heights) and link[1] >= len(heights)
            weight = (_HEAVY if (need, node) in heavy else 1.0) * (4.0 if is_within else 1.0)
            weights[link] = weights.get(link, 0.0) + weight
    for (one, other), weight in weights.items():
        items[one].right.append((items[other], weight))
        items[other].left.append((items[one], weight))
    return items, level, sorted(weights), chains


def _parts(count: int, links: list[Edge]) -> list[list[int]]:
    """The connected parts by their first nodes, each in the order in which it is to stand in the levels."""
    joined = sorted({each for link in links for each in link})
    parts = [[each] for each in sorted(set(range(count)) - set(joined))]
    if links:
        from fast_sugiyama import from_edges

        number = {each: index for index, each in enumerate(joined)}
        found = from_edges(
            [(number[one], number[other]) for one, other in links],
            minimum_length=1, vertex_spacing=10, dummy_vertices=False, ranking_type="up",
            crossing_minimization="barycenter", transpose=len(joined) <= _CAREFUL, check_layout=False,
        )  # fmt: skip
        for places, *_ in found:
            ordered = sorted((-down, across, joined[int(each)]) for each, (across, down) in places)
            parts.append([each for _, _, each in ordered])
    return sorted(parts, key=min)


def _straighten(columns: dict[int, list[_Item]]) -> None:
    order = sorted(columns)
    for column in columns.values():
        for index, item in enumerate(column):
            item.y = index * (item.height + GAP)
    for sweep in range(_SWEEPS):
        for at in order if sweep % 2 == 0 else reversed(order):
            column = columns[at]
            sides = [item.left if sweep % 2 == 0 else item.right for item in column]
            if sweep >= _SWEEPS - 2:
                sides = [item.left + item.right for item in column]
            _settle(column, sides)
    for at in order:  # and what is heavy exactly straight
        _settle(columns[at], [[one for one in item.left if one[1] >= _HEAVY] for item in columns[at]])


def _settle(column: list[_Item], sides: list[list[tuple[_Item, float]]]) -> None:
    """Each item as near to the mean of its neighbours as the order and the room between items allow."""
    blocks: list[tuple[float, float, int]] = []  # the mean above what the items need, its weight, how many items
    needed = [0.0]
    for above, below in itertools.pairwise(column):
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
