"""Reduces the points of a long series but keeps its minima and maxima, because readers look for outliers."""

from __future__ import annotations

from collections.abc import Sequence

from memtool.report.charts.record import Point


def thinned(points: Sequence[Point], most: int) -> tuple[Point, ...]:
    """Return at most ``most`` points (4 or more): the first, the last, and the minimum and maximum of each stretch.

    Points keep their order. A stretch without any value keeps one point without a value, so that gaps stay gaps.
    """
    if len(points) <= most:
        return tuple(points)
    inner = points[1:-1]
    stretches = max(1, (most - 2) // 2)
    kept = [points[0]]
    for number in range(stretches):
        begin, end = (len(inner) * edge // stretches for edge in (number, number + 1))
        known = [index for index in range(begin, end) if inner[index][1] is not None]
        if not known:
            kept.append(inner[begin])
            continue
        ends = {
            min(known, key=lambda index: inner[index][1] or 0.0),
            max(known, key=lambda index: inner[index][1] or 0.0),
        }
        kept += [inner[index] for index in sorted(ends)]
    return (*kept, points[-1])
