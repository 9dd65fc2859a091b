"""The log-linear histogram of the latency pass (engine/instruments/histogram.hpp): at most 1/128 (0.8 %) a bucket.

A histogram is a mapping from bucket to count. Histograms of processes are merged by adding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

SUB_BITS = 7
MOST_BITS = 40
BUCKETS = (MOST_BITS - SUB_BITS + 1) << SUB_BITS
Buckets = Mapping[int, int]
SIZE_CLASSES: tuple[int | None, ...] = (16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, None)
"""Largest size in bytes of each class of sizes (engine/passes/latency_detail.hpp); the last is unbounded."""
SLOW_NS = (1_000, 10_000, 100_000)
"""Thresholds of slow operations, in three degrees."""


def bucket_of(ticks: int) -> int:
    """Return the bucket of a value in ticks; values of 2^40 and more share the last one."""
    if ticks >= 1 << MOST_BITS:
        return BUCKETS - 1
    if ticks < 1 << SUB_BITS:
        return ticks
    octave = ticks.bit_length() - 1 - SUB_BITS
    return (octave << SUB_BITS) + (ticks >> octave)


def bounds(bucket: int) -> tuple[int, int]:
    """Return (lowest, highest) value in ticks that a bucket counts."""
    if bucket < 2 << SUB_BITS:
        return bucket, bucket
    octave = (bucket >> SUB_BITS) - 1
    low = (bucket - (octave << SUB_BITS)) << octave
    return low, low + (1 << octave) - 1


def merge(histograms: Iterable[Sequence[tuple[int, int]]]) -> dict[int, int]:
    """Return the sum of histograms given as (bucket, count) pairs."""
    merged: dict[int, int] = {}
    for pairs in histograms:
        for bucket, count in pairs:
            merged[bucket] = merged.get(bucket, 0) + count
    return merged


def percentile(histogram: Buckets, q: float, maximum: float) -> float:
    """Return the nearest-rank percentile in ticks: the middle of its bucket, or the maximum if that is less.

    It is the smallest value such that at least q per cent of all values are not above it (the inverse of the cumulative
    distribution). ``maximum`` is the exact maximum, which no percentile exceeds. Raises ValueError for an empty
    histogram.
    """
    total = sum(histogram.values())
    if total == 0:
        raise ValueError("a histogram without values has no percentiles")
    # Rank ceil(q * total / 100), in whole numbers: 99.9 % of 1,000 is 999, not 999.0000000001.
    rank = max(1, -(-round(q * 1000) * total // 100_000))
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen >= rank:
            low, high = bounds(bucket)
            return min((low + high) / 2, maximum)
    raise AssertionError("the ranks of a histogram add up to its total")


def step(readings: Buckets) -> float:
    """Return the resolution of the clock in ticks, from the lengths that it measured.

    Some counters advance in steps of many ticks that are not whole numbers: lengths are then rounded multiples of the
    step, such as 0, 73, 74, 147. The result is the longest step of which all lengths are multiples, to within a tick,
    if there are too many lengths for a coincidence. Otherwise it is the smallest difference of lengths in exact
    buckets.
    """
    values = [bounds(bucket) for bucket, count in sorted(readings.items()) if count]
    least = next((value for value in values if value[0] > 0), None)
    if least is not None:
        for parts in range(1, least[0] // _LEAST_STEP + 1):
            period = _period(values, (least[0] - 1) / parts, (least[1] + 1) / parts)
            if period is not None and period >= _LEAST_STEP:
                return period
    exact = [low for low, high in values if low == high]
    return float(min((after - before for before, after in pairwise(exact)), default=1))


def is_within_a_step(difference: float, of: float) -> bool:
    """Return whether two readings differ by at most one step, allowing for rounding."""
    return difference < STEPS_APART * of


STEPS_APART = 1.5
"""Steps of the timer by which readings certainly differ, allowing for rounding of one step."""
_LEAST_STEP = 4
"""Ticks: with a tolerance of one tick, nearly everything is a multiple of a shorter step."""
_BY_CHANCE = 0.05


def _period(values: Sequence[tuple[int, int]], shortest: float, longest: float) -> float | None:
    """Return the period from ``shortest`` to ``longest`` of which all values are multiples, within a tick; None: none.

    Values are (lowest, highest) and ascend. Those in buckets wider than the period are ignored.
    """
    used = [value for value in values if value[1] - value[0] + 2 <= longest / 2]
    for low, high in used:
        most, fewest = math.floor((high + 1) / shortest), math.ceil((low - 1) / longest)
        if most < fewest:
            return None
        if most == fewest and most > 0:
            shortest, longest = max(shortest, (low - 1) / most), min(longest, (high + 1) / most)
    period = (shortest + longest) / 2
    multiples = [round((low + high) / 2 / period) for low, high in used]
    if any(not low - 1 <= period * multiple <= high + 1 for (low, high), multiple in zip(used, multiples, strict=True)):
        return None
    # A clock without steps never measures exactly 0. Two values fit any period.
    is_sure = values[0] == (0, 0) or (3 / period) ** (len(used) - 2) < _BY_CHANCE
    return period if is_sure and len(set(multiples)) > 1 else None
