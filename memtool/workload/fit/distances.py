"""The distance of a fitted workload from its trace, figure by figure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from memtool.workload.fit import bins
from memtool.workload.fit.merge import Floats
from memtool.workload.fit.sketch import Sketch

_POINTS = 512
_DEVIATIONS = 3


@dataclass(frozen=True, slots=True)
class Distance:
    """One measure of how well a workload represents a trace."""

    name: str
    meaning: str
    value: float
    limit: float
    """Largest distance at which the fit is called close."""
    trace: float | None = None
    fit: float | None = None
    """Figures of the trace and the fit, where these are compared; ``value`` is then the ratio of fit to trace."""

    is_count: bool = False
    """Whether it is a number of events, which a random draw has only on average."""

    @property
    def is_close(self) -> bool:
        """Return whether the fit is close by this measure."""
        if self.trace is None or self.fit is None:
            return self.value <= self.limit
        # Small numbers vary by chance, which is not held against the fit.
        chance = _DEVIATIONS * sqrt(self.trace) if self.is_count else 0.0
        return abs(self.fit - self.trace) <= max(self.limit * self.trace, chance)


def distances(trace: Sketch, fit: Sketch) -> list[Distance]:
    """Return all distances, those of distributions first."""
    measured = (*_laws(trace, fit), *_courses(trace, fit), *_counts(trace, fit))
    return [replace(distance, value=float(distance.value)) for distance in measured]


def _laws(trace: Sketch, fit: Sketch) -> Iterator[Distance]:
    from scipy.stats import wasserstein_distance

    sketches = (trace, fit)
    sizes = [_shares(sketch, 2, bins.SIZES) for sketch in sketches]
    lives = [_lives(sketch) for sketch in sketches]
    yield Distance("size_ks", "Kolmogorov-Smirnov distance of the sizes of allocations", _ks(*sizes), 0.05)
    octaves = [np.log2(np.maximum((sketch.sizes[0] + sketch.sizes[1]) / 2, 1)) for sketch in sketches]
    apart = [np.where(share > 0, octave, 0) for share, octave in zip(sizes, octaves, strict=True)]
    yield Distance(
        "size_octaves", "Wasserstein distance of the sizes, in octaves", wasserstein_distance(*apart, *sizes), 0.1
    )
    yield Distance(
        "lifetime_ks",
        "Kolmogorov-Smirnov distance of the lifetimes; what is never freed lives longest",
        _ks(*lives),
        0.05,
    )
    ended = [share[: bins.AT_END] for share in lives]
    if all(share.sum() > 0 for share in ended):
        middles = np.log2([sum(bins.lifetime_range(index)) / 2 for index in range(bins.AT_END)])
        far = wasserstein_distance(middles, middles, *ended)
        yield Distance("lifetime_octaves", "Wasserstein distance of the lifetimes that end, in octaves", far, 0.25)
    joint = [_joint(sketch) for sketch in sketches]
    apart_share = float(np.abs(joint[0] - joint[1]).sum() / 2)
    yield Distance("joint_variation", "share of the objects in another octave of size or lifetime", apart_share, 0.1)


def _courses(trace: Sketch, fit: Sketch) -> Iterator[Distance]:
    progress = np.linspace(0, 1, _POINTS)
    curves = [
        np.interp(progress, np.array(seen.clock) / max(seen.operations, 1), seen.live_bytes)
        for seen in (trace.seen, fit.seen)
    ]
    apart = np.abs(curves[0] - curves[1])
    mean = max(float(curves[0].mean()), 1.0)
    yield Distance(
        "live_mean_error", "mean distance of the live bytes over the run / their mean", apart.mean() / mean, 0.1
    )
    yield Distance(
        "live_largest_error",
        "largest distance of the live bytes / their peak",
        apart.max() / max(trace.seen.peak_live_bytes, 1),
        0.2,
    )


def _counts(trace: Sketch, fit: Sketch) -> Iterator[Distance]:
    figures = (
        ("peak_live_bytes", "peak of live bytes", 0.05),
        ("mean_live_bytes", "mean of live bytes", 0.05),
        ("allocations", "allocations", 0.001),
        ("never_freed", "objects that are never freed", 0.1),
        ("reallocations", "reallocations", 0.05),
        ("remote_frees", "frees by another thread than allocated", 0.1),
        ("zeroed", "zeroed allocations", 0.05),
    )
    for name, meaning, limit in figures:
        first, second = float(getattr(trace.seen, name)), float(getattr(fit.seen, name))
        if first or second:
            yield Distance(
                f"{name}_ratio", meaning, second / max(first, 1.0), limit, first, second, "bytes" not in name
            )


def _shares(sketch: Sketch, column: int, length: int) -> Floats:
    shares: Floats = np.bincount(sketch.keys[:, column], sketch.counts, length) / sketch.counts.sum()
    return shares


def _lives(sketch: Sketch) -> Floats:
    """Return the shares of the classes of lifetimes; the last class holds objects that are never freed."""
    counts = sketch.lifetimes.astype(np.float64)
    counts[bins.NEVER] = sketch.seen.never_freed
    lives: Floats = counts / counts.sum()
    return lives


def _ks(first: Floats, second: Floats) -> float:
    return float(np.abs(np.cumsum(first - second)).max())


def _joint(sketch: Sketch) -> Floats:
    """Return the shares of octaves of size and lifetime."""
    joint = np.zeros((64, 65))
    for size, counts in enumerate(sketch.seen.size_by_lifetime):
        joint[size, : len(counts)] = counts
    joint[0, 64] = sketch.seen.never_freed
    shares: Floats = joint / max(joint.sum(), 1)
    return shares
