"""Medians with exact intervals, and the Pareto front of speed and memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

LEAST_SAMPLES = 6
"""With fewer samples no order statistics enclose the median with 95 % confidence: 2 / 2^5 > 0.05."""


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


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Return for each point whether no other is at least as low in both coordinates and lower in one."""
    return [not any(x <= own[0] and y <= own[1] and (x, y) != own for x, y in points) for own in points]
