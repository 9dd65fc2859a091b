"""What a workload is like, without replaying it: for ``memtool inspect`` and for choosing what to compare."""

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
"""Call sites that are kept, and call stacks, of those with the most bytes."""
_MOST_THREADS = 64
_FOREMOST = 50
_MOST_COMMON = 20
Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Site:
    """One call site: where a request returns to."""

    caller: int
    """Return address; 0: not known, or of the sites that came after the first 262,144."""
    allocations: int
    """And reallocations."""
    bytes: int
    temporary: int
    left_objects: int
    """That are never freed."""
    left_bytes: int


@dataclass(frozen=True, slots=True)
class StackShare:
    """What was asked for with one call stack; figures as those of a site."""

    frames: tuple[int, ...]
    """Return addresses, the innermost first; none: not known."""
    allocations: int
    bytes: int
    temporary: int
    left_objects: int
    left_bytes: int


_Row = TypeVar("_Row", bound=Site | StackShare)


@dataclass(frozen=True, slots=True)
class ThreadShare:
    """What one thread did."""

    thread: int
    operations: int
    allocations: int
    bytes: int
    frees: int
    remote_frees: int
    """Of what other threads allocated."""


@dataclass(frozen=True, slots=True)
class Characteristics:
    """Figures of a trace. Sizes in bytes, lifetimes in allocations; levels are powers of two, [2^k, 2^(k+1))."""

    operations: int
    """Before the epilogue."""
    allocations: int
    reallocations: int
    zeroed: int
    never_freed: int
    """Objects that only the epilogue frees."""
    empty: int
    """Allocations of 0 bytes, which are in no class of sizes."""
    sizes: dict[int, int]
    """log2 of the size -> allocations."""
    lifetimes: dict[int, int]
    """log2 of the lifetime -> objects that are freed before the epilogue."""
    size_by_lifetime: list[list[int]]
    """[log2 of the size][log2 of the lifetime] -> objects; of the size they were allocated with, if that is not 0."""
    alignments: dict[int, int]
    """Alignment -> allocations."""
    threads: int
    """That have an operation."""
    remote_frees: int
    """Objects that another thread frees than the one that allocated them, before the epilogue."""
    resize_chains: dict[int, int]
    """How often an object was resized -> objects; those that never were are left out."""
    total_bytes: int
    """Asked for in all, by allocations and by reallocations."""
    mean_size: float
    median_size: int
    """The lower one of an even number of allocations."""
    smallest_size: int
    largest_size: int
    """As median and mean: of what allocations ask for, whatever the objects are resized to."""
    resized_to: tuple[int, int] | None
    """Smallest and largest size that a reallocation asks for; None: there are none."""
    mean_live_bytes: float
    """Over the operations before the epilogue."""
    peak_live_bytes: int
    """The load: no allocator can serve the trace with less memory."""
    peak_live_objects: int
    clock: list[int]
    """Operations done, at most 512 points, the last at the end."""
    live_bytes: list[int]
    live_objects: list[int]
    seconds: list[float]
    """At each point, since the recording began; empty where the source knows no times."""
    temporary: int
    """Objects that their own thread frees before it asks for anything else."""
    bulk_frees: int
    """Frees in runs of 64 or more, with no other operation of any thread between them."""
    grown: int
    """Reallocations to more bytes than before."""
    shrunk: int
    common_sizes: list[tuple[int, int]]
    """The twenty most common sizes and their allocations, the most common first."""
    has_rounded_sizes: bool
    """Whether there are more than a million different sizes: of further ones median and common sizes are less than one
    percent too low. Everything else is exact."""
    sites: list[Site]
    """Call sites, those that asked for the most bytes first; empty where the source knows none."""
    other_sites: int
    """How many call sites are not in the list."""
    stacks: list[StackShare]
    """Call stacks, those that asked for the most bytes first; empty where the source knows none."""
    other_stacks: int
    """How many call stacks are not in the list."""
    by_thread: list[ThreadShare]
    """Threads that have an operation, the busiest first, at most 64."""


def characterise(portions: Iterable[Rows]) -> Characteristics:
    """Return the characteristics of events up to the epilogue, which are read in portions and never kept.

    Raises EngineError.
    """
    with Survey() as survey:
        frames: Frames | None = None
        for rows in portions:
            take(survey, rows)
            frames = frames if rows.stacks is None else rows.frames
        return characteristics_of(survey, frames)


def take(survey: Survey, rows: Rows) -> None:
    """Have a survey count the next events. Where there are stacks it counts by these. Raises EngineError."""
    sites = rows.callers if rows.stacks is None else rows.stacks
    columns = (None if column is None else column.ctypes.data for column in (rows.nanoseconds, sites))
    survey.append(rows.events, *columns)


def characteristics_of(survey: Survey, frames: Frames | None = None) -> Characteristics:
    """Return what a survey has counted; ``frames`` are those of its stacks, where it has any. Raises EngineError."""
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
        reallocations=figures.reallocations,
        zeroed=figures.zeroed,
        never_freed=allocations - figures.frees,
        empty=figures.empty,
        sizes=_counted(figures.sizes),
        lifetimes=_counted(figures.lifetimes),
        size_by_lifetime=_trimmed(np.array(figures.by_lifetime, dtype=np.int64)),
        alignments={1 << level: count for level, count in _counted(figures.alignments).items()},
        threads=figures.threads,
        remote_frees=figures.remote_frees,
        resize_chains=dict(_rows(survey, "chains").tolist()),
        total_bytes=figures.sum_of("total_bytes"),
        mean_size=figures.sum_of("allocated_bytes") / allocations if allocations else 0.0,
        median_size=_median(sizes),
        smallest_size=figures.smallest_size,
        largest_size=figures.largest_size,
        resized_to=(figures.smallest_resize, figures.largest_resize) if figures.reallocations else None,
        mean_live_bytes=figures.sum_of("live_sum") / operations if operations else 0.0,
        peak_live_bytes=figures.peak_live_bytes,
        peak_live_objects=figures.peak_live_objects,
        clock=course[:, 0].tolist(),
        live_bytes=course[:, 1].tolist(),
        live_objects=course[:, 2].tolist(),
        seconds=[nanoseconds / 1e9 for nanoseconds in course[:, 3].tolist()] if figures.nanoseconds else [],
        temporary=figures.temporary,
        bulk_frees=figures.bulk_frees,
        grown=figures.grown,
        shrunk=figures.shrunk,
        common_sizes=[(size, count) for size, count in common.tolist()],
        has_rounded_sizes=bool(figures.has_rounded_sizes),
        sites=sites[:_MOST_SITES],
        other_sites=len(sites[_MOST_SITES:]),
        stacks=stacks[:_MOST_SITES],
        other_stacks=len(stacks[_MOST_SITES:]),
        by_thread=[ThreadShare(*row) for row in busiest.tolist()],
    )


def foremost(sites: Sequence[_Row], most: int = _FOREMOST) -> list[_Row]:
    """Return the call sites, or stacks, with the most bytes, then those with the most requests of the others."""
    by_count = sorted(sites, key=lambda site: site.allocations, reverse=True)[:most]
    return list(dict.fromkeys([*sites[:most], *by_count]))


def _rows(survey: Survey, name: str) -> Words:
    return np.frombuffer(survey.rows(name), dtype=np.uint64).reshape(-1, len(LISTS[name]))


def _by_bytes(rows: Words) -> Words:
    """Return the rows of call sites, or stacks, that were used, the most bytes first; none where none is known."""
    used = rows[rows[:, 1] > 0]
    return used[np.argsort(-used[:, 2].astype(np.int64), kind="stable")] if used[:, 0].any() else rows[:0]


def _by_site(stacks: Words, frames: Frames) -> Words:
    """Return rows of call sites, of rows of call stacks."""
    sites, places = np.unique(callers_of(stacks[:, 0], frames), return_inverse=True)
    rows = np.zeros((len(sites), stacks.shape[1]), np.uint64)
    np.add.at(rows, places, stacks)
    rows[:, 0] = sites
    return rows


def _median(sizes: Words) -> int:
    """Return the lower median of (size, how often), in order of size."""
    if not len(sizes):
        return 0
    upto = np.cumsum(sizes[:, 1])
    return int(sizes[np.searchsorted(upto, (upto[-1] + np.uint64(1)) // np.uint64(2)), 0])


def _thinned(course: Words) -> Words:
    """Return at most 512 points, the last among them."""
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
