"""From the ticks of a worker's timer to nanoseconds, and which percentiles are read from its histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memtool.measure import histogram
from memtool.model import Sample

PERCENTILES: Mapping[str, float] = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9, "p9999": 99.99}


@dataclass(frozen=True, slots=True)
class Clock:
    """How ticks become nanoseconds."""

    ns_per_tick: float
    name: str


def timer_step(samples: Sequence[Sample]) -> float:
    """Return the step of the timer in ticks, from everything that latency samples measured with it.

    Under arrivals a latency begins when the operation is due, which is no reading of the timer: the floor alone counts.
    """
    readings = [
        found["buckets"]
        for sample in samples
        for kind, found in sample.payload["histograms"].items()
        if kind == "floor" or "open_loop" not in sample.payload
    ]
    return histogram.step(histogram.merge(readings))
