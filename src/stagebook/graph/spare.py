"""How much shorter the longest path of a graph is without one of its edges. On integer lists, no names."""

from __future__ import annotations

from heapq import heappop, heappush

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from stagebook.graph.shape import Needs, Shape


def savings(needs: Needs, took: Sequence[float], found: Shape) -> dict[tuple[int, int], float]:
    """For each edge (need, node) of the critical path, how much shorter the longest path is if the node needs what the
    need needs instead. No other edge shortens it. `found` is the shape with these durations.

    Every path that avoids an edge passes the cut behind its need, in topological order, over another edge, or lies on
    one side of it; so one sweep over the cuts answers for all edges. Costs O(edges · log edges).
    """
    wanted = dict(zip(found.critical, found.critical[1:]))
    if not wanted:
        return {}
    tail = [found.length - latest for latest in found.latest]  # from the start of a node to the end of all, at most
    place = {node: at for at, node in enumerate(found.order)}
    starts_later = [0.0] * (len(needs) + 1)
    for at in range(len(needs) - 1, -1, -1):
        starts_later[at] = max(starts_later[at + 1], tail[found.order[at]])
    dependents: list[list[int]] = [[] for _ in needs]
    for node, each in enumerate(needs):
        for need in each:
            dependents[need].append(node)
    crossing: list[tuple[float, int, int]] = []  # longest first: its length, where it ends, its need
    answer: dict[tuple[int, int], float] = {}
    ended: float = 0
    for at, node in enumerate(found.order):
        end = found.earliest[node] + took[node]
        ended = max(ended, end)
        other = wanted.get(node, -1)
        for dependent in dependents[node]:
            if dependent != other:
                heappush(crossing, (-end - tail[dependent], place[dependent], node))
        while crossing and crossing[0][1] <= at:
            heappop(crossing)
        if other >= 0:
            longest = -crossing[0][0] if crossing else 0.0
            longest = max(longest, ended, starts_later[at + 1], found.earliest[node] + tail[other])
            answer[node, other] = max(0.0, found.length - longest)
            heappush(crossing, (-end - tail[other], place[other], node))
    return answer
