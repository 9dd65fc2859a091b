"""Compiles a workload to the generator's program: 64-bit words in the layout of engine/generate/generator.hpp."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from math import comb

from memtool.units import format_size
from memtool.workload.language import tables
from memtool.workload.language.law_tables import law_table
from memtool.workload.language.laws import Law, LifetimeLaw
from memtool.workload.language.patterns import Buffer, Exchange, Refill, Toggle
from memtool.workload.language.schema import (
    Batches,
    FalseSharing,
    Frames,
    Larson,
    Live,
    Objects,
    Pattern,
    Phase,
    ProducerConsumer,
    Profile,
    Ramp,
    Sawtooth,
    Stack,
    Workload,
)

_CLASSES, _FILL, _FRAMES, _TOGGLE, _THREADS, _EXCHANGE, _SHARING, _BUFFER, _REFILL, _SWEEP = range(10)
_RAMP, _STEADY, _DRAIN = range(3)
_VICTIMS = ("oldest", "youngest", "random", "both-ends", "random but the youngest")
_MARKS_PLACE = 2
_SKEW_LEVELS = 6
Words = Sequence[int]


@dataclass(frozen=True, slots=True)
class Program:
    """The generator's program, and the roundings that it took to make it."""

    words: array[int]
    notes: tuple[str, ...] = ()
    allocations: int | None = None
    """Number of events; None: it is known only once they have been generated."""
    marks: tuple[str, ...] = ()
    """Names of the marks, in the order of the run."""


class _Writer:
    """Program words, with the laws gathered at the end; a law that is used twice is written once."""

    def __init__(self, seed: int, source: int) -> None:
        self._words: list[int] = [seed, source, 0]
        self._references: list[tuple[int, tuple[int, ...]]] = []

    def put(self, *words: int) -> None:
        self._words += words

    def put_law(self, law: Words) -> None:
        """Reserve a word for the offset of a law."""
        self._references.append((len(self._words), tuple(law)))
        self._words.append(0)

    def put_place(self) -> int:
        """Reserve a word for a number that is known later; put_at() fills it in."""
        self._words.append(0)
        return len(self._words) - 1

    def put_at(self, place: int, word: int) -> None:
        self._words[place] = word

    @property
    def length(self) -> int:
        return len(self._words)

    def finish(self) -> array[int]:
        written: dict[tuple[int, ...], int] = {}
        for place, law in self._references:
            if law not in written:
                written[law] = len(self._words)
                self._words += law
            self._words[place] = written[law]
        return array("Q", self._words)


@dataclass(frozen=True, slots=True)
class _Class:
    """One class of objects in the generator's terms."""

    weight: Fraction
    size: Words
    lifetime: Words | None
    """None: forever."""
    alignment: int = 16
    zeroed: bool = False
    resize_share: Fraction = Fraction(0)
    resize_times: Words = (tables.CONSTANT, 0)
    resize_factor: Fraction = Fraction(1)
    freed_by_other: bool = False
    grows_at_birth: bool = False
    resize_by: int = 0
    dies_at_tick: bool = False
    """Whether the lifetime states the tick at which the object dies."""


def compile_workload(workload: Workload, seed: int) -> Program:
    """Return the program that generates the workload's events."""
    program, moments = _compile_source(workload, seed), workload.moments
    if not moments:
        return program
    words = array("Q", program.words)
    words[_MARKS_PLACE] = len(words)
    words.extend((len(moments), int(workload.frames is not None), *moments.values()))
    return replace(program, words=words, marks=tuple(moments))


def _compile_source(workload: Workload, seed: int) -> Program:
    if workload.frames is not None:
        return _frames(workload.frames, _classes(workload.objects or ()), seed)
    assert workload.allocations is not None
    if workload.pattern is not None:
        return _pattern(workload.pattern, workload, seed)
    if workload.profile is not None:
        return _profile(workload.profile, workload.allocations, workload.threads, seed)
    objects, phases = workload.objects or [], workload.phases or [Phase(steady=Fraction(1))]
    ticks = _phases(phases, workload.allocations)
    parts = [_classes_of(declared, partial(_tick_after, ticks)) for declared in objects]

    def choice(phase: Phase) -> list[int]:
        weighed = zip(objects, parts, phase.weights(objects), strict=True)
        return _choice([part.weight / of.weight * weight for of, classes, weight in weighed for part in classes])

    chosen = [(kind, count, choice(phase)) for (kind, count), phase in zip(ticks, phases, strict=True)]
    return _run_phases(seed, workload.threads, [part for classes in parts for part in classes], chosen)


def _run_phases(
    seed: int, threads: int, classes: Sequence[_Class], phases: Sequence[tuple[int, int, Words]], *notes: str
) -> Program:
    """Return the program of the phases: for each, its kind, its ticks, and the law that chooses among the classes."""
    writer = _Writer(seed, _CLASSES)
    writer.put(len(classes), len(phases), threads)
    _put_classes(writer, classes)
    for kind, ticks, choice in phases:
        writer.put(kind, ticks)
        writer.put_law(choice)
    return Program(writer.finish(), notes, sum(ticks for kind, ticks, _ in phases if kind != _DRAIN))


def _put_classes(writer: _Writer, classes: Sequence[_Class]) -> None:
    for object_class in classes:
        writer.put_law(object_class.size)
        if object_class.lifetime is None:
            writer.put(0)
        else:
            writer.put_law(object_class.lifetime)
        writer.put(
            object_class.alignment.bit_length() - 1,
            int(object_class.zeroed),
            tables.probability(object_class.resize_share),
        )
        writer.put_law(object_class.resize_times)
        writer.put(object_class.resize_factor.numerator, object_class.resize_factor.denominator)
        writer.put(int(object_class.freed_by_other), int(object_class.grows_at_birth))
        writer.put(object_class.resize_by, int(object_class.dies_at_tick))


def _choice(weights: Sequence[Fraction]) -> list[int]:
    return tables.discrete([(index, weight) for index, weight in enumerate(weights) if weight])


def _classes(objects: Sequence[Objects]) -> list[_Class]:
    """Return the generator's classes: one for each class of objects, or for each cell of its matrix."""
    return [object_class for declared in objects for object_class in _classes_of(declared, lambda share: 0)]


def _tick_after(phases: Sequence[tuple[int, int]], share: Fraction) -> int:
    """Return the tick before the allocation that follows this share of all allocations."""
    left = round(share * sum(ticks for kind, ticks in phases if kind != _DRAIN))
    clock = 0
    for kind, ticks in phases:
        if kind != _DRAIN and left <= ticks:
            return clock + (left if kind == _STEADY else 0) + 1
        left -= ticks if kind != _DRAIN else 0
        clock += ticks if kind != _RAMP else 0
    return clock + 1


def _classes_of(objects: Objects, tick_after: Callable[[Fraction], int]) -> list[_Class]:
    """Return the generator's classes of a declared class; ``tick_after`` gives the tick after a share of them."""
    resize, matrix = objects.resize, objects.matrix

    def make(weight: Fraction, size: Law[int] | None, lifetime: Law[int] | None) -> _Class:
        assert size is not None
        object_class = _Class(
            weight,
            law_table(size, 1),
            _lifetime(lifetime),
            objects.alignment,
            objects.zeroed,
            freed_by_other=objects.freed_by == "other_thread",
        )
        if isinstance(lifetime, LifetimeLaw) and lifetime.until is not None:
            object_class = replace(
                object_class, lifetime=tables.uniform(*map(tick_after, lifetime.until)), dies_at_tick=True
            )
        if resize is None:
            return object_class
        return replace(
            object_class,
            resize_share=resize.share,
            resize_times=law_table(resize.times, 1),
            resize_factor=resize.factor,
            grows_at_birth=resize.when == "at_birth",
            resize_by=resize.by or 0,
        )

    if matrix is None:
        return [make(objects.weight, objects.size, objects.lifetime)]
    total = sum((sum(row, Fraction(0)) for row in matrix.weights), Fraction(0))
    return [
        make(objects.weight * weight / total, size, lifetime)
        for size, row in zip(matrix.sizes, matrix.weights, strict=True)
        for lifetime, weight in zip(matrix.lifetimes, row, strict=True)
        if weight > 0
    ]


def _lifetime(law: Law[int] | None) -> Words | None:
    """Return the table of a lifetime; None means forever, which in a frame lasts until the frame ends."""
    if law is None or (isinstance(law, LifetimeLaw) and (law.forever or law.until)):
        return None
    return law_table(law, 1)


def _phases(phases: Sequence[Phase], allocations: int) -> list[tuple[int, int]]:
    """Divide the allocations among ramp and steady phases; the ticks of a drain are its share of the whole run."""
    ticks = Fraction(allocations) / sum((phase.share for phase in phases if not phase.drain), Fraction(0))
    shared: list[tuple[int, int]] = []
    running_total, shared_out = Fraction(0), 0
    for phase in phases:
        if phase.drain is not None:
            shared.append((_DRAIN, round(ticks * phase.drain)))
            continue
        # Running totals are rounded, so that the allocations of the phases add up to exactly the requested number.
        running_total += ticks * phase.share
        shared.append((_RAMP if phase.ramp else _STEADY, round(running_total) - shared_out))
        shared_out = round(running_total)
    return shared


def _profile(profile: Profile, allocations: int, threads: int, seed: int) -> Program:
    """Make classes from a profile's rows by Little's law, and populate the heap before the steady phase.

    Lifetimes are exponential, so the remaining lifetime of a live object does not depend on its age. A ramp that draws
    rows by their live counts, and whole lifetimes for its objects, therefore starts in the steady state.
    """
    rows = [row for row in profile.rows if row[0] <= profile.cap and (row[1] or row[2])]
    bytes_kept = sum((size * live for size, _, live in rows), Fraction(0))
    scale = profile.heap / bytes_kept
    rates = sum((rate for _, rate, _ in rows), Fraction(0))
    classes = [
        _Class(rate, tables.constant(size), _row_lifetime(live * scale, rate / rates)) for size, rate, live in rows
    ]
    by_live = _choice([live for _, _, live in rows])
    by_rate = _choice([rate for _, rate, _ in rows])
    phases = [(_RAMP, profile.populated, by_live), (_STEADY, allocations, by_rate)]
    return _run_phases(seed, threads, classes, phases, *_profile_notes(profile, scale))


def _row_lifetime(live: Fraction, share: Fraction) -> Words | None:
    """Return the table of lifetimes of a row with this many live objects and this share of the allocations.

    The mean in allocations is live / share. Objects of a row that is never allocated live forever; objects of a row
    that is never live die at the next allocation.
    """
    if share == 0:
        return None
    return tables.exponential(live / share, 1, tables.LARGEST) if live else tables.constant(1)


def _profile_notes(profile: Profile, scale: Fraction) -> list[str]:
    """Describe the roundings: objects populated, rows that hold less than one object, rows and bytes dropped."""
    kept = [(size, live) for size, _, live in profile.rows if size <= profile.cap]
    notes = [
        f"{profile.populated:,} objects are allocated before the steady phase, "
        f"which so begins with about {format_size(profile.heap)} live"
    ]
    rare = sum(0 < live * scale < 1 for _, live in kept)
    if rare:
        notes.append(f"{rare} of {len(kept)} rows hold less than one object on average at this scale")
    ended = sum(live == 0 and rate > 0 for size, rate, live in profile.rows if size <= profile.cap)
    if ended:
        notes.append(f"{ended} of {len(kept)} rows have no live objects: theirs die before the next allocation")
    old = sum(live > 0 and rate == 0 for size, rate, live in profile.rows if size <= profile.cap)
    if old:
        notes.append(f"{old} of {len(kept)} rows are not allocated any more: what is live of them lives to the end")
    dropped = len(profile.rows) - len(kept)
    if dropped:
        whole = sum((size * live for size, _, live in profile.rows), Fraction(0))
        share = float(1 - profile.heap / scale / whole)
        rows = "1 row" if dropped == 1 else f"{dropped} rows"
        notes.append(f"{rows} above {format_size(profile.cap)} left out: {share:.1%} of the live bytes")
    return notes


def _pattern(pattern: Pattern, workload: Workload, seed: int) -> Program:
    allocations = workload.allocations
    assert allocations is not None
    if pattern.exchange is not None:
        return _exchange(pattern.exchange, allocations, workload.threads, workload.rounds, seed)
    if pattern.false_sharing is not None:
        return _false_sharing(pattern.false_sharing, allocations, workload.threads, seed)
    source = _source_of(pattern)
    if workload.threads == workload.rounds == 1:
        writer = _Writer(seed, source)
        _put_pattern(writer, pattern, allocations, has_others=False, consumers=0)
        return Program(writer.finish(), (), allocations)
    # A producer and its consumer are one worker of two threads; every other thread is a worker of its own.
    pairs = workload.threads // 2 if pattern.producer_consumer is not None else 0
    workers, threads_each = (pairs, 2) if pairs else (workload.threads, 1)
    writer = _Writer(seed, _THREADS)
    writer.put(workers, threads_each, workload.rounds, int(pattern.larson is not None), source)
    places = [writer.put_place() for _ in range(workers)]
    for index, place in enumerate(places):
        writer.put_at(place, writer.length)
        share = allocations * (index + 1) // workers - allocations * index // workers
        _put_pattern(writer, pattern, share, has_others=workload.threads > 1, consumers=pairs)
    return Program(writer.finish(), (), allocations)


def _source_of(pattern: Pattern) -> int:
    """Return the source of the events of a pattern that every thread runs on its own."""
    own = {"toggle": _TOGGLE, "buffer": _BUFFER, "refill": _REFILL, "sweep": _SWEEP}
    return next((source for name, source in own.items() if getattr(pattern, name) is not None), _FILL)


def _put_pattern(writer: _Writer, pattern: Pattern, allocations: int, *, has_others: bool, consumers: int) -> None:
    """Write the words of one thread's pattern, or of a producer's with its ``consumers``."""
    if pattern.toggle or pattern.buffer or pattern.refill or pattern.sweep:
        _put_slots(writer, pattern, allocations, has_others=has_others)
        return
    chosen = next(parameters for name in Pattern.model_fields if (parameters := getattr(pattern, name)) is not None)
    fill_to, empty_to, victim = _levels(pattern, chosen, allocations)
    writer.put_law(law_table(chosen.size, 1))
    writer.put(allocations)
    writer.put_law(fill_to)
    writer.put(empty_to, _VICTIMS.index(victim), chosen.alignment.bit_length() - 1)
    writer.put(getattr(chosen, "handed_on", 0) if has_others else 0, consumers)


def _put_slots(writer: _Writer, pattern: Pattern, allocations: int, *, has_others: bool) -> None:
    """Write the words of one thread's pattern over slots."""
    chosen = pattern.toggle or pattern.buffer or pattern.refill or pattern.sweep
    assert chosen is not None
    alignment = chosen.alignment.bit_length() - 1
    writer.put_law(law_table(chosen.size, 1))
    writer.put(allocations)
    if isinstance(chosen, Toggle):
        writer.put(chosen.slots)
        writer.put_law(_slot_law(chosen.slots, chosen.skew))
        writer.put(alignment, tables.probability(chosen.filled))
    elif isinstance(chosen, Buffer):
        writer.put(chosen.slots, int(chosen.slots * chosen.kept), int(chosen.forgetful), alignment)
    elif isinstance(chosen, Refill):
        writer.put(chosen.slots)
        writer.put_law(law_table(chosen.emptied, 0))
        writer.put_law(law_table(chosen.filled, 1))
        writer.put(chosen.handed_on if has_others else 0, alignment, chosen.wait)
    else:
        writer.put(chosen.settled, chosen.largest, alignment)


def _exchange(exchange: Exchange, allocations: int, threads: int, rounds: int, seed: int) -> Program:
    writer = _Writer(seed, _EXCHANGE)
    writer.put_law(law_table(exchange.size, 1))
    writer.put(allocations, threads, rounds, exchange.slots)
    writer.put(tables.probability(exchange.freed), tables.probability(exchange.exchanged))
    writer.put(exchange.alignment.bit_length() - 1)
    writer.put(exchange.retained.numerator, exchange.retained.denominator)
    writer.put_law(law_table(exchange.retained_size or exchange.size, 1))
    writer.put(tables.probability(exchange.survivors), int(exchange.uneven), int(exchange.first_thread))
    return Program(writer.finish(), (), allocations)


def _false_sharing(sharing: FalseSharing, allocations: int, threads: int, seed: int) -> Program:
    writer = _Writer(seed, _SHARING)
    writer.put_law(law_table(sharing.size, 1))
    writer.put(allocations, threads, sharing.writes, int(sharing.passive), sharing.alignment.bit_length() - 1)
    return Program(writer.finish(), (), allocations)


def _levels(
    pattern: Pattern, chosen: Live | Stack | Batches | Ramp | Sawtooth | ProducerConsumer, allocations: int
) -> tuple[Words, int, str]:
    """Return (law of the number to fill to, number to empty to, order of the frees) for a pattern."""
    if isinstance(chosen, Larson) and chosen.allocate_first:
        return tables.constant(chosen.live + 1), chosen.live, "random but the youngest"
    if isinstance(chosen, Live):
        victim = "oldest" if chosen in (pattern.fifo, pattern.ring) else "random"
        # A queue allocates before it frees; a slot is emptied before it is filled again.
        spare = int(chosen in (pattern.fifo, pattern.random_victim))
        return tables.constant(chosen.live + spare), chosen.live + spare - 1, victim
    if isinstance(chosen, Stack):
        return law_table(chosen.batch, 1), 0, "youngest"
    if isinstance(chosen, Batches):
        return law_table(chosen.batch, 1), 0, chosen.order
    if isinstance(chosen, Sawtooth):
        return tables.constant(chosen.high), chosen.low, chosen.order
    if isinstance(chosen, ProducerConsumer):
        return tables.constant(chosen.batch * chosen.depth), chosen.batch * (chosen.depth - 1), "oldest"
    return tables.constant(allocations), 0, chosen.order


def _slot_law(slots: int, skew: Fraction | None) -> Words:
    """Return the law of slots: a share `skew` of the choices falls on 1 - skew of them, and likewise in each part."""
    if skew is None:
        return tables.uniform(0, slots - 1)
    bands: list[tuple[int, int, Fraction]] = []
    first, before = 0, Fraction(0)
    for cold in range(_SKEW_LEVELS, -1, -1):
        # The probability that, in six divisions, the larger and colder part is chosen this many times.
        parts, hot = comb(_SKEW_LEVELS, cold), _SKEW_LEVELS - cold
        before += parts * skew**cold * (1 - skew) ** hot
        end = round(slots * before)
        if end > first:
            bands.append((first, end - 1, parts * (1 - skew) ** cold * skew**hot))
            first = end
    return tables.ranges(bands)


def _frames(frames: Frames, classes: Sequence[_Class], seed: int) -> Program:
    scopes = frames.scopes
    writer = _Writer(seed, _FRAMES)
    writer.put(frames.count, scopes.depth if scopes else 0)
    writer.put_law(law_table(frames.objects_per_frame, 0))
    writer.put_law(law_table(scopes.per_frame, 0) if scopes else tables.constant(0))
    writer.put_law(law_table(scopes.objects, 0) if scopes else tables.constant(0))
    writer.put(len(classes))
    writer.put_law(_choice([object_class.weight for object_class in classes]))
    _put_classes(writer, classes)
    return Program(writer.finish())
