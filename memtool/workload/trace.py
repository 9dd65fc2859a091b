"""A trace: the events of a workload, generated, hashed, and laid out for replay."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from memtool import files
from memtool.engine.binding import EngineError, package_folder
from memtool.engine.generate import binding as generator_binding
from memtool.errors import InputError, MemtoolError, did_you_mean
from memtool.host import machine
from memtool.model import Mark, Mode, TraceInfo
from memtool.units import format_duration, format_rate, format_size
from memtool.workload.arrivals import Schedule, compile_arrivals
from memtool.workload.importers.importer import Imported
from memtool.workload.importers.known import importer_of
from memtool.workload.loader import load_workload
from memtool.workload.program import Program, compile_workload
from memtool.workload.schema import Workload

_NEVER = 2**64 - 1
_FAR_ABOVE = 4
_REFILLED = 0.75
_LEAST_PEAK = 64 * 1024
"""Bytes: below this a heap is its allocator's smallest, and ratios to it are n/a."""
_LONGEST_ARRIVALS = 86_400
"""Seconds: a day of waiting in each replay is no measurement."""
_IMAGE_BYTES_PER_EVENT = 8
"""More for what is resized, aligned or larger than 4 GiB."""
_MOST_OF_MEMORY = 0.75
"""The share of what is available that an image may take: the rest is for what is replayed."""
_COPIED = (
    "operations",
    "epilogue_operations",
    "allocations",
    "reallocations",
    "slots",
    "peak_live_bytes",
    "peak_live_objects",
    "total_bytes",
    "smallest_size",
    "largest_size",
    "largest_alignment",
    "scopes",
)


@dataclass(frozen=True, slots=True)
class Trace:
    """A generated trace whose event image lies in a memory file that cannot be changed any more."""

    info: TraceInfo
    image_fd: int
    image_bytes: int
    generation_seconds: float
    """Time to generate the canonical events alone, without hashing and image."""
    arrivals: Schedule | None = None
    """When the operations are meant to begin; None: each as soon as the one before it has ended."""

    def close(self) -> None:
        """Give the image back."""
        os.close(self.image_fd)

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def shipped() -> dict[str, Path]:
    """Return the workloads that come with memtool: short name (``chapter/game-frame``) -> file."""
    folder = Path(package_folder())
    # Beside the package in a checkout, in it where it is installed.
    root = next(
        (each for each in (folder.parent / "workloads", folder / "workloads") if (each / "quickstart.yaml").is_file()),
        None,
    )
    if root is None:
        return {}
    return {str(path.relative_to(root).with_suffix("")): path for path in sorted(root.rglob("*.yaml"))}


def find_workload(name: str) -> Path:
    """Return the file of a path, or of a shipped workload's short name. Raises InputError."""
    path = Path(name)
    known = shipped()
    if not name:
        raise InputError("WORKLOAD: is empty; memtool list workloads names those that are shipped")
    if name in known and not path.is_file():
        return known[name]
    if files.is_there(path) or path.suffix in (".yaml", ".yml"):
        return path
    raise InputError(f"{name}: no such file, and no shipped workload of that name{did_you_mean(name, known)}")


def read_source(path: Path) -> Workload | Imported:
    """Return what is in a workload file, or in the trace file of another tool. Raises InputError."""
    importer = importer_of(path)
    return load_workload(path) if importer is None else importer.load(path)


def compiled(source: Workload | Imported, seed: int) -> Program | Imported:
    """Return what the events come from: a workload's program, or the trace as it was imported."""
    return source if isinstance(source, Imported) else compile_workload(source, seed)


def canonical_events(
    program: Program | Imported, result: generator_binding.Generated | None = None
) -> Iterator[memoryview]:
    """Yield the canonical events in portions (engine/events/events.hpp); each is valid until the next is asked for.

    ``result`` is filled when the last has been.
    """
    if isinstance(program, Imported):
        return iter((program.events,))
    return generator_binding.generate(program.words, result)


def load_trace(
    name: str,
    seed: int | None = None,
    *,
    threads: int | None = None,
    rate: int | None = None,
    mode: Mode = Mode.SERIAL,
) -> Trace:
    """Load a workload file, a shipped workload or a trace file, and build the image of its events for this mode.

    ``threads`` replaces a workload's own number of them, ``rate`` (operations a second) that of its arrivals, which are
    poisson where it has none; the trace's name says so. ``seed`` replaces its own seed. None of them is of a trace
    file: nothing in it is drawn.

    Raises InputError for what is wrong with the file, MemtoolError when its image cannot be made.
    """
    path = find_workload(name)
    source = read_source(path)
    if rate is not None:
        if isinstance(source, Imported):
            raise InputError(f"{path}: with --rate {format_rate(rate)}: a trace has no arrivals")
        source = _with_rate(source, str(path), rate)
    if threads is not None:
        if isinstance(source, Imported):
            raise InputError(f"{path}: with --threads {threads}: the threads of a trace are its own")
        source = _with_threads(source, str(path), threads)
    return make_trace(source, str(path), source.seed if seed is None or isinstance(source, Imported) else seed, mode)


def _with_threads(workload: Workload, source: str, threads: int) -> Workload:
    return _changed(workload, source, "threads", threads, str(threads))


def _with_rate(workload: Workload, source: str, rate: int) -> Workload:
    written = format_rate(rate)
    arrivals = workload.effective().get("arrivals", {"poisson": {}})
    paced = next(iter(arrivals.values()))
    paced.pop("every", None)
    paced["rate"] = written
    if workload.arrivals is not None and workload.arrivals.bursts is not None and workload.arrivals.bursts.every:
        paced.pop("rate")
        paced["every"] = f"{10**9 * workload.arrivals.bursts.size / rate:.3f}ns"
    return _changed(workload, source, "rate", {"arrivals": arrivals}, written)


def _changed(workload: Workload, source: str, option: str, value: Any, written: str) -> Workload:  # noqa: ANN401
    """Return the workload with what an option puts in place of its own."""
    changes = value if isinstance(value, dict) else {option: value}
    own = workload.name.partition(":")[0]
    try:
        changed = Workload.model_validate(workload.effective() | {"name": own} | changes)
    except ValidationError as problem:
        first = problem.errors()[0]
        raise InputError(f"{source}: with --{option} {written}: {first['msg']}") from None
    return changed.model_copy(update={"name": f"{workload.name}:{option}={written.removesuffix('/s')}"})


def make_trace(workload: Workload | Imported, source: str, seed: int, mode: Mode = Mode.SERIAL) -> Trace:
    """Generate the events of a workload in portions; each is hashed and goes into the image. Raises MemtoolError.

    Where the mode asks for threads and several do something, the image is a thread image.
    """
    program = compiled(workload, seed)
    arrivals = None
    if isinstance(workload, Workload) and workload.arrivals is not None:
        arrivals = compile_arrivals(workload.arrivals, seed)
    descriptor = os.memfd_create("memtool-image", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        generated = generator_binding.Generated()
        head, marks, event_hash, seconds = _build_image(
            program, source, workload.touch, descriptor, arrivals, generated
        )
        _refuse_nothing(head, source, seed)
        _refuse_too_slow(head, source, arrivals)
        notes, lanes = (*program.notes, *_left_out(generated, head), *_misleading_peak(generated, head)), 1
        if mode is not Mode.SERIAL and has_threads(workload):
            descriptor = _emptied(descriptor)
            lanes = _build_thread_image(program, source, workload.touch, descriptor)
            if lanes == 1:
                # Which image a trace has goes by its lanes.
                descriptor = _emptied(descriptor)
                again = generator_binding.Generated()
                _build_image(program, source, workload.touch, descriptor, arrivals, again)
                notes = (*notes, "only one of its threads does anything, and so it is replayed on one")
            elif marks:
                notes = (*notes, f"marks are passed over on several threads: {', '.join(program.marks)}")
                marks = ()
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    except BaseException:
        os.close(descriptor)
        raise
    info = TraceInfo(
        name=workload.name,
        source=source,
        seed=seed,
        event_hash=event_hash,
        touch=workload.touch,
        memory_limit=workload.memory_limit,
        arrivals=None if arrivals is None else arrivals.described(),
        notes=notes,
        marks=marks,
        threads=workload.threads,
        lanes=lanes,
        workload_name=workload.name.partition(":threads=")[0],
        packing_by=None,
        first_not_lifo=None if head["first_not_lifo"] == _NEVER else head["first_not_lifo"],
        first_not_fifo=None if head["first_not_fifo"] == _NEVER else head["first_not_fifo"],
        **{name: head[name] for name in _COPIED},
    )
    return Trace(info, descriptor, os.fstat(descriptor).st_size, seconds, arrivals)


def _build_image(
    program: Program | Imported,
    source: str,
    touch: str,
    descriptor: int,
    arrivals: Schedule | None,
    generated: generator_binding.Generated,
) -> tuple[dict[str, int], tuple[Mark, ...], str, float]:
    """Return (head of the image, marks, hash of the events, seconds that generating them took). Raises MemtoolError."""
    digest = hashlib.blake2b(digest_size=16)
    seconds = 0.0
    events = 0
    available = machine.available_memory()
    _refuse_too_long(source, 2 * (program.allocations or 0), available)
    try:
        with generator_binding.ImageBuilder(touch, descriptor) as builder:
            portions = canonical_events(program, generated)
            while True:
                begin = time.perf_counter()
                portion = next(portions, None)
                seconds += time.perf_counter() - begin
                if portion is None:
                    if arrivals is not None:
                        digest.update(arrivals.to_bytes())
                    head = builder.finish()
                    generated.live_sum, generated.filled_bytes, generated.refilled_bytes = builder.course()
                    return head, _marks(program, builder, head), digest.hexdigest(), seconds
                digest.update(portion)
                builder.append(portion)
                events += portion.nbytes // generator_binding.EVENT_BYTES
                _refuse_too_long(source, events, available)
    except EngineError as problem:
        raise InputError(f"{source}: {problem}") from None


def _left_out(generated: generator_binding.Generated, head: dict[str, int]) -> Iterator[str]:
    """Yield what is said of resizes that found no time."""
    if generated.resizes_left_out:
        yield (
            f"{generated.resizes_left_out:,} resizes found no time and were left out, {head['reallocations']:,} took "
            "place: an object that lives for k allocations is resized at most k - 1 times "
            "(with `when: at_birth` all its resizes follow its allocation at once)"
        )


def _misleading_peak(generated: generator_binding.Generated, head: dict[str, int]) -> Iterator[str]:
    """Yield what is said of a peak that figures at the peak should not be read of."""
    peak = head["peak_live_bytes"]
    mean = generated.live_sum / max(head["operations"], 1)
    if peak < _LEAST_PEAK:
        return
    if peak >= _FAR_ABOVE * mean:
        comes = ", and comes before anything is freed" if generated.filled_bytes == peak else ""
        yield (
            f"the peak of {format_size(peak)} live is {peak / mean:.0f} times the mean of {format_size(mean)}{comes}: "
            "figures at the peak say little of the rest of the run"
        )
    elif generated.refilled_bytes < _REFILLED * peak and head["epilogue_operations"] < head["allocations"]:
        yield (
            f"the peak of {format_size(peak)} live comes before anything is freed: figures at the peak are those of a "
            "heap that was only filled"
        )


def _marks(
    program: Program | Imported, builder: generator_binding.ImageBuilder, head: dict[str, int]
) -> tuple[Mark, ...]:
    return tuple(
        Mark(name, operation, live_bytes, word / head["epilogue_word"])
        for name, (operation, live_bytes, word) in zip(program.marks, builder.marks(), strict=True)
    )


def _emptied(descriptor: int) -> int:
    """Return the descriptor of an empty image in place of one that is closed."""
    fresh = os.memfd_create("memtool-image", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.close(descriptor)
    return fresh


def has_threads(workload: Workload | Imported) -> bool:
    """Return whether events are of several threads, at once or one after the other."""
    if isinstance(workload, Imported):
        return workload.threads > 1
    pattern = workload.pattern
    starts_threads = pattern is not None and (pattern.exchange is not None or pattern.false_sharing is not None)
    return workload.threads > 1 or workload.rounds > 1 or starts_threads


def _build_thread_image(program: Program | Imported, source: str, touch: str, descriptor: int) -> int:
    """Return the number of lanes. Raises MemtoolError."""
    try:
        with generator_binding.ThreadImageBuilder(touch, descriptor) as builder:
            for portion in canonical_events(program):
                builder.scan(portion)
            for portion in canonical_events(program):
                builder.append(portion)
            return builder.finish()["lanes"]
    except EngineError as problem:
        raise MemtoolError(f"{source}: {problem}") from None


def _refuse_nothing(head: dict[str, int], source: str, seed: int) -> None:
    if head["allocations"] == 0:
        raise InputError(f"{source}: allocates nothing (with seed {seed}), so there is nothing to measure")
    if head["total_bytes"] == 0:
        raise InputError(f"{source}: asks for 0 bytes in all (with seed {seed}), so there is nothing to measure")


def _refuse_too_slow(head: dict[str, int], source: str, arrivals: Schedule | None) -> None:
    if arrivals is not None and arrivals.seconds(head["operations"]) > _LONGEST_ARRIVALS:
        needed = format_duration(arrivals.seconds(head["operations"]))
        raise InputError(
            f"{source}: arrivals: its {head['operations']:,} operations would arrive over {needed}, more than a day"
        )


def _refuse_too_long(source: str, events: int, available: int) -> None:
    """Raise MemtoolError when the image of so many events does not fit into memory."""
    needed = events * _IMAGE_BYTES_PER_EVENT
    if needed > available * _MOST_OF_MEMORY:
        raise MemtoolError(
            f"{source}: the image of its events takes at least {format_size(needed)} of memory, "
            f"and {format_size(available)} are available"
        )
