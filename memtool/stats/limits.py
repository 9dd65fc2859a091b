"""The least memory limits found by a search: plain records in the form of limits.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from memtool.bounds import Count, Within
from memtool.model import Cell, Status


@dataclass(frozen=True, slots=True)
class Events:
    """The events of one seed of a workload."""

    seed: int
    event_hash: Annotated[str, Within(pattern="^[0-9a-f]{32}$")]
    peak_live_bytes: Count
    """peak of live bytes, which every allocator needs at least"""


@dataclass(frozen=True, slots=True)
class Searched:
    """A workload of the search."""

    name: str
    seeds: Annotated[tuple[Events, ...], Within(min_length=1)]
    """seeds whose events differ from those of earlier seeds"""


@dataclass(frozen=True, slots=True)
class LeastLimit:
    """The least limit of one allocator for the events of one seed."""

    seed: int
    peak_live_bytes: Count
    limit_bytes: Count
    """least limit with which a replay succeeded; with `step_bytes` less it failed"""


@dataclass(frozen=True, slots=True)
class LimitRow:
    """Result of the search for one allocator."""

    cell: Cell
    status: Status
    reason: str | None = None
    """reason why it has no limits"""
    limits: tuple[LeastLimit, ...] = ()
    """one for each seed of the workload, if the search succeeded"""

    @property
    def largest_bytes(self) -> int | None:
        """Return the least limit that is sufficient for every seed; None where there is none."""
        return max((limit.limit_bytes for limit in self.limits), default=None)

    @property
    def largest_over_peak_live(self) -> float | None:
        """Return that limit as a multiple of the seed's peak of live bytes; if several seeds need it, the largest."""
        ratios = [
            limit.limit_bytes / limit.peak_live_bytes
            for limit in self.limits
            if limit.limit_bytes == self.largest_bytes and limit.peak_live_bytes > 0
        ]
        return max(ratios, default=None)


@dataclass(frozen=True, slots=True)
class Limits:
    """A whole search."""

    memtool: str
    started: str
    command: tuple[str, ...]
    machine: Mapping[str, Any]
    step_bytes: Annotated[int, Within(ge=1)]
    """distance between adjacent candidate limits"""
    workloads: tuple[Searched, ...]
    rows: tuple[LimitRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Return whether any search failed, or nothing could be searched."""
        statuses = {row.status for row in self.rows}
        return Status.FAILED in statuses or Status.OK not in statuses
