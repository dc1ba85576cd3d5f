"""Whether one node of a graph comes before another, and which nodes belong side by side. On integer lists, no names.

Asking for one pair is cheap where a tree of the graph or the levels answer it. The rest is searched for, up to a
budget for all questions together, beyond which the answer is None: not known.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Sequence

    from stagebook.graph.shape import Needs

BUDGET = 2_000_000  #: needs looked at, in all: about half a second
WIDEST_MAX = 400  #: nodes


class Reach:
    """Answers of one graph. `level` is that of its `Shape`."""

    def __init__(self, needs: Needs, level: Sequence[int], budget: int = BUDGET) -> None:
        self.left = budget
        self._needs = needs
        self._level = level
        self._first, self._last = _tree(needs, level)

    def before(self, early: int, late: int) -> bool | None:
        """Whether `late` needs `early`, be it over others."""
        level, floor = self._level, self._level[early]
        if floor >= level[late]:
            return False
        seen = {late}
        todo = [late]
        while todo:
            node = todo.pop()
            if self._first[early] <= self._first[node] <= self._last[early]:
                return True
            if self.left <= 0:
                return None
            self.left -= 1 + len(self._needs[node])
            for need in self._needs[node]:
                if need == early:
                    return True
                if level[need] > floor and need not in seen:
                    seen.add(need)
                    todo.append(need)
        return False

    def ordered(self, one: int, other: int) -> bool | None:
        """Whether either comes before the other."""
        if self._level[one] > self._level[other]:
            one, other = other, one
        return self.before(one, other)

    def implied(self, node: int) -> dict[int, bool | None]:
        """Those of its needs that may be implied by its others, each with whether that is so."""
        needs, level = self._needs[node], self._level
        if len(needs) < 2:
            return {}
        top = max(level[need] for need in needs)
        asked = [need for need in needs if level[need] < top]
        found: dict[int, bool | None] = {}
        deepest = next(need for need in needs if level[need] == top)
        for need in asked:
            if self._first[need] <= self._first[deepest] <= self._last[need]:
                found[need] = True
        rest = [need for need in asked if need not in found]
        if rest:
            above = self._above(needs, rest)
            for need in rest:
                found[need] = None if above is None else need in above
        return found

    def _above(self, needs: Sequence[int], asked: Collection[int]) -> set[int] | None:
        """Those of `asked` that come before any of `needs`."""
        level, floor = self._level, min(self._level[need] for need in asked)
        wanted = set(asked)
        found: set[int] = set()
        seen = {need for need in needs if level[need] > floor}
        todo = list(seen)
        while todo and len(found) < len(wanted):
            node = todo.pop()
            if self.left <= 0:
                return None
            self.left -= 1 + len(self._needs[node])
            for need in self._needs[node]:
                if need in wanted:
                    found.add(need)
                if level[need] > floor and need not in seen:
                    seen.add(need)
                    todo.append(need)
        return found


def _tree(needs: Needs, level: Sequence[int]) -> tuple[list[int], list[int]]:
    """Each node hung under the deepest node that it needs: when the walk comes to it, and to the last below it."""
    below: list[list[int]] = [[] for _ in needs]
    roots = []
    for node, each in enumerate(needs):
        if each:
            below[max(each, key=level.__getitem__)].append(node)
        else:
            roots.append(node)
    first, last = [0] * len(needs), [0] * len(needs)
    order: list[int] = []
    parent = [-1] * len(needs)
    todo = roots[::-1]
    while todo:
        node = todo.pop()
        first[node] = last[node] = len(order)
        order.append(node)
        for child in below[node]:
            parent[child] = node
        todo += below[node]
    for node in reversed(order):
        if parent[node] >= 0 and last[node] > last[parent[node]]:
            last[parent[node]] = last[node]
    return first, last


def alone(needs: Needs) -> list[bool]:
    """For each node whether every other one comes before or after it, so that nothing can be beside it.

    Of nodes taken as they become free, one after another, one that is free by itself comes before all that are left; so
    too against the arrows. Both numbers together are all others, or there is one beside it.
    """
    dependents: list[list[int]] = [[] for _ in needs]
    for node, each in enumerate(needs):
        for need in each:
            dependents[need].append(node)
    after = _left_when_single(needs, dependents)
    before = _left_when_single(dependents, needs)
    return [
        one is not None and other is not None and one + other == len(needs) - 1 for one, other in zip(after, before)
    ]


def _left_when_single(needs: Needs, dependents: Needs) -> list[int | None]:
    waiting = [len(each) for each in needs]
    free = [node for node, count in enumerate(waiting) if not count]
    found: list[int | None] = [None] * len(needs)
    for place, node in enumerate(free):  # it grows meanwhile
        if place + 1 == len(free):
            found[node] = len(needs) - place - 1
        for dependent in dependents[node]:
            waiting[dependent] -= 1
            if not waiting[dependent]:
                free.append(dependent)
    return found


def widest(needs: Needs, order: Sequence[int]) -> list[int]:
    """A largest set of nodes none of which comes before another, in order of position.

    As many as chains needed to cover the graph (Dilworth), by a largest matching of what comes before what (Fulkerson);
    the set is what a smallest cover leaves (König). Costs O(nodes³ ÷ word) at worst: for at most WIDEST_MAX.
    """
    count = len(needs)
    after = [0] * count
    for node in reversed(order):
        for need in needs[node]:
            after[need] |= after[node] | 1 << node
    match_left, match_right = [-1] * count, [-1] * count
    for left in range(count):
        end, came = _path(left, after, match_right)
        while end >= 0:  # turns the path round
            before = came[end]
            match_right[end] = before
            match_left[before], end = end, match_left[before]
    seen_right = 0
    seen_left = {node for node in range(count) if match_left[node] < 0}
    todo = list(seen_left)
    while todo:
        fresh = after[todo.pop()] & ~seen_right
        seen_right |= fresh
        for right in bits_of(fresh):
            if match_right[right] >= 0 and match_right[right] not in seen_left:
                seen_left.add(match_right[right])
                todo.append(match_right[right])
    return [node for node in range(count) if node in seen_left and not seen_right >> node & 1]


def _path(start: int, after: list[int], match_right: list[int]) -> tuple[int, dict[int, int]]:
    """The free right node that a path from `start` ends at, or -1; and where each right node was come to from."""
    came: dict[int, int] = {}
    seen = 0
    todo = [start]
    for left in todo:
        fresh = after[left] & ~seen
        seen |= fresh
        for right in bits_of(fresh):
            came[right] = left
            if match_right[right] < 0:
                return right, came
            todo.append(match_right[right])
    return -1, came


def bits_of(word: int, most: int = -1) -> list[int]:
    """The numbers of the bits that are set, from the lowest on; no more than `most`."""
    found: list[int] = []
    while word and len(found) != most:
        low = word & -word
        found.append(low.bit_length() - 1)
        word ^= low
    return found
