"""The difference of two sets of samples, its interval, and the difference that so many samples can detect.

Everything is based on the sign test, which assumes only that pairs are independent: times on a shared machine have
heavy tails, and those of two processes are correlated. docs/comparing.md explains the figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from statistics import median
from typing import Any

from memtool.stats.summary import LEAST_SAMPLES

CONFIDENCE = 0.95
POWER = 0.8
"""Share of runs in which an effect that is called detectable is found."""
_ROUNDING = 1e-12
MOST_BLOCKS = 999
"""Maximum of ``check --blocks``."""
_MOST_BLOCKS = 9_999
"""More than anyone measures: beyond it, "cannot be decided" is the better answer."""
_ONE_SIGMA = 0.841344746068543
"""Value of the normal distribution function one standard deviation above the mean."""


def interval(effects: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return the exact interval of the median by order statistics; None where there are too few for it.

    For 95 % that is below 6. ``scipy.stats.quantile_test`` (Conover, Practical Nonparametric Statistics, 3.2).
    """
    if len(effects) < LEAST_SAMPLES:
        return None
    from scipy.stats import quantile_test

    bounds: Any = quantile_test(list(effects), p=0.5).confidence_interval(confidence)
    low, high = float(bounds.low), float(bounds.high)
    return None if math.isnan(low) or math.isnan(high) else (low, high)


def difference_of_medians(base: Sequence[float], head: Sequence[float]) -> tuple[float, float] | None:
    """Return an interval of median(head) - median(base) for unpaired samples; None below 7 on either side.

    Each median is enclosed with 97.5 %, so both are with at least 95 % (Bonferroni), for all and even for different
    distributions; the ends furthest apart enclose the difference. It is wider than any interval that assumes a shape,
    and it cannot account for a machine that changed between the two runs: no interval from two runs can.
    """
    confidence = 1 - (1 - CONFIDENCE) / 2
    first, second = interval(base, confidence), interval(head, confidence)
    if first is None or second is None:
        return None
    return second[0] - first[1], second[1] - first[0]


def p_above(effects: Sequence[float], limit: float) -> float:
    """Return the p-value against "the median is at most ``limit``": small if the median is above it.

    That of ``scipy.stats.quantile_test(effects, q=limit, p=0.5, alternative="greater")``, as a test asserts.
    """
    return _sign_test(sum(effect > limit for effect in effects), len(effects))


def p_not_above(effects: Sequence[float], limit: float) -> float:
    """Return the p-value against "the median is above ``limit``": small if it is not.

    A value exactly at the limit is not above it: with a limit of 0 and no change, all pairs are there.
    """
    return _sign_test(sum(effect <= limit for effect in effects), len(effects))


@cache
def _sign_test(pairs: int, of: int) -> float:
    """Return the probability that at least this many pairs are on one side by chance."""
    from scipy.stats import binomtest

    return float(binomtest(pairs, of, 0.5, alternative="greater").pvalue)


def ranks(samples: Sequence[Mapping[Any, float]]) -> list[int]:
    """Return the rank of each of these, 1 for the lowest; ``samples``: non-empty mappings from block to figure.

    In the order of their medians, each shares the rank of the one before, unless the pairs of common blocks show with
    95 % that it differs from the best of that rank. It is compared with that one alone, so that a row of small steps
    cannot join distant ones. With fewer than 6 common blocks nothing is shown, and only those whose blocks disagree
    tie.
    """
    order = sorted(range(len(samples)), key=lambda index: median(samples[index].values()))
    places = [1] * len(samples)
    best = order[0] if order else 0
    for position, index in enumerate(order):
        if differ(samples[best], samples[index]):
            best, places[index] = index, position + 1
        else:
            places[index] = places[best]
    return places


def differ(best: Mapping[Any, float], other: Mapping[Any, float]) -> bool:
    """Return whether pairs distinguish the two, by the two-sided sign test; pairs that tie are left out."""
    differences = [other[block] - best[block] for block in best.keys() & other.keys()]
    if not differences:
        return max(best.values()) < min(other.values())
    above, below = sum(difference > 0 for difference in differences), sum(difference < 0 for difference in differences)
    if len(differences) < LEAST_SAMPLES:
        return min(above, below) == 0 < above
    if above == below:
        return False
    return 2 * _sign_test(max(above, below), above + below) <= 1 - CONFIDENCE + _ROUNDING


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm 1979): those below alpha hold together with 1 - alpha."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for step, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - step) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def least_blocks(level: float) -> int:
    """Return how many pairs a sign test needs to reach a level at all: with all on one side, p is 2^-n."""
    return max(1, math.ceil(-math.log2(level)))


def scatter(effects: Sequence[float]) -> float:
    """Return half the width of the middle 68 % of the pairs, which for normal ones is the standard deviation.

    The sign test's power depends on the pairs near the middle; outliers, which dominate a standard deviation on a
    shared machine, count as one pair each. Quantiles are at i / (n + 1): narrower ones would be too optimistic
    for few pairs (tests/verification/test_gate_replay.py).
    """
    import numpy as np

    low, high = np.quantile(list(effects), [1 - _ONE_SIGMA, _ONE_SIGMA], method="weibull")
    return float(high - low) / 2


def smallest_detectable(effects: Sequence[float], limit: float, level: float, power: float = POWER) -> float | None:
    """Return the smallest effect above ``limit`` that this many pairs detect with ``power``; None: none.

    The number of pairs above the limit is binomial. The required probability for one pair follows, and from the spread
    the required distance of the median from the limit.
    """
    from scipy.stats import norm

    share = _needed_share(len(effects), level, power)
    return None if share is None else limit + scatter(effects) * float(norm.ppf(share))


def blocks_needed(effects: Sequence[float], limit: float, level: float, power: float = POWER) -> int | None:
    """Return the odd number of pairs with which an unchanged figure is found not above ``limit`` with ``power``.

    None: more than anyone measures, or the limit is 0 and the pairs vary.
    """
    return _pairs_at(limit, scatter(effects), level, power)


def blocks_to_decide(effects: Sequence[float], limit: float, level: float, power: float = POWER) -> int | None:
    """Return the odd number of pairs that decide on which side of ``limit`` a median at this distance is.

    With ``power`` and the spread of these pairs. None: more than anyone measures.
    """
    return _pairs_at(abs(median(effects) - limit), scatter(effects), level, power)


def _pairs_at(distance: float, spread: float, level: float, power: float) -> int | None:
    """Return the pairs that detect a median at ``distance`` from a limit, for single pairs with this ``spread``."""
    from scipy.stats import norm

    share = 1.0 if spread == 0 else float(norm.cdf(distance / spread))

    def suffices(pairs: int) -> bool:
        needed = _needed_share(pairs, level, power)
        return needed is not None and needed <= share

    low, high = least_blocks(level) // 2, _MOST_BLOCKS // 2
    if not suffices(2 * high + 1):
        return None
    # The binomial distribution is discrete, so one more pair may do worse: the answer is accurate to a few blocks.
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(2 * middle + 1) else (middle + 1, high)
    return 2 * low + 1


@cache
def _needed_share(pairs: int, level: float, power: float) -> float | None:
    """Return the required probability that one pair is on the far side of the limit; None: too few pairs."""
    from scipy.stats import beta, binom

    # The largest number of pairs on the near side with which the test rejects.
    near = int(binom.ppf(level, pairs, 0.5))
    while near >= 0 and binom.cdf(near, pairs, 0.5) > level:
        near -= 1
    if near < 0:
        return None
    # P(at least pairs - near successes) = power; the binomial's tail is a beta distribution's.
    return float(beta.ppf(power, pairs - near, near + 1))
