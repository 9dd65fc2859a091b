"""The least memory limits that a search has found: plain records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from memtool.model import Cell, Status


@dataclass(frozen=True, slots=True)
class Events:
    """What one seed of a workload gives."""

    name: str
    """The workload's."""
    seed: int
    event_hash: str
    peak_live_bytes: int


@dataclass(frozen=True, slots=True)
class LeastLimit:
    """The least capacity of a region in which an allocator survived the events of one seed."""

    seed: int
    peak_live_bytes: int
    """Of these events: what no allocator can do without."""
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class LimitRow:
    """What became of the search for one allocator's least limits."""

    cell: Cell
    status: Status
    reason: str | None = None
    """Why it has no limits; None where it has."""
    limits: tuple[LeastLimit, ...] = ()
    """One for each seed, in the order of the seeds."""

    @property
    def largest_bytes(self) -> int | None:
        """Return the least limit that every one of the seeds survives; None where there is none."""
        return max((limit.limit_bytes for limit in self.limits), default=None)

    @property
    def largest_over_peak_live(self) -> float | None:
        """Return how many times the seed's own peak of live bytes that is; the most, where several seeds need it."""
        ratios = [
            limit.limit_bytes / limit.peak_live_bytes
            for limit in self.limits
            if limit.limit_bytes == self.largest_bytes and limit.peak_live_bytes > 0
        ]
        return max(ratios, default=None)


@dataclass(frozen=True, slots=True)
class Limits:
    """A finished search for the least memory limits."""

    memtool: str
    workloads: tuple[tuple[Events, ...], ...]
    """Of each workload its events, one for each seed; one alone where every seed gives the same."""
    rows: tuple[LimitRow, ...]
    step_bytes: int
    """Between one limit that is looked at and the next."""
    notes: tuple[str, ...] = ()
    started: str = ""
    """ISO 8601, with offset."""
    command: tuple[str, ...] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Return whether any search failed, or nothing could be searched at all."""
        statuses = {row.status for row in self.rows}
        return Status.FAILED in statuses or Status.OK not in statuses
