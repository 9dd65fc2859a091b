"""A trace: the events of a source, read once, hashed, and laid out for replay."""

from __future__ import annotations

import ctypes
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from memtool import files
from memtool.engine.generate import binding as generator_binding
from memtool.engine.loading import EngineError, package_folder
from memtool.errors import InputError, MemtoolError, did_you_mean, option
from memtool.model import Mark, Mode, TraceInfo
from memtool.units import format_duration, format_rate, format_size
from memtool.workload.image_files import ImageFiles, portions_of
from memtool.workload.importers.content import refuse_unreadable
from memtool.workload.importers.known import importer_of
from memtool.workload.language.arrivals import ArrivalSchedule
from memtool.workload.reading import Reading
from memtool.workload.sources import generated
from memtool.workload.sources.source import Ending, Rows, Source
from memtool.workload.sources.staged import Stages, staged

_NEVER = 2**64 - 1
_FAR_ABOVE = 4
_REFILLED = 0.75
_LEAST_PEAK = 64 * 1024
"""Bytes: below this the heap is as small as its allocator can make it, and ratios to it are n/a."""
_LONGEST_ARRIVALS = 86_400
"""Seconds: a replay that waits for a day is not a measurement."""
_IMAGE_BYTES_PER_EVENT = 8
"""Additional bytes for events that are resizes, aligned, or larger than 4 GiB."""
_WORD_BYTES = 8
_HEAD_BYTES = ctypes.sizeof(generator_binding.ImageHeader)
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


Watch = Callable[[Rows], bool]


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace whose event image is in a nameless file (workload/image_files.py)."""

    info: TraceInfo
    image_fd: int
    image_bytes: int
    generation_seconds: float
    """Seconds to generate the canonical events alone, without hashing and image."""
    arrivals: ArrivalSchedule | None = None
    """When the operations are due; None: each starts as soon as the one before it has ended."""
    serial: tuple[int, int] | None = None
    """(descriptor, bytes) of the additional single-thread image of a trace whose image is for threads."""
    held: tuple[int, ...] = ()
    """Descriptors that workers open through this process (``/proc/PID/fd``)."""

    def close(self) -> None:
        """Release the images."""
        os.close(self.image_fd)
        if self.serial is not None:
            os.close(self.serial[0])
        for descriptor in self.held:
            os.close(descriptor)

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(slots=True)
class _Course:
    """The course of live bytes over the events."""

    live_sum: float = 0.0
    """Sum of the live bytes after each operation before the epilogue."""
    filled_bytes: int = 0
    """Peak of live bytes before the first free."""
    refilled_bytes: int = 0
    """Peak of live bytes after the first free."""


def shipped() -> dict[str, Path]:
    """Return the workloads that are shipped with memtool: short name (``chapter/game-frame``) -> file."""
    return _shipped(".yaml")


def shipped_recordings() -> dict[str, Path]:
    """Return the recordings that are shipped with memtool: short name (``recorded/sqlite3``) -> trace file."""
    return _shipped(".parquet")


def _shipped(suffix: str) -> dict[str, Path]:
    folder = Path(package_folder())
    # They lie next to the package in a checkout, and inside it in an installation.
    root = next(
        (
            place
            for place in (folder.parent / "workloads", folder / "workloads")
            if (place / "quickstart.yaml").is_file()
        ),
        None,
    )
    if root is None:
        return {}
    return {str(path.relative_to(root).with_suffix("")): path for path in sorted(root.rglob(f"*{suffix}"))}


def find_workload(name: str) -> Path:
    """Return the file at a path or of a shipped workload's short name. Raises InputError."""
    path = Path(name)
    if not name:
        raise InputError("WORKLOAD: is empty; memtool list workloads names those that are shipped")
    # Unlike Path.is_file() this is False, and no error, where it cannot be known.
    if os.path.isfile(path):  # noqa: PTH113
        return path
    known = shipped() | shipped_recordings()
    if name in known:
        return known[name]
    if files.is_there(path) or path.suffix in (".yaml", ".yml"):
        return path
    raise InputError(f"{name}: no such file, and no shipped workload of that name{did_you_mean(name, known)}")


def open_source(path: Path, *, seed: int | None = None, threads: int | None = None, rate: int | None = None) -> Source:
    """Return the events of a workload file, or of another tool's trace file.

    ``seed``, ``threads`` and ``rate`` (operations a second) override those of a workload. Raises InputError.
    """
    importer = importer_of(path)
    if importer is None:
        refuse_unreadable(path)
        return generated.load(path, seed, threads, rate)
    if rate is not None:
        raise InputError(f"{path}: with {option('rates')} {format_rate(rate)}: a trace has no arrivals")
    if threads is not None:
        raise InputError(f"{path}: with {option('threads')} {threads}: a trace has its own threads")
    return importer.load(path)


def load_trace(
    name: str,
    seed: int | None = None,
    *,
    threads: int | None = None,
    rate: int | None = None,
    mode: Mode = Mode.SERIAL,
    stages: Stages = Stages(),  # noqa: B008  # frozen
) -> Trace:
    """Load a workload file, a shipped workload or a trace file, and build the image of its events for this mode.

    ``threads`` overrides the number of threads of a workload, ``seed`` its seed, and ``rate`` (operations a second)
    that of its arrivals, which become poisson where it has none; the trace's name tells of it. None of them applies to
    a trace file, in which nothing is random. ``stages`` set the pace of the replay and the moment from which it counts.

    Raises InputError for a fault in the file, MemtoolError when its image cannot be made.
    """
    path = find_workload(name)
    source = staged(open_source(path, seed=seed, threads=threads, rate=rate), str(path), stages)
    return make_trace(source, str(path), mode)


def written_sources(infos: Iterable[TraceInfo]) -> dict[str, str]:
    """Return the origin of each workload by its name: a shipped workload's short name, or a file."""
    names = {path.resolve(): name for name, path in (shipped() | shipped_recordings()).items()}
    return {info.name: names.get(Path(info.source).resolve(), info.source or info.name) for info in infos}


def make_trace(source: Source, path: str, mode: Mode = Mode.SERIAL, watch: Watch | None = None) -> Trace:
    """Read the events of a source once, in portions that are hashed and added to the image. Raises MemtoolError.

    Where the mode asks for threads and several threads have events, a thread image is made in addition. ``watch`` is
    called with each portion first. Once it returns false, the image is not needed, and it stays empty.
    """
    image_files = ImageFiles(path)
    try:
        with ExitStack() as stack:
            threads = None
            if mode is not Mode.SERIAL and source.has_threads:
                threads = stack.enter_context(_ThreadImage(image_files, path, source.touch))
            return _make_trace(source, path, threads, image_files, watch)
    except BaseException:
        image_files.drop_all()
        raise


def _make_trace(
    source: Source, path: str, threads: _ThreadImage | None, image_files: ImageFiles, watch: Watch | None
) -> Trace:
    ending, course = Ending(), _Course()
    image = serial = image_files.create()
    head, marks, event_hash, seconds = _build_image(source, path, serial, image_files, threads, ending, course, watch)
    _refuse_nothing(head, path, source.seed)
    _refuse_too_slow(head, path, source.arrivals)
    notes = (*source.notes, *ending.notes, *_left_out(ending, head), *_misleading_peak(course, head))
    lanes = 1 if threads is None else threads.finish()
    if threads is not None and lanes == 1:
        # The kind of the image depends on the number of lanes.
        image_files.drop(threads.descriptor)
        if ending.threads != 1:
            notes = (*notes, "only one of its threads does anything, and so it is replayed on one")
    elif threads is not None:
        image = threads.descriptor
        image_files.seal(image)
        if marks:
            notes = (*notes, f"marks are passed over on several threads: {', '.join(source.marks)}")
            marks = ()
    image_files.seal(serial)
    info = TraceInfo(
        name=source.name,
        source=path,
        seed=source.seed,
        event_hash=event_hash,
        touch=source.touch,
        memory_limit=source.memory_limit,
        arrivals=None if source.arrivals is None else source.arrivals.described(head["operations"]),
        notes=notes,
        marks=marks,
        threads=source.threads if ending.threads is None else ending.threads,
        lanes=lanes,
        pace=ending.pace,
        begins=ending.begins,
        workload_name=source.name.partition(":threads=")[0],
        packing_by=None,
        program=None,
        kind="heap",
        facts={},
        first_not_lifo=None if head["first_not_lifo"] == _NEVER else head["first_not_lifo"],
        first_not_fifo=None if head["first_not_fifo"] == _NEVER else head["first_not_fifo"],
        **{name: head[name] for name in _COPIED},
    )
    alone = None if image == serial else (serial, os.fstat(serial).st_size)
    image_bytes = head["words"] * _WORD_BYTES + _HEAD_BYTES if image == serial else os.fstat(image).st_size
    return Trace(info, image, image_bytes, seconds, source.arrivals, alone)


class _ThreadImage:
    """A thread image in the making. Its builder reads the events twice, but the source yields them once."""

    def __init__(self, image_files: ImageFiles, path: str, touch: str) -> None:
        self.descriptor = image_files.create()
        self._files, self._path = image_files, path
        self._events, self._spool = image_files.create(), image_files.create()
        self._builder = generator_binding.ThreadImageBuilder(touch, self.descriptor, self._spool)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._builder.close()

    def append(self, portion: memoryview) -> None:
        """Add the next events. Raises EngineError."""
        self._builder.scan(portion)
        left = portion
        while left := left[os.write(self._events, left) :]:
            pass

    def finish(self) -> int:
        """Complete the image and return the number of lanes. Raises MemtoolError."""
        try:
            for portion in portions_of(self._events):
                self._builder.append(portion)
                self._files.settle()
            return self._builder.finish()["lanes"]
        except EngineError as problem:
            raise MemtoolError(f"{self._path}: {problem}") from None
        finally:
            self._files.drop(self._events)
            self._files.drop(self._spool)


def _build_image(
    source: Source,
    path: str,
    descriptor: int,
    image_files: ImageFiles,
    threads: _ThreadImage | None,
    ending: Ending,
    course: _Course,
    watch: Watch | None,
) -> tuple[dict[str, int], tuple[Mark, ...], str, float]:
    """Return (head of the image, marks, hash of the events, seconds that reading them took). Raises MemtoolError."""
    digest = hashlib.blake2b(digest_size=16)
    seconds = 0.0
    if watch is None:
        image_files.expect(2 * (source.allocations or 0) * _IMAGE_BYTES_PER_EVENT)
    try:
        with generator_binding.ImageBuilder(source.touch, descriptor) as builder:
            is_read = True
            portions, reading = source.rows(ending), Reading(path, source.expected_events)
            while True:
                begin = time.perf_counter()
                rows = next(portions, None)
                seconds += time.perf_counter() - begin
                if rows is None:
                    break
                portion = rows.events
                if watch is not None and not watch(rows) and is_read:
                    image_files.forget(descriptor)
                    is_read = False
                digest.update(portion)
                builder.append(portion)
                if threads is not None:
                    threads.append(portion)
                image_files.settle()
                reading.add(len(portion) // generator_binding.EVENT_BYTES)
            if source.arrivals is not None:
                digest.update(source.arrivals.to_bytes())
            head = builder.finish()
            course.live_sum, course.filled_bytes, course.refilled_bytes = builder.course()
            return head, _marks(source, builder, head), digest.hexdigest(), seconds
    except EngineError as problem:
        raise InputError(f"{path}: {problem}") from None


def _left_out(ending: Ending, head: dict[str, int]) -> Iterator[str]:
    """Yield the remarks about resizes for which an object's life had no time."""
    if ending.resizes_left_out:
        yield (
            f"{ending.resizes_left_out:,} resizes found no time and were left out, {head['reallocations']:,} took "
            "place: an object that lives for k allocations is resized at most k - 1 times, none of them after the last "
            "phase (with `when: at_birth` all its resizes follow its allocation at once)"
        )


def _misleading_peak(course: _Course, head: dict[str, int]) -> Iterator[str]:
    """Yield the remark about a peak at which figures of memory have no meaning."""
    peak = head["peak_live_bytes"]
    mean = course.live_sum / max(head["operations"], 1)
    if peak < _LEAST_PEAK:
        return
    if peak >= _FAR_ABOVE * mean:
        comes = ", and comes before anything is freed" if course.filled_bytes == peak else ""
        yield (
            f"the peak of {format_size(peak)} live is {peak / mean:.0f} times the mean of {format_size(mean)}{comes}: "
            "figures at the peak say little of the rest of the run"
        )
    elif course.refilled_bytes < _REFILLED * peak and head["epilogue_operations"] < head["allocations"]:
        yield (
            f"the peak of {format_size(peak)} live comes before anything is freed: figures at the peak are those of a "
            "heap that was only filled"
        )


def _marks(source: Source, builder: generator_binding.ImageBuilder, head: dict[str, int]) -> tuple[Mark, ...]:
    begin = head["begin_word"]
    return tuple(
        Mark(name, operation, live_bytes, (word - begin) / (head["epilogue_word"] - begin))
        if word >= begin
        else Mark(name, 0, live_bytes, 0.0)
        for name, (operation, live_bytes, word) in zip(source.marks, builder.marks(), strict=True)
    )


def _refuse_nothing(head: dict[str, int], source: str, seed: int) -> None:
    if head["allocations"] == 0:
        raise InputError(f"{source}: allocates nothing (with seed {seed}), so there is nothing to measure")
    if head["total_bytes"] == 0:
        raise InputError(f"{source}: asks for 0 bytes in all (with seed {seed}), so there is nothing to measure")


def _refuse_too_slow(head: dict[str, int], source: str, arrivals: ArrivalSchedule | None) -> None:
    if arrivals is not None and arrivals.seconds(head["operations"]) > _LONGEST_ARRIVALS:
        needed = format_duration(arrivals.seconds(head["operations"]))
        raise InputError(
            f"{source}: arrivals: its {head['operations']:,} operations would arrive over {needed}, more than a day"
        )
