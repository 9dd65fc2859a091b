"""Whether two workloads rank the allocators of a run in the same way."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from memtool.model import Metric, Run, Status
from memtool.stats import paired

MARGIN = 0.02
"""Medians whose difference is at most this share of the smaller one count as equal, however certain it is."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Ranks of an allocator on two workloads by one metric."""

    allocator: str
    values: tuple[float, float]
    """Medians on the first and on the second workload."""
    ranks: tuple[int, int]
    """1 for the lowest; allocators that pairs do not distinguish share a rank (stats/paired.py)."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreement of two workloads about the allocators by one metric."""

    metric: str
    standings: tuple[Standing, ...]
    """In the order of the first workload."""
    swapped: tuple[tuple[str, str], ...]
    """(lower, higher) on the first workload; the order is reversed on the second."""
    unsettled: tuple[tuple[str, str, int], ...]
    """(lower, higher, the workload of this order: 0 or 1); not distinguished on the other workload."""
    pairs: int
    """Number of pairs of allocators."""
    left_out: tuple[str, ...]
    """Allocators that were not measured on both workloads."""

    @property
    def agrees(self) -> bool:
        """Return whether no two allocators change places."""
        return not self.swapped


def agreement(run: Run, metric: str, first: str, second: str) -> Agreement:
    """Return the agreement of two workloads of a run about its allocators by one metric."""
    figures = [_figures(run, metric, workload) for workload in (first, second)]
    both = [label for label in figures[0] if label in figures[1]]
    samples = [[dict(zip(of[label].blocks, of[label].samples, strict=True)) for label in both] for of in figures]
    ranks = [paired.ranks(of) for of in samples]
    standings = [
        Standing(
            label,
            (median(samples[0][index].values()), median(samples[1][index].values())),
            (ranks[0][index], ranks[1][index]),
        )
        for index, label in enumerate(both)
    ]
    changed: list[tuple[str, str]] = []
    unsettled: list[tuple[str, str, int]] = []
    for left, right in itertools.combinations(range(len(both)), 2):
        before, after = (_order(of[left], of[right]) for of in samples)
        if before == after:
            continue
        less, more = (left, right) if (before or after) < 0 else (right, left)
        if before and after:
            changed.append((both[less], both[more]))
        else:
            unsettled.append((both[less], both[more], 0 if before else 1))
    return Agreement(
        metric,
        tuple(sorted(standings, key=lambda standing: (standing.ranks[0], standing.values[0]))),
        tuple(changed),
        tuple(unsettled),
        len(both) * (len(both) - 1) // 2,
        tuple(dict.fromkeys(cell.cell.allocator for cell in run.cells if cell.cell.allocator not in both)),
    )


def _figures(run: Run, metric: str, workload: str) -> dict[str, Metric]:
    return {
        cell.cell.allocator: figure
        for cell in run.cells
        if cell.cell.workload == workload and cell.status is Status.OK
        if (figure := cell.metrics.get(metric)) is not None and figure.samples
    }


def _order(first: Mapping[int, float], second: Mapping[int, float]) -> int:
    """Return -1 if the first is certainly lower, 1 if it is higher, 0 if they are not distinguished."""
    medians = median(first.values()), median(second.values())
    if abs(medians[0] - medians[1]) <= MARGIN * min(medians):
        return 0
    pair: Sequence[Mapping[int, float]] = sorted((first, second), key=lambda of: median(of.values()))
    if not paired.differ(pair[0], pair[1]):
        return 0
    return -1 if medians[0] < medians[1] else 1
