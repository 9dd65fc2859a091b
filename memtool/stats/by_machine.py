"""The effect of a change on each group of equal machines, and the differences between groups."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from memtool import groups
from memtool.bounds import Count, Figure
from memtool.model import Comparison, Run
from memtool.stats import compare
from memtool.stats.over_hosts import OverHosts, over_hosts, p_differ
from memtool.stats.paired import holm

ALPHA = 0.05
_Key = tuple[str, str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class OnGroup:
    """The comparison of a metric with the reference on one group."""

    group: str
    change: Figure | None
    """head / base - 1 where ``is_ratio``, else head - base: the median of all pairs"""
    low: Figure | None
    high: Figure | None
    """upper end of the 95 % interval over the pairs of the participating hosts"""
    hosts_low: Figure | None
    hosts_high: Figure | None
    """upper end of the 95 % interval for another host of the group"""
    hosts: Count
    pairs: Count
    why_not: str | None = None
    """reason why there is no figure"""


@dataclass(frozen=True, slots=True)
class ByMachine:
    """One metric of one allocator, compared with the reference on every group."""

    workload: str
    region: str
    mode: str
    base: str
    head: str
    metric: str
    is_ratio: bool
    on: tuple[OnGroup, ...]
    over_all: OverHosts | None
    """effect over all hosts of all groups, with equal weights of the groups; None where nothing is sampled"""
    differing: tuple[tuple[str, str, Figure], ...]
    """pairs of groups whose hosts differ, with the p-value, adjusted for all pairs of the run"""


@dataclass(frozen=True, slots=True)
class Machines:
    """A run, group by group."""

    reference: str
    """the allocator that serves as the base"""
    groups: Mapping[str, str]
    """name -> description"""
    rows: tuple[ByMachine, ...]


def machines(run: Run, reference: str, metrics: Sequence[str]) -> Machines:
    """Return a run group by group; a run on a single machine, which has no name, is one group."""
    known = {groups.split(info.name)[1] or str(run.machine.get(groups.GROUP, "")): info.name for info in run.workloads}
    words = {name: groups.of_workload(run.machine, workload) for name, workload in known.items()}
    return Machines(reference, words, tuple(_rows(run, reference, metrics)))


def _rows(run: Run, reference: str, metrics: Sequence[str]) -> list[ByMachine]:
    """Return the comparison of every allocator with the reference, group by group, of a run over groups of machines."""
    rows: dict[_Key, dict[str, Comparison]] = {}
    for comparison in compare.within(run, reference, metrics):
        workload, group = groups.split(comparison.workload)
        key = (workload, comparison.region, comparison.mode, comparison.base, comparison.head, comparison.metric)
        rows.setdefault(key, {})[group or str(run.machine.get(groups.GROUP, ""))] = comparison
    tested = [
        (key, first, second, p_value)
        for key, of in rows.items()
        for first, second in itertools.combinations(sorted(of), 2)
        if (p_value := _p_differ(of[first], of[second])) is not None
    ]
    adjusted = holm([p_value for *_, p_value in tested])
    differing: dict[_Key, list[tuple[str, str, float]]] = {}
    for (key, first, second, _), p_value in zip(tested, adjusted, strict=True):
        if p_value <= ALPHA:
            differing.setdefault(key, []).append((first, second, p_value))
    return [
        ByMachine(
            *key,
            any(comparison.is_ratio for comparison in of.values()),
            tuple(_on(group, of[group]) for group in sorted(of)),
            _over_all(of),
            tuple(differing.get(key, ())),
        )
        for key, of in rows.items()
    ]


def _on(group: str, comparison: Comparison) -> OnGroup:
    return OnGroup(
        group,
        comparison.change,
        comparison.low,
        comparison.high,
        comparison.hosts_low,
        comparison.hosts_high,
        len(set(comparison.hosts)),
        comparison.samples,
        comparison.why_not,
    )


def _over_all(of: Mapping[str, Comparison]) -> OverHosts | None:
    """Return the change over all hosts, with the host as a random effect."""
    by_host = [
        (effect, f"{group}/{host}")
        for group, comparison in of.items()
        for effect, host in zip(comparison.effects, comparison.hosts, strict=False)
    ]
    if not by_host or len({comparison.is_ratio for comparison in of.values()}) > 1:
        return None
    over = over_hosts(*zip(*by_host, strict=True))
    if not next(iter(of.values())).is_ratio:
        return over
    low, high = (None if bound is None else math.expm1(bound) for bound in (over.low, over.high))
    return OverHosts(math.expm1(over.effect), over.hosts, low, high)


def _p_differ(first: Comparison, second: Comparison) -> float | None:
    """Return the p-value of "the hosts of two groups are equal"; None: too few hosts, or nothing is sampled."""
    levels = [_levels(comparison) for comparison in (first, second)]
    return None if first.is_ratio != second.is_ratio else p_differ(*levels)


def _levels(comparison: Comparison) -> list[float]:
    own: dict[str, list[float]] = {}
    for effect, host in zip(comparison.effects, comparison.hosts, strict=False):
        own.setdefault(host, []).append(effect)
    return [median(effects) for effects in own.values()]
