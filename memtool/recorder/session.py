"""Runs a program under the recorder and reads its recording while it runs: a trace for each process."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from memtool import files
from memtool.engine.loading import EngineError
from memtool.engine.recorded.binding import FORK, KIND_AT, NEVER, SEEN_BYTES, Matcher, Portion, Recording
from memtool.host import processes
from memtool.host.symbols import Module, modules
from memtool.recorder.inheritance import Inheritance
from memtool.recorder.memory import Memory
from memtool.recorder.preload import LIBRARY, Preload

_LAG_NS = 500_000_000
"""After this time a thread has written its event; if it was stopped in between, the event counts as late."""
_POLL_SECONDS = 0.1
_LONGEST_NAME = 64
_BESIDE, _MAPS = ".beside", ".maps"
"""Suffixes of the files that a process leaves next to its recording (recorder/recorder.c)."""


class Sink(Protocol):
    """Receives the events of one process, in order."""

    def append(self, portion: Portion, nanoseconds: NDArray[np.int64]) -> None:
        """Receive a portion; one time per event, in nanoseconds since the recording of the process began."""
        ...

    def inherit(self, portion: Portion) -> None:
        """Receive the blocks that a forked child has from its parent, as allocations, before everything else."""
        ...


@dataclass(frozen=True, slots=True)
class Resident:
    """The memory of the whole program at one moment."""

    seconds: float
    """Time since the program was started."""
    resident_bytes: int


@dataclass(slots=True)
class ProcessRecord:
    """The result of recording one process."""

    number: int
    """Number from 1, in the order in which their recordings began."""
    process: int
    parent: int
    """The process from which this one was forked, with its live blocks; 0: it began without blocks."""
    program: str
    arguments: list[str]
    begun_ns: int
    """CLOCK_REALTIME when its recording began."""
    counts: dict[str, int] = field(default_factory=dict)
    """Counts of the matcher (engine/recorded/matcher.hpp)."""
    missed: int = 0
    """Calls from a signal handler that interrupted a recorded call."""
    lost: int = 0
    """Calls after recording had to stop."""
    stopped: str | None = None
    """Reason why it had to stop."""
    unwritten: str | None = None
    """Reason why its trace could not be written, or not to its end."""
    has_parts: bool = False
    """Whether what had been written by then can be read."""
    is_whole: bool = False
    """Whether that has every event."""
    damaged: int = 0
    inherited_objects: int = 0
    """Blocks inherited from its parent, with which its trace begins."""
    inherited_bytes: int = 0
    knows_parent: bool = False
    """Whether the live blocks of its parent at the fork are known."""
    unwinder: str | None = None
    """Name of the unwinder of its call stacks; None: they were not recorded."""
    cut_stacks: int = 0
    """Number of different call stacks that end at code without unwind information."""
    recording_ns: float = 0.0
    """Lower bound for the time of recording in the process, from a measurement at its start."""
    came_to_its_end: bool = False
    executed: bool = False
    """Whether it continued as another program, which has another record of the same process."""
    outlives: bool = False
    """Whether it was still running when the program, and the recording with it, ended."""
    status: int | None = None
    """Exit status of the started program, or of the program as which it continued; None: unknown."""
    modules: list[Module] = field(default_factory=list)
    """Code that was mapped at its start and at its end, with the addresses."""
    peak_resident_bytes: int = 0
    """The kernel's high-water mark, at its end or at the last look; 0: it was too short for a look."""

    @property
    def name(self) -> str:
        """Return the name with which it was started: one file may be several programs (busybox, redis-server)."""
        started_as = Path(self.arguments[0]).name if self.arguments else ""
        return started_as[:_LONGEST_NAME] or Path(self.program).name

    @property
    def events(self) -> int:
        """Return the number of recorded calls."""
        names = ("allocations", "frees", "reallocations", "refused", "unmatched_frees")
        return sum(self.counts.get(name, 0) for name in names) - self.inherited_objects

    def missing(self) -> Iterator[str]:
        """Yield what was missed or repaired, and why, one sentence each."""
        counts = self.counts
        unknown = counts["unmatched_frees"] + counts["unmatched_reallocations"]
        if self.stopped is not None:
            yield f"recording stopped ({self.stopped}); {_many(self.lost, 'call')} after that are missing"
        if self.missed:
            yield f"{_many(self.missed, 'call')} from signal handlers that interrupted a recorded call are missing"
        if self.unwritten is not None:
            yield self.why_unwritten()
        if not (self.came_to_its_end or self.executed or self.unwritten is not None):
            yield f"{self._ended()}; every call before that is there"
        if unknown and self.parent and not self.knows_parent:
            yield (
                f"{_many(unknown, 'call')} for blocks that it has from process {self.parent}: what was live there when "
                "it forked is not known"
            )
        elif unknown:
            yield f"{_many(unknown, 'call')} for blocks that nobody was seen to allocate"
        if counts["implicit_frees"]:
            yield f"{_many(counts['implicit_frees'], 'block')} freed unseen: others were allocated at their addresses"
        if counts["reordered"]:
            yield f"{_many(counts['reordered'], 'event')} that came late, and stand where they came"
        if counts["refused"]:
            yield f"{_many(counts['refused'], 'request')} refused by the allocator"
        if self.cut_stacks:
            yield f"{_many(self.cut_stacks, 'call stack')} cut short: the code there says nowhere how to unwind it"
        if self.damaged:
            yield f"{_many(self.damaged, 'part')} of its recording damaged"

    def why_unwritten(self) -> str:
        """Return what became of a trace that could not be written."""
        if self.has_parts and self.is_whole:
            return f"its trace is whole, but in parts, as one file of them could not be written: {self.unwritten}"
        what = "has its beginning only, in parts" if self.has_parts else "could not be written"
        return f"its trace {what}: {self.unwritten}"

    def _ended(self) -> str:
        if self.outlives:
            return "it was still running when the program, and the recording with it, ended"
        went_on = "ended past the C library, or went on as a program that was not recorded"
        if self.status is None:
            return f"it was killed, {went_on}"
        return "it was killed" if self.status < 0 else f"it {went_on}"


@dataclass(frozen=True, slots=True)
class Recorded:
    """The result of recording a program and its children."""

    status: int
    """Exit status of the program; negative: the number of the signal that killed it."""
    seconds: float
    user_seconds: float
    system_seconds: float
    resident: tuple[Resident, ...]
    process: int
    """The records of the started program, and of the programs as which it continued."""
    processes: tuple[ProcessRecord, ...]
    unseen: tuple[str, ...]
    """Programs that ran without a recording: with another environment, or statically linked."""


Progress = Callable[[float, int, int], None]
"""Called from time to time with seconds, events, and resident bytes."""


class _Taker:
    """Reads the file of one process."""

    def __init__(
        self,
        path: Path,
        number: int,
        open_sink: Callable[[ProcessRecord], Sink],
        ns_per_tick: float,
        frames: dict[int, tuple[int, ...]],
        inheritance: Inheritance,
        folders: Callable[[], Sequence[Path]],
    ) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._stack = ExitStack()
        self._stack.callback(os.close, self._descriptor)
        try:
            beside = folders()[0] / f"{path.name}{_BESIDE}"
            self._recording = self._stack.enter_context(Recording(self._descriptor, beside))
        except EngineError:
            self._stack.close()
            raise
        self._matcher = self._stack.enter_context(Matcher())
        self._name, self._folders = path.name, folders
        head = self._recording.head
        self._ns_per_tick = 1.0 if head.clock else ns_per_tick
        self._start = head.start_ticks
        self._start_ns = head.start_nanoseconds
        self._frames = frames
        self._inheritance = inheritance
        self._fork = head.parent, head.forked_at
        self._has_begun = False
        if head.forked_at:
            inheritance.expect(*self._fork)
        self.record = ProcessRecord(
            number,
            head.process,
            head.parent,
            self._recording.program(),
            self._recording.arguments(),
            head.start_realtime,
        )
        self._sink = open_sink(self.record)

    def ticks_at(self, nanoseconds: int) -> int:
        """Convert a time of CLOCK_MONOTONIC to the clock of events, which is the same in all processes."""
        since = (nanoseconds - self._start_ns) / self._ns_per_tick
        return max(0, int(self._start) + int(since))

    def take(self, limit: int) -> None:
        """Process the events before a moment, in ticks. Those of a parent must have been processed up to it.

        A write error ends the recording of the process, which keeps running. Raises EngineError.
        """
        if self.record.unwritten is not None:
            return
        try:
            self._take(limit)
        except OSError as problem:
            self.record.unwritten = files.reason(problem)
            with suppress(OSError):
                self._recording.stop(problem.errno or errno.EIO)
            self._unlink("", _BESIDE)
        self._read_head()

    def _take(self, limit: int) -> None:
        for seen in self._recording.read(limit):
            for stack in self._recording.stacks():
                self._frames[stack.number] = stack.frames
                self.record.cut_stacks += stack.is_cut
            if not self._has_begun:
                self._begin()
            for part, forks in _up_to_forks(seen):
                self._append(part)
                if forks is not None:
                    blocks = self._matcher.counts()["live_objects"]
                    self._inheritance.leave(self.record.process, forks, blocks, partial(self._matcher.live, forks))

    def _append(self, seen: memoryview) -> None:
        portion = self._matcher.append(seen)
        ticks = np.frombuffer(portion.ticks, np.uint64)
        since = np.maximum(ticks, np.uint64(self._start)) - np.uint64(self._start)
        self._sink.append(portion, (since * self._ns_per_tick).astype(np.int64))

    def _begin(self) -> None:
        """Begin with the live blocks of the parent, if they are known."""
        self._has_begun = True
        live = self._inheritance.take(*self._fork)
        if live is None:
            return
        self.record.knows_parent = True
        self._sink.inherit(self._matcher.append(memoryview(live)))
        counts = self._matcher.counts()
        self.record.inherited_objects, self.record.inherited_bytes = counts["live_objects"], counts["live_bytes"]

    def _read_head(self) -> None:
        record, head = self.record, self._recording.head
        record.counts = self._matcher.counts()
        record.missed, record.lost, record.damaged = head.missed, head.lost, self._recording.damaged_chunks
        record.stopped = os.strerror(head.stopped) if head.stopped and record.unwritten is None else None
        record.came_to_its_end = head.is_over == 1
        if head.depth > 1:
            record.unwinder = "libunwind" if head.remembers_stacks else "libgcc"
        seen = processes.peak_resident_bytes(head.process)
        record.peak_resident_bytes = head.peak_resident or max(record.peak_resident_bytes, seen)
        if not record.modules:
            self._read_maps()
        ticks = head.ticks_beside_threads if record.counts["threads"] > 1 else head.ticks_per_event
        record.recording_ns = record.events * ticks / 1024 * self._ns_per_tick

    def _read_maps(self) -> None:
        """Add the recorder's latest list of mapped code."""
        for folder in self._folders():
            with suppress(OSError):
                text = (folder / f"{self._name}{_MAPS}").read_text(encoding="utf-8", errors="replace")
                self.record.modules = list(dict.fromkeys((*self.record.modules, *modules(text))))

    def close(self) -> None:
        """Close the file and delete it."""
        self._read_maps()
        self._stack.close()
        self._unlink("", _BESIDE, _MAPS)

    def _unlink(self, *endings: str) -> None:
        for folder in self._folders():
            for ending in endings:
                (folder / f"{self._name}{ending}").unlink(missing_ok=True)


class Session:
    """A program under recording."""

    def __init__(
        self,
        preload: Preload,
        open_sink: Callable[[ProcessRecord], Sink],
        ns_per_tick: float,
        frames: dict[int, tuple[int, ...]],
        memory: Memory | None = None,
    ) -> None:
        """Pass the events of each process to the sink that ``open_sink`` returns for it.

        ``memory`` is the folder in memory that the preload names.

        ``frames`` is filled in with the call stacks of all processes, where they are recorded: number -> return
        addresses. Every number in a portion is in it.
        """
        self._preload = preload
        self._memory = memory
        self._frames = frames
        self._inheritance = Inheritance()
        self._open_sink = open_sink
        self._ns_per_tick = ns_per_tick
        self._takers: dict[str, _Taker] = {}
        self._resident: list[Resident] = []
        self._loaded: set[int] = set()
        self._bare: dict[int, str] = {}
        self._unseen: set[str] = set()

    def run(self, command: Sequence[str], environment: Mapping[str, str], progress: Progress | None = None) -> Recorded:
        """Run a program to its end. Its behaviour, and signals sent to it, are not interfered with.

        Raises OSError where it cannot be started or a trace cannot be written.
        """
        recorded = self._preload.environment(environment)
        begun = time.monotonic()
        process = subprocess.Popen(command, env=recorded)
        with processes.left_to_itself(process):
            end = processes.End(process)
            while not end.came_within(_POLL_SECONDS):
                self._look(process.pid, time.monotonic() - begun)
                self._take(time.monotonic_ns() - _LAG_NS)
                if self._memory is not None:
                    self._memory.look()
                if progress is not None:
                    events = sum(taker.record.events for taker in self._takers.values())
                    progress(
                        time.monotonic() - begun, events, self._resident[-1].resident_bytes if self._resident else 0
                    )
        ended, status, usage = end.take()
        self._take(None)
        records = tuple(taker.record for taker in self._takers.values())
        for before, record in enumerate(records, 1):
            record.executed = any(later.process == record.process for later in records[before:])
            record.status = status if record.process == process.pid and not record.executed else None
            record.outlives = not record.came_to_its_end and processes.is_running(record.process)
        for taker in self._takers.values():
            taker.close()
        return Recorded(
            status,
            ended - begun,
            usage.ru_utime,
            usage.ru_stime,
            tuple(self._resident),
            process.pid,
            records,
            tuple(sorted(self._unseen)),
        )

    def _look(self, pid: int, seconds: float) -> None:
        """Record the memory of the program and its children, and which of them run without the recorder."""
        bare: dict[int, str] = {}
        resident = 0
        for process in processes.tree(pid):
            resident += process.resident_bytes
            if process.pid in self._loaded:
                continue
            is_loaded = processes.has_loaded(process.pid, LIBRARY)
            if is_loaded:
                self._loaded.add(process.pid)
            elif is_loaded is not None:
                bare[process.pid] = process.program
        if resident:
            self._resident.append(Resident(seconds, resident))
        # A process that has just been started lacks it for a moment.
        self._unseen.update(name for pid, name in bare.items() if self._bare.get(pid) == name)
        self._bare = bare

    def _take(self, until_ns: int | None) -> None:
        # Their names end with the start time; next to them are their maps.
        paths = [path for folder in self._folders() for path in folder.iterdir() if path.suffix[1:].isdecimal()]
        for path in sorted(paths, key=lambda path: int(path.suffix[1:])):
            if path.name not in self._takers:
                self._open(path)
        takers = list(self._takers.values())
        if takers:
            limit = NEVER if until_ns is None else takers[0].ticks_at(until_ns)
            for taker in takers:
                taker.take(limit)

    def _open(self, path: Path) -> None:
        # A file without a head belongs to a process that is just starting.
        with suppress(EngineError):
            self._takers[path.name] = _Taker(
                path,
                len(self._takers) + 1,
                self._open_sink,
                self._ns_per_tick,
                self._frames,
                self._inheritance,
                self._folders,
            )

    def _folders(self) -> tuple[Path, ...]:
        """Return the folders in which processes leave their files: on the disk, and in memory."""
        return (self._preload.folder,) if self._memory is None else (self._preload.folder, self._memory.now)


def _up_to_forks(seen: memoryview) -> Iterator[tuple[memoryview, int | None]]:
    """Yield the AddressEvents up to each fork, with its ticks, and those after the last one, with None."""
    words = np.frombuffer(seen, np.uint64).reshape(-1, SEEN_BYTES // 8)
    kinds = np.frombuffer(seen, np.uint8)[KIND_AT::SEEN_BYTES]
    begin = 0
    for at in np.flatnonzero(kinds == FORK).tolist():
        yield seen[begin * SEEN_BYTES : (at + 1) * SEEN_BYTES], int(words[at, 0])
        begin = at + 1
    yield seen[begin * SEEN_BYTES :], None


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
