"""Records a program into trace files, one for each of its processes."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtool import files
from memtool.engine.instruments.binding import calibrate_counter
from memtool.engine.recorded.binding import Portion
from memtool.errors import InputError, MemtoolError
from memtool.recorder.memory import memory
from memtool.recorder.preload import Preload
from memtool.recorder.session import ProcessRecord, Progress, Recorded, Session
from memtool.workload.sources.recorded import rows_of
from memtool.workload.sources.source import Rows
from memtool.workload.sources.stacks import Frames, callers_of
from memtool.workload.sources.stretch import START, mark_rows
from memtool.workload.sources.trace_file import anonymous, require
from memtool.workload.sources.trace_writer import TraceWriter

_PART_SECONDS = 10.0
"""Interval after which events are written to a readable file, which remains if memtool is killed."""
_CALIBRATION_MS = 50
_STEP_NS = 256
"""Times are rounded to multiples of this, which saves half a byte an event with several threads; the rows are in the
order of events. It is the duration of a few events, and in one thread a few events share a time anyway."""
_CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")


@dataclass(frozen=True, slots=True)
class Options:
    """What is recorded, and the destination."""

    file: Path
    """Trace of the started program, or of the program as which it continues; other traces are next to it."""
    follows: bool = True
    has_times: bool = True
    has_callers: bool = True
    depth: int = 1
    """Largest number of return addresses in the call stack of a request; 1: the call site alone."""
    is_anonymous: bool = False
    """Whether a trace omits the machine, its folders and the program's arguments."""
    is_strict: bool = False
    """Whether readings of the counter are ordered with all other instructions."""
    signal: int | None = None
    starts_off: bool = False


@dataclass(frozen=True, slots=True)
class Recording:
    """The result of recording a program, and its traces."""

    recorded: Recorded
    files: tuple[Path | None, ...]
    """Trace of each process, or the folder of its parts if it could not be completed; None: it made no request, or
    nothing of it was recorded."""


class _Trace:
    """The trace file of one process, which is created with its first events."""

    def __init__(self, record: ProcessRecord, options: Options, frames: Frames) -> None:
        self._record = record
        self._options = options
        self._frames = frames
        self._writer: TraceWriter | None = None
        name = f"{options.file.stem}.{record.number}-{record.name}{options.file.suffix}"
        self.path = options.file.with_name(name)

    def append(self, portion: Portion, nanoseconds: NDArray[np.int64]) -> None:
        if portion.events:
            self._write(self._rows(portion, nanoseconds))

    def inherit(self, portion: Portion) -> None:
        if portion.events:
            rows = self._rows(portion, np.zeros(len(portion.ticks) // 8, np.int64))
            self._write(rows)
            self._write(mark_rows(rows))

    def _rows(self, portion: Portion, nanoseconds: NDArray[np.int64]) -> Rows:
        if not self._options.is_strict:
            nanoseconds = nanoseconds & ~np.int64(_STEP_NS - 1)
        rows = rows_of(portion, nanoseconds if self._options.has_times else None)
        if rows.callers is not None and self._options.depth > 1:
            callers = callers_of(rows.callers, self._frames)
            return replace(rows, callers=callers, stacks=rows.callers, frames=self._frames)
        return rows if self._options.has_callers else replace(rows, callers=None)

    def _write(self, rows: Rows) -> None:
        if self._writer is None:
            # Remains of a killed memtool: this process has locked the folder, so nobody else writes there.
            shutil.rmtree(self.path.with_name(f"{self.path.name}.parts"), ignore_errors=True)
            self._writer = TraceWriter(self.path, part_seconds=_PART_SECONDS)
        self._writer.append(rows)

    def close(self, command: Sequence[str], clock: str) -> Path | None:
        """Complete the file and return its path; if it cannot be written, the folder of its parts; None: no trace."""
        if self._writer is None:
            return None
        record = self._record
        try:
            if record.unwritten is None:
                metadata = self._metadata(command, clock)
                self._writer.close(anonymous(metadata) if self._options.is_anonymous else metadata)
                return self.path
        except OSError as problem:
            record.unwritten = files.reason(problem)
        parts = self._writer.leave_parts()
        record.has_parts, record.is_whole = parts is not None, self._writer.is_whole
        return parts

    def _metadata(self, command: Sequence[str], clock: str) -> dict[str, Any]:
        """Return the metadata that docs/traces.md lists."""
        record = self._record
        return {
            "source": "memtool record",
            "name": record.name,
            "program": record.program,
            "arguments": record.arguments,
            "command": list(command),
            "host": platform.node(),
            "machine": platform.machine(),
            "begun": datetime.fromtimestamp(record.begun_ns / 1e9, UTC).isoformat(timespec="microseconds"),
            "clock": clock,
            "word_bits": 64,
            "process": record.process,
            "forked_from": record.parent or None,
            "inherited": {"objects": record.inherited_objects, "bytes": record.inherited_bytes}
            if record.knows_parent
            else None,
            "marks": [START] if record.inherited_objects else [],
            "depth": self._options.depth if self._options.has_callers else None,
            "unwinder": record.unwinder,
            "cut_stacks": record.cut_stacks,
            "threads": record.counts["threads"],
            "counts": record.counts,
            "repairs": {
                name: record.counts[name]
                for name in (
                    "implicit_frees",
                    "unmatched_frees",
                    "unmatched_reallocations",
                    "reordered",
                    "oversized",
                )
            },
            "missed": record.missed,
            "lost": record.lost,
            "stopped": record.stopped,
            "peak_resident_bytes": record.peak_resident_bytes,
            "modules": [astuple(module) for module in record.modules],
        }

    def abandon(self) -> None:
        if self._writer is not None:
            self._writer.abandon()


def record(
    command: Sequence[str], environment: Mapping[str, str], options: Options, progress: Progress | None = None
) -> Recording:
    """Run a program to its end and write its requests. Raises InputError, MemtoolError.

    A failure of the program is not an error of memtool: it is part of the result.
    """
    require()
    options = replace(options, file=files.behind_links(options.file))
    traces: list[_Trace] = []
    frames: dict[int, tuple[int, ...]] = {}

    def open_trace(of: ProcessRecord) -> _Trace:
        traces.append(_Trace(of, options, frames))
        return traces[-1]

    counts_nanoseconds = not _trusts_counter()
    try:
        with _folder(options.file) as folder, memory() as in_memory:
            preload = Preload(
                folder,
                memory=None if in_memory is None else in_memory.path,
                counts_nanoseconds=counts_nanoseconds,
                is_strict=options.is_strict,
                follows=options.follows,
                starts_off=options.starts_off,
                depth=options.depth,
                signal=options.signal,
            )
            session = Session(preload, open_trace, calibrate_counter(_CALIBRATION_MS), frames, in_memory)
            recorded = session.run(command, environment, progress)
            clock = "CLOCK_MONOTONIC" if counts_nanoseconds else "time stamp counter"
            written = [trace.close(command, clock) for trace in traces]
            _name_the_first(recorded, written, options.file)
            return Recording(recorded, tuple(written))
    except OSError as problem:
        for trace in traces:
            trace.abandon()
        raise MemtoolError(f"{problem.filename or options.file}: {files.reason(problem)}") from None


def _name_the_first(recorded: Recorded, files: list[Path | None], name: Path) -> None:
    """Give the trace of the started program, or of the one as which it continued, the requested name."""
    own = [at for at, process in enumerate(recorded.processes) if process.process == recorded.process and files[at]]
    if own:
        file = files[own[-1]]
        assert file is not None
        if file.is_dir():
            name = name.with_name(f"{name.name}{file.suffix}")
            shutil.rmtree(name, ignore_errors=True)
        files[own[-1]] = file.replace(name)


def _trusts_counter() -> bool:
    """Return whether the kernel itself uses the counter that the recorder reads."""
    try:
        return platform.machine() == "aarch64" or _CLOCK_SOURCE.read_text(encoding="ascii").strip() == "tsc"
    except OSError:
        return False


@contextmanager
def _folder(file: Path) -> Iterator[Path]:
    """Yield a private folder next to the file for the processes' output, which is deleted afterwards."""
    files.refuse_other_than_file(file)
    folder = Path(os.path.abspath(file.with_name(f"{file.name}.recording")))  # noqa: PTH100  # links stay links
    try:
        folder.mkdir(exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as problem:
        raise InputError(f"{file}: cannot be written: {problem.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InputError(f"{file}: another memtool is recording into it") from None
    try:
        # Remains of a killed memtool.
        for path in folder.iterdir():
            path.unlink()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)
