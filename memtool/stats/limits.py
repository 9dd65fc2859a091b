"""The least memory limits that a search has found: plain records, whose form is that of limits.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from memtool.bounds import Count, Within
from memtool.model import Cell, Status


@dataclass(frozen=True, slots=True)
class Events:
    """What one seed of a workload gave."""

    seed: int
    event_hash: Annotated[str, Within(pattern="^[0-9a-f]{32}$")]
    peak_live_bytes: Count
    """what no allocator can do without"""


@dataclass(frozen=True, slots=True)
class Searched:
    """What was searched on."""

    name: str
    seeds: Annotated[tuple[Events, ...], Within(min_length=1)]
    """seeds that give other events than one before"""


@dataclass(frozen=True, slots=True)
class LeastLimit:
    """The least limit of one allocator for the events of one seed."""

    seed: int
    peak_live_bytes: Count
    limit_bytes: Count
    """a replay in so much survived; in `step_bytes` less it did not"""


@dataclass(frozen=True, slots=True)
class LimitRow:
    """What became of the search for one allocator."""

    cell: Cell
    status: Status
    reason: str | None = None
    """why it has no limits"""
    limits: tuple[LeastLimit, ...] = ()
    """where it is ok, one for each seed of the workload"""

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
    """A whole search."""

    memtool: str
    started: str
    command: tuple[str, ...]
    machine: Mapping[str, Any]
    step_bytes: Annotated[int, Within(ge=1)]
    """between one limit that is looked at and the next"""
    workloads: tuple[Searched, ...]
    rows: tuple[LimitRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Return whether any search failed, or nothing could be searched at all."""
        statuses = {row.status for row in self.rows}
        return Status.FAILED in statuses or Status.OK not in statuses
