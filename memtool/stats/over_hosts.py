"""The effect on another machine of the kind, from effects on several hosts, with the host as a random effect.

There are two levels. The effect of one host is the median of its pairs. Hosts are a sample of their kind, so the mean
of their effects has Student's interval with one degree of freedom less than the number of hosts. It is exact if the
effects of hosts are normal and have equal numbers of pairs, and valid for few hosts, unlike a likelihood interval
(docs/adr/0029).
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
    """Upper end of the 95 % interval of the mean over all hosts of the kind; None with fewer than two hosts."""


def by_block(metric: Metric) -> dict[tuple[int, str], float]:
    """Return (block, host) -> sample. Samples that two hosts took of one block are not a pair."""
    hosts = metric.hosts or ("",) * len(metric.blocks)
    return {(block, host): sample for block, host, sample in zip(metric.blocks, hosts, metric.samples, strict=True)}


def over_hosts(effects: Sequence[float], hosts: Sequence[str]) -> OverHosts:
    """Return the mean effect over hosts; ``effects[i]`` was measured on ``hosts[i]``; at least one."""
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
    """Return the p-value of "two groups of hosts have the same mean effect", from one effect per host.

    None with fewer than two hosts in either group. Welch's test: groups may differ in variance and in size.
    """
    if min(len(first), len(second)) < LEAST_HOSTS:
        return None
    from scipy.stats import ttest_ind

    with warnings.catch_warnings():
        # If all hosts of a group have exactly the same effect, its variance is 0, about which scipy warns.
        warnings.simplefilter("ignore", RuntimeWarning)
        p_value = float(ttest_ind(list(first), list(second), equal_var=False).pvalue)
    return None if math.isnan(p_value) else p_value
