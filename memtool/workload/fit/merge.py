"""Neighbours that look alike become one: stretches of a run, classes of sizes, classes of lifetimes."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


_MOST_BY_CHANCE = 0.0005


def merge_adjacent(profiles: Floats, counts: Floats, most: int, tolerance: float) -> list[tuple[int, int]]:
    """Return the ranges [first, last) that rows are merged to, the pair first that loses the least information.

    What is lost by two rows that are described as one is their mass times the Jensen-Shannon divergence of their
    shares, in nats (Slonim and Tishby, "Agglomerative information bottleneck", NIPS 1999), less twice what rows of
    the same law lose by the chance of their few objects. Only neighbours are merged: the ranges stay stretches.

    Args:
        profiles: [row, column], masses, 1 in all.
        counts: [row, column], objects; of 0 objects: what differs differs, and chance has no part in it.
        most: ranges that may be left.
        tolerance: what a merge may lose once there are no more than that.
    """
    rows = list(zip(profiles, counts, strict=True))
    ranges = [(index, index + 1) for index in range(len(rows))]
    losses = [_loss(first, second) for first, second in itertools.pairwise(rows)]
    while losses:
        at = int(np.argmin(losses))
        if len(ranges) <= most and losses[at] > tolerance:
            break
        first, second = rows[at : at + 2]
        rows[at : at + 2] = [(first[0] + second[0], first[1] + second[1])]
        ranges[at : at + 2] = [(ranges[at][0], ranges[at + 1][1])]
        del losses[at]
        for place in (at - 1, at):
            if 0 <= place < len(losses):
                losses[place] = _loss(rows[place], rows[place + 1])
    return ranges


def _loss(first: tuple[Floats, Floats], second: tuple[Floats, Floats]) -> float:
    masses, counts = first[0] + second[0], first[1] + second[1]
    # Of the same law, each column loses half the mass of one of its objects on average: G is chi-squared.
    # One large object says nothing of a law, but when it comes is worth telling.
    chance = np.minimum(masses / np.maximum(counts, 1), _MOST_BY_CHANCE)[counts > 0].sum()
    return _spread(masses) - _spread(first[0]) - _spread(second[0]) - float(chance)


def _spread(masses: Floats) -> float:
    """Return the mass times the entropy of its shares."""
    from scipy.special import entr

    return float(entr(masses).sum() - entr(masses.sum()))


def masses(counts: Floats, sizes: Floats, lifetimes: Floats) -> Floats:
    """Return what objects weigh, 1 in all: a third by their number, by their bytes, and by bytes times lifetime."""
    size = counts * np.maximum(sizes, 1.0)
    parts = (counts, size, size * lifetimes)
    whole: Floats = sum(part / part.sum() for part in parts) / len(parts)
    return whole
