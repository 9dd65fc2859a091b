"""What a workload is like, without replaying it: for ``memtool inspect`` and for choosing what to compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from memtool.workload.program import compile_workload
from memtool.workload.schema import Workload
from memtool.workload.trace import canonical_events

_DEALLOCATE, _ALLOCATE, _ALLOCATE_ZEROED, _REALLOCATE = range(4)
_MOST_POINTS = 512
_LEVELS = 48
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Characteristics:
    """Figures of a trace. Sizes in bytes, lifetimes in allocations; levels are powers of two, [2^k, 2^(k+1))."""

    allocations: int
    reallocations: int
    zeroed: int
    never_freed: int
    """Objects that only the epilogue frees."""
    sizes: dict[int, int]
    """log2 of the size -> allocations."""
    lifetimes: dict[int, int]
    """log2 of the lifetime -> objects that are freed before the epilogue."""
    size_by_lifetime: list[list[int]]
    """[log2 of the size][log2 of the lifetime] -> objects."""
    alignments: dict[int, int]
    """Alignment -> allocations."""
    mean_size: float
    median_size: int
    mean_live_bytes: float
    """Over the operations before the epilogue."""
    clock: list[int]
    """Operations done, at most 512 points."""
    live_bytes: list[int]
    live_objects: list[int]


def characterise(workload: Workload, seed: int) -> Characteristics:
    """Return the characteristics of a workload's events."""
    portions = [
        np.frombuffer(events, dtype="<u8").reshape(-1, 2).copy()
        for events in canonical_events(compile_workload(workload, seed))
    ]
    events = np.concatenate(portions) if portions else np.zeros((0, 2), dtype="<u8")
    kinds = (events[:, 0] & 0xFF).astype(np.int64)
    epilogue = np.flatnonzero(kinds == 8)
    end = int(epilogue[0]) if len(epilogue) else len(kinds)
    body, kinds = events[:end], kinds[:end]
    objects = (body[:, 0] >> 24).astype(np.int64)
    requested = (body[:, 1] & ((1 << 58) - 1)).astype(np.int64)
    is_allocation = (kinds == _ALLOCATE) | (kinds == _ALLOCATE_ZEROED)
    sizes = requested[is_allocation]
    births = np.cumsum(is_allocation)
    born = np.zeros(len(sizes), dtype=np.int64)
    born[objects[is_allocation]] = births[is_allocation]
    is_free = kinds == _DEALLOCATE
    dead = objects[is_free]
    # An object that dies before the next allocation has lived for one.
    lifetimes = births[is_free] - born[dead] + 1
    changes, counts = _changes(kinds, objects, requested, len(sizes))
    operations = (kinds <= _REALLOCATE).nonzero()[0]
    live = np.cumsum(changes)[operations]
    alive = np.cumsum(counts)[operations]
    points = np.unique(np.linspace(0, len(operations) - 1, min(_MOST_POINTS, len(operations))).astype(np.int64))
    alignments, uses = np.unique(1 << (body[is_allocation, 1] >> 58).astype(np.int64), return_counts=True)
    return Characteristics(
        allocations=len(sizes),
        reallocations=int((kinds == _REALLOCATE).sum()),
        zeroed=int((kinds == _ALLOCATE_ZEROED).sum()),
        never_freed=len(sizes) - len(dead),
        sizes=_histogram(sizes),
        lifetimes=_histogram(lifetimes),
        size_by_lifetime=_matrix(sizes[dead], lifetimes),
        alignments=dict(zip(alignments.tolist(), uses.tolist(), strict=True)),
        mean_size=float(sizes.mean()) if len(sizes) else 0.0,
        median_size=int(np.median(sizes)) if len(sizes) else 0,
        mean_live_bytes=float(live.mean()) if len(live) else 0.0,
        clock=(points + 1).tolist(),
        live_bytes=live[points].tolist() if len(live) else [],
        live_objects=alive[points].tolist() if len(alive) else [],
    )


def _changes(kinds: Integers, objects: Integers, requested: Integers, born: int) -> tuple[Integers, Integers]:
    """Return what each event adds to live bytes and to live objects.

    An event that frees or resizes takes back what the object's event before it asked for; a stable sort by object puts
    those two next to each other.
    """
    concerned = np.flatnonzero(kinds <= _REALLOCATE)
    order = concerned[np.argsort(objects[concerned], kind="stable")]
    before = np.zeros(len(order), dtype=np.int64)
    before[1:] = requested[order[:-1]]
    first = (kinds[order] == _ALLOCATE) | (kinds[order] == _ALLOCATE_ZEROED)
    before[first] = 0
    after = np.where(kinds[order] == _DEALLOCATE, 0, requested[order])
    bytes_changed = np.zeros(len(kinds), dtype=np.int64)
    bytes_changed[order] = after - before
    objects_changed = np.zeros(len(kinds), dtype=np.int64)
    objects_changed[order] = first.astype(np.int64) - (kinds[order] == _DEALLOCATE)
    assert born == int(first.sum())
    return bytes_changed, objects_changed


def _levels(values: Integers) -> Integers:
    """Return the floor of log2 of whole numbers >= 1, without going through floating point."""
    levels = np.zeros(len(values), dtype=np.int64)
    for level in range(1, _LEVELS):
        levels += values >= (1 << level)
    return levels


def _histogram(values: Integers) -> dict[int, int]:
    counts = np.bincount(_levels(values)) if len(values) else np.zeros(0, dtype=np.int64)
    return {level: int(count) for level, count in enumerate(counts) if count}


def _matrix(sizes: Integers, lifetimes: Integers) -> list[list[int]]:
    if not len(sizes):
        return []
    rows, columns = _levels(sizes), _levels(lifetimes)
    matrix = np.zeros((int(rows.max()) + 1, int(columns.max()) + 1), dtype=np.int64)
    np.add.at(matrix, (rows, columns), 1)
    listed: list[list[int]] = matrix.tolist()
    return listed


def effective(workload: Workload) -> dict[str, Any]:
    """Return the workload with every default filled in, as plain data."""
    plain: dict[str, Any] = workload.model_dump(mode="json", by_alias=True, exclude_none=True)
    return plain
