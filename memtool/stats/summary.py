"""Medians with exact intervals, and ranks with ties."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

LEAST_SAMPLES = 6
"""Below this many samples no order statistics enclose the median with 95 % confidence: 2 / 2^5 > 0.05."""


def median_interval(samples: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the exact 95 % interval of the median; (None, None) below 6 samples.

    By the sign test's order statistics (``scipy.stats.quantile_test``): no assumption on the distribution.
    """
    if len(samples) < LEAST_SAMPLES:
        return None, None
    if len(set(samples)) == 1:
        return samples[0], samples[0]
    from scipy.stats import quantile_test

    interval: Any = quantile_test(list(samples), p=0.5).confidence_interval(0.95)
    return float(interval.low), float(interval.high)


def ranks(intervals: Sequence[tuple[float, float | None, float | None]]) -> list[int]:
    """Return the rank of each (median, low, high), 1 for the least.

    Intervals that overlap share a rank, so two ranks never hold such. No interval is an endless one.
    """
    bounds = [(-math.inf, math.inf) if low is None or high is None else (low, high) for _, low, high in intervals]
    found = [0] * len(intervals)
    rank, reached = 0, -math.inf
    for position, index in enumerate(sorted(range(len(bounds)), key=bounds.__getitem__)):
        low, high = bounds[index]
        if position == 0 or low > reached:
            rank = position + 1
        reached = max(reached, high)
        found[index] = rank
    return found


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Return of each point whether no other is at least as low in both coordinates and lower in one."""
    return [not any(x <= own[0] and y <= own[1] and (x, y) != own for x, y in points) for own in points]
