"""Characteristics of a workload without a replay, for ``memtool inspect`` and for choosing what to compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from memtool.engine.survey.binding import LISTS, Survey
from memtool.workload.sources.source import Rows
from memtool.workload.sources.stacks import Frames, callers_of

_MOST_POINTS = 512
_MOST_SITES = 1000
"""Number of call sites, and of call stacks, that are kept: those with the most bytes."""
_MOST_THREADS = 64
_FOREMOST = 50
_MOST_COMMON = 20
_COUNTED = (
    *("reallocations", "zeroed", "empty", "threads", "remote_frees", "smallest_size", "largest_size"),
    *("peak_live_bytes", "peak_live_objects", "temporary", "bulk_frees", "grown", "shrunk"),
)
"""Characteristics that a survey has under the same names."""
Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Site:
    """One call site: the return address of requests."""

    caller: int
    """Return address; 0: unknown, or one of the sites that came after the first 262,144."""
    allocations: int
    """Number of requests, including reallocations."""
    bytes: int
    temporary: int
    left_objects: int
    """Objects that are never freed."""
    left_bytes: int


@dataclass(frozen=True, slots=True)
class StackShare:
    """Requests with one call stack; the figures are those of a site."""

    frames: tuple[int, ...]
    """Return addresses, the innermost first; empty: unknown."""
    allocations: int
    bytes: int
    temporary: int
    left_objects: int
    left_bytes: int


_Row = TypeVar("_Row", bound=Site | StackShare)


@dataclass(frozen=True, slots=True)
class ThreadShare:
    """Activity of one thread."""

    thread: int
    operations: int
    allocations: int
    bytes: int
    frees: int
    remote_frees: int
    """Frees of objects that other threads allocated."""


@dataclass(frozen=True, slots=True)
class Characteristics:
    """Figures of a trace. Sizes are in bytes, lifetimes in allocations; levels are powers of two, [2^k, 2^(k+1))."""

    operations: int
    """Operations before the epilogue."""
    allocations: int
    reallocations: int
    zeroed: int
    never_freed: int
    """Objects that only the epilogue frees."""
    empty: int
    """Allocations of 0 bytes, which belong to no class of sizes."""
    sizes: dict[int, int]
    """log2 of the size -> allocations."""
    lifetimes: dict[int, int]
    """log2 of the lifetime -> objects that are freed before the epilogue."""
    size_by_lifetime: list[list[int]]
    """[log2 of the size][log2 of the lifetime] -> objects, by size at allocation; without those of 0 bytes."""
    alignments: dict[int, int]
    """Alignment -> allocations."""
    threads: int
    """Threads that have an operation."""
    remote_frees: int
    """Objects that are freed before the epilogue by a thread other than the one that allocated them."""
    resize_chains: dict[int, int]
    """Number of resizes of an object -> objects; objects that are never resized are left out."""
    total_bytes: int
    """Bytes requested in all, by allocations and by reallocations."""
    mean_size: float
    median_size: int
    """Of an even number of allocations, the lower median."""
    smallest_size: int
    largest_size: int
    """Smallest and largest size of an allocation; like the median and the mean, they ignore later resizes."""
    resized_to: tuple[int, int] | None
    """Smallest and largest size that a reallocation requests; None: there are none."""
    mean_live_bytes: float
    """Mean over the operations before the epilogue."""
    peak_live_bytes: int
    """Peak of live bytes (the load): no allocator can serve the trace with less memory."""
    peak_live_objects: int
    clock: list[int]
    """Number of operations at each point of the curve; at most 512 points, the last at the end."""
    live_bytes: list[int]
    live_objects: list[int]
    seconds: list[float]
    """Time at each point since the recording began; empty where the source has no times."""
    temporary: int
    """Objects that the allocating thread frees before its next request."""
    bulk_frees: int
    """Frees in runs of 64 or more without any other operation of any thread between them."""
    grown: int
    """Reallocations to a larger size."""
    shrunk: int
    common_sizes: list[tuple[int, int]]
    """The twenty most common sizes and their numbers of allocations, the most common first."""
    has_rounded_sizes: bool
    """Whether there are more than a million different sizes. If so, the median and the common sizes may be up to one
    percent too low. Everything else is exact."""
    sites: list[Site]
    """Call sites, those with the most requested bytes first; empty where the source has none."""
    other_sites: int
    """Number of call sites that are not in the list."""
    stacks: list[StackShare]
    """Call stacks, those with the most requested bytes first; empty where the source has none."""
    other_stacks: int
    """Number of call stacks that are not in the list."""
    by_thread: list[ThreadShare]
    """Threads that have an operation, the busiest first, at most 64."""


def characterise(portions: Iterable[Rows]) -> Characteristics:
    """Return the characteristics of events up to the epilogue, which are read in portions and not kept.

    Raises EngineError.
    """
    with Survey() as survey:
        frames: Frames | None = None
        for rows in portions:
            take(survey, rows)
            frames = frames if rows.stacks is None else rows.frames
        return characteristics_of(survey, frames)


def take(survey: Survey, rows: Rows) -> None:
    """Add the next events to a survey; where there are stacks, it counts by stack. Raises EngineError."""
    sites = rows.callers if rows.stacks is None else rows.stacks
    columns = (None if column is None else column.ctypes.data for column in (rows.nanoseconds, sites))
    survey.append(rows.events, *columns)


def characteristics_of(survey: Survey, frames: Frames | None = None) -> Characteristics:
    """Return the result of a survey; ``frames`` are those of its stacks, if it has any. Raises EngineError."""
    figures = survey.figures()
    sizes, threads = _rows(survey, "sizes"), _rows(survey, "threads")
    course, counted = _thinned(_rows(survey, "course")), _by_bytes(_rows(survey, "sites"))
    stacks: list[StackShare] = []
    if frames is not None:
        stacks = [StackShare(tuple(frames.get(row[0], ())), *row[1:]) for row in counted.tolist()]
        counted = _by_bytes(_by_site(counted, frames))
    sites = [Site(*row) for row in counted.tolist()]
    busiest = threads[np.argsort(-threads[:, 1].astype(np.int64), kind="stable")[:_MOST_THREADS]]
    common = sizes[np.argsort(-sizes[:, 1].astype(np.int64), kind="stable")[:_MOST_COMMON]]
    allocations, operations = figures.allocations, figures.operations
    return Characteristics(
        operations=operations,
        allocations=allocations,
        **{name: getattr(figures, name) for name in _COUNTED},
        never_freed=allocations - figures.frees,
        sizes=_counted(figures.sizes),
        lifetimes=_counted(figures.lifetimes),
        size_by_lifetime=_trimmed(np.array(figures.by_lifetime, dtype=np.int64)),
        alignments={1 << level: count for level, count in _counted(figures.alignments).items()},
        resize_chains=dict(_rows(survey, "chains").tolist()),
        total_bytes=figures.sum_of("total_bytes"),
        mean_size=figures.sum_of("allocated_bytes") / allocations if allocations else 0.0,
        median_size=_median(sizes),
        resized_to=(figures.smallest_resize, figures.largest_resize) if figures.reallocations else None,
        mean_live_bytes=figures.sum_of("live_sum") / operations if operations else 0.0,
        clock=course[:, 0].tolist(),
        live_bytes=course[:, 1].tolist(),
        live_objects=course[:, 2].tolist(),
        seconds=[nanoseconds / 1e9 for nanoseconds in course[:, 3].tolist()] if figures.nanoseconds else [],
        common_sizes=[(size, count) for size, count in common.tolist()],
        has_rounded_sizes=bool(figures.has_rounded_sizes),
        sites=sites[:_MOST_SITES],
        other_sites=len(sites[_MOST_SITES:]),
        stacks=stacks[:_MOST_SITES],
        other_stacks=len(stacks[_MOST_SITES:]),
        by_thread=[ThreadShare(*row) for row in busiest.tolist()],
    )


def foremost(sites: Sequence[_Row], most: int = _FOREMOST) -> list[_Row]:
    """Return the call sites, or stacks, with the most bytes, followed by those of the rest with the most requests."""
    by_count = sorted(sites, key=lambda site: site.allocations, reverse=True)[:most]
    return list(dict.fromkeys([*sites[:most], *by_count]))


def _rows(survey: Survey, name: str) -> Words:
    return np.frombuffer(survey.rows(name), dtype=np.uint64).reshape(-1, len(LISTS[name]))


def _by_bytes(rows: Words) -> Words:
    """Return the rows of used call sites, or stacks, the most bytes first; none where no site is known."""
    used = rows[rows[:, 1] > 0]
    return used[np.argsort(-used[:, 2].astype(np.int64), kind="stable")] if used[:, 0].any() else rows[:0]


def _by_site(stacks: Words, frames: Frames) -> Words:
    """Return rows of call sites that are computed from rows of call stacks."""
    sites, places = np.unique(callers_of(stacks[:, 0], frames), return_inverse=True)
    rows = np.zeros((len(sites), stacks.shape[1]), np.uint64)
    np.add.at(rows, places, stacks)
    rows[:, 0] = sites
    return rows


def _median(sizes: Words) -> int:
    """Return the lower median of (size, count) pairs in order of size."""
    if not len(sizes):
        return 0
    upto = np.cumsum(sizes[:, 1])
    return int(sizes[np.searchsorted(upto, (upto[-1] + np.uint64(1)) // np.uint64(2)), 0])


def _thinned(course: Words) -> Words:
    """Return at most 512 points, including the last."""
    if len(course) <= _MOST_POINTS:
        return course
    return course[np.linspace(0, len(course) - 1, _MOST_POINTS).astype(np.int64)]


def _counted(counts: Iterable[int]) -> dict[int, int]:
    return {level: int(count) for level, count in enumerate(counts) if count}


def _trimmed(matrix: npt.NDArray[np.int64]) -> list[list[int]]:
    """Return a matrix without the empty rows and columns at its end."""
    rows, columns = np.nonzero(matrix)
    if not len(rows):
        return []
    listed: list[list[int]] = matrix[: rows.max() + 1, : columns.max() + 1].tolist()
    return listed
