"""Finds one cycle among stages and says it from its earliest stage. Nothing about order where there is none."""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence


def find_cycle(needs: Sequence[Sequence[int]]) -> list[int] | None:
    """A short cycle near the earliest stages that are caught in one, or None.

    `needs[i]` are the indices that `i` needs. The answer starts with its smallest index and goes the way work would
    flow: each stage is needed by the next one, and the last one by the first. Costs O(stages + needs).
    """
    if all(not each or max(each) < index for index, each in enumerate(needs)):
        return None  # as most files are written: what is needed stands above
    dependents: list[list[int]] = [[] for _ in needs]
    waiting = [len(each) for each in needs]
    for index, each in enumerate(needs):
        for need in each:
            dependents[need].append(index)
    ready = [index for index, count in enumerate(waiting) if not count]
    for index in ready:
        for dependent in dependents[index]:
            waiting[dependent] -= 1
            if not waiting[dependent]:
                ready.append(dependent)
    if len(ready) == len(needs):
        return None
    stuck = _on_cycles(needs, dependents, waiting)
    return _shortest(min(_some_cycle(min(stuck), needs, stuck)), dependents, stuck)


def _on_cycles(needs: Sequence[Sequence[int]], dependents: list[list[int]], waiting: list[int]) -> set[int]:
    """Stages left after those behind the cycles are peeled off as well; each has a need and a dependent left."""
    left = {index for index, count in enumerate(waiting) if count}
    out = {index: sum(each in left for each in dependents[index]) for index in left}
    ends = [index for index, count in out.items() if not count]
    for index in ends:
        left.discard(index)
        for need in needs[index]:
            if need in left:
                out[need] -= 1
                if not out[need]:
                    ends.append(need)
    return left


def _some_cycle(start: int, needs: Sequence[Sequence[int]], left: set[int]) -> list[int]:
    """Goes from need to need, the earliest each time, until a stage comes up again. Against the flow of work."""
    seen: dict[int, int] = {}
    path: list[int] = []
    index = start
    while index not in seen:
        seen[index] = len(path)
        path.append(index)
        index = min(each for each in needs[index] if each in left)
    return path[seen[index] :]


def _shortest(start: int, dependents: list[list[int]], left: set[int]) -> list[int]:
    """Breadth first from `start`, which lies on a cycle, back to it; turned so that its earliest stage comes first."""
    before = {start: -1}
    queue = deque([start])
    while queue:
        index = queue.popleft()
        for dependent in sorted(dependents[index]):
            if dependent == start:
                path = [index]
                while before[path[-1]] >= 0:
                    path.append(before[path[-1]])
                path.reverse()
                smallest = path.index(min(path))
                return path[smallest:] + path[:smallest]
            if dependent in left and dependent not in before:
                before[dependent] = index
                queue.append(dependent)
    raise AssertionError("a stage on a cycle leads back to itself")
