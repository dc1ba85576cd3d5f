"""How often two arms fail, compared pair by pair. Pure.

Only pairs of which exactly one run failed tell the arms apart, and if they fail alike each of them is a fair coin:
whichever arm it was. Two questions, two answers. The exact test (Q. McNemar, Psychometrika 12 (1947), by the binomial
distribution) is for one look that was fixed beforehand: `p`. Whether to stop after any pair is asked of a bet on the
same coins, as in `betting`: `evidence`, which may be looked at all the time.
"""

from __future__ import annotations

from math import comb, sqrt
from statistics import NormalDist

from stagebook.history.figures import wilson
from stagebook.study import betting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence


def compare(pairs: Sequence[tuple[bool, bool]], alpha: float) -> dict[str, Any]:
    """`pairs`: whether the first and the second run of each failed. `difference` is second less first, with the
    interval of level 1 − α of R. G. Newcombe, Stat. Med. 17 (1998) 873, method 10, which takes the arms as independent.
    `shown`: `fails more`, `fails less`, or null."""
    first, second = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    coins = [1.0 if b else -1.0 for a, b in pairs if a != b]
    evidence = max(betting.capital(coins), default=1.0)
    shown = None
    if evidence >= 1 / alpha:
        shown = "fails more" if sum(coins) > 0 else "fails less"
    low, high = _newcombe(first, second, len(pairs), alpha)
    return {
        "difference": round((second - first) / len(pairs), 6) if pairs else None,
        "low": low,
        "high": high,
        "confidence": round(1 - alpha, 6),
        "p": _exact(coins),
        "evidence": round(evidence, 6),
        "shown": shown,
    }


def _exact(coins: Sequence[float]) -> float | None:
    """Two-sided; null where no pair tells the arms apart."""
    if not coins:
        return None
    count = len(coins)
    most = max(sum(coin > 0 for coin in coins), sum(coin < 0 for coin in coins))
    tail = sum(comb(count, each) for each in range(most, count + 1)) / (1 << count)
    return round(min(1.0, 2 * tail), 6)


def _newcombe(first: int, second: int, of: int, alpha: float) -> tuple[float | None, float | None]:
    z = NormalDist().inv_cdf(1 - alpha / 2)
    one, other = wilson(first, of, z), wilson(second, of, z)
    if one is None or other is None:
        return None, None
    a, b = first / of, second / of
    below = sqrt((b - other[0]) ** 2 + (one[1] - a) ** 2)
    above = sqrt((other[1] - b) ** 2 + (a - one[0]) ** 2)
    return round(b - a - below, 6), round(b - a + above, 6)
