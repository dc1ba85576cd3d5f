"""Figures of many runs: shares with intervals, quantiles, and whether two lots differ. Pure arithmetic.

Where too little is known there is no figure: `ENOUGH` observations are needed for a quantile.
"""

from __future__ import annotations

from math import sqrt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

ENOUGH = 5
CONFIDENCE = 0.95
Z = 1.959963984540054  #: the normal quantile that belongs to it


def wilson(count: int, of: int, z: float = Z) -> tuple[float, float] | None:
    """The score interval for a share of `count` in `of`; None of nothing.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, J. Am. Stat. Assoc. 22 (1927).
    """
    if of <= 0:
        return None
    share, square = count / of, z * z / of
    middle = (share + square / 2) / (1 + square)
    half = z / (1 + square) * sqrt(share * (1 - share) / of + square / (4 * of))
    return (0.0 if count == 0 else middle - half, 1.0 if count == of else middle + half)


def rate(count: int, of: int) -> dict[str, Any]:
    """A share with its interval, as documents have it; null of nothing."""
    low, high = wilson(count, of) or (None, None)
    return {
        "count": count,
        "of": of,
        "rate": round(count / of, 6) if of else None,
        "low": None if low is None else round(low, 6),
        "high": None if high is None else round(high, 6),
        "confidence": CONFIDENCE,
    }


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of an ordered, not empty lot lies, interpolated between neighbours (type 7 of
    R. J. Hyndman and Y. Fan, Sample quantiles in statistical packages, Am. Stat. 50 (1996))."""
    place = (len(ordered) - 1) * share
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def weighted_median(values: Sequence[float], weights: Sequence[float]) -> float | None:
    """The middle of some values that do not all count the same; with equal weights the median. None of nothing."""
    counted = sorted([(value, weight) for value, weight in zip(values, weights) if weight > 0])
    half = sum([weight for _, weight in counted]) / 2
    below = 0.0
    for at, (value, weight) in enumerate(counted):
        below += weight
        if abs(below - half) <= 1e-9 * half:
            return (value + counted[at + 1][0]) / 2
        if below > half:
            return value
    return None


def spread(values: Sequence[float], scale: float = 1.0) -> dict[str, Any]:
    """Number, median, 95th percentile, least and most of some values, divided by `scale`. Quantiles are null of fewer
    than `ENOUGH`, the others of none."""
    ordered = sorted(values)
    few = len(ordered) < ENOUGH

    def said(value: float) -> float:
        return value if scale == 1.0 else round(value / scale, 6)

    return {
        "n": len(ordered),
        "median": None if few else said(quantile(ordered, 0.5)),
        "p95": None if few else said(quantile(ordered, 0.95)),
        "min": said(ordered[0]) if ordered else None,
        "max": said(ordered[-1]) if ordered else None,
    }


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Between which two observations the median lies, with at least `CONFIDENCE`, whatever the distribution: by the
    binomial distribution of how many lie below it. None of fewer than six, which cannot tell."""
    ordered, n = sorted(values), len(values)
    term = total = 0.5**n if n < 1000 else 0.0
    rank = -1
    if n >= 1000:
        rank = int((n - Z * sqrt(n)) / 2) - 1  # where the powers of a half are too small for a float
    else:
        while total <= (1 - CONFIDENCE) / 2:
            rank += 1
            term *= (n - rank) / (rank + 1)
            total += term
    return (ordered[rank], ordered[n - 1 - rank]) if rank >= 0 else None


def differs(before: Sequence[float], after: Sequence[float]) -> int | None:
    """1 if the later values are larger, -1 if they are smaller, 0 if no difference is shown: when the intervals of the
    two medians do not meet. None of too few to tell."""
    one, other = median_interval(before), median_interval(after)
    if one is None or other is None:
        return None
    return 1 if other[0] > one[1] else -1 if other[1] < one[0] else 0
