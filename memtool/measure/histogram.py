"""The log-linear histogram of the latency pass, as engine/histogram.hpp lays it out: at most 1/128 (0.8 %) a bucket.

A histogram is a mapping from bucket to count. Histograms of processes are merged by adding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

SUB_BITS = 7
MOST_BITS = 40
BUCKETS = (MOST_BITS - SUB_BITS + 1) << SUB_BITS
Buckets = Mapping[int, int]
SIZE_CLASSES: tuple[int | None, ...] = (16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, None)
"""Largest size in bytes of each class of sizes (engine/latency_detail.hpp); the last has no end."""
SLOW_NS = (1_000, 10_000, 100_000)
"""From what on an operation counts as slow, in three degrees."""


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


def percentile(histogram: Buckets, q: float) -> float:
    """Return the nearest-rank percentile in ticks: the middle of the bucket that holds it.

    The smallest value such that at least q per cent of all values are not above it (the inverse of the cumulative
    distribution). Raises ValueError for an empty histogram.
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
            return (low + high) / 2
    raise AssertionError("the ranks of a histogram add up to its total")


def resolution(histogram: Buckets) -> int:
    """Return the timer's resolution in ticks: the smallest step between values seen in exact buckets."""
    seen = sorted(bucket for bucket, count in histogram.items() if count and bucket < 2 << SUB_BITS)
    steps = [after - before for before, after in pairwise(seen)]
    return min(steps, default=1)
