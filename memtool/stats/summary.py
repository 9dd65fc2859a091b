"""Medians with exact intervals, and the Pareto front of speed and memory."""

from __future__ import annotations

from collections.abc import Sequence

from memtool.stats import sign_test

LEAST_SAMPLES = 6
"""With fewer samples no order statistics enclose the median with 95 % confidence: 2 / 2^5 > 0.05."""


def median_interval(samples: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the exact 95 % interval of the median; (None, None) below 6 samples."""
    return sign_test.interval(samples, 0.95) or (None, None)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Return for each point whether no other is at least as low in both coordinates and lower in one."""
    return [not any(x <= own[0] and y <= own[1] and (x, y) != own for x, y in points) for own in points]
