"""What a source of events is, wherever they come from: a workload, another tool's recording, a trace file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memtool.workload.language.arrivals import ArrivalSchedule
from memtool.workload.language.schema import Touch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memtool.host.symbols import Module
    from memtool.workload.importers.decoder import Report
    from memtool.workload.sources.stacks import Frames


@dataclass(slots=True)
class Ending:
    """What a source knows of its events once it has given the last one away."""

    resizes_left_out: int = 0
    """Drawn, for objects that do not live for as many allocations."""
    threads: int | None = None
    """Where only reading the events counts them."""
    notes: list[str] = field(default_factory=list)
    """What was repaired, and where it ends too early."""
    pace: Mapping[str, float] | None = None
    """``speed`` and ``seconds`` of what is replayed as it was recorded."""
    begins: Mapping[str, str | int] | None = None
    """``at`` and ``operation`` of where figures begin."""
    report: Report | None = None
    """Of a file of another tool: what was kept, repaired and dropped."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A portion of a trace: its events, and what else is known of each; None where that is not."""

    events: memoryview
    """Canonical, 16 bytes each, writable."""
    nanoseconds: NDArray[np.int64] | None = None
    """Since the trace begins."""
    callers: NDArray[np.uint64] | None = None
    """Return addresses."""
    resident: NDArray[np.uint64] | None = None
    """Of what is freed: bytes of it in resident pages; 2^64 - 1 where they were not counted."""
    stacks: NDArray[np.uint64] | None = None
    """Numbers of the call stacks of requests; 0 where none is known."""
    frames: Frames = field(default_factory=dict)
    """What these numbers stand for; one table for all portions, which grows as they come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(ABC):
    """Gives the canonical events of a trace (engine/events/events.hpp), the same ones each time it is asked."""

    name: str
    """What tables call the trace."""
    seed: int = 0
    """0 where nothing is drawn."""
    touch: Touch = "pages"
    """How the replay writes to fresh blocks."""
    threads: int = 1
    """How many threads the events are of, as far as that is known before they are read."""
    has_threads: bool = False
    """Whether events may be of several threads, at once or one after the other."""
    memory_limit: int | None = None
    """Bytes that a region may take; None: no limit."""
    allocations: int | None = None
    """How many there will be; None: known when they have been read."""
    expected_events: int | None = None
    """How many there will be, about, for an estimate of the time that reading them takes; None: nobody knows."""
    marks: tuple[str, ...] = ()
    """Names of the marks, in the order of the run."""
    notes: tuple[str, ...] = ()
    """What was rounded or left out, as far as that is known before the events are read."""
    arrivals: ArrivalSchedule | None = None
    """When operations are meant to begin; None: each as soon as the one before it has ended."""
    definition: Mapping[str, Any] | None = None
    """The workload with every default written out; None for a trace, which has none."""

    modules: tuple[Module, ...] = ()
    """Code that was mapped where, so that return addresses have names."""

    @abstractmethod
    def events(self, ending: Ending) -> Iterator[memoryview]:
        """Yield the events in portions of 16-byte records; each is valid until the next is asked for.

        At the end everything has been freed. ``ending`` is filled when the last has been taken. Raises InputError,
        EngineError.
        """

    def rows(self, ending: Ending) -> Iterator[Rows]:
        """Yield the same with what else is known of each event."""
        return (Rows(events) for events in self.events(ending))

    def portions(self, ending: Ending) -> Iterator[Rows]:
        """Yield them without what frees everything at the end, where that is no part of what was recorded."""
        return self.rows(ending)
