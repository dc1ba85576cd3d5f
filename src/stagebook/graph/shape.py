"""Order, levels, times and slack of a graph, on plain integer lists. No names, no stages, no recursion.

A graph is `needs`: for each node the nodes that it needs, all smaller or larger than it, in any order. Durations are
numbers of any one unit. Everything costs O(nodes + needs), but for `order`, whose heap adds a factor log(nodes).
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence, TypeAlias

Needs: TypeAlias = "Sequence[Sequence[int]]"


class CycleError(ValueError):
    """The graph has a cycle; `graph.cycles.find_cycle` says which."""


class Shape(NamedTuple):
    """`order` is topological. `earliest` and `latest` are starts: the earliest that needs allow, and the latest that
    does not delay the end; `slack` is their difference. `critical` is one longest path, in order. `length` is its
    duration. `width` is the size of the largest level, `depth` the number of levels.
    """

    order: list[int]
    level: list[int]
    earliest: list[float]
    latest: list[float]
    slack: list[float]
    critical: list[int]
    length: float
    width: int
    depth: int


def dependents_of(needs: Needs) -> list[list[int]]:
    """For each node the nodes that need it, in order."""
    dependents: list[list[int]] = [[] for _ in needs]
    for node, each in enumerate(needs):
        for need in each:
            dependents[need].append(node)
    return dependents


def order(needs: Needs) -> list[int]:
    """Topological, and of all such orders the one that keeps closest to the positions: what `--sequential` runs.

    Always the smallest node whose needs are done comes next. CycleError if there is none.
    """
    for node, each in enumerate(needs):
        if each and max(each) >= node:
            break
    else:
        return list(range(len(needs)))
    from heapq import heapify, heappop, heappush

    dependents = dependents_of(needs)
    waiting = [len(each) for each in needs]
    ready = [node for node, count in enumerate(waiting) if not count]
    heapify(ready)
    done: list[int] = []
    while ready:
        node = heappop(ready)
        done.append(node)
        for dependent in dependents[node]:
            waiting[dependent] -= 1
            if not waiting[dependent]:
                heappush(ready, dependent)
    if len(done) < len(needs):
        raise CycleError("the graph has a cycle")
    return done


def shape(needs: Needs, durations: Sequence[float] | None = None) -> Shape:
    """All of `Shape` in two passes. `durations` None: every node takes 1. CycleError if there is a cycle.

    `order` here is by levels as they become free (Kahn), stable by position; `order()` gives the one of the file.
    """
    count = len(needs)
    took: Sequence[float] = [1] * count if durations is None else durations
    dependents: list[list[int]] = [[] for _ in needs]
    waiting = [0] * count
    for node, each in enumerate(needs):
        waiting[node] = len(each)
        for need in each:
            dependents[need].append(node)
    sequence = [node for node in range(count) if not waiting[node]]
    earliest: list[float] = [0] * count
    level = [0] * count
    length: float = 0
    for node in sequence:
        end = earliest[node] + took[node]
        below = level[node] + 1
        if end > length:
            length = end
        for dependent in dependents[node]:
            if end > earliest[dependent]:
                earliest[dependent] = end
            if below > level[dependent]:
                level[dependent] = below
            waiting[dependent] -= 1
            if not waiting[dependent]:
                sequence.append(dependent)
    if len(sequence) < count:
        raise CycleError("the graph has a cycle")
    latest: list[float] = [length] * count
    for node in reversed(sequence):
        finish = length
        for dependent in dependents[node]:
            if latest[dependent] < finish:
                finish = latest[dependent]
        latest[node] = finish - took[node]
    slack = [late - early for late, early in zip(latest, earliest)]
    sizes = [0] * (max(level) + 1 if level else 0)
    for each_level in level:
        sizes[each_level] += 1
    critical = _critical(needs, took, earliest, length)
    return Shape(sequence, level, earliest, latest, slack, critical, length, max(sizes, default=0), len(sizes))


def _critical(needs: Needs, took: Sequence[float], earliest: list[float], length: float) -> list[int]:
    """From the earliest node that ends last, back over the need that it waited for; of equal ones the first."""
    if not needs:
        return []
    node = next(each for each in range(len(needs)) if earliest[each] + took[each] == length)
    path = [node]
    while needs[node]:
        node = max(needs[node], key=lambda need: (earliest[need] + took[need], -need))
        path.append(node)
    path.reverse()
    return path
