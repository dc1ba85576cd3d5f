"""What stages take in a run that is simulated: drawn from a profile, all stages of a run together, by a seed.

Stages of one run have something in common (a busy machine, a larger change): drawn each for itself, runs would come
out far too alike. So a run gets one factor, that of a run on record, and each stage what is left over of one of its
own. How well that does is in docs/explanation/prediction.md.
"""

from __future__ import annotations

from bisect import bisect
from itertools import accumulate
from math import exp, log, sqrt
from random import Random
from statistics import median

from stagebook.model.value import NamedTuple
from stagebook.plan.profile import ENOUGH
from stagebook.simulate.work import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Mapping, Sequence

    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.profile import Profile, StageProfile
    from stagebook.simulate.work import Draw

_NORMAL = 1.4826  #: by which the median of absolute deviations of normal values is less than their standard deviation
_PART_SPREAD = 0.5
_LEAST_S = 1e-4  #: of shorter ones the logarithm is chance
_ENDS = ("failure", "timeout", "error")  #: of attempts; one of an exit code or a signal only is not simulated


class Spread(NamedTuple):
    """What is drawn from. `common` are the logarithms of the factors of runs, the latest most likely (`heaps` are sums
    of their weights up to each); `skipped` are the stages that the conditions of that run kept from running. Of each
    stage `walls_s` holds what it may take at a factor of 1, and how much of the logarithm it shares. `failing` are
    stages that may fail and be tried again: index, share of attempts that fail, how many may, how they end."""

    common: tuple[float, ...]
    heaps: tuple[float, ...]
    skipped: tuple[frozenset[int], ...]
    walls_s: tuple[tuple[tuple[float, ...], float], ...]
    failing: tuple[tuple[int, float, int, str], ...]


def draws(profile: Profile, pipeline: Pipeline, count: int, seed: int) -> list[Draw]:
    """So many runs. The same arguments give the same; of a larger `count` the first ones are those of a smaller.

    An attempt that is to fail does so only where another one follows: quantiles are of runs that pass. A stage that
    its condition keeps from running takes no time. Costs nothing before the first question, which draws all stages of
    that run.
    """
    spread = spread_of(profile, pipeline)
    return [_Drawn(spread, f"{seed} {number}") for number in range(count)]


def typical(profile: Profile) -> Draw:
    """The run in which each stage takes its median and passes; those that ran in fewer than half of the runs take no
    time."""
    took = [Work(stage.median_s if stage.ran_share >= 0.5 else 0.0) for stage in profile.stages]
    return lambda stage, attempt: took[stage]


class _Drawn:
    """One run. May be sent to another process."""

    __slots__ = ("_failing", "_seed", "_spread", "_works")

    def __init__(self, spread: Spread, seed: str) -> None:
        self._spread = spread
        self._seed = seed
        self._works: list[Work] | None = None
        self._failing: dict[int, tuple[int, Work]] = {}

    def __call__(self, stage: int, attempt: int) -> Work:
        works = self._works
        if works is None:
            works = self._works = self._draw()
        if stage in self._failing:
            times, work = self._failing[stage]
            if attempt <= times:
                return work
        return works[stage]

    def _draw(self) -> list[Work]:
        spread, chance = self._spread, Random(self._seed).random
        common, skipped = 0.0, frozenset[int]()
        if spread.heaps:
            run = bisect(spread.heaps, chance() * spread.heaps[-1])
            common, skipped = spread.common[run], spread.skipped[run]
        works = [Work(some[int(chance() * len(some))] * exp(part * common)) for some, part in spread.walls_s]
        for stage, share, most, outcome in spread.failing:
            times = 0
            while times < most and chance() < share:
                times += 1
            if times:
                self._failing[stage] = times, Work(works[stage].wall_s, outcome)
        for stage in skipped:
            works[stage] = Work(0.0)
            self._failing.pop(stage, None)
        return works


# What is drawn from -----------------------------------------------------------------------------------------------


def spread_of(profile: Profile, pipeline: Pipeline) -> Spread:
    """`profile` is of that pipeline.

    What a run has that others have not is how far its stages were from their medians, in logarithms, each with the
    weight of its time. A stage shares so much of that as it used to; the rest is its own. Weights of runs fall off
    exponentially, to a mean age of a quarter of them.
    """
    far = [_deviations(stage) for stage in profile.stages]
    sums: dict[int, tuple[float, float]] = {run: (0.0, 0.0) for stage in profile.stages for run in stage.runs_at}
    for stage, some in zip(profile.stages, far):
        weight = stage.median_s
        for run, deviation in some.items():
            sums[run] = sums[run][0] + weight * deviation, sums[run][1] + weight
    common = {run: sums[run][0] / sums[run][1] if sums[run][1] else 0.0 for run in sorted(sums)}
    apart = [abs(deviation - common[run]) for some in far for run, deviation in some.items()]
    pull = (_NORMAL * median(apart) / _PART_SPREAD) ** 2 if apart else 0.0
    parts = [_part(some, common, pull) for some in far]
    rests = [[deviation - part * common[run] for run, deviation in some.items()] for some, part in zip(far, parts)]
    pooled = [rest for some in rests if len(some) >= ENOUGH for rest in some]
    off: dict[int, set[int]] = {}
    for index, stage in enumerate(profile.stages):
        for run in stage.skipped_at:
            off.setdefault(run, set()).add(index)
    age = max(len(common) / 4, 1.0)
    weights = [exp((number - len(common)) / age) for number in range(len(common))]
    if not profile.parts.issuperset(common):  # what one stage of a run had is not what a run has
        weights = [0.0 if run in profile.parts else weight for run, weight in zip(common, weights)]
    wide = _wider(weights)
    return Spread(
        tuple([wide * value for value in common.values()]),
        tuple(accumulate(weights)),
        tuple([frozenset(off.get(run, ())) for run in common]),
        tuple([(_walls(stage, some, pooled), part) for stage, some, part in zip(profile.stages, rests, parts)]),
        tuple(_failing(profile, pipeline)),
    )


def _part(far: Mapping[int, float], common: Mapping[int, float], pull: float) -> float:
    """How much of what runs have in common a stage shares: by regression, drawn to all of it as by a prior of
    `_PART_SPREAD` around 1, since few runs tell little. One that waits for an answer has next to no share in a busy
    machine."""
    square = sum([common[run] ** 2 for run in far])
    shared = sum([deviation * common[run] for run, deviation in far.items()])
    return min(2.0, max(0.0, (shared + pull) / (square + pull))) if square + pull > 0 else 1.0


def _wider(weights: Sequence[float]) -> float:
    """By how much a run to come is farther off than those on record, as they are few: the root of (n + 1) ÷ (n - 1),
    for normal ones, where weights make of n runs as many as (sum)² ÷ sum of squares (L. Kish, Survey Sampling, 1965).
    """
    n = max(2.0, sum(weights) ** 2 / sum([weight * weight for weight in weights])) if weights else 2.0
    return sqrt((n + 1) / (n - 1))


def _deviations(stage: StageProfile) -> Mapping[int, float]:
    """By run how far the stage was from its median, in logarithms: alone from the one of those alone, in company from
    the one in company, so that what company costs is no chance."""
    found: dict[int, float] = {}
    if stage.source != "history":
        return found
    for lot in stage.lots():
        if len(lot) > 1:
            logs = {stage.runs_at[at]: log(max(stage.walls_s[at], _LEAST_S)) for at in lot}
            middle = median(logs.values())
            found |= {run: value - middle for run, value in logs.items()}
    return found


def _walls(stage: StageProfile, rests: Sequence[float], pooled: Sequence[float]) -> tuple[float, ...]:
    """Of a stage with too few runs the spread is that of the others; where nothing tells of any, there is none."""
    middle = stage.median_s
    if middle <= 0 or stage.source == "declared":
        return (middle,)
    return tuple([middle * exp(rest) for rest in (rests if len(rests) >= ENOUGH else pooled or rests or (0.0,))])


def _failing(profile: Profile, pipeline: Pipeline) -> Iterator[tuple[int, float, int, str]]:
    for index, (known, stage) in enumerate(zip(profile.stages, pipeline.stages)):
        only = stage.retry.only
        outcome = next((word for word in _ENDS if word in only), None) if only else "failure"
        if known.failed and stage.retry.attempts > 1 and outcome is not None:
            yield index, known.failed / known.ran, stage.retry.attempts - 1, outcome
