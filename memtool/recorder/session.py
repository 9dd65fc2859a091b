"""Runs a program under the recorder and takes what it records, while it runs: a trace for each process."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from memtool.engine.loading import EngineError
from memtool.engine.recorded.binding import NEVER, Matcher, Portion, Recording
from memtool.host import processes
from memtool.host.symbols import Module, modules
from memtool.recorder.preload import LIBRARY, Preload

_LAG_NS = 500_000_000
"""What a thread has stamped so long ago it has written, unless it was stopped in between: then its event comes late and
is counted as such."""
_POLL_SECONDS = 0.1
_LONGEST_NAME = 64


class Sink(Protocol):
    """Takes the events of one process, in order."""

    def append(self, portion: Portion, nanoseconds: NDArray[np.int64]) -> None:
        """Take a portion; nanoseconds since the process began to be recorded, as many as the portion has events."""
        ...


@dataclass(frozen=True, slots=True)
class Resident:
    """What the whole program held at a moment."""

    seconds: float
    """Since the program was started."""
    resident_bytes: int


@dataclass(slots=True)
class ProcessRecord:
    """What came of one process."""

    number: int
    """From 1, in the order in which they began to be recorded."""
    process: int
    parent: int
    """The process that this one was forked from, with what was live there; 0: it began with nothing."""
    program: str
    arguments: list[str]
    begun_ns: int
    """CLOCK_REALTIME, when it began to be recorded."""
    counts: dict[str, int] = field(default_factory=dict)
    """As the matcher has them (engine/recorded/matcher.hpp)."""
    missed: int = 0
    """Calls from within a signal handler that interrupted a recorded call."""
    lost: int = 0
    """Calls after recording had to stop."""
    stopped: str | None = None
    """Why it had to stop."""
    damaged: int = 0
    recording_ns: float = 0.0
    """What recording took of the process's own time at least, as it timed itself at its start."""
    came_to_its_end: bool = False
    executed: bool = False
    """Whether it went on as another program, which is another record of the same process."""
    modules: dict[Module, None] = field(default_factory=dict)
    """Code that was seen mapped where, at its start and at its end."""
    peak_resident_bytes: int = 0
    """The kernel's high-water mark, at its end or when it was last looked at; 0: it was too short to be looked at."""

    @property
    def name(self) -> str:
        """Return what it was started as: one file may be several programs (busybox, redis-server)."""
        started_as = Path(self.arguments[0]).name if self.arguments else ""
        return started_as[:_LONGEST_NAME] or Path(self.program).name

    @property
    def events(self) -> int:
        """Return how many calls were recorded."""
        names = ("allocations", "frees", "reallocations", "refused", "unmatched_frees")
        return sum(self.counts.get(name, 0) for name in names)

    def missing(self) -> Iterator[str]:
        """Yield what was missed or repaired, and why, a sentence each."""
        counts = self.counts
        unknown = counts["unmatched_frees"] + counts["unmatched_reallocations"]
        if self.stopped is not None:
            yield f"recording stopped ({self.stopped}); {_many(self.lost, 'call')} after that are missing"
        if self.missed:
            yield f"{_many(self.missed, 'call')} from signal handlers that interrupted a recorded call are missing"
        if not (self.came_to_its_end or self.executed or self.parent):
            yield "it was killed, or ended without running its destructors; every call before that is there"
        if unknown and self.parent:
            yield f"{_many(unknown, 'call')} for blocks that it has from process {self.parent}"
        elif unknown:
            yield f"{_many(unknown, 'call')} for blocks that nobody was seen to allocate"
        if counts["implicit_frees"]:
            yield f"{_many(counts['implicit_frees'], 'block')} freed unseen: others were allocated at their addresses"
        if counts["reordered"]:
            yield f"{_many(counts['reordered'], 'event')} that came late, and stand where they came"
        if counts["refused"]:
            yield f"{_many(counts['refused'], 'request')} refused by the allocator"
        if self.damaged:
            yield f"{_many(self.damaged, 'part')} of its recording damaged"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of a program and its children."""

    status: int
    """Exit status of the program; negative: the signal that killed it."""
    seconds: float
    user_seconds: float
    system_seconds: float
    resident: tuple[Resident, ...]
    process: int
    """Of the program that was started, and of what it went on as."""
    processes: tuple[ProcessRecord, ...]
    unseen: tuple[str, ...]
    """Programs that ran and left no recording: they were started with another environment, or are linked statically."""


Progress = Callable[[float, int, int], None]
"""Called now and then with seconds, events, and bytes resident."""


class _Taker:
    """Takes the file of one process."""

    def __init__(self, path: Path, number: int, open_sink: Callable[[ProcessRecord], Sink], ns_per_tick: float) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._stack = ExitStack()
        self._stack.callback(os.close, self._descriptor)
        try:
            self._recording = self._stack.enter_context(Recording(self._descriptor))
        except EngineError:
            self._stack.close()
            raise
        self._matcher = self._stack.enter_context(Matcher())
        self.path, self._maps = path, path.with_name(f"{path.name}.maps")
        head = self._recording.head
        self._ns_per_tick = 1.0 if head.clock else ns_per_tick
        self._start = head.start_ticks
        self._start_ns = head.start_nanoseconds
        self.record = ProcessRecord(
            number,
            head.process,
            head.parent,
            self._recording.program(),
            self._recording.arguments(),
            head.start_realtime,
        )
        self._sink = open_sink(self.record)

    def take(self, until_ns: int | None) -> None:
        """Take the events before a moment of CLOCK_MONOTONIC; None: all there are."""
        limit = NEVER
        if until_ns is not None:
            limit = max(0, self._start + int((until_ns - self._start_ns) / self._ns_per_tick))
        for seen in self._recording.read(limit):
            portion = self._matcher.append(seen)
            ticks = np.frombuffer(portion.ticks, np.uint64)
            since = np.maximum(ticks, np.uint64(self._start)) - np.uint64(self._start)
            self._sink.append(portion, (since * self._ns_per_tick).astype(np.int64))
        self._read_head()

    def _read_head(self) -> None:
        record, head = self.record, self._recording.head
        record.counts = self._matcher.counts()
        record.missed, record.lost, record.damaged = head.missed, head.lost, self._recording.damaged_chunks
        record.stopped = os.strerror(head.stopped) if head.stopped else None
        record.came_to_its_end = head.is_over == 1
        seen = processes.peak_resident_bytes(head.process)
        record.peak_resident_bytes = head.peak_resident or max(record.peak_resident_bytes, seen)
        if not record.modules:
            self._read_maps()
        record.recording_ns = record.events * head.ticks_per_event / 1024 * self._ns_per_tick

    def _read_maps(self) -> None:
        """Add what the recorder has said last of where code is mapped."""
        with suppress(OSError):
            text = self._maps.read_text(encoding="utf-8", errors="replace")
            self.record.modules |= dict.fromkeys(modules(text))

    def close(self) -> None:
        """Give the file back; it is deleted."""
        self._read_maps()
        self._stack.close()
        self.path.unlink(missing_ok=True)
        self._maps.unlink(missing_ok=True)


class Session:
    """A program that is being recorded."""

    def __init__(self, preload: Preload, open_sink: Callable[[ProcessRecord], Sink], ns_per_tick: float) -> None:
        """Take the events of each process to what ``open_sink`` returns for it."""
        self._preload = preload
        self._open_sink = open_sink
        self._ns_per_tick = ns_per_tick
        self._takers: dict[str, _Taker] = {}
        self._resident: list[Resident] = []
        self._loaded: set[int] = set()
        self._bare: dict[int, str] = {}
        self._unseen: set[str] = set()

    def run(self, command: Sequence[str], environment: Mapping[str, str], progress: Progress | None = None) -> Recorded:
        """Run a program to its end. What it does, and what it is sent, is its own affair.

        Raises OSError where it cannot be started or a trace cannot be written.
        """
        begun = time.monotonic()
        process = subprocess.Popen(command, env=self._preload.environment(environment))
        with processes.left_to_itself(process):
            while (ended := processes.wait(process, _POLL_SECONDS)) is None:
                self._look(process.pid, time.monotonic() - begun)
                self._take(time.monotonic_ns() - _LAG_NS)
                if progress is not None:
                    events = sum(taker.record.events for taker in self._takers.values())
                    progress(
                        time.monotonic() - begun, events, self._resident[-1].resident_bytes if self._resident else 0
                    )
        seconds = time.monotonic() - begun
        status, usage = ended
        self._take(None)
        records = tuple(taker.record for taker in self._takers.values())
        for before, record in enumerate(records, 1):
            record.executed = any(later.process == record.process for later in records[before:])
        for taker in self._takers.values():
            taker.close()
        return Recorded(
            status,
            seconds,
            usage.ru_utime,
            usage.ru_stime,
            tuple(self._resident),
            process.pid,
            records,
            tuple(sorted(self._unseen)),
        )

    def _look(self, pid: int, seconds: float) -> None:
        """Note what the program and its children hold, and which of them has come up without the recorder."""
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
        # What has just been started is without it for a moment.
        self._unseen.update(name for pid, name in bare.items() if self._bare.get(pid) == name)
        self._bare = bare

    def _take(self, until_ns: int | None) -> None:
        # Their names end with when they were begun; beside them lie their maps.
        paths = [path for path in self._preload.folder.iterdir() if path.suffix[1:].isdecimal()]
        for path in sorted(paths, key=lambda path: int(path.suffix[1:])):
            if path.name not in self._takers:
                self._open(path)
        for taker in self._takers.values():
            taker.take(until_ns)

    def _open(self, path: Path) -> None:
        # A file that has no head yet is one that a process is just beginning.
        with suppress(EngineError):
            self._takers[path.name] = _Taker(path, len(self._takers) + 1, self._open_sink, self._ns_per_tick)


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
