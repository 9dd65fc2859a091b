"""Makes a workload file that represents a trace from the sketch of the trace.

Each stretch of the trace becomes a phase with its own mix. Each group of objects in it becomes a class, with a joint
distribution of sizes and lifetimes taken from the counts. Drains and growth follow from the lifetimes: an object that
is never freed has the lifetime ``forever``, and one that is freed after the last allocation dies in a drain.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtool.units import plural
from memtool.workload.fit import bins
from memtool.workload.fit.bins import Integers
from memtool.workload.fit.censored import DRAIN, uncensored
from memtool.workload.fit.merge import Floats, masses, merge_adjacent
from memtool.workload.fit.sketch import GROWTH_BITS, Group, Sketch, group_of
from memtool.workload.language.values import LARGEST_COUNT, LARGEST_SIZE

_MOST_PHASES, _MOST_RAMPS, _MOST_GROUPS = 12, 48, 16
_MOST_ROWS, _MOST_COLUMNS, _MOST_MOMENTS = 16, 20, 8
_MOST_COMMON, _MOST_RANGES = 24, 16
_PHASE_LOSS, _JOINT_LOSS, _SIZE_LOSS = 0.004, 0.0005, 0.0003
_LARGE = 0.0005
"""Mass from which an object is listed individually: random draws would vary too much in the number of such objects."""
_FAR_ABOVE = 16
"""Least mass of an individually listed object, as a multiple of the mean mass."""
_FEW = 1
_UNITS = 10**14
_LARGEST_ALIGNMENT = 2 << 20
_SLOT, _GROUP, _SIZE, _LIFETIME = range(4)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A workload in the form of a file, and what it leaves out."""

    definition: dict[str, Any]
    notes: tuple[str, ...]


def fit(sketch: Sketch, name: str, touch: str) -> Fitted:
    """Return the workload that represents a trace."""
    notes: list[str] = []
    large = max(_LARGE, _FAR_ABOVE / sketch.seen.allocations)
    sketch, is_large = uncensored(sketch, _masses(sketch, sketch.keys) > large * sketch.counts)
    keys = _groups_that_count(sketch, notes)
    sizes, mass = _mean_sizes(sketch), _masses(sketch, keys)
    spans = _phases(sketch, keys, sizes, mass)
    drain = max(sketch.seen.allocations // DRAIN, 1) if _ends_in_a_drain(sketch, keys) else 0
    # Objects that are resized grow by different numbers of bytes in each octave of sizes.
    kinds = keys[:, _GROUP] << 6 | np.where(keys[:, _GROUP] >> 8 > 0, np.frexp(sizes[keys[:, _SIZE]])[1], 0)
    ends = np.array([end for _, end in spans])
    numbers = np.searchsorted(ends, keys[:, _SLOT] * sketch.slot_allocations, side="right")
    lengths = np.array([end - begin for begin, end in spans])[numbers]
    is_large &= _large(is_large, mass, sketch.counts, _lifetimes(sketch, keys) >= lengths, numbers << 32 | kinds)
    phases: list[tuple[str, int, dict[str, int]]] = []
    objects: list[dict[str, Any]] = []

    def declare(number: int, part: Integers) -> tuple[str, int]:
        object_class = _Class(sketch, keys, sizes, mass, part, (spans[number][0], drain))
        objects.append(object_class.declared(f"p{number + 1}", one_by_one=bool(is_large[part[0]])))
        return objects[-1]["name"], round(sketch.counts[part].sum())

    for number, (begin, end) in enumerate(spans):
        mix: dict[str, int] = {}
        left = end - begin
        for is_chosen in ((numbers == number) & is_large, (numbers == number) & ~is_large):
            for kind in np.unique(kinds[is_chosen]):
                called, count = declare(number, np.flatnonzero(is_chosen & (kinds == kind)))
                mix[called] = max(count, 1)
                if is_large[is_chosen][0]:
                    kept = objects[-1]["lifetime"] == "forever"
                    phases.append(("ramp" if kept else "steady", mix.pop(called), {called: 1}))
                    left -= count
        if mix:
            phases.append(("steady", left, mix))
    definition: dict[str, Any] = {"name": name, "allocations": min(sketch.seen.allocations, LARGEST_COUNT)}
    threads = _threads(sketch, keys, notes)
    definition |= {"threads": threads} if threads > 1 else {}
    definition |= {"touch": touch, "phases": _written(phases, drain), "objects": objects}
    return Fitted(definition, tuple(notes))


def _large(
    is_large: NDArray[np.bool_], mass: Floats, counts: Floats, is_long: NDArray[np.bool_], of_phases: Integers
) -> NDArray[np.bool_]:
    """Return which rows may be listed one by one at the start of their phase: few objects, or as long-lived as it is.

    ``of_phases``: numbers of phase and kind of each row.
    """
    _, places = np.unique(of_phases, return_inverse=True)
    is_few = np.bincount(places, counts * is_large)[places] <= _FEW
    # Each combination of phase and kind needs its own phase.
    kept = np.argsort(-np.bincount(places, mass * is_large))[:_MOST_RAMPS]
    chosen: NDArray[np.bool_] = (is_few | is_long) & np.isin(places, kept)
    return chosen


def _written(phases: Sequence[tuple[str, int, dict[str, int]]], drain: int) -> list[dict[str, Any]]:
    """Return phases in the form of a file: their shares add up to 100%."""
    lengths = [length for _, length, _ in phases] + ([drain] if drain else [])
    bounds = [0, *itertools.accumulate(lengths)]
    units = [round(Fraction(bound, bounds[-1]) * _UNITS) for bound in bounds]
    percent = [_percent(Fraction(last - first, _UNITS)) for first, last in itertools.pairwise(units)]
    written: list[dict[str, Any]] = [
        {kind: share, "mix": mix} for (kind, _, mix), share in zip(phases, percent, strict=False)
    ]
    return [*written, {"drain": percent[-1]}] if drain else written


def _percent(share: Fraction) -> str:
    digits = f"{Decimal(share.numerator) * 100 / share.denominator:.12f}"
    return f"{digits.rstrip('0').rstrip('.')}%"


def _ends_in_a_drain(sketch: Sketch, keys: Integers) -> bool:
    """Return whether anything is freed after the last allocation."""
    return bool((keys[:, _LIFETIME] == bins.AT_END).any() or sketch.moments[1].max() >= sketch.seen.allocations)


def _mean_sizes(sketch: Sketch) -> Floats:
    least, most = sketch.sizes
    is_used = most >= least
    means: Floats = np.where(is_used, (np.where(is_used, least, 0) + most) / 2, 0.0)
    return means


def _masses(sketch: Sketch, keys: Integers) -> Floats:
    """Return the mass of each row."""
    return masses(sketch.counts, _final_sizes(sketch, keys), _lifetimes(sketch, keys))


def _lifetimes(sketch: Sketch, keys: Integers) -> Floats:
    """Return the mean lifetime of each row; lifetimes without an end are taken to last to the end of the trace."""
    left = sketch.seen.allocations - keys[:, _SLOT] * sketch.slot_allocations
    ends = (keys[:, _LIFETIME] < bins.AT_END) | (keys[:, _LIFETIME] >= bins.TOGETHER)
    return np.where(ends, sketch.mean_lifetimes[keys[:, _SLOT], keys[:, _LIFETIME]], left)


def _final_sizes(sketch: Sketch, keys: Integers) -> Floats:
    """Return the mean final size of the objects of each row."""
    grown = np.ones(1 << GROWTH_BITS)
    for code, growth in sketch.growths.items():
        grown[[code, code | 1]] = max(2.0**growth.logarithm, 1.0)
    final: Floats = _mean_sizes(sketch)[keys[:, _SIZE]] * grown[keys[:, _GROUP] >> 8]
    return final


def _groups_that_count(sketch: Sketch, notes: list[str]) -> Integers:
    """Return the rows of the sketch, with groups of few objects and bytes merged into the most similar group."""
    keys = sketch.keys.copy()
    growing = (keys[:, _GROUP] >> 8 > 0) & (keys[:, _LIFETIME] == bins.NEVER)
    # Objects that are never freed have no lifetime over which resizes could be spread: they grow at birth.
    keys[growing, _GROUP] |= 1 << 8
    mass = _masses(sketch, keys)
    codes, places = np.unique(keys[:, _GROUP], return_inverse=True)
    weights = np.bincount(places, mass)
    kept = set(codes[np.argsort(-weights)[:_MOST_GROUPS]].tolist())
    for code in codes:
        if int(code) not in kept:
            keys[keys[:, _GROUP] == code, _GROUP] = min(kept, key=partial(_unlike, int(code)))
    merged = len(codes) - len(kept)
    if merged > 0:
        lost = sketch.counts[~np.isin(codes[places], list(kept))].sum() / sketch.counts.sum()
        notes.append(
            f"{plural(merged, 'rare combination')} of alignment, zeroing, freeing thread and growth "
            f"({lost:.2%} of the objects) are told as the nearest of the {len(kept)} common ones"
        )
    return keys


def _unlike(first: int, second: int) -> tuple[int, int]:
    """Return the number of differences of two groups (alignment, zeroing, thread, growth), then the one in growth."""
    flags = sum((first ^ second) >> shift & mask != 0 for shift, mask in ((0, 1), (1, 1), (2, 0x3F)))
    is_other = (first >> 8 == 0) != (second >> 8 == 0)
    return flags + 2 * is_other, abs((first >> 8) - (second >> 8))


def _phases(sketch: Sketch, keys: Integers, sizes: Floats, mass: Floats) -> list[tuple[int, int]]:
    """Return the stretches of the trace that have their own mix: [first, last) allocation of each."""
    slots = -(-sketch.seen.allocations // sketch.slot_allocations)
    _, octaves = np.frexp(sizes[keys[:, _SIZE]])
    cells, places = np.unique(
        np.stack([keys[:, _GROUP], octaves, keys[:, _LIFETIME]], axis=1), axis=0, return_inverse=True
    )
    profiles, counts = np.zeros((2, slots, len(cells)))
    for table, values in ((profiles, mass), (counts, sketch.counts)):
        np.add.at(table, (np.minimum(keys[:, _SLOT], slots - 1), places.reshape(-1)), values)
    ranges = merge_adjacent(profiles, counts, _MOST_PHASES, _PHASE_LOSS)
    width = sketch.slot_allocations
    return [(first * width, min(last * width, sketch.seen.allocations)) for first, last in ranges]


def _threads(sketch: Sketch, keys: Integers, notes: list[str]) -> int:
    """Return the number of threads with equal shares that has the same entropy as the trace's threads."""
    shares = sketch.thread_allocations / sketch.thread_allocations.sum()
    threads = round(float(np.exp(-(shares * np.log(shares)).sum())))
    if (keys[:, _GROUP] >> 1 & 1).any():
        threads = max(threads, 2)
    if len(shares) > 1:
        notes.append(
            f"{len(shares):,} threads allocate, the busiest {shares.max():.1%} of all: told as "
            f"{plural(threads, 'thread')} with equal shares"
        )
    return threads


@dataclass(frozen=True, slots=True)
class _Class:
    """A group of objects that are born in one phase."""

    sketch: Sketch
    keys: Integers
    sizes: Floats
    mass: Floats
    part: Integers
    """The group's rows of the sketch."""
    ending: tuple[int, int]
    """(First allocation of the phase, ticks of the drain)."""

    def declared(self, phase: str, *, one_by_one: bool) -> dict[str, Any]:
        """Return the class in the form of a file."""
        group = group_of(int(self.keys[self.part[0], _GROUP]))
        size = float(np.average(self.sizes[self.keys[self.part, _SIZE]], weights=self.sketch.counts[self.part]))
        large = ("large",) if one_by_one else ()
        declared: dict[str, Any] = {"name": "-".join([phase, *large, *_words(group, size)])}
        declared |= self._one_by_one() if one_by_one else self._joint()
        if group.alignment != 16:
            declared["alignment"] = min(group.alignment, _LARGEST_ALIGNMENT)
        if group.zeroed:
            declared["zeroed"] = True
        if group.freed_by_other:
            declared["freed_by"] = "other_thread"
        if group.growth:
            declared["resize"] = self._resize(group, size)
        return declared

    def _resize(self, group: Group, size: float) -> dict[str, Any]:
        known = self.sketch.growths
        growth = known.get(group.growth) or known[group.growth ^ 1]
        steps, whole = max(1, round(growth.times)), 2.0**growth.logarithm
        factor = min(max(whole ** (1 / steps), 0.001), 1000.0)
        resize: dict[str, Any] = {"factor": float(f"{factor:.4g}"), "times": steps}
        if whole > 1 and steps > 1:
            by_factor = sum((factor**step - 1) / (factor**steps - 1) for step in range(1, steps + 1)) / steps
            by_bytes = (steps + 1) / (2 * steps)
            if abs(growth.way - by_bytes) < abs(growth.way - by_factor):
                resize = {"by": max(1, round(size * (whole - 1) / steps)), "times": steps}
        # If most objects of a class live too briefly to grow later, they grow at birth, or they would not grow at all.
        lifetimes, counts = self.keys[self.part, _LIFETIME], self.sketch.counts[self.part]
        is_short = (lifetimes < bins.lifetime_classes(np.array([steps + 1]))) | (lifetimes == bins.NEVER)
        at_birth = group.at_birth or 2 * counts[is_short].sum() > counts.sum()
        return {**resize, "when": "at_birth"} if at_birth else resize

    def _one_by_one(self) -> dict[str, Any]:
        """Return sizes and lifetimes that are not random: those of each object in turn."""
        never = min(self.sketch.seen.allocations + self.ending[1] + 1, LARGEST_COUNT)
        sizes: list[list[int]] = []
        lifetimes: list[list[int]] = []
        for row in self.part:
            count, index = round(self.sketch.counts[row]), int(self.keys[row, _LIFETIME])
            sizes.append([count, min(round(self.sizes[self.keys[row, _SIZE]]), LARGEST_SIZE)])
            lived = self.sketch.mean_lifetimes[self.keys[row, _SLOT], index]
            at_end = self.sketch.seen.allocations - self.ending[0]
            lifetimes.append([count, {bins.NEVER: never, bins.AT_END: at_end}.get(index, max(1, round(lived)))])
        if all(lifetime == never for _, lifetime in lifetimes):
            return {"size": {"cycle": sizes}, "lifetime": "forever"}
        return {"size": {"cycle": sizes}, "lifetime": {"cycle": lifetimes}}

    def _joint(self) -> dict[str, Any]:
        """Return sizes and lifetimes, with a joint distribution where there are several of both."""
        sizes, of_size = np.unique(self.keys[self.part, _SIZE], return_inverse=True)
        lifetimes, of_lifetime = np.unique(self.keys[self.part, _LIFETIME], return_inverse=True)
        counts, mass = np.zeros((2, len(sizes), len(lifetimes)))
        for table, values in ((counts, self.sketch.counts), (mass, self.mass)):
            np.add.at(table, (of_size, of_lifetime), values[self.part])
        aged, ends = (int(np.searchsorted(lifetimes, bound)) for bound in (bins.AT_END, bins.TOGETHER))
        columns = merge_adjacent(mass.T[:aged], counts.T[:aged], _MOST_COLUMNS, _JOINT_LOSS)
        columns += [(index, index + 1) for index in range(aged, ends)]
        together = merge_adjacent(mass.T[ends:], counts.T[ends:], _MOST_MOMENTS, _JOINT_LOSS)
        columns += [(ends + first, ends + last) for first, last in together]
        rows = merge_adjacent(mass, counts, _MOST_ROWS, _JOINT_LOSS)
        weights = [[_weight(counts[a:b, c:d].sum()) for c, d in columns] for a, b in rows]
        laws = [self._size_law(sizes[a:b], counts[a:b].sum(axis=1), mass[a:b].sum(axis=1)) for a, b in rows]
        lives = [self._lifetime_law(lifetimes[c:d], counts[:, c:d].sum(axis=0)) for c, d in columns]
        if len(laws) == len(lives) == 1:
            return {"size": laws[0], "lifetime": lives[0]}
        return {"matrix": {"sizes": laws, "lifetimes": lives, "weights": weights}}

    def _size_law(self, classes: Integers, counts: Floats, mass: Floats) -> Any:  # noqa: ANN401  # as a file has it
        # Common sizes stay exact; those between them become ranges, which may contain common sizes.
        common = np.sort(np.argsort(-mass)[:_MOST_COMMON])
        others = np.setdiff1d(np.arange(len(classes)), common)
        rare = np.zeros((len(others),) * 2)
        np.fill_diagonal(rare, mass[others])
        ranges = merge_adjacent(rare, np.zeros_like(rare), _MOST_RANGES, _SIZE_LOSS)
        parts = [common[index : index + 1] for index in range(len(common))]
        parts += [others[first:last] for first, last in ranges]
        least, most = self.sketch.sizes
        bands = sorted(
            [
                min(int(least[classes[part[0]]]), LARGEST_SIZE),
                min(int(most[classes[part[-1]]]), LARGEST_SIZE),
                _weight(counts[part].sum()) or 0.01,
            ]
            for part in parts
        )
        if len(bands) == 1:
            low, high, _ = bands[0]
            return int(low) if low == high else {"uniform": [low, high]}
        if all(low == high for low, high, _ in bands):
            return {"choice": {low: count for low, _, count in bands}}
        return {"histogram": bands}

    def _lifetime_law(self, classes: Integers, counts: Floats) -> Any:  # noqa: ANN401
        if classes[0] == bins.NEVER:
            return "forever"
        if classes[0] == bins.AT_END:
            return {"until": "100%"}
        if classes[0] >= bins.TOGETHER:
            first, last = self.sketch.moments
            moments = int(first[classes[0] - bins.TOGETHER]), int(last[classes[-1] - bins.TOGETHER])
            shares = [_percent(Fraction(moment, self.sketch.seen.allocations)) for moment in moments]
            return {"until": shares[0] if shares[0] == shares[1] else shares}
        weights = [_weight(count) or 0.01 for count in counts]
        bands = [[*self._lived(int(index)), weight] for index, weight in zip(classes, weights, strict=True)]
        if len(bands) == 1:
            low, high, _ = bands[0]
            return low if low == high else {"uniform": [low, high]}
        return {"histogram": bands}

    def _lived(self, index: int) -> tuple[int, int]:
        """Return the part of a class of lifetimes whose middle is the observed mean."""
        low, high = bins.lifetime_range(index)
        rows = self.part[self.keys[self.part, _LIFETIME] == index]
        means = self.sketch.mean_lifetimes[self.keys[rows, _SLOT], index]
        mean = float(np.average(means, weights=self.sketch.counts[rows]))
        middle = round(2 * mean)
        return (low, max(min(middle - low, high), low)) if middle <= low + high else (min(middle - high, high), high)


def _weight(count: float) -> float:
    """Return a number of objects, possibly fractional, in few digits."""
    return round(count) if count >= 100 or abs(count - round(count)) < 0.005 else round(float(count), 2)


def _words(group: Group, size: float) -> Iterator[str]:
    """Yield the parts of a class's name."""
    if group.zeroed:
        yield "zeroed"
    if group.alignment != 16:
        yield f"aligned{group.alignment}"
    if group.freed_by_other:
        yield "handed-on"
    if group.growth:
        yield f"resized{group.growth}-from{1 << int(np.frexp(size)[1]) - 1 if size >= 1 else 0}"
    elif not (group.zeroed or group.freed_by_other or group.alignment != 16):
        yield "plain"
