"""Objects that outlive the trace: how long they would have lived, estimated from others of their kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from memtool.workload.fit import bins
from memtool.workload.fit.bins import Integers
from memtool.workload.fit.merge import Floats
from memtool.workload.fit.sketch import Sketch

_LEAST = 0.05
"""Objects: smaller numbers are not moved to a lifetime."""
_LEAST_LEFT = 1e-6
DRAIN = 16
"""Length of a drain, where there is one, as a multiple of the run."""


def uncensored(sketch: Sketch, is_known: NDArray[np.bool_]) -> tuple[Sketch, NDArray[np.bool_]]:
    """Return the sketch with the objects that are live at the end distributed over the lifetimes that they may reach.

    Rows with known lifetimes are unchanged; a mask of them is returned, too.

    An object that is live when the trace ends has reached its age and lives longer: its lifetime is censored. In a
    phase of the fit such objects may be born at any time, so a lifetime ``forever`` would accumulate objects that the
    trace has only once. The distribution of lifetimes of each group and octave of sizes is the Kaplan-Meier estimate
    (JASA 53, 1958); objects beyond the last death are never freed.
    """
    keys = sketch.keys
    _, octaves = np.frexp(((sketch.sizes[0] + sketch.sizes[1]) / 2)[keys[:, 2]])
    is_left = (keys[:, 3] >= bins.AT_END) & (keys[:, 3] < bins.TOGETHER) & ~is_known
    # Only the youngest objects of a slot: in the last slot most of the objects that are live at the end are young.
    age = sketch.seen.allocations - (keys[:, 0] + 1) * sketch.slot_allocations
    ages = bins.lifetime_classes(np.maximum(age, 1))
    together = (keys[:, 3] - bins.TOGETHER - keys[:, 0]) * sketch.slot_allocations
    reached = np.where(keys[:, 3] >= bins.AT_END, ages, keys[:, 3])
    # Objects that die together with others might have lived longer.
    is_together = keys[:, 3] >= bins.TOGETHER
    reached[is_together] = bins.lifetime_classes(np.maximum(together[is_together], 1))
    _, kinds = np.unique(keys[:, 1] << 8 | octaves, return_inverse=True)
    counts = sketch.counts
    rows, moved = [keys], [counts.copy()]
    # Objects that the program frees at its end must be freed, too: their lifetime ends before the drain does.
    longest = sketch.seen.allocations // DRAIN
    ends_soon = np.array([bins.lifetime_range(index)[1] <= longest for index in range(bins.LIFETIMES)])
    for kind in np.unique(kinds[is_left]):
        of_kind = kinds == kind
        is_dead = of_kind & (keys[:, 3] < bins.AT_END)
        dead = np.bincount(reached[is_dead], counts[is_dead], bins.LIFETIMES)
        at_risk = np.cumsum(np.bincount(reached[of_kind], counts[of_kind], bins.LIFETIMES)[::-1])[::-1]
        hazard = dead / np.maximum(at_risk, 1e-9)
        for row in np.flatnonzero(of_kind & is_left):
            share = _deaths_after(hazard, int(reached[row])) * (ends_soon if keys[row, 3] == bins.AT_END else 1)
            lives = np.flatnonzero(share * counts[row] >= _LEAST)
            rows.append(_copies(keys[row], lives))
            moved.append(share[lives] * counts[row])
            moved[0][row] -= moved[-1].sum()
    lived = sketch.mean_lifetimes.copy()
    middles = [sum(bins.lifetime_range(min(index, bins.AT_END))) / 2 for index in range(bins.CLASSES)]
    used = np.maximum((lived > 0).sum(axis=0), 1)
    means = np.where(lived.any(axis=0), lived.sum(axis=0) / used, middles)
    known = np.append(is_known, np.zeros(sum(map(len, rows[1:])), np.bool_))
    counts = np.concatenate(moved)
    is_left_over = counts > _LEAST_LEFT
    completed = replace(
        sketch,
        keys=np.concatenate(rows)[is_left_over],
        counts=counts[is_left_over],
        mean_lifetimes=np.where(lived > 0, lived, means),
    )
    return completed, known[is_left_over]


def _deaths_after(hazard: Floats, reached: int) -> Floats:
    """Return the probability of each class of lifetimes for objects that have reached a given one."""
    later = np.where(np.arange(len(hazard)) > reached, hazard, 0.0)
    alive = np.append(1.0, np.cumprod(1 - later)[:-1])
    deaths: Floats = alive * later
    return deaths


def _copies(key: Integers, lives: Integers) -> Integers:
    copies = np.tile(key, (len(lives), 1))
    copies[:, 3] = lives
    return copies
