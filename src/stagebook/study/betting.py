"""A bet against chance on pairs of runs: how sure one may be that one way is faster, whenever one looks. Pure.

Both runs of a pair see much the same machine, and a coin says which is first. If the second arm takes θ times as long
as the first, then the sign of D = log(second) − log(first) − log(θ) is that of a fair coin, whatever drift and bursts
the machine has. Whoever bets on a fair coin does not get rich: by Ville's inequality the capital E reaches 1/α with a
chance of α at most, however often one looks and however long one goes on. So E ≥ 1/α says that θ is wrong, and the θ
that were never wrong so far are an interval for the ratio that holds at all times.

Sources: J. Ville, Étude critique de la notion de collectif (1939). I. Waudby-Smith and A. Ramdas, Estimating means of
bounded random variables by betting, arXiv 2010.09686 (betting, and intervals by inverting it). S. R. Howard and
others, Time-uniform, nonparametric, nonasymptotic confidence sequences, Ann. Stat. 49 (2021) (why the running
intersection keeps its level). A. Abedi and T. Brecht, Conducting repeatable experiments in highly variable cloud
computing environments, ICPE 2017 (random order in interleaved trials).
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

#: Parts of the capital that are staked, in both directions: a mixture, as the best one depends on the unknown effect.
STAKES = (0.2, 0.5, 0.8, 0.95)

GRID = 401  #: values of θ that are tried for the interval; its ends are then refined between two of them
REFINEMENTS = 12
DRAWS = 200  #: imagined continuations
MORE_MAX = 400  #: pairs that are imagined at most


class Interval(NamedTuple):
    """For a ratio or a log ratio. `low` and `high` None: too few pairs to bound it on that side."""

    median: float
    low: float | None
    high: float | None


class More(NamedTuple):
    """How many more pairs would probably (in half of the imagined continuations) be enough to show `ratio`; None:
    more than `MORE_MAX`."""

    ratio: float
    pairs: int | None


def capital(differences: Sequence[float], null: float = 0.0) -> list[float]:
    """E after each pair, when the bet is that log ratio differs from `null`; 1.0 is what one begins with."""
    return [float(value) for value in _capitals(differences, [null])[:, 0]]


def capitals(paths: Any) -> Any:
    """E after each pair for an array (pairs, series) of differences: a bet against 0 for each series.

    What is staked on a pair goes by its size among those until then, r = min(1, |D| ÷ median): great differences
    seldom have their sign by chance. It uses sizes alone, of which the coin knows nothing.
    """
    import numpy

    count, series = paths.shape
    sizes = numpy.abs(paths)
    logs = numpy.zeros((2 * len(STAKES), series))
    stakes = numpy.array([sign * stake for stake in STAKES for sign in (1, -1)])[:, None]
    said = numpy.empty((count, series))
    for at in range(count):
        typical = numpy.median(sizes[: at + 1], axis=0)
        share = numpy.ones(series)  # of a size that is the first one above 0
        numpy.divide(numpy.minimum(sizes[at], typical), typical, out=share, where=typical > 0)
        signed = numpy.sign(paths[at]) * share
        logs += numpy.log1p(stakes * signed)
        said[at] = numpy.exp(logs).mean(axis=0)
    return said


def interval(differences: Sequence[float], alpha: float) -> Interval | None:
    """Median and interval of the log ratio, of level 1 − α at all times at once; None of no pairs.

    It holds the log ratios whose bet has not reached 1/α after any pair so far: the running intersection, so that it
    only narrows, and leaves out 0 exactly from the pair on at which the bet against 0 was won. Where nothing is left,
    as no one ratio can be behind what was seen, what the bet does not refute now is given.
    """
    if not differences:
        return None
    import numpy

    values = numpy.asarray(differences, dtype=float)
    middle, reach = float(numpy.median(values)), float(max(numpy.ptp(values), 1e-3))
    least, most = float(values.min()), float(values.max())
    far = reach * numpy.array([2, 4, 8, 16, 32, 64])  # where all stakes are nearly equal: not won there, nowhere beyond
    near = numpy.linspace(least - reach, most + reach, GRID)
    grid = numpy.unique(numpy.concatenate([least - far, near, values, [middle], most + far]))
    best = _capitals(values, grid)
    inside = best.max(axis=0) < 1 / alpha
    if not inside.any():
        inside, kept = best[-1] < 1 / alpha, False
    else:
        kept = True
    if not inside.any():
        return Interval(middle, middle, middle)
    first, last = int(numpy.argmax(inside)), len(grid) - 1 - int(numpy.argmax(inside[::-1]))
    return Interval(
        middle,
        None if first == 0 else _edge(values, alpha, float(grid[first - 1]), float(grid[first]), kept),
        None if last == len(grid) - 1 else _edge(values, alpha, float(grid[last + 1]), float(grid[last]), kept),
    )


def least_pairs(alpha: float) -> int:
    """So many pairs it takes at least, all of one sign and size."""
    count = 1
    while sum((1 + stake) ** count + (1 - stake) ** count for stake in STAKES) < 2 * len(STAKES) / alpha:
        count += 1
    return count


def more_pairs(differences: Sequence[float], alpha: float, effect: float, seed: int) -> int | None:
    """How many more pairs until the bet is won, if the log ratio is `effect`, in the median of `DRAWS` continuations;
    None: more than `MORE_MAX`, or too little is known.

    A continuation draws from the pairs at hand how far they lie from their median (a bootstrap), and the side by a
    coin, as the order of runs is.
    """
    import numpy

    values = numpy.asarray(differences, dtype=float)
    if len(values) < 2:
        return None
    generator = numpy.random.default_rng(seed)
    rest = generator.choice(values - numpy.median(values), size=(DRAWS, MORE_MAX))
    drawn = effect + rest * (2 * generator.integers(0, 2, rest.shape) - 1)
    needed = numpy.full(DRAWS, MORE_MAX + 1)
    horizon = 16
    while True:
        paths = numpy.concatenate([numpy.tile(values, (DRAWS, 1)), drawn[:, :horizon]], axis=1).T
        won = capitals(paths)[len(values) :] >= 1 / alpha
        ever = won.any(axis=0)
        needed = numpy.where(ever, won.argmax(axis=0) + 1, MORE_MAX + 1)
        if ever.mean() > 0.5 or horizon == MORE_MAX:
            break
        horizon = min(2 * horizon, MORE_MAX)
    median = int(numpy.sort(needed)[DRAWS // 2])
    return median if median <= MORE_MAX else None


def _capitals(differences: Any, nulls: Any) -> Any:
    """An array (pairs, nulls): E after each pair against each null."""
    import numpy

    values = numpy.asarray(differences, dtype=float)
    return capitals(values[:, None] - numpy.asarray(nulls, dtype=float)[None, :])


def _edge(values: Any, alpha: float, outside: float, inside: float, kept: bool) -> float:
    """Where, between a refuted and a possible log ratio, the one becomes the other; on the refuted side."""
    import numpy

    for _ in range(REFINEMENTS):
        middle = (outside + inside) / 2
        told = _capitals(values, numpy.array([middle]))
        if (told.max() if kept else told[-1, 0]) < 1 / alpha:
            inside = middle
        else:
            outside = middle
    return outside
