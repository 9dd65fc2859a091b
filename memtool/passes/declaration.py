"""What is said of a pass, once: how it is taken, what its workers find, and what that is summarised to.

Plan, schedule, parent, worker, journal and statistics read it here, and know no pass by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from memtool.model import Cell, Mode, Status, TraceInfo
from memtool.passes.layout import Asked, Given, Layout

if TYPE_CHECKING:
    from memtool.passes import Pass


class Phase(Enum):
    """When in a run the samples of a pass are taken, in this order."""

    PROOF = "once a cell, before anything else"
    TIMED = "in every block, every cell after the other and nothing beside it"
    REPEATED = "in as many blocks as asked, and in all of them where its figures differ"
    COUNTED = "any number at a time"
    WAITING = "many at a time, for they mostly sleep; beside what is counted where memory holds both"


class Instrument(StrEnum):
    """What counts from outside of a worker; where this machine has none, the pass is not taken."""

    INSTRUCTIONS = "instructions"
    SYSTEM_CALLS = "system calls"


@dataclass(frozen=True, slots=True)
class RegionAccount:
    """What the kernel says of the region's mappings at the peak of live bytes."""

    resident_bytes: int
    anonymous_bytes: int
    huge_bytes: int
    locked_bytes: int
    page_bytes: int
    """Largest page that the processor maps it with."""
    mapping: str
    """Permissions and name of its first mapping: ``rw-s /memfd:memtool-region (deleted)``."""


@dataclass(frozen=True, slots=True)
class Standstills:
    """When a program stood still because of its memory."""

    histogram: tuple[tuple[int, int], ...]
    """(bucket, count) of their lengths (histogram.py)."""
    maximum: int
    """Ticks."""
    course: tuple[tuple[int, int, str, int], ...]
    """(ticks since the replay began, ticks, cause, ns of processor time); of many the longest of each of so many groups
    of neighbours."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one worker found. Each pass has a record of its own, made by name: no field may be absent, or unknown."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    @property
    def replay_ticks(self) -> int:
        """Return the ticks of the fastest replay, of a pass that times."""
        raise TypeError(f"{type(self).__name__} times nothing")

    @property
    def memory_bytes(self) -> int | None:
        """Return what a replay takes of the machine's memory, where the pass measures it."""
        return None

    @property
    def placed_in_bytes(self) -> int | None:
        """Return the length of the region that all blocks were placed in, where the pass measures it."""
        return None

    @property
    def standstills(self) -> Standstills | None:
        """Return when the program stood still, where the pass finds it."""
        return None

    @property
    def account(self) -> RegionAccount | None:
        """Return the kernel's account of the region, where the pass asks for it."""
        return None


@dataclass(frozen=True, slots=True)
class Noise:
    """What went on around a measurement (host/noise.py)."""

    elapsed_ns: int = 0
    machine_ticks: int = 0
    steal_ticks: int = 0
    involuntary_switches: int = 0
    voluntary_switches: int = 0
    own_switches: int = 0
    """Involuntary, of threads that waited for each other and offered their processor."""


F = TypeVar("F", bound=Figures)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one worker process found out: one cell, one block, one pass."""

    cell: Cell
    block: int
    run_pass: Pass
    status: Status
    reason: str | None
    payload: Figures | None = None
    """None where it failed."""
    proof: Mapping[str, Any] = field(default_factory=dict)
    """What shows which code was measured."""
    noise: Noise | None = None
    died: bool = False
    """Whether the worker ended without an answer."""
    timed_out: bool = False
    """Whether it was ended, at its time limit."""
    of_harness: bool = False
    """Whether it failed in a way that says nothing of its allocator."""
    under: str = ""
    """The instrument that it died under, where it had run without."""
    host: str = ""
    """Which machine took it, where several do."""

    @property
    def unanswered(self) -> bool:
        """Return whether the worker did not come to an answer."""
        return self.died or self.timed_out

    def of(self, kind: type[F]) -> F:
        """Return the figures of a sample that is known to be sound and of this pass."""
        assert isinstance(self.payload, kind), f"{self.run_pass} sample without {kind.__name__}"
        return self.payload


@dataclass(frozen=True, slots=True)
class Taken(Generic[F]):
    """A sound sample of a pass that is known."""

    block: int
    cell: Cell
    figures: F


def taken(samples: Sequence[Sample], kind: type[F]) -> list[Taken[F]]:
    """Return the sound samples that found this kind of figures."""
    return [
        Taken(sample.block, sample.cell, sample.payload)
        for sample in samples
        if sample.status is Status.OK and isinstance(sample.payload, kind)
    ]


@dataclass(frozen=True, slots=True)
class Clock:
    """How ticks become nanoseconds."""

    ns_per_tick: float
    name: str


@dataclass(frozen=True, slots=True)
class CellSamples:
    """All samples of a cell, and what they are held against."""

    own: Sequence[Sample]
    null: Sequence[Sample]
    """Those of the null strategy in the same region: what the harness costs, block by block."""
    alone: Sequence[Sample]
    """Those of the same allocator and events on one thread, of a cell that several replay."""
    trace: TraceInfo
    clock: Clock
    exact_expected: bool = False
    """Whether what a strategy keeps books of must not differ between repeats."""

    @property
    def operations(self) -> int:
        """Return what figures an operation are divided by."""
        return max(self.trace.operations, 1)


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric before it has its unit and its interval."""

    by_block: Sequence[tuple[int, float | None]]
    """(block, figure) of each sample; None: not applicable there."""
    at_floor: bool = False
    """A latency that cannot be told from the timer's own noise."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the samples of a pass come to."""

    figures: Mapping[str, Figure] = field(default_factory=dict)
    """By the names of metrics (measure/metrics.py)."""
    notes: Sequence[str] = ()
    proof: Mapping[str, Any] = field(default_factory=dict)
    """What to add to the cell's proof; without what is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A pass: how its samples are taken, whatever kind of work they are of."""

    name: str
    """As users write it, and as the engine's list has it."""
    phase: Phase
    usual: float
    """What a sample takes, in samples of the throughput pass (the quickstart on two processors): what is promised of a
    pass of which none is done yet."""
    slower: int = 1
    """How many times longer than the replay that time limits are derived from it may take."""
    with_null: bool = False
    """Whether the null strategy is measured too, once a region."""
    is_chosen: bool = True
    """Whether it is one of those that users choose from; else it is taken of each kind of work that has it."""
    interpreted: bool = True
    """Whether it is taken of allocators that are written in Python."""
    instrument: Instrument | None = None
    counts_repeat: bool = False
    """Whether its figures are those of every repeat, so that its workers' environments are alike, and it is repeated
    as often as asked to show it."""
    resident: bool = False
    """Whether resident memory is read, which the replay must not add code to (docs/adr/0013)."""
    one_processor: bool = False
    """Whether one thread stays on one: the kernel counts resident pages for each processor apart."""
    pinned: bool = True
    """Whether threads are pinned. What is not timed and has company offers its processor sooner while it waits."""
    sets_pace: bool = False
    """Whether its time is what time limits, and the order within a block, are known from. One pass does."""
    open_loop: bool = False
    """Whether it waits for the arrivals of the workload."""
    paced: bool = False
    """Whether it replays at the recorded pace, where that is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What a pass measures of one kind of work."""

    figures: type[Figures]
    layout: Layout
    """The structure of its native header, which lies in memory that the worker shares."""
    summarise: Callable[[CellSamples], Summary]
    places_blocks: bool = False
    """Whether it finds a footprint, which is held against that of one thread, and against the best packing."""
    given: Callable[[Asked], Given] = lambda asked: Given()
    """What the structure holds when the worker begins."""
    unpack: Callable[[Any, Mapping[str, Sequence[int]], Asked], Mapping[str, Any]] = lambda held, parts, asked: held
    """From what the structure and its parts hold at the end to the fields of ``figures``."""
    differ: Callable[[Sequence[Any]], bool] = lambda repeats: False
    """Whether repeats (records of ``figures``) differ, so that more are wanted."""


def on_threads(cell: Cell, trace: TraceInfo) -> bool:
    """Return whether several threads replay a cell."""
    return cell.mode != Mode.SERIAL and trace.lanes > 1
