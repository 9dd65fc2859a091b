"""What another machine of the kind would find: effects on several hosts, the host a random effect.

Two levels. The pairs of one host come to its own effect, their median. Hosts are a sample of their kind, so the mean of
their effects has Student's interval with one degree of freedom less than there are hosts: exact where effects
of hosts are normal and have as many pairs, and honest with few hosts, which a likelihood's is not (docs/adr/0029).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from memtool.model import Metric

CONFIDENCE = 0.95
LEAST_HOSTS = 2


@dataclass(frozen=True, slots=True)
class OverHosts:
    """A mean effect over hosts."""

    effect: float
    hosts: int
    low: float | None = None
    high: float | None = None
    """Of the mean over all hosts of the kind, with 95 %; None below two hosts."""


def by_block(metric: Metric) -> dict[tuple[int, str], float]:
    """Return (block, host) -> sample. What two hosts took of one block is no pair."""
    hosts = metric.hosts or ("",) * len(metric.blocks)
    return {(block, host): sample for block, host, sample in zip(metric.blocks, hosts, metric.samples, strict=True)}


def over_hosts(effects: Sequence[float], hosts: Sequence[str]) -> OverHosts:
    """Return what effects come to over hosts; ``effects[i]`` was found on ``hosts[i]``, of at least one."""
    own: dict[str, list[float]] = {}
    for effect, host in zip(effects, hosts, strict=True):
        own.setdefault(host, []).append(effect)
    levels = [median(of_host) for of_host in own.values()]
    mean = fmean(levels)
    if len(levels) < LEAST_HOSTS:
        return OverHosts(mean, len(levels))
    if max(levels) == min(levels):
        return OverHosts(mean, len(levels), mean, mean)
    from scipy.stats import ttest_1samp

    bounds: Any = ttest_1samp(levels, 0.0).confidence_interval(CONFIDENCE)
    return OverHosts(mean, len(levels), float(bounds.low), float(bounds.high))


def p_differ(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the p-value of "two groups of hosts have the same mean effect", one effect a host; None below two each.

    Welch's test: groups need not scatter alike, nor have as many hosts.
    """
    if min(len(first), len(second)) < LEAST_HOSTS:
        return None
    from scipy.stats import ttest_ind

    with warnings.catch_warnings():
        # Hosts of a group that find exactly the same leave its variance at 0, which scipy remarks on.
        warnings.simplefilter("ignore", RuntimeWarning)
        p_value = float(ttest_ind(list(first), list(second), equal_var=False).pvalue)
    return None if math.isnan(p_value) else p_value
