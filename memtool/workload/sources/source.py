"""The protocol of all sources of events: a workload, another tool's recording, a trace file."""

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
    """Facts about its events that a source has once it has yielded the last one."""

    resizes_left_out: int = 0
    """Resizes drawn for objects whose lives are too short for them."""
    threads: int | None = None
    """Number of threads, where only reading the events counts them."""
    notes: list[str] = field(default_factory=list)
    """What was repaired, and where the recording ends too early."""
    pace: Mapping[str, float] | None = None
    """``speed`` and ``seconds`` of a replay at the recorded pace."""
    begins: Mapping[str, str | int] | None = None
    """``at`` and ``operation`` of the moment from which figures count."""
    report: Report | None = None
    """What was kept, repaired and dropped of another tool's file."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A portion of a trace: its events, and columns with further facts about each; None: there is no such column."""

    events: memoryview
    """Canonical events, 16 bytes each, writable."""
    nanoseconds: NDArray[np.int64] | None = None
    """Time of each event since the trace began."""
    callers: NDArray[np.uint64] | None = None
    """Return addresses."""
    resident: NDArray[np.uint64] | None = None
    """Bytes of a freed block in resident pages; 2^64 - 1 where they were not counted."""
    stacks: NDArray[np.uint64] | None = None
    """Numbers of the call stacks of requests; 0 where the stack is unknown."""
    frames: Frames = field(default_factory=dict)
    """The stacks of these numbers; one table for all portions, which grows as they come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(ABC):
    """Yields the canonical events of a trace (engine/events/events.hpp), the same ones on every call."""

    name: str
    """Name of the trace in tables."""
    seed: int = 0
    """Seed of the random choices; 0 where there are none."""
    touch: Touch = "pages"
    """How much of each new block the replay writes."""
    threads: int = 1
    """Number of threads that have events, as far as it is known before they are read."""
    has_threads: bool = False
    """Whether several threads may have events, concurrently or one after the other."""
    memory_limit: int | None = None
    """Capacity of the region in bytes; None: no limit."""
    allocations: int | None = None
    """Number of allocations; None: it is known only once they have been read."""
    expected_events: int | None = None
    """Approximate number of events, to estimate the time that reading them takes; None: unknown."""
    marks: tuple[str, ...] = ()
    """Names of the marks, in the order of the run."""
    notes: tuple[str, ...] = ()
    """What was rounded or left out, as far as it is known before the events are read."""
    arrivals: ArrivalSchedule | None = None
    """When operations are due; None: each starts as soon as the one before it has ended."""
    definition: Mapping[str, Any] | None = None
    """The workload with every default written out; None for a trace."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What a trace file says of its recording (docs/traces.md); empty for other sources."""

    modules: tuple[Module, ...] = ()
    """The mapped code and its addresses, to find the names of return addresses."""

    @abstractmethod
    def events(self, ending: Ending) -> Iterator[memoryview]:
        """Yield the events in portions of 16-byte records; each is valid until the next is requested.

        At the end everything has been freed. ``ending`` is filled in when the last portion has been taken. Raises
        InputError, EngineError.
        """

    def rows(self, ending: Ending) -> Iterator[Rows]:
        """Yield the same events with further columns."""
        return (Rows(events) for events in self.events(ending))

    def portions(self, ending: Ending) -> Iterator[Rows]:
        """Yield them without the final frees that are no part of a recording."""
        return self.rows(ending)
