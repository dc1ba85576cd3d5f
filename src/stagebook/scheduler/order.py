"""Which stage goes first and which are critical: longest remaining path, what it claims, zero slack. Lists of numbers.

Durations are those known from earlier runs, else those declared; a stage with neither weighs as the median of the
others, and where none is known at all every stage weighs 1, so that paths are counted in stages. A stage that is not
selected weighs nothing.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from stagebook.model.joining import in_order
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import InputError, Problem
from stagebook.scheduler.plan import Choice


class Shape:
    """Weights and longest paths of one pipeline: `before[i]` ends where stage `i` begins, `after[i]` begins where
    it ends, both in milliseconds, or in stages where no duration is known."""

    __slots__ = ("after", "before", "in_file_order", "is_timed", "pipeline", "selected", "weight")

    def __init__(
        self, pipeline: Pipeline, weight: list[int], needs: list[tuple[int, ...]], selected: list[bool], is_timed: bool
    ) -> None:
        self.pipeline = pipeline
        self.is_timed = is_timed
        self.weight = weight
        self.selected = selected
        self.in_file_order = _topological(pipeline, needs)
        count = len(weight)
        before, after = [0] * count, [0] * count
        for index in self.in_file_order:
            start = 0
            for need in needs[index]:
                end = before[need] + weight[need]
                if end > start:
                    start = end
            before[index] = start
        for index in reversed(self.in_file_order):
            tail = after[index] + weight[index]
            for need in needs[index]:
                if tail > after[need]:
                    after[need] = tail
        self.before, self.after = before, after

    def sequential_ranks(self) -> list[int]:
        """Topological, in file order wherever the needs leave a choice."""
        return _places(self.in_file_order)

    def ranks(self, claims: list[int]) -> list[int]:
        """Priority, then longest remaining path, then position. `claims`: how much each stage claims of all pools
        beside the slot, in thousandths of whole ones.

        The path counts from the middle of the stage: half way between latest start and latest finish, the two common
        rules (Kolisch, *Serial and parallel resource-constrained project scheduling methods revisited*, EJOR 90,
        1996), each of which is better where the other is not. Where any duration is known, a whole pool counts like a
        path as long as the mean stage, for what is large is harder to fit in later. `benchmarks/rules.py` has the
        figures.
        """
        stages, weight, after = self.pipeline.stages, self.weight, self.after
        count, whole = len(weight), sum(weight) if self.is_timed else 0
        urgency = [
            (2 * tail + own) * 1000 * count + 2 * whole * claim for tail, own, claim in zip(after, weight, claims)
        ]
        return _places(sorted(in_order(stages), key=lambda index: (-stages[index].priority, -urgency[index])))

    def critical(self) -> list[bool]:
        """The set that decides a lenient run: those marked, else those without slack; always those that must not
        run twice and those that wait for a person."""
        stages = self.pipeline.stages
        if any(stage.critical for stage in stages):
            chosen = [stage.critical for stage in stages]
        else:
            paths = [sum(parts) for parts in zip(self.before, self.weight, self.after)]
            longest = max(paths, default=0)
            chosen = [path == longest for path in paths]
        return [
            selected and (critical or stage.kind == "gate" or not stage.retry_safe)
            for selected, critical, stage in zip(self.selected, chosen, stages)
        ]


def critical_by(pipeline: Pipeline, choice: Choice) -> str:
    """What chose the critical set: `marked`, or of which weights its paths are the longest."""
    stages = pipeline.stages
    if any(stage.critical for stage in stages):
        return "marked"
    known = dict(choice.durations_ms)
    if any(stage.id in known for stage in stages):
        return "known durations"
    if any(stage.duration_ms is not None for stage in stages):
        return "declared durations"
    return "number of stages"


def measure(pipeline: Pipeline, choice: Choice, needs: list[tuple[int, ...]], selected: list[bool]) -> Shape:
    """Raises `InputError` if the needs form a cycle; the graph room says which."""
    known = dict(choice.durations_ms)
    durations = [known.get(stage.id, stage.duration_ms) for stage in pipeline.stages]
    some = sorted(duration for duration in durations if duration is not None)
    unknown = some[len(some) // 2] if some else 1
    weight = [(unknown if duration is None else duration) if runs else 0 for duration, runs in zip(durations, selected)]
    return Shape(pipeline, weight, needs, selected, bool(some))


def _places(order: list[int]) -> list[int]:
    places = [0] * len(order)
    for place, index in enumerate(order):
        places[index] = place
    return places


def _topological(pipeline: Pipeline, needs: list[tuple[int, ...]]) -> list[int]:
    """Of all orders in which needs come first, the one that is nearest to the file; there a stage is followed by what
    it has generated."""
    count = len(needs)
    by_place = in_order(pipeline.stages)
    place = _places(by_place)
    if all(place[need] < place[index] for index, stage_needs in enumerate(needs) for need in stage_needs):
        return by_place
    followers: list[list[int]] = [[] for _ in range(count)]
    left = [len(stage_needs) for stage_needs in needs]
    for index, stage_needs in enumerate(needs):
        for need in stage_needs:
            followers[need].append(index)
    free = [place[index] for index in range(count) if not left[index]]
    heapify(free)
    order: list[int] = []
    while free:
        index = by_place[heappop(free)]
        order.append(index)
        for follower in followers[index]:
            left[follower] -= 1
            if not left[follower]:
                heappush(free, place[follower])
    if len(order) < count:
        stage = pipeline.stages[next(index for index in range(count) if left[index])]
        text = f"the needs of stage `{stage.id}` form a cycle or wait for one"
        raise InputError(text, [Problem(pipeline.file, stage.line, stage.col, "cycle", "error", text)])
    return order
