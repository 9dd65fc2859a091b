"""Bounds on workload files: a few characters must not be able to make a run that is out of all proportion.

``allocations`` states the length of a run and is not questioned. Everything that multiplies it (a drain a million times
as long, an object that grows two thousand million times, deeply nested frames) is refused before anything is generated
if the product exceeds a bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError

from memtool.workload.language.law_tables import is_tabulated, law_mean
from memtool.workload.language.laws import Law
from memtool.workload.language.values import LARGEST_COUNT, MOST_LIVE, misfit

if TYPE_CHECKING:
    from memtool.workload.language.schema import Frames, Objects, Pattern, Phase, Workload

_MOST_DRAIN_TICKS = 1 << 27
_MOST_RESIZES = 1 << 22
_RESIZES_AN_ALLOCATION = 64
_MOST_SCOPES = 1 << 22
_SCOPES_A_FRAME = 64
_MOST_TABLES = 128
"""Number of different laws with a table of quantiles; each takes a few milliseconds to compute."""
_MOST_SLOTS = 1 << 24
_MOST_STEPS = 1 << 28
_STEPS_AN_ALLOCATION = 64
"""Number of slots that a pattern may visit without an event."""
_MOST_SWEPT = 1 << 24
_MOST_WRITES = 1 << 34
"""About ten seconds of a replay."""


def unbounded(workload: Workload) -> Iterator[PydanticCustomError]:
    """Yield an error for each value of a workload that exceeds a bound."""
    yield from _check_tables(workload.objects or [])
    if workload.frames is not None:
        yield from _check_frames(workload.frames, workload.objects or [])
        return
    allocations = workload.allocations or 0
    if workload.pattern is not None:
        yield from _check_pattern(workload.pattern, allocations, workload.threads, workload.rounds)
    if workload.objects is not None:
        yield from _check_phases(workload, allocations)
        yield from _check_resizes(workload.objects, workload.phases or [], allocations)


def _too_many(number: float, noun: str, most: int) -> str:
    """Return the words of a refusal; large numbers are rounded so that people can read them."""
    about = f"{round(number):,}" if number < 10**15 else f"{number:.1e}"
    return f"would be {about} {noun}, more than {most:,}"


def _check_tables(objects: list[Objects]) -> Iterator[PydanticCustomError]:
    known: set[str] = set()
    for index, declared in enumerate(objects):
        for path, law in _laws(declared):
            if is_tabulated(law):
                known.add(repr(law))
            if len(known) > _MOST_TABLES:
                yield misfit(f"is one of more than {_MOST_TABLES} continuous laws that differ", "objects", index, *path)
                return


def _laws(objects: Objects) -> Iterator[tuple[tuple[str | int, ...], Law[Any]]]:
    """Yield the laws of a class of objects and their locations."""
    for key in ("size", "lifetime"):
        law = getattr(objects, key)
        if law is not None:
            yield (key,), law
    if objects.matrix is not None:
        yield from ((("matrix", "sizes", index), law) for index, law in enumerate(objects.matrix.sizes))
        yield from ((("matrix", "lifetimes", index), law) for index, law in enumerate(objects.matrix.lifetimes))
    if objects.resize is not None:
        yield ("resize", "times"), objects.resize.times


def _check_phases(workload: Workload, allocations: int) -> Iterator[PydanticCustomError]:
    phases = workload.phases or []
    drained = sum((phase.share for phase in phases if phase.drain is not None), Fraction(0))
    ramped = sum((phase.share for phase in phases if phase.ramp is not None), Fraction(0))
    ticks = allocations / (1 - drained) * drained
    most = max(_MOST_DRAIN_TICKS, allocations)
    if ticks > most:
        words = _too_many(float(ticks), "ticks of the clock in drains", most)
        yield misfit(f"{words}: the other phases are {float(1 - drained):.2g} of the run", "phases")
    held = float(allocations / (1 - drained) * ramped)
    if held > MOST_LIVE:
        yield misfit(_too_many(held, "objects alive at the end of the ramp", MOST_LIVE), "phases")


def _shares(objects: list[Objects], phases: list[Phase]) -> list[Fraction]:
    """Return the share of the allocations that each class has, over all phases."""
    allocating = [(phase.share, phase.weights(objects)) for phase in phases if phase.drain is None]
    allocating = allocating or [(Fraction(1), [declared.weight for declared in objects])]
    whole = sum((share for share, _ in allocating), Fraction(0))
    scaled = [(share / whole / sum(weights), weights) for share, weights in allocating]
    return [sum((scale * weights[index] for scale, weights in scaled), Fraction(0)) for index in range(len(objects))]


def _check_resizes(objects: list[Objects], phases: list[Phase], allocations: int) -> Iterator[PydanticCustomError]:
    shares = _shares(objects, phases)
    most = max(_MOST_RESIZES, _RESIZES_AN_ALLOCATION * allocations)
    for index, declared in enumerate(objects):
        if declared.resize is None:
            continue
        born = allocations * float(shares[index])
        ticks = float("inf") if declared.resize.when == "at_birth" else _mean_lifetime(declared)
        resizes = born * float(declared.resize.share) * min(law_mean(declared.resize.times, 1), ticks)
        if resizes > most:
            yield misfit(_too_many(resizes, "reallocations", most), "objects", index, "resize", "times")


def _mean_lifetime(objects: Objects) -> float:
    """Return the longest mean lifetime of a class: an object cannot be resized more often than it lives ticks."""
    if objects.matrix is not None:
        return max(law_mean(law, 1) for law in objects.matrix.lifetimes)
    return float("inf") if objects.lifetime is None else law_mean(objects.lifetime, 1)


def _check_frames(frames: Frames, objects: list[Objects]) -> Iterator[PydanticCustomError]:
    own = law_mean(frames.objects_per_frame, 0)
    scopes = inner = 0.0
    if frames.scopes is not None:
        in_each, inner = law_mean(frames.scopes.per_frame, 0), law_mean(frames.scopes.objects, 0)
        scopes = sum(in_each**level for level in range(1, frames.scopes.depth + 1))
    born = frames.count * (own + scopes * inner)
    if born == 0:
        yield misfit("must not always be 0: nothing would be allocated", "frames", "objects_per_frame")
        return
    most = max(_MOST_SCOPES, _SCOPES_A_FRAME * frames.count)
    if frames.count * scopes > most:
        yield misfit(_too_many(frames.count * scopes, "scopes", most), "frames", "scopes", "per_frame")
        return
    for path, alive in ((("objects_per_frame",), own), (("scopes", "objects"), inner)):
        if alive > MOST_LIVE:
            yield misfit(_too_many(alive, "objects alive at once", MOST_LIVE), "frames", *path)
            return  # the errors that would follow are consequences of this one
    if born > LARGEST_COUNT:
        yield misfit(_too_many(born, "allocations", LARGEST_COUNT), "frames")
    weights = sum((declared.weight for declared in objects), Fraction(0))
    for index, declared in enumerate(objects):
        if declared.resize is None:
            continue
        of_class = born * float(declared.weight / weights)
        resizes = of_class * float(declared.resize.share) * law_mean(declared.resize.times, 1)
        most = max(_MOST_RESIZES, round(_RESIZES_AN_ALLOCATION * of_class))
        if resizes > most:
            yield misfit(_too_many(resizes, "reallocations", most), "objects", index, "resize", "times")


def _check_pattern(pattern: Pattern, allocations: int, threads: int, rounds: int) -> Iterator[PydanticCustomError]:
    fields = type(pattern).model_fields
    name, chosen = next((name, parameters) for name in fields if (parameters := getattr(pattern, name)) is not None)
    key = fields[name].alias or name
    for field, number, noun, most in _products(pattern, allocations, threads, rounds):
        if number > most:
            yield misfit(_too_many(number, noun, most), "pattern", key, field)
    if pattern.ramp is not None and allocations > MOST_LIVE:
        yield misfit(_too_many(allocations, "objects alive at once", MOST_LIVE), "allocations")
    for field, alive in (("live", getattr(chosen, "live", 0)), ("high", getattr(chosen, "high", 0))):
        if min(alive, allocations) > MOST_LIVE:
            yield misfit(_too_many(alive, "objects alive at once", MOST_LIVE), "pattern", key, field)


def _products(pattern: Pattern, allocations: int, threads: int, rounds: int) -> Iterator[tuple[str, float, str, int]]:
    """Yield (key, number, what is counted, bound) of everything that a pattern multiplies."""
    slotted = pattern.toggle or pattern.buffer or pattern.refill
    if slotted is not None:
        yield "slots", slotted.slots * threads, "slots of all threads", _MOST_SLOTS
    if pattern.exchange is not None:
        yield "slots", pattern.exchange.slots * rounds, "slots of all rounds", _MOST_STEPS
    if pattern.false_sharing is not None:
        yield "writes", pattern.false_sharing.writes * allocations, "writes in all", _MOST_WRITES
    if pattern.buffer is not None:
        refilled = pattern.buffer.slots - int(pattern.buffer.slots * pattern.buffer.kept)
        passed = allocations * pattern.buffer.slots / refilled
        yield "kept", passed, "slots passed over", max(_MOST_STEPS, _STEPS_AN_ALLOCATION * allocations)
    if pattern.refill is not None:
        loops = allocations / law_mean(pattern.refill.filled, 1)
        emptied = max(1.0, loops) * law_mean(pattern.refill.emptied, 0)
        yield "emptied", emptied, "slots emptied", max(_MOST_STEPS, _STEPS_AN_ALLOCATION * allocations)
    if pattern.sweep is not None:
        swept = allocations * (allocations / threads) / 6
        yield "settled", swept, "reallocations", _MOST_SWEPT
