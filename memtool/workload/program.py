"""From a workload to the generator's program: 64-bit words, laid out as engine/generator.hpp says."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from memtool.units import format_size
from memtool.workload import tables
from memtool.workload.schema import (
    Batch,
    Law,
    LifetimeLaw,
    Live,
    Objects,
    Pattern,
    Phase,
    ProducerConsumer,
    Profile,
    Ramp,
    Sawtooth,
    Workload,
)

_CLASSES, _PATTERN, _FRAMES = range(3)
_RAMP, _STEADY, _DRAIN = range(3)
_VICTIMS = ("oldest", "youngest", "random")
_CLASS_WORDS = 7


@dataclass(frozen=True, slots=True)
class Program:
    """What the generator runs, and what was rounded to make it."""

    words: array[int]
    notes: tuple[str, ...]


class _Writer:
    """Program words, with the laws gathered at the end; a law used twice is written once."""

    def __init__(self, seed: int, source: int) -> None:
        self.words: list[int] = [seed, source]
        self._laws: dict[tuple[int, ...], int] = {}
        self._references: list[tuple[int, tuple[int, ...]]] = []

    def put(self, *words: int) -> None:
        self.words += words

    def put_law(self, law: Sequence[int]) -> None:
        """Leave a place for the law's offset."""
        self._references.append((len(self.words), tuple(law)))
        self.words.append(0)

    def finish(self) -> array[int]:
        for place, law in self._references:
            if law not in self._laws:
                self._laws[law] = len(self.words)
                self.words += law
            self.words[place] = self._laws[law]
        return array("Q", self.words)


@dataclass(frozen=True, slots=True)
class _Class:
    """One class of objects as the generator knows it."""

    weight: Fraction
    size: Sequence[int]
    lifetime: Sequence[int] | None
    """None: for ever."""
    alignment: int = 16
    zeroed: bool = False
    resize_share: Fraction = Fraction(0)
    resize_factor: Fraction = Fraction(1)


def compile_workload(workload: Workload, seed: int) -> Program:
    """Return the program that generates the workload's events."""
    if workload.pattern is not None:
        return _pattern(workload, workload.pattern, seed)
    if workload.profile is not None:
        return _profile(workload, workload.profile, seed)
    classes = [each for objects in workload.objects or () for each in _classes(objects)]
    if workload.frames is not None:
        return _frames(workload, classes, seed)
    assert workload.allocations is not None
    phases = _phases(workload.phases or [Phase(steady=Fraction(1))], workload.allocations)
    choice = _choice([each.weight for each in classes])
    return _class_program(seed, classes, [(kind, ticks, choice) for kind, ticks in phases], ())


def _class_program(
    seed: int,
    classes: Sequence[_Class],
    phases: Sequence[tuple[int, int, Sequence[int]]],
    notes: tuple[str, ...],
) -> Program:
    writer = _Writer(seed, _CLASSES)
    writer.put(len(classes), len(phases))
    _put_classes(writer, classes)
    for kind, ticks, choice in phases:
        writer.put(kind, ticks)
        writer.put_law(choice)
    return Program(writer.finish(), notes)


def _put_classes(writer: _Writer, classes: Sequence[_Class]) -> None:
    for each in classes:
        writer.put_law(each.size)
        if each.lifetime is None:
            writer.put(0)
        else:
            writer.put_law(each.lifetime)
        factor = each.resize_factor
        writer.put(
            each.alignment.bit_length() - 1,
            int(each.zeroed),
            tables.probability(each.resize_share),
            factor.numerator,
            factor.denominator,
        )


def _choice(weights: Sequence[Fraction]) -> list[int]:
    return tables.discrete([(index, weight) for index, weight in enumerate(weights) if weight > 0])


def _classes(objects: Objects) -> list[_Class]:
    """Return the classes of an object class: one, or one for each cell of its matrix."""
    resize = objects.resize

    def make(weight: Fraction, size: Law[int], lifetime: LifetimeLaw | None) -> _Class:
        return _Class(
            weight,
            law_table(size, 1),
            None if lifetime is None or lifetime.forever else law_table(lifetime, 1),
            objects.alignment,
            objects.zeroed,
            resize.share if resize else Fraction(0),
            resize.factor if resize else Fraction(1),
        )

    if objects.matrix is None:
        assert objects.size is not None
        return [make(objects.weight, objects.size, objects.lifetime)]
    matrix = objects.matrix
    total = sum((sum(row, Fraction(0)) for row in matrix.weights), Fraction(0))
    return [
        make(objects.weight * weight / total, size, lifetime)
        for size, row in zip(matrix.sizes, matrix.weights, strict=True)
        for lifetime, weight in zip(matrix.lifetimes, row, strict=True)
        if weight > 0
    ]


def law_table(law: Law[Any], least: int) -> list[int]:
    """Return the table of a law; draws below ``least`` become ``least``."""
    if law.constant is not None:
        return tables.constant(law.constant)
    if law.uniform is not None:
        return tables.uniform(law.uniform[0], law.uniform[1])
    if law.choice is not None:
        return tables.discrete(law.choice)
    if law.exponential is not None:
        bounds = (law.exponential.min or least, law.exponential.max or tables.LARGEST)
        return tables.exponential(Fraction(law.exponential.mean), *bounds)
    if law.lognormal is not None:
        bounds = (law.lognormal.min or least, law.lognormal.max or tables.LARGEST)
        return tables.lognormal(Fraction(law.lognormal.median), law.lognormal.sigma, *bounds)
    if law.pareto is not None:
        high = law.pareto.max or tables.LARGEST
        return tables.pareto(Fraction(law.pareto.minimum), law.pareto.alpha, max(least, law.pareto.minimum), high)
    assert law.normal is not None
    bounds = (law.normal.min or least, law.normal.max or tables.LARGEST)
    return tables.normal(Fraction(law.normal.mean), law.normal.deviation, *bounds)


def _phases(phases: Sequence[Phase], allocations: int) -> list[tuple[int, int]]:
    """Share the allocations out over ramp and steady phases; a drain's ticks are its share of the whole."""
    allocating = sum((phase.ramp or phase.steady or Fraction(0) for phase in phases), Fraction(0))
    ticks = Fraction(allocations) / allocating
    shared: list[tuple[int, int]] = []
    done = given = Fraction(0)
    for phase in phases:
        if phase.drain is not None:
            shared.append((_DRAIN, round(ticks * phase.drain)))
            continue
        share = phase.ramp or phase.steady
        assert share is not None
        # Rounded by running totals, so that the phases' allocations add up to exactly what was asked for.
        done += ticks * share
        count = round(done) - given
        given += count
        shared.append((_RAMP if phase.ramp else _STEADY, int(count)))
    return shared


def _profile(workload: Workload, profile: Profile, seed: int) -> Program:
    """Make classes of a profile's rows by Little's law, and populate the heap before the steady phase."""
    assert workload.allocations is not None
    rows = [(int(size), rate, live) for size, rate, live in profile.rows]
    cap = profile.largest or profile.heap
    kept = [row for row in rows if row[0] <= cap]
    if not kept:
        kept = rows
    whole = sum((size * live for size, _, live in rows), Fraction(0))
    bytes_kept = sum((size * live for size, _, live in kept), Fraction(0))
    scale = Fraction(profile.heap) / bytes_kept
    rate_in_all = sum((rate for _, rate, _ in kept), Fraction(0))
    classes = [
        _Class(
            rate,
            tables.constant(size),
            # Mean lifetime live / rate, in allocations: during it, live * scale / rate * (all rates) are made.
            tables.exponential(live * scale / rate * rate_in_all, 1, tables.LARGEST),
        )
        for size, rate, live in kept
    ]
    populated = round(sum((live * scale for _, _, live in kept), Fraction(0)))
    rare = sum(live * scale < 1 for _, _, live in kept)
    notes = [
        f"{populated:,} objects are allocated before the steady phase, "
        f"so that it begins with {format_size(profile.heap)} live"
    ]
    if rare:
        notes.append(f"{rare} of {len(kept)} rows hold less than one object on average at this scale")
    if len(kept) < len(rows):
        dropped = float(1 - bytes_kept / whole)
        notes.append(f"{len(rows) - len(kept)} rows above {format_size(cap)} are left out, {dropped:.1%} of the bytes")
    by_live = _choice([live for _, _, live in kept])
    by_rate = _choice([rate for _, rate, _ in kept])
    phases = [(_RAMP, populated, by_live), (_STEADY, workload.allocations, by_rate)]
    return _class_program(seed, classes, phases, tuple(notes))


def _pattern(workload: Workload, pattern: Pattern, seed: int) -> Program:
    chosen = next(each for name in Pattern.model_fields if (each := getattr(pattern, name)) is not None)
    assert workload.allocations is not None
    high, low, order = _levels(pattern, chosen, workload.allocations)
    writer = _Writer(seed, _PATTERN)
    writer.put_law(law_table(chosen.size, 1))
    writer.put(workload.allocations, high, low, _VICTIMS.index(order), chosen.alignment.bit_length() - 1)
    return Program(writer.finish(), ())


def _levels(
    pattern: Pattern, chosen: Live | Batch | Ramp | Sawtooth | ProducerConsumer, allocations: int
) -> tuple[int, int, str]:
    """Return (fill to, free down to, whom) for a pattern."""
    if isinstance(chosen, Live):
        random = chosen is pattern.random_victim or chosen is pattern.larson
        return chosen.live, chosen.live - 1, "random" if random else "oldest"
    if isinstance(chosen, Batch):
        return chosen.batch, 0, "youngest" if chosen is pattern.lifo else chosen.order
    if isinstance(chosen, Sawtooth):
        return chosen.high, chosen.low, chosen.order
    if isinstance(chosen, ProducerConsumer):
        return chosen.batch * chosen.depth, chosen.batch * (chosen.depth - 1), "oldest"
    return allocations, 0, chosen.order


def _frames(workload: Workload, classes: Sequence[_Class], seed: int) -> Program:
    frames = workload.frames
    assert frames is not None
    writer = _Writer(seed, _FRAMES)
    writer.put(frames.count)
    writer.put_law(law_table(frames.objects_per_frame, 0))
    writer.put_law(law_table(frames.scopes.per_frame, 0) if frames.scopes else tables.constant(0))
    writer.put_law(law_table(frames.scopes.objects, 0) if frames.scopes else tables.constant(0))
    writer.put(len(classes))
    writer.put_law(_choice([each.weight for each in classes]))
    _put_classes(writer, classes)
    return Program(writer.finish(), ())
