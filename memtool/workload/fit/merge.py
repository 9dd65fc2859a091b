"""Merges similar neighbours: stretches of a run, classes of sizes, classes of lifetimes."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_Row = tuple[Floats, Floats, float]
"""Masses, objects, and the spread of the masses."""

_MOST_BY_CHANCE = 0.0005


def merge_adjacent(profiles: Floats, counts: Floats, most: int, tolerance: float) -> list[tuple[int, int]]:
    """Return the ranges [first, last) into which rows are merged, the pair with the least loss of information first.

    The loss of describing two rows as one is their mass times the Jensen-Shannon divergence of their shares, in nats
    (Slonim and Tishby, "Agglomerative information bottleneck", NIPS 1999), less twice the loss expected by chance from
    rows of the same distribution with so few objects. Only neighbours are merged, so every range is contiguous.

    Args:
        profiles: [row, column], masses that add up to 1.
        counts: [row, column], objects; with 0 objects, every difference counts as real and none as chance.
        most: largest number of ranges.
        tolerance: largest loss of a further merge once there are no more than ``most`` ranges.
    """
    rows = [(row, objects, _spread(row)) for row, objects in zip(profiles, counts, strict=True)]
    ranges = [(index, index + 1) for index in range(len(rows))]
    losses = [_loss(first, second) for first, second in itertools.pairwise(rows)]
    while losses:
        at = int(np.argmin(losses))
        if len(ranges) <= most and losses[at] > tolerance:
            break
        rows[at : at + 2] = [_joined(*rows[at : at + 2])]
        ranges[at : at + 2] = [(ranges[at][0], ranges[at + 1][1])]
        del losses[at]
        for place in (at - 1, at):
            if 0 <= place < len(losses):
                losses[place] = _loss(rows[place], rows[place + 1])
    return ranges


def _joined(first: _Row, second: _Row) -> _Row:
    masses = first[0] + second[0]
    return masses, first[1] + second[1], _spread(masses)


def _loss(first: _Row, second: _Row) -> float:
    masses, counts, spread = _joined(first, second)
    # Under the same distribution each column loses half the mass of one of its objects on average, since G is
    # chi-squared. One large object says nothing about a distribution, but the time of its allocation matters.
    chance = np.minimum(masses / np.maximum(counts, 1), _MOST_BY_CHANCE)[counts > 0].sum()
    return spread - first[2] - second[2] - float(chance)


def _spread(masses: Floats) -> float:
    """Return the mass times the entropy of its shares."""
    from scipy.special import entr

    return float(entr(masses).sum() - entr(masses.sum()))


def masses(counts: Floats, sizes: Floats, lifetimes: Floats) -> Floats:
    """Return the weights of objects, which add up to 1: a third by number, by bytes, and by bytes times lifetime."""
    size = counts * np.maximum(sizes, 1.0)
    parts = (counts, size, size * lifetimes)
    whole: Floats = sum(part / part.sum() for part in parts) / len(parts)
    return whole
