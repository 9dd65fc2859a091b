"""The declaration of a pass: how it is taken, what its workers measure, and the summary.

Plan, schedule, parent, worker, journal and statistics read declarations and know no pass by name.
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
    """The phases of a run, in order, in which samples of passes are taken."""

    PROOF = "once a cell, before anything else"
    TIMED = "in every block, every cell after the other and nothing beside it"
    REPEATED = "in as many blocks as asked, and in all of them where its figures differ"
    COUNTED = "any number at a time"
    WAITING = "many at a time, for they mostly sleep; beside what is counted where memory holds both"


class Instrument(StrEnum):
    """An instrument outside of the worker; where this machine has none, the pass is not taken."""

    INSTRUCTIONS = "instructions"
    SYSTEM_CALLS = "system calls"


@dataclass(frozen=True, slots=True)
class RegionAccount:
    """The kernel's account of the region's mappings at the peak of live bytes."""

    resident_bytes: int
    anonymous_bytes: int
    huge_bytes: int
    locked_bytes: int
    page_bytes: int
    """Size of the largest page in the mapping."""
    mapping: str
    """Permissions and name of its first mapping: ``rw-s /memfd:memtool-region (deleted)``."""


@dataclass(frozen=True, slots=True)
class Standstills:
    """Pauses of a program for the management of its memory."""

    histogram: tuple[tuple[int, int], ...]
    """(bucket, count) of their lengths (histogram.py)."""
    maximum: int
    """Ticks."""
    course: tuple[tuple[int, int, str, int], ...]
    """(ticks since the replay began, ticks, cause, ns of processor time) of each pause. Of many pauses, neighbours are
    grouped, and each group keeps its longest."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The measurements of one worker. Each pass has its own record, made by name, without missing or unknown fields."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    @property
    def replay_ticks(self) -> int:
        """Return the ticks of the fastest replay, for a pass with timing."""
        raise TypeError(f"{type(self).__name__} times nothing")

    @property
    def memory_bytes(self) -> int | None:
        """Return the machine's memory that a replay takes, if the pass measures it."""
        return getattr(self, "peak_resident_bytes", None)

    @property
    def placed_in_bytes(self) -> int | None:
        """Return the length of the region in which all blocks were placed, if the pass measures it."""
        return None

    @property
    def standstills(self) -> Standstills | None:
        """Return the pauses of the program, if the pass measures them."""
        return None

    @property
    def account(self) -> RegionAccount | None:
        """Return the kernel's account of the region, if the pass requests it."""
        return None


@dataclass(frozen=True, slots=True)
class Noise:
    """Disturbances during a measurement (host/noise.py)."""

    elapsed_ns: int = 0
    machine_ticks: int = 0
    steal_ticks: int = 0
    involuntary_switches: int = 0
    voluntary_switches: int = 0
    own_switches: int = 0
    """Involuntary switches of threads that yielded their processor while they waited for each other."""


F = TypeVar("F", bound=Figures)


@dataclass(frozen=True, slots=True)
class Sample:
    """The result of one worker process: one cell, one block, one pass."""

    cell: Cell
    block: int
    run_pass: Pass
    status: Status
    reason: str | None
    payload: Figures | None = None
    """The figures; None if the worker failed."""
    proof: Mapping[str, Any] = field(default_factory=dict)
    """Evidence of the code that was measured."""
    noise: Noise | None = None
    died: bool = False
    """Whether the worker ended without an answer."""
    timed_out: bool = False
    """Whether it was killed at its time limit."""
    of_harness: bool = False
    """Whether the failure says nothing about the allocator."""
    under: str = ""
    """The instrument under which it died, if it ran without it."""
    host: str = ""
    """The machine that took it, if there are several."""

    @property
    def unanswered(self) -> bool:
        """Return whether the worker gave no answer."""
        return self.died or self.timed_out

    def of(self, kind: type[F]) -> F:
        """Return the figures of a sample that is known to be sound and of this pass."""
        assert isinstance(self.payload, kind), f"{self.run_pass} sample without {kind.__name__}"
        return self.payload


@dataclass(frozen=True, slots=True)
class Taken(Generic[F]):
    """A sound sample of a known pass."""

    block: int
    cell: Cell
    figures: F


def taken(samples: Sequence[Sample], kind: type[F]) -> list[Taken[F]]:
    """Return the sound samples with this kind of figures."""
    return [
        Taken(sample.block, sample.cell, sample.payload)
        for sample in samples
        if sample.status is Status.OK and isinstance(sample.payload, kind)
    ]


def by_metric(samples: Sequence[Taken[F]], metrics: Callable[[F], Mapping[str, float | None]]) -> dict[str, Figure]:
    """Return the figures of each metric; every sample has the same metrics. Empty without samples."""
    by_sample = [(sample.block, metrics(sample.figures)) for sample in samples]
    names = by_sample[0][1] if by_sample else {}
    return {name: Figure([(block, of[name]) for block, of in by_sample]) for name in names}


@dataclass(frozen=True, slots=True)
class Clock:
    """Conversion of ticks to nanoseconds."""

    ns_per_tick: float
    name: str


@dataclass(frozen=True, slots=True)
class CellSamples:
    """All samples of a cell, and those with which they are compared."""

    own: Sequence[Sample]
    null: Sequence[Sample]
    """Samples of the null strategy in the same region, which show the cost of the harness, block by block."""
    alone: Sequence[Sample]
    """Samples of the same allocator and events on one thread, for a cell with several threads."""
    trace: TraceInfo
    clock: Clock
    exact_expected: bool = False
    """Whether the strategy's own accounts must not differ between repeats."""

    @property
    def operations(self) -> int:
        """Return the number of operations by which figures are divided."""
        return max(self.trace.operations, 1)


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric without its unit and its interval."""

    by_block: Sequence[tuple[int, float | None]]
    """(block, figure) of each sample; None: not applicable there."""
    at_floor: bool = False
    """Whether it is a latency that is indistinguishable from the timer's own noise."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of the samples of a pass."""

    figures: Mapping[str, Figure] = field(default_factory=dict)
    """Figures by the names of metrics (measure/metrics.py)."""
    notes: Sequence[str] = ()
    proof: Mapping[str, Any] = field(default_factory=dict)
    """Entries to add to the cell's proof; empty ones are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A pass: how its samples are taken, for every kind of work."""

    name: str
    """Name as users write it, and in the engine's list."""
    phase: Phase
    usual: float
    """Usual duration of a sample, as a multiple of a throughput sample (the quickstart on two processors); used for
    estimates until the first sample of the pass is finished."""
    slower: int = 1
    """Largest slowdown compared with the replay from which time limits are derived."""
    with_null: bool = False
    """Whether the null strategy is measured, too, once for each region."""
    is_chosen: bool = True
    """Whether users can choose it; otherwise it is taken for each kind of work that has it."""
    interpreted: bool = True
    """Whether it is taken of allocators that are written in Python."""
    instrument: Instrument | None = None
    counts_repeat: bool = False
    """Whether its figures are reproducible, so that its workers have equal environments, and it is repeated as often as
    requested to show this."""
    resident: bool = False
    """Whether resident memory is read, to which the replay must not add code (docs/adr/0013)."""
    one_processor: bool = False
    """Whether a single thread stays on one processor, because the kernel counts resident pages for each separately."""
    pinned: bool = True
    """Whether threads are pinned. Passes without timing yield their processor sooner to other processes."""
    sets_pace: bool = False
    """Whether its time determines time limits, and the order within a block. Exactly one pass does."""
    open_loop: bool = False
    """Whether it waits for the arrivals of the workload."""
    paced: bool = False
    """Whether it replays at the recorded pace, if that is requested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """The measurements that a pass takes of one kind of work."""

    figures: type[Figures]
    layout: Layout
    """The structure in its native header, which is in memory that the worker shares."""
    summarise: Callable[[CellSamples], Summary]
    places_blocks: bool = False
    """Whether it measures a footprint, which is compared with that of one thread, and with the best packing."""
    given: Callable[[Asked], Given] = lambda asked: Given()
    """Returns the initial content of the structure."""
    unpack: Callable[[Any, Mapping[str, Sequence[int]], Asked], Mapping[str, Any]] = lambda held, parts, asked: held
    """Converts the final content of the structure and its parts to the fields of ``figures``."""
    differ: Callable[[Sequence[Any]], bool] = lambda repeats: False
    """Returns whether repeats (records of ``figures``) differ, so that more are wanted."""


def on_threads(cell: Cell, trace: TraceInfo) -> bool:
    """Return whether several threads replay a cell."""
    return cell.mode != Mode.SERIAL and trace.lanes > 1
