"""The sketch of a trace that a fit works with: one pass, in memory for the live objects only, at any length."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memtool.engine.generate.binding import (
    ALLOCATE,
    ALLOCATE_ZEROED,
    DEALLOCATE,
    OBJECT_SHIFT,
    REALLOCATE,
    SIZE_BITS,
    THREAD_SHIFT,
)
from memtool.engine.survey.binding import Survey
from memtool.workload.description.characterise import Characteristics, characteristics_of
from memtool.workload.fit import bins
from memtool.workload.fit.bins import SLOTS, Integers
from memtool.workload.sources.recorded import words_of

_LIFETIME_BITS, _SIZE_BITS, _GROUP_BITS = 8, 12, 17
_MOST_KEYS = 1 << 21
_FIRST_ROOM = 1 << 16
GROWTH_BITS = 9
_TIMES = 8
"""Classes of the number of resizes, in octaves."""
_GROWTHS = 16
_LEAST_GROWTH = -4
"""log2 of the growth over all resizes of an object: the smallest of the whole numbers that are distinguished."""
_NEAR, _MANY = 8, 128
"""Allocations around a death, and the deaths within them that count as simultaneous: eight times a steady rate."""
_LONG = 64
"""Allocations: objects with shorter lives die by their age."""


@dataclass(frozen=True, slots=True)
class Growth:
    """The mean resizes of the objects with one code."""

    times: float
    logarithm: float
    """log2 of the ratio of the size after all resizes to the size before."""
    way: float
    """Share of the growth that is reached on average over the resizes; (times + 1) / (2 times) if steps are equal."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """The sketch. Each row of ``keys`` stands for some objects: slot, group, class of size, class of lifetime."""

    keys: Integers
    """(rows, 4)"""
    counts: NDArray[np.float64]
    """Objects of each row."""
    slot_allocations: int
    """Allocations of each slot; the last slot has the remainder."""
    mean_lifetimes: NDArray[np.float64]
    """[slot, class of lifetime]; 0 where there are no objects."""
    moments: tuple[Integers, Integers]
    """First and last moment, in allocations, of each slot in which objects die together."""
    lifetimes: Integers
    """Objects of each class of lifetimes, whether they die alone or together."""
    sizes: tuple[Integers, Integers]
    """Smallest and largest size of each class of sizes."""
    growths: dict[int, Growth]
    """Resizes by their codes."""
    thread_allocations: Integers
    """Allocations of each thread that has any."""
    seen: Characteristics


@dataclass(frozen=True, slots=True)
class Group:
    """Properties that objects share besides size and lifetime."""

    zeroed: bool
    alignment: int
    freed_by_other: bool
    growth: int
    """Code of the way they are resized; 0: never."""

    @property
    def at_birth(self) -> bool:
        """Return whether all resizes come before the next allocation."""
        return bool(self.growth & 1)


def group_of(code: int) -> Group:
    """Return the group of a code."""
    return Group(
        bool(code & 1),
        1 << (code >> 2 & 0x3F) if code >> 2 & 0x3F else 1,
        bool(code & 2),
        code >> 8 & ((1 << GROWTH_BITS) - 1),
    )


def sketch(portions: Iterable[memoryview]) -> Sketch:
    """Return the sketch of canonical events, which are read in portions. Raises EngineError for invalid events."""
    taken = _Taker()
    with Survey() as survey:
        for portion in portions:
            survey.append(portion)
            words, epilogue = words_of(portion)
            body = words[:epilogue]
            taken.take(body[body[:, 0] & np.uint64(0xFF) <= REALLOCATE])
            if epilogue is not None:
                break
        return taken.result(characteristics_of(survey))


class _Counter:
    """Objects by key, and the sum of their lifetimes by slot and class."""

    def __init__(self) -> None:
        self.keys = np.zeros(0, dtype=np.int64)
        self.counts = np.zeros(0, dtype=np.int64)
        self.lifetimes = np.zeros((SLOTS, bins.CLASSES))
        self._new: list[tuple[Integers, Integers]] = []
        self._held = 0

    def add(self, keys: Integers, counts: Integers) -> None:
        """Add objects to the counts."""
        self._new.append((keys, counts))
        self._held += len(keys)
        if self._held > max(_FIRST_ROOM, len(self.keys)):
            self.settle()

    def settle(self) -> None:
        """Combine all counts with the same key."""
        keys = np.concatenate([self.keys, *(keys for keys, _ in self._new)])
        counts = np.concatenate([self.counts, *(counts for _, counts in self._new)])
        self.keys, places = np.unique(keys, return_inverse=True)
        self.counts = np.bincount(places, counts, len(self.keys)).astype(np.int64)
        self._new, self._held = [], 0

    def halve(self) -> None:
        """Merge slots in pairs; objects that die together in the slot of their birth or the next then die by age."""
        self.settle()
        below = _LIFETIME_BITS + _SIZE_BITS + _GROUP_BITS
        born = self.keys >> below + 1
        lifetimes = self.keys & ((1 << _LIFETIME_BITS) - 1)
        together = lifetimes >= bins.TOGETHER
        lifetimes[together] = bins.TOGETHER + (lifetimes[together] - bins.TOGETHER >> 1)
        sums = _halved(self.lifetimes)
        sums[:, bins.TOGETHER :] = _halved(sums[:, bins.TOGETHER :].T).T
        is_short = together & (lifetimes - bins.TOGETHER <= born + 1)
        counts = np.zeros_like(sums)
        np.add.at(counts, (born, lifetimes), self.counts)
        ages = (sums / np.maximum(counts, 1)).astype(np.int64)[born, lifetimes]
        by_age = bins.lifetime_classes(np.maximum(ages, 1))
        np.add.at(sums, (born[is_short], by_age[is_short]), (ages * self.counts)[is_short])
        sums[born[is_short], lifetimes[is_short]] = 0
        rest = self.keys & ((1 << below) - (1 << _LIFETIME_BITS))
        self.keys = born << below | rest | np.where(is_short, by_age, lifetimes)
        self.lifetimes = sums
        self.settle()

    def absorb(self, other: _Counter) -> None:
        """Add the counts of another object, and leave that one empty."""
        other.settle()
        self.add(other.keys, other.counts)
        self.lifetimes += other.lifetimes
        other.__init__()  # type: ignore[misc]


def _halved(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of each pair of rows, followed by as many empty rows."""
    return np.concatenate([rows[::2] + rows[1::2], np.zeros_like(rows[: len(rows) // 2])])


class _Taker:
    """The state after the events so far. It has one row for each live object, in order of birth."""

    def __init__(self) -> None:
        self._born = 0
        self._rows = 0
        self._dead = 0
        self._number = np.zeros(_FIRST_ROOM, dtype=np.int64)
        self._first_size = np.zeros(_FIRST_ROOM, dtype=np.int64)
        self._size = np.zeros(_FIRST_ROOM, dtype=np.int64)
        self._resizes = np.zeros(_FIRST_ROOM, dtype=np.int32)
        self._thread = np.zeros(_FIRST_ROOM, dtype=np.uint16)
        self._flags = np.zeros(_FIRST_ROOM, dtype=np.uint8)
        """Whether it is zeroed, and log2 of its alignment, as in the code of a group."""
        self._ages = np.zeros(_FIRST_ROOM, dtype=np.int64)
        """Sum of its ages at its resizes."""
        self._resized_to = np.zeros(_FIRST_ROOM, dtype=np.float64)
        """Sum of its sizes after each resize."""
        self._is_dead = np.zeros(_FIRST_ROOM, dtype=np.bool_)
        self._shift = 0
        self._settled, self._pending = _Counter(), _Counter()
        self._least = np.full(bins.SIZES, np.iinfo(np.int64).max, dtype=np.int64)
        self._most = np.zeros(bins.SIZES, dtype=np.int64)
        self._first_moment = np.full(SLOTS, np.iinfo(np.int64).max, dtype=np.int64)
        self._last_moment = np.zeros(SLOTS, dtype=np.int64)
        self._lived = np.zeros(bins.LIFETIMES, dtype=np.int64)
        self._growths = np.zeros((1 << GROWTH_BITS, 4))
        self._threads = np.zeros(1 << 16, dtype=np.int64)

    def take(self, events: NDArray[np.uint64]) -> None:
        """Process the next operations."""
        if not len(events):
            return
        kinds = (events[:, 0] & np.uint64(0xFF)).astype(np.int64)
        objects = (events[:, 0] >> np.uint64(OBJECT_SHIFT)).astype(np.int64)
        sizes = (events[:, 1] & np.uint64((1 << SIZE_BITS) - 1)).astype(np.int64)
        threads = (events[:, 0] >> np.uint64(THREAD_SHIFT)).astype(np.uint16)
        is_birth = (kinds == ALLOCATE) | (kinds == ALLOCATE_ZEROED)
        is_death, is_resize = kinds == DEALLOCATE, kinds == REALLOCATE
        clock = self._born + np.cumsum(is_birth)
        logs = (events[is_birth, 1] >> np.uint64(SIZE_BITS)).astype(np.uint8)
        flags = (kinds[is_birth] == ALLOCATE_ZEROED).astype(np.uint8) | logs << 2
        self._enter(objects[is_birth], sizes[is_birth], threads[is_birth], flags)
        places = np.searchsorted(self._number[: self._rows], objects)
        before = self._before(places, sizes, is_birth, is_death)
        np.add.at(self._resizes, places[is_resize], 1)
        np.add.at(self._ages, places[is_resize], (clock - objects)[is_resize] - 1)
        np.add.at(self._resized_to, places[is_resize], sizes[is_resize])
        dead, moments = places[is_death], clock[is_death]
        lived, is_last = moments - objects[is_death], moments == self._born
        lifetimes = self._lifetimes(moments, lived)
        if is_birth.any():
            self._settled.absorb(self._pending)
        is_remote = (threads[is_death] != self._thread[dead]).astype(np.int64) << 1
        groups = is_remote | self._growth(dead, before[is_death], lived) << 8
        for part, counter in ((~is_last, self._settled), (is_last, self._pending)):
            np.add.at(counter.lifetimes, (self._number[dead[part]] >> self._shift, lifetimes[part]), lived[part])
            self._count(dead[part], groups[part], lifetimes[part], counter)
        self._is_dead[dead] = True
        self._dead += len(dead)
        if self._dead > max(_FIRST_ROOM, self._rows // 2):
            self._drop_dead()

    def _columns(self) -> tuple[str, ...]:
        of_resizes = ("_resizes", "_ages", "_resized_to")
        return ("_number", "_first_size", "_size", *of_resizes, "_thread", "_flags", "_is_dead")

    def _enter(self, numbers: Integers, sizes: Integers, threads: NDArray[np.uint16], flags: NDArray[np.uint8]) -> None:
        last = self._rows + len(numbers)
        if last > len(self._number):
            for name in self._columns():
                old = getattr(self, name)
                grown = np.zeros(max(last, 2 * len(old)), dtype=old.dtype)
                grown[: self._rows] = old[: self._rows]
                setattr(self, name, grown)
        rows = slice(self._rows, last)
        self._number[rows], self._first_size[rows], self._size[rows] = numbers, sizes, sizes
        self._resizes[rows], self._ages[rows], self._resized_to[rows], self._is_dead[rows] = 0, 0, 0, False
        self._thread[rows], self._flags[rows] = threads, flags
        self._rows = last
        self._born += len(numbers)
        classes = bins.size_classes(sizes)
        np.minimum.at(self._least, classes, sizes)
        np.maximum.at(self._most, classes, sizes)
        self._threads += np.bincount(threads, minlength=1 << 16)
        while (self._born - 1) >> self._shift >= SLOTS or (
            len(self._settled.keys) > _MOST_KEYS and self._born >> self._shift > 1
        ):
            self._shift += 1
            self._settled.halve()
            self._pending.halve()
            for moments, better, none in (
                (self._first_moment, np.minimum, np.iinfo(np.int64).max),
                (self._last_moment, np.maximum, 0),
            ):
                moments[: SLOTS // 2] = better(moments[::2], moments[1::2])
                moments[SLOTS // 2 :] = none

    def _before(
        self, places: Integers, sizes: Integers, is_birth: NDArray[np.bool_], is_death: NDArray[np.bool_]
    ) -> Integers:
        """Return the size of each operation's object before the operation, and store its size after the last one."""
        order = np.argsort(places, kind="stable")
        of = places[order]
        starts = np.append(True, of[1:] != of[:-1])
        after = np.where(is_death[order], 0, sizes[order])
        before = np.append(0, after[:-1])
        before[starts] = self._size[of[starts]]
        before[is_birth[order]] = 0
        ends = np.append(starts[1:], True)
        self._size[of[ends]] = after[ends]
        unsorted = np.empty_like(before)
        unsorted[order] = before
        return unsorted

    def _lifetimes(self, moments: Integers, lived: Integers) -> Integers:
        """Return the class of lifetimes of each death: by age, or by moment where many objects die together."""
        by_age = bins.lifetime_classes(lived)
        self._lived += np.bincount(by_age, minlength=bins.LIFETIMES)
        near = np.searchsorted(moments, moments + _NEAR, side="right") - np.searchsorted(moments, moments - _NEAR)
        is_together = (near >= _MANY) & (lived > max(_LONG, 2 << self._shift))
        slots = np.maximum(moments - 1, 0) >> self._shift
        np.minimum.at(self._first_moment, slots[is_together], moments[is_together])
        np.maximum.at(self._last_moment, slots[is_together], moments[is_together])
        return np.where(is_together, bins.TOGETHER + slots, by_age)

    def _count(self, rows: Integers, groups: Integers, lifetimes: Integers, counter: _Counter) -> None:
        groups = groups | self._flags[rows]
        keys = self._number[rows] >> self._shift
        for values, width in (
            (groups, _GROUP_BITS),
            (bins.size_classes(self._first_size[rows]), _SIZE_BITS),
            (lifetimes, _LIFETIME_BITS),
        ):
            keys = keys << width | values
        counter.add(*np.unique(keys, return_counts=True))

    def _growth(self, rows: Integers, sizes: Integers, lived: Integers) -> Integers:
        """Return the code of how each object was resized: the growth, the number of steps, and whether at birth."""
        times = self._resizes[rows].astype(np.int64)
        first = np.maximum(self._first_size[rows], 1).astype(np.float64)
        logs = np.log2(np.maximum(sizes, 1) / first)
        far = np.clip(np.rint(logs).astype(np.int64) - _LEAST_GROWTH, 0, _GROWTHS - 1)
        steps = np.minimum(np.frexp(np.maximum(times, 1))[1] - 1, _TIMES - 1).astype(np.int64)
        # Resizes spread over a life have their mean at its middle; one in the first quarter counts as at birth.
        at_birth = 4 * self._ages[rows] < times * lived
        codes = np.where(times > 0, (far * _TIMES + steps) * 2 + 2 + at_birth, 0)
        way = (self._resized_to[rows] / np.maximum(times, 1) - first) / np.where(sizes != first, sizes - first, 1)
        np.add.at(self._growths, codes, np.stack([np.ones(len(rows)), times, logs, way], axis=1))
        return codes

    def _drop_dead(self) -> None:
        stays = ~self._is_dead[: self._rows]
        kept = int(stays.sum())
        for name in self._columns():
            column = getattr(self, name)
            column[:kept] = column[: self._rows][stays]
        self._rows, self._dead = kept, 0

    def result(self, seen: Characteristics) -> Sketch:
        """Return the sketch."""
        self._drop_dead()
        alive = np.arange(self._rows)
        growths = self._growth(alive, self._size[alive], self._born - self._number[alive])
        self._count(alive, growths << 8, np.full(len(alive), bins.NEVER), self._settled)
        self._pending.settle()
        at_end = self._pending.keys & ~np.int64((1 << _LIFETIME_BITS) - 1) | bins.AT_END
        self._settled.add(at_end, self._pending.counts)
        self._settled.settle()
        keys, fields = self._settled.keys, []
        for width in (_LIFETIME_BITS, _SIZE_BITS, _GROUP_BITS, 8):
            fields.append(keys & ((1 << width) - 1))
            keys = keys >> width
        columns = np.stack(fields[::-1], axis=1)
        counts = self._settled.counts.astype(np.float64)
        by_lifetime = np.zeros((SLOTS, bins.CLASSES))
        np.add.at(by_lifetime, (columns[:, 0], columns[:, 3]), counts)
        sums = self._growths
        return Sketch(
            keys=columns,
            counts=counts,
            slot_allocations=1 << self._shift,
            mean_lifetimes=self._settled.lifetimes / np.maximum(by_lifetime, 1),
            moments=(self._first_moment, self._last_moment),
            lifetimes=self._lived,
            sizes=(self._least, self._most),
            growths={
                int(code): Growth(*(sums[code, 1:] / sums[code, 0]).tolist())
                for code in np.flatnonzero(sums[1:, 0]) + 1
            },
            thread_allocations=self._threads[self._threads > 0],
            seen=seen,
        )
