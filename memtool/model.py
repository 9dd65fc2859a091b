"""The records that the stages of the pipeline exchange: plain, frozen, without behaviour beyond names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

from memtool.bounds import Count, Figure, Within

AGAIN = " (again)"
"""Suffix of the label of an allocator that is compared with itself."""
HARNESS: Literal["harness"] = "harness"
"""The fault of a failure that is not the allocator's: memtool or the machine caused it."""


class Mode(StrEnum):
    """How the threads of a workload are replayed."""

    SERIAL = "serial"
    LOCKSTEP = "lockstep"
    PARALLEL = "parallel"


class Status(StrEnum):
    """The outcome of a cell or a sample."""

    OK = "ok"
    FAILED = "failed"
    EXCLUDED = "excluded"


class Determinism(StrEnum):
    """Whether repeats of a figure agree to the last bit."""

    SAMPLED = "sampled"
    EXACT = "exact"


class Basis(StrEnum):
    """The evidence for a difference between two figures."""

    EXACT = "exact"
    """Repeats agree on both sides, so the difference is exact."""
    PAIRED = "paired"
    """Differences of samples from the same block, taken next to each other in one job."""
    UNPAIRED = "unpaired"
    """Samples from two separate runs."""
    NONE = "none"


class Verdict(StrEnum):
    """The verdict on a comparison."""

    REGRESSION = "regression"
    PASS = "pass"
    INCONCLUSIVE = "inconclusive"
    ADVICE = "advice"
    """Sampled figures from two runs: worth a look, never a regression."""
    INCOMPARABLE = "incomparable"
    SHOWN = "shown"
    """Not gated: net time, maxima, and latencies below the resolution of the timer."""


@dataclass(frozen=True, slots=True)
class AdaptorSpec:
    """An adaptor over an allocator, with the parameters the user gave it."""

    name: str
    parameters: tuple[tuple[str, str], ...] = ()
    """Only the parameters that the user gave, in that order: ``(("block", "64"),)``."""

    @property
    def label(self) -> str:
        """Return the written form: ``redzone:bytes=32``."""
        values = ",".join(f"{key}={value}" for key, value in self.parameters)
        return f"{self.name}:{values}" if values else self.name


@dataclass(frozen=True, slots=True)
class AllocatorSpec:
    """One column of a comparison: an allocator with the parameters the user gave it, and the adaptors over it."""

    name: str
    """As the user wrote it: ``pool`` or ``jemalloc``."""
    parameters: tuple[tuple[str, str], ...] = ()
    adaptors: tuple[AdaptorSpec, ...] = ()
    """From the innermost outwards."""
    again: bool = False
    """Whether this is a second column with the same allocator; compared with itself it must be equal."""
    title: str = ""
    """The user's name for it, such as ``mine`` in ``mine=./libmine.so``; it does not depend on the path."""
    way: str = ""
    """The way in which it serves a workload (memtool/kinds/ways.py), such as ``new`` in ``pool@new``."""

    @property
    def label(self) -> str:
        """Return the column name: the user's name or else the written form, followed by the way."""
        return "@".join(filter(None, (self.title or self.written, self.way))) + (AGAIN if self.again else "")

    @property
    def written(self) -> str:
        """Return the written form, without the user's name: ``pool:block=64+lock``."""
        own = AdaptorSpec(self.name, self.parameters)
        return "+".join(part.label for part in (own, *self.adaptors))


@dataclass(frozen=True, slots=True)
class Call:
    """How the operations of an allocator are called; rows that are called differently have different overheads."""

    route: str = "inlined"
    """inlined (into the replay loop) | pointer (an indirect call) | linker (through the dynamic linker)."""
    free: str = "sized"
    """How blocks are freed: sized (pointer and size) | bare (pointer only) | header (bare; the block's header holds its
    size) | collected (there is no free)."""
    threads: str = "one"
    """How many threads may call at a time: one | any."""
    as_malloc: bool = False
    """Whether ``--as malloc`` made it so."""


@dataclass(frozen=True, slots=True)
class AllocatorPlan:
    """How a worker reaches an allocator: everything that the worker process needs, resolved by the registry."""

    spec: AllocatorSpec
    strategy: str
    """Name in the engine: ``pool``, ``pool+redzone+lock``; ``malloc`` for every system allocator."""
    engine_parameters: str
    """Parameters in the engine's canonical form: ``block=64``; those of each adaptor follow: ``block=64+bytes=32+``."""
    preload: tuple[str, ...] = ()
    """Shared libraries for LD_PRELOAD, absolute paths."""
    environment: tuple[tuple[str, str], ...] = ()
    """The environment variables that this allocator's parameters set."""
    expected_owner: str | None = None
    """Part of the file name of the library that must provide malloc in the worker, as proof."""
    version_call: tuple[str, str] | None = None
    """(symbol, kind) by which the worker asks the library for its version (worker/lean.cpp)."""
    family: str = ""
    exact: bool = True
    """Whether footprint figures should be the same in every repeat; this is verified, never assumed."""
    uses_region: bool = True
    is_control: bool = False
    free_order: str = "any"
    """any | lifo | fifo | reset, see allocators/concept/strategy.hpp."""
    thread_safe: bool = False
    """Whether any thread may call it at any time."""
    adopted: tuple[str, ...] | None = None
    """The user's code (allocators/own/adoption.py): ("library", path), or ("python", file or module, class)."""
    call: Call = Call()
    frees_bare: bool = False
    """Whether a free needs only the pointer."""
    files: tuple[str, ...] = ()
    """The files that contain the code of an adopted allocator, including modules and libraries that it loads."""

    @property
    def code(self) -> tuple[str, ...]:
        """Return the files that contain its code, except those of the C library and the engine."""
        return (*self.preload, *self.files)

    @property
    def interpreted(self) -> bool:
        """Return whether it is written in Python, so that its times are the interpreter's."""
        return self.adopted is not None and self.adopted[0] == "python"


@dataclass(frozen=True, slots=True)
class Mark:
    """A named moment of a trace."""

    name: str
    operation: int
    """Number of operations before it."""
    live_bytes: int
    progress: float
    """Share of the event image before it, without the epilogue: the horizontal axis of latency over time."""


@dataclass(frozen=True, slots=True)
class TraceInfo:
    """What is known about a trace before its replay, from the header of its image (engine/events/events.hpp)."""

    name: str
    seed: int
    event_hash: Annotated[str, Within(pattern="^[0-9a-f]{32}$")]
    operations: Count
    threads: Annotated[int, Within(ge=1)]
    """How many threads work at the same time."""
    peak_live_bytes: Count
    source: str = ""
    """Path of the workload file."""
    epilogue_operations: int = 0
    allocations: int = 0
    reallocations: int = 0
    slots: int = 0
    peak_live_objects: int = 0
    total_bytes: int = 0
    smallest_size: int = 0
    largest_size: int = 0
    largest_alignment: int = 16
    scopes: int = 0
    first_not_lifo: int | None = None
    first_not_fifo: int | None = None
    """The first operation that breaks this order, by freeing another block or resizing any but the youngest; None: no
    operation does."""
    touch: str = "none"
    memory_limit: int | None = None
    notes: tuple[str, ...] = ()
    """What the generator rounded or dropped; reports show these notes."""
    lanes: Annotated[int, Within(ge=1)] = 1
    """How many threads there are in total: more than ``threads`` if threads start and end during the trace."""
    workload_name: str = ""
    """The workload's name without the number of threads that ``name`` may include."""
    arrivals: Mapping[str, Any] | None = None
    """``law``, ``rate_per_s`` and ``burst`` of an open-loop workload; None: closed loop."""
    pace: Mapping[str, Any] | None = None
    """``speed`` and ``seconds`` of a replay at the recorded pace (docs/traces.md); None: as fast as possible."""
    begins: Mapping[str, Any] | None = None
    """``at`` and ``operation`` where figures begin, on a warm heap (docs/traces.md); None: at the first operation."""
    packing_bytes: int | None = None
    """The least memory into which all blocks fit if they are known in advance (docs/metrics.md); None: not packed."""
    packing_by: str | None = None
    """The allocator of this run that needed only ``packing_bytes``, if the packer needed more; None: the packer."""
    marks: tuple[Mark, ...] = ()
    """In the order of the trace; empty on several threads, whose replay ignores marks."""
    program: Mapping[str, Any] | None = None
    """For a whole program: the command that is run."""
    kind: str = "heap"
    """The kind of work (memtool/kinds)."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further facts about a workload of another kind than heap; each kind defines their names."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of a table: workload × allocator × region × mode."""

    workload: str
    allocator: str
    region: str = "anonymous"
    mode: str = "serial"


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of one cell, with its samples."""

    unit: str
    """``ns``, ``B``, or ``1`` for a plain number; a figure read from a file keeps the unit in the file."""
    determinism: Determinism
    samples: tuple[Figure, ...]
    blocks: tuple[Count, ...]
    """``samples[i]`` was taken in ``blocks[i]``."""
    value: Figure | None
    """Median of the samples; None: not applicable."""
    low: Figure | None = None
    high: Figure | None = None
    """Exact 95 % interval of the median; None below 6 samples."""
    at_floor: bool = False
    """Whether this is a latency that is indistinguishable from the timer's noise."""
    hosts: tuple[str, ...] = ()
    """``samples[i]`` was taken on ``hosts[i]``; empty unless several machines took part."""


@dataclass(frozen=True, slots=True)
class CellResult:
    """The result of one row of a table: its figures and their evidence, or the reason why there are none."""

    cell: Cell
    status: Status
    reason: str | None
    proof: Mapping[str, Any]
    metrics: Mapping[str, Metric]
    series: Mapping[str, str] = field(default_factory=dict)
    """Maps the name of a series to its file beside run.json."""
    notes: tuple[str, ...] = ()

    @property
    def interpreted(self) -> bool:
        """Return whether the allocator is written in Python. Reports mark such cells and never rank them."""
        return bool(self.proof.get("interpreted"))

    def value_of(self, metric: str) -> float | None:
        """Return the figure of a metric; None: it was not measured, or is not applicable."""
        figure = self.metrics.get(metric)
        return None if figure is None else figure.value

    @property
    def fault(self) -> str | None:
        """Return what caused the cell's failure, ``allocator`` or ``harness``; None: it did not fail."""
        if self.status is not Status.FAILED:
            return None
        return HARNESS if self.proof.get("harness_fault") else "allocator"

    @property
    def call(self) -> Call | None:
        """Return how the allocator was called; None if this was not recorded."""
        recorded = self.proof.get("call")
        return Call(**recorded) if recorded else None


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run, as stored in run.json."""

    memtool: str
    started: str
    """ISO 8601, with offset."""
    command: tuple[str, ...]
    machine: Mapping[str, Any]
    workloads: tuple[TraceInfo, ...]
    cells: tuple[CellResult, ...]
    blocks: int = 0
    reference: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of one cell compared with the same figure of another, before it is judged."""

    workload: str
    region: str
    mode: str
    base: str
    """The allocator that serves as the base."""
    head: str
    """The allocator that is compared with the base; the same allocator if two runs are compared."""
    metric: str
    basis: Basis
    is_ratio: bool
    """Whether effects are ln(head / base), and change, low and high head / base - 1; otherwise all are head - base."""
    base_value: float | None = None
    head_value: float | None = None
    effects: tuple[float, ...] = ()
    """One effect for each block that both sides have; empty unless paired."""
    change: float | None = None
    low: float | None = None
    high: float | None = None
    """Interval of the change, with at least 95 % confidence; None if there are too few samples."""
    samples: int = 0
    """Number of pairs, or of samples on the side that has fewer."""
    at_floor: bool = False
    """Whether either latency is indistinguishable from the timer's noise; then the difference is compared."""
    resolution: float = 0.0
    """The resolution of the timer in the metric's unit, where ``at_floor``; no limit is below it."""
    known_within: float = 0.0
    """Measurement error in the metric's unit; a smaller difference counts as no change."""
    repeats_within: float = 0.0
    """The part of ``known_within`` by which two samples of the same allocator can differ."""
    is_required: bool = False
    """Whether a gate must judge this comparison: if it cannot, it does not pass."""
    repeats_differ: bool = False
    """Whether the figure is exact on one side, but differs between repeats on the other."""
    why_not: str | None = None
    """The reason why there is no comparison, such as the field that differs."""
    hosts: tuple[str, ...] = ()
    """``effects[i]`` was found on ``hosts[i]``; empty unless several machines took part."""
    hosts_low: float | None = None
    hosts_high: float | None = None
    """95 % interval of the mean change over machines of this type, with the host as a random effect; as ``change``."""
    fault: Literal["harness"] | None = None
    """``harness`` if one of the two could not be measured for a reason that is not its allocator's fault."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A comparison and the verdict on it."""

    comparison: Comparison
    verdict: Verdict
    limit: float | None = None
    """By how much the metric may get worse: a share if the comparison is a ratio, otherwise in the metric's unit."""
    reason: str = ""
    p_regression: float | None = None
    p_pass: float | None = None
    """p values of "worse by more than the limit" and of "not worse by more than the limit", adjusted for the number of
    tests; None if nothing was tested."""
    smallest_detectable: float | None = None
    """The smallest change, in the same terms as ``limit``, that this many blocks detect with 80 % power."""
    blocks_needed: int | None = None
    """Number of blocks with which an unchanged allocator passes with a probability of 80 %."""
    blocks_to_decide: int | None = None
    """Where the verdict is open: number of blocks that would decide this effect, at this scatter, with 80 % power."""
    is_suspect: bool = False
    """Whether it was worse at the first look, and has to be measured again before it counts as a regression."""
    first_look: Comparison | None = None
    """The comparison of the first look, if ``comparison`` is that of the second."""
    next_step: str = ""
    """A command that would show more or settle the question."""


@dataclass(frozen=True, slots=True)
class Place:
    """The rank of an allocator among those with the same workload and region."""

    workload: str
    region: str
    allocator: str
    rank: int
    """Rank by time; an allocator that is indistinguishable from the first of a rank shares that rank."""
    is_on_front: bool
    """Whether it is on the Pareto front: no other is at least as good in time and resident memory and better in one."""
    time: float
    low: float | None
    high: float | None
    resident: float | None
    metric: str = "time_per_op_ns"


@dataclass(frozen=True, slots=True)
class Past:
    """One figure of an earlier run, which reports show as history."""

    started: str
    source: str
    memtool: str
    cell: Cell
    metric: str
    figure: Metric


@dataclass(frozen=True, slots=True)
class Report:
    """The complete result of a comparison, from which the table, the JSON and the annotations are written."""

    memtool: str
    command: Literal["compare", "check"]
    sources: tuple[str, ...]
    """The files compared; the base is the first."""
    judgements: tuple[Judgement, ...]
    alpha: float
    margin: float
    family: int
    """The number of tests that share alpha."""
    is_choice: bool = False
    """Whether the allocators of one run are alternatives, so that none is a regression of another."""
    looks: Literal[1, 2] = 1
    """2 if suspects were measured again on fresh blocks."""
    places: tuple[Place, ...] = ()
    notes: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    """What should have been judged and could not be, with the reason; if there is any, a gate does not pass."""
    history: tuple[Past, ...] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)
    started: str = ""
    """Start of the run that is compared with the base."""
