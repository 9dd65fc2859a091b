"""What a workload is like, without replaying it: for ``memtool inspect`` and for choosing what to compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from memtool.engine.generate.binding import (
    ALLOCATE,
    ALLOCATE_ZEROED,
    DEALLOCATE,
    EPILOGUE,
    EVENT_BYTES,
    OBJECT_SHIFT,
    REALLOCATE,
    SIZE_BITS,
    THREAD_SHIFT,
)

_MOST_POINTS = 512
_LEVELS = 64
_FIRST_ROOM = 1 << 16
Integers = npt.NDArray[np.int64]


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


def characterise(portions: Iterable[memoryview]) -> Characteristics:
    """Return the characteristics of canonical events, which are read in portions and never kept."""
    survey = _Survey()
    for events in _body(portions):
        survey.take(events)
    return survey.result()


def _body(portions: Iterable[memoryview]) -> Iterator[npt.NDArray[np.uint64]]:
    """Yield the operations before the epilogue, in portions of (n, 2) words."""
    for portion in portions:
        events = np.frombuffer(portion, dtype="<u8").reshape(-1, EVENT_BYTES // 8)
        kinds = events[:, 0] & np.uint64(0xFF)
        ends = np.flatnonzero(kinds == EPILOGUE)
        if len(ends):
            events, kinds = events[: ends[0]], kinds[: ends[0]]
        yield events[kinds <= REALLOCATE]
        if len(ends):
            return


class _Survey:
    """What has been seen of a trace so far; of each object its first and its present size."""

    def __init__(self) -> None:
        self._born = 0
        self._operations = 0
        self._first_size = np.zeros(_FIRST_ROOM, dtype=np.int64)
        self._size = np.zeros(_FIRST_ROOM, dtype=np.int64)
        self._resizes = np.zeros(_FIRST_ROOM, dtype=np.int32)
        self._thread = np.zeros(_FIRST_ROOM, dtype=np.uint16)
        self._threads = np.zeros(1 << 16, dtype=np.bool_)
        self._remote = 0
        self._by_lifetime = np.zeros((_LEVELS, _LEVELS), dtype=np.int64)
        self._lifetimes = np.zeros(_LEVELS, dtype=np.int64)
        self._alignments = np.zeros(_LEVELS, dtype=np.int64)
        self._zeroed = self._resized = self._bytes = 0
        self._resized_to: tuple[int, int] | None = None
        self._live = _Course()
        self._alive = _Course()

    def take(self, events: npt.NDArray[np.uint64]) -> None:
        """Take the next operations into account."""
        if not len(events):
            return
        kinds = (events[:, 0] & np.uint64(0xFF)).astype(np.int64)
        objects = (events[:, 0] >> np.uint64(OBJECT_SHIFT)).astype(np.int64)
        asked = (events[:, 1] & np.uint64((1 << SIZE_BITS) - 1)).astype(np.int64)
        is_birth = (kinds == ALLOCATE) | (kinds == ALLOCATE_ZEROED)
        is_death = kinds == DEALLOCATE
        births = self._born + np.cumsum(is_birth)
        threads = (events[:, 0] >> np.uint64(THREAD_SHIFT)).astype(np.uint16)
        self._enter(asked[is_birth], threads[is_birth])
        dead = objects[is_death]
        self._threads[threads] = True
        self._remote += int((self._thread[dead] != threads[is_death]).sum())
        # Objects are numbered in order of birth; one that dies before the next allocation has lived for one.
        lifetimes = births[is_death] - dead
        self._lifetimes += np.bincount(_levels(lifetimes), minlength=_LEVELS)
        has_size = self._first_size[dead] > 0
        self._by_lifetime += _joint(self._first_size[dead][has_size], lifetimes[has_size])
        alignments = (events[is_birth, 1] >> np.uint64(SIZE_BITS)).astype(np.int64)
        self._alignments += np.bincount(alignments, minlength=_LEVELS)
        self._zeroed += int((kinds == ALLOCATE_ZEROED).sum())
        np.add.at(self._resizes, objects[kinds == REALLOCATE], 1)
        self._resized += int((kinds == REALLOCATE).sum())
        self._bytes += _exact_sum(asked[~is_death])
        is_resize = kinds == REALLOCATE
        if is_resize.any():
            new = asked[is_resize]
            least, most = self._resized_to or (int(new[0]), int(new[0]))
            self._resized_to = (min(least, int(new.min())), max(most, int(new.max())))
        self._live.follow(self._changes(is_birth, is_death, objects, asked))
        self._alive.follow(is_birth.astype(np.int64) - is_death)
        self._operations += len(events)

    def _enter(self, sizes: Integers, threads: npt.NDArray[np.uint16]) -> None:
        last = self._born + len(sizes)
        if last > len(self._size):
            room = max(last, 2 * len(self._size))
            for name in ("_first_size", "_size", "_resizes", "_thread"):
                grown = np.zeros(room, dtype=getattr(self, name).dtype)
                grown[: self._born] = getattr(self, name)[: self._born]
                setattr(self, name, grown)
        self._first_size[self._born : last] = sizes
        self._thread[self._born : last] = threads
        self._born = last

    def _changes(
        self, is_birth: npt.NDArray[np.bool_], is_death: npt.NDArray[np.bool_], objects: Integers, asked: Integers
    ) -> Integers:
        """Return what each operation adds to the live bytes.

        One that frees or resizes takes back what its object's operation before it asked for: a stable sort by object
        puts those two next to each other, unless the one before lies in an earlier portion.
        """
        order = np.argsort(objects, kind="stable")
        sorted_objects = objects[order]
        starts = np.ones(len(order), dtype=np.bool_)
        starts[1:] = sorted_objects[1:] != sorted_objects[:-1]
        after = np.where(is_death[order], 0, asked[order])
        before = np.empty_like(after)
        before[1:] = after[:-1]
        before[starts] = self._size[sorted_objects[starts]]
        before[is_birth[order]] = 0
        ends = np.append(starts[1:], True)
        self._size[sorted_objects[ends]] = after[ends]
        changes = np.empty_like(after)
        changes[order] = after - before
        return changes

    def result(self) -> Characteristics:
        sizes = np.sort(self._first_size[: self._born])
        resizes = np.bincount(self._resizes[: self._born], minlength=1)
        empty = int(np.searchsorted(sizes, 1))
        clock, live = self._live.points()
        return Characteristics(
            operations=self._operations,
            allocations=self._born,
            reallocations=self._resized,
            zeroed=self._zeroed,
            never_freed=self._born - int(self._lifetimes.sum()),
            empty=empty,
            sizes=_counted(np.bincount(_levels(sizes[empty:]), minlength=1)),
            lifetimes=_counted(self._lifetimes),
            size_by_lifetime=_trimmed(self._by_lifetime),
            alignments={1 << level: count for level, count in _counted(self._alignments).items()},
            threads=int(self._threads.sum()),
            remote_frees=self._remote,
            resize_chains={times: count for times, count in _counted(resizes).items() if times},
            total_bytes=self._bytes,
            mean_size=float(sizes.mean()) if len(sizes) else 0.0,
            median_size=int(sizes[(len(sizes) - 1) // 2]) if len(sizes) else 0,
            smallest_size=int(sizes[0]) if len(sizes) else 0,
            largest_size=int(sizes[-1]) if len(sizes) else 0,
            resized_to=self._resized_to,
            mean_live_bytes=self._live.sum / self._operations if self._operations else 0.0,
            peak_live_bytes=self._live.peak,
            peak_live_objects=self._alive.peak,
            clock=clock,
            live_bytes=live,
            live_objects=self._alive.points()[1],
        )


class _Course:
    """A quantity over the operations: its sum, its peak, and at most 512 points of it."""

    def __init__(self) -> None:
        self.sum = 0
        self.peak = 0
        self._level = 0
        self._done = 0
        self._step = 1
        self._clock: list[int] = []
        self._values: list[int] = []

    def follow(self, changes: Integers) -> None:
        """Go on by what each operation adds."""
        levels = self._level + np.cumsum(changes)
        self.sum += _exact_sum(levels)
        self.peak = max(self.peak, int(levels.max()))
        first = -(self._done + 1) % self._step
        self._clock += range(self._done + first + 1, self._done + len(levels) + 1, self._step)
        self._values += levels[first :: self._step].tolist()
        self._level = int(levels[-1])
        self._done += len(levels)
        # Twice the points while the length is unknown; each time they are too many every second one goes.
        while len(self._clock) >= 2 * _MOST_POINTS:
            self._step *= 2
            self._clock, self._values = self._clock[1::2], self._values[1::2]

    def points(self) -> tuple[list[int], list[int]]:
        """Return (operations done, value then), the last at the end."""
        clock, values = list(self._clock), list(self._values)
        if clock and clock[-1] != self._done:
            clock.append(self._done)
            values.append(self._level)
        if len(clock) <= _MOST_POINTS:
            return clock, values
        chosen = np.linspace(0, len(clock) - 1, _MOST_POINTS).astype(np.int64)
        return [clock[index] for index in chosen], [values[index] for index in chosen]


def _exact_sum(values: Integers) -> int:
    """Return the sum of whole numbers below 2^62, whose sum may not fit into 64 bits."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())


def _levels(values: Integers) -> Integers:
    """Return the floor of log2 of positive whole numbers."""
    _, exponents = np.frexp(values.astype(np.longdouble))
    return exponents.astype(np.int64) - 1


def _joint(sizes: Integers, lifetimes: Integers) -> Integers:
    flat = _levels(sizes) * _LEVELS + _levels(lifetimes)
    return np.bincount(flat, minlength=_LEVELS * _LEVELS).reshape(_LEVELS, _LEVELS)


def _counted(counts: Integers) -> dict[int, int]:
    return {level: int(count) for level, count in enumerate(counts) if count}


def _trimmed(matrix: Integers) -> list[list[int]]:
    """Return a matrix without the empty rows and columns at its end."""
    rows, columns = np.nonzero(matrix)
    if not len(rows):
        return []
    listed: list[list[int]] = matrix[: rows.max() + 1, : columns.max() + 1].tolist()
    return listed
