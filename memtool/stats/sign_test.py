"""Counts of fair coins, which the sign test and the exact interval of a median are based on.

SciPy has the same functions, but to import them takes longer than all else that most commands do.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache

_MOST_EXACT = 1000
"""Coins up to which a share of all outcomes is a quotient of two integers."""
_NEGLIGIBLE = 1e-17
"""Share of a sum that no longer changes it."""


@cache
def at_most(heads: int, coins: int) -> float:
    """Return the probability of at most this many heads."""
    if heads < 0:
        return 0.0
    if 2 * heads >= coins:
        return 1.0 - at_most(coins - heads - 1, coins)
    total = 0.0
    term = _exactly(heads, coins)
    while term > total * _NEGLIGIBLE:
        total += term
        term *= heads / (coins - heads + 1)
        heads -= 1
    return total


def _exactly(heads: int, coins: int) -> float:
    if coins <= _MOST_EXACT:
        return math.comb(coins, heads) / (1 << coins)
    logarithm = math.lgamma(coins + 1) - math.lgamma(heads + 1) - math.lgamma(coins - heads + 1)
    return math.exp(logarithm - coins * math.log(2))


@cache
def _rank(samples: int, confidence: float) -> int | None:
    """Return the index of the lower end of an interval among sorted samples; None: there are too few."""
    below = bisect_left(range(samples // 2 + 1), (1 - confidence) / 2, key=lambda heads: at_most(heads, samples))
    return below - 1 if below > 0 else None


def interval(samples: Sequence[float], confidence: float) -> tuple[float, float] | None:
    """Return the exact interval of the median by order statistics; None where there are too few samples for it.

    No distribution is assumed (Conover, Practical Nonparametric Statistics, 3.2).
    """
    rank = _rank(len(samples), confidence)
    if rank is None:
        return None
    ordered = sorted(samples)
    return float(ordered[rank]), float(ordered[-1 - rank])
