"""Objects that outlive the trace: how long they would have lived, as far as others of their kind tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from memtool.workload.fit import bins
from memtool.workload.fit.bins import Integers
from memtool.workload.fit.merge import Floats
from memtool.workload.fit.sketch import Sketch

_LEAST = 0.05
"""Objects: less is not moved to a lifetime."""
_LEAST_LEFT = 1e-6
DRAIN = 16
"""What a drain goes on for, where there is one: so many times it is the run."""


def uncensored(sketch: Sketch, is_known: NDArray[np.bool_]) -> tuple[Sketch, NDArray[np.bool_]]:
    """Return the sketch with what is alive at the end spread over the lifetimes that it may reach.

    Rows that are known are left as they are; which they are is returned besides.

    An object that is alive when the trace ends has lived for its age, and lives longer: its lifetime is censored. In a
    phase of the fit it may be born at any time, and a lifetime ``forever`` would pile up what the trace has once.
    The law of lifetimes of each group and octave of sizes is that of Kaplan and Meier (JASA 53, 1958); what it gives
    beyond the last death is never freed.
    """
    keys = sketch.keys
    _, octaves = np.frexp(((sketch.sizes[0] + sketch.sizes[1]) / 2)[keys[:, 2]])
    is_left = (keys[:, 3] >= bins.AT_END) & (keys[:, 3] < bins.TOGETHER) & ~is_known
    # Of a slot the youngest: most of what is alive at the end in the last one is young.
    age = sketch.seen.allocations - (keys[:, 0] + 1) * sketch.slot_allocations
    ages = bins.lifetime_classes(np.maximum(age, 1))
    together = (keys[:, 3] - bins.TOGETHER - keys[:, 0]) * sketch.slot_allocations
    reached = np.where(keys[:, 3] >= bins.AT_END, ages, keys[:, 3])
    # What dies together with others would have lived longer, for all that is known.
    is_together = keys[:, 3] >= bins.TOGETHER
    reached[is_together] = bins.lifetime_classes(np.maximum(together[is_together], 1))
    _, kinds = np.unique(keys[:, 1] << 8 | octaves, return_inverse=True)
    counts = sketch.counts
    rows, moved = [keys], [counts.copy()]
    # What the program frees at its end is to be freed, too: in a lifetime that ends before the drain does.
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
    """Return the probability of each class of lifetimes for what has reached one."""
    later = np.where(np.arange(len(hazard)) > reached, hazard, 0.0)
    alive = np.append(1.0, np.cumprod(1 - later)[:-1])
    deaths: Floats = alive * later
    return deaths


def _copies(key: Integers, lives: Integers) -> Integers:
    copies = np.tile(key, (len(lives), 1))
    copies[:, 3] = lives
    return copies
