"""What crosses the stages of the pipeline: plain frozen records, no behaviour beyond names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

from memtool.bounds import Count, Figure, Within

AGAIN = " (again)"
"""Ends the label of an allocator that is compared with itself."""
HARNESS: Literal["harness"] = "harness"
"""Whose fault a failure is that says nothing of the allocator: memtool's own, or the machine's."""


class Mode(StrEnum):
    """How the threads of a workload are replayed."""

    SERIAL = "serial"
    LOCKSTEP = "lockstep"
    PARALLEL = "parallel"


class Status(StrEnum):
    """What became of a cell or a sample."""

    OK = "ok"
    FAILED = "failed"
    EXCLUDED = "excluded"


class Determinism(StrEnum):
    """Whether repeats of a figure agree to the last bit."""

    SAMPLED = "sampled"
    EXACT = "exact"


class Basis(StrEnum):
    """What a difference between two figures stands on."""

    EXACT = "exact"
    """Repeats agree on both sides: the difference is what it is."""
    PAIRED = "paired"
    """Samples of the same block, taken next to each other in one job."""
    UNPAIRED = "unpaired"
    """Samples of two runs."""
    NONE = "none"


class Verdict(StrEnum):
    """What a comparison comes to."""

    REGRESSION = "regression"
    PASS = "pass"
    INCONCLUSIVE = "inconclusive"
    ADVICE = "advice"
    """Sampled figures of two runs: worth a look, never a verdict."""
    INCOMPARABLE = "incomparable"
    SHOWN = "shown"
    """Not gated: net time, maxima, what lies at the timer's floor."""


@dataclass(frozen=True, slots=True)
class AdaptorSpec:
    """An adaptor over an allocator, with the parameters the user gave it."""

    name: str
    parameters: tuple[tuple[str, str], ...] = ()
    """Given parameters only, in the order given: ``(("block", "64"),)``."""

    @property
    def label(self) -> str:
        """Return the written form: ``redzone:bytes=32``."""
        return _written(self.name, self.parameters)


@dataclass(frozen=True, slots=True)
class AllocatorSpec:
    """One column of a comparison: an allocator with the parameters the user gave it, and the adaptors over it."""

    name: str
    """As the user wrote it: ``pool`` or ``jemalloc``."""
    parameters: tuple[tuple[str, str], ...] = ()
    adaptors: tuple[AdaptorSpec, ...] = ()
    """The innermost first."""
    again: bool = False
    """The same allocator a second time, as a column of its own: compared with itself it must come out equal."""
    title: str = ""
    """What the user calls it: the ``mine`` of ``mine=./libmine.so``, so that it keeps its name wherever it lies."""
    way: str = ""
    """In which it serves a workload (memtool/kinds/ways.py): the ``new`` of ``pool@new``; alone without a name."""

    @property
    def label(self) -> str:
        """Return the column name: what the user calls it, else the written form; and the way."""
        return "@".join(filter(None, (self.title or self.written, self.way))) + (AGAIN if self.again else "")

    @property
    def written(self) -> str:
        """Return the written form without a name: ``pool:block=64+lock``."""
        return "+".join((_written(self.name, self.parameters), *(adaptor.label for adaptor in self.adaptors)))


def _written(name: str, parameters: tuple[tuple[str, str], ...]) -> str:
    return f"{name}:{','.join(f'{key}={value}' for key, value in parameters)}" if parameters else name


@dataclass(frozen=True, slots=True)
class Call:
    """How the operations of an allocator are called: rows of another kind pay for other things."""

    route: str = "inlined"
    """inlined (into the replay loop) | pointer (an indirect call) | linker (by the dynamic linker)."""
    free: str = "sized"
    """What a free is told: sized | bare (the pointer) | header (bare: the block has its size) | collected (no free)."""
    threads: str = "one"
    """How many threads may call at a time: one | any."""
    as_malloc: bool = False
    """Whether this is the footing of a malloc that was asked for."""


@dataclass(frozen=True, slots=True)
class AllocatorPlan:
    """How a worker gets at an allocator: everything the child process needs, resolved by the registry."""

    spec: AllocatorSpec
    strategy: str
    """Name in the engine: ``pool``, ``pool+redzone+lock``; ``malloc`` for every system allocator."""
    engine_parameters: str
    """For the engine, canonical: ``block=64``; with adaptors those of each in turn, ``block=64+bytes=32+``."""
    preload: tuple[str, ...] = ()
    """Shared libraries for LD_PRELOAD, absolute paths."""
    environment: tuple[tuple[str, str], ...] = ()
    """Tuning variables that this allocator's parameters stand for."""
    expected_owner: str | None = None
    """Part of the file name of the library that must own malloc in the worker (the proof)."""
    version_call: tuple[str, str] | None = None
    """(symbol, kind) by which the worker asks the library for its version (worker/lean.cpp)."""
    family: str = ""
    exact: bool = True
    """Whether footprint figures are expected to be the same in every repeat (verified, never assumed)."""
    uses_region: bool = True
    is_control: bool = False
    free_order: str = "any"
    """any | lifo | fifo | reset, see allocators/concept/strategy.hpp."""
    thread_safe: bool = False
    """Whether any thread may call it at any time."""
    adopted: tuple[str, ...] | None = None
    """What the worker adopts (allocators/own/adoption.py): ("library", path), or ("python", file or module, class)."""
    call: Call = Call()
    frees_bare: bool = False
    """Whether it needs nothing but the pointer at a free."""
    files: tuple[str, ...] = ()
    """Files that the code of an adopted allocator comes from, the modules and libraries that it loads included."""

    @property
    def code(self) -> tuple[str, ...]:
        """Return the files that its code comes from, those of the C library and the engine left out."""
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
    """Operations done before it."""
    live_bytes: int
    progress: float
    """Share of the event image before it, the epilogue left out: what latency over time is drawn over."""


@dataclass(frozen=True, slots=True)
class TraceInfo:
    """What is known of a trace before it is replayed; from the head of its image (engine/events/events.hpp)."""

    name: str
    seed: int
    event_hash: Annotated[str, Within(pattern="^[0-9a-f]{32}$")]
    operations: Count
    threads: Annotated[int, Within(ge=1)]
    """How many work at once."""
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
    """The first operation that frees out of this order, or resizes another than the youngest; None: there is none."""
    touch: str = "none"
    memory_limit: int | None = None
    notes: tuple[str, ...] = ()
    """What the generator rounded or dropped, for the report."""
    lanes: Annotated[int, Within(ge=1)] = 1
    """How many there are in all; more where threads come and go."""
    workload_name: str = ""
    """The workload's own name, where ``name`` also says on how many threads."""
    arrivals: Mapping[str, Any] | None = None
    """``law``, ``rate_per_s`` and ``burst`` of an open-loop workload; None: closed loop."""
    pace: Mapping[str, Any] | None = None
    begins: Mapping[str, Any] | None = None
    """``at`` and ``operation`` where figures begin, from a warm heap (docs/traces.md); None: from the first one."""
    packing_bytes: int | None = None
    """Least memory that the blocks were packed into by one who knows all of them beforehand; None: not packed."""
    packing_by: str | None = None
    """The allocator of the run that placed them in ``packing_bytes``, where the packer needs more; None: the packer."""
    marks: tuple[Mark, ...] = ()
    """In the order of the run; none on several threads, which pass them over."""
    program: Mapping[str, Any] | None = None
    """Of a whole program: what is run."""
    kind: str = "heap"
    """Of work (memtool/kinds)."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What another kind than heap says of its workload besides, by names of its own."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of a table: workload × allocator × region × mode."""

    workload: str
    allocator: str
    region: str = "anonymous"
    mode: str = "serial"


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of one cell, with the samples that it stands on."""

    unit: str
    """``ns``, ``B``, or ``1`` for a plain number; what was read from a file keeps what stands there."""
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
    """A latency that cannot be told from the timer's own noise."""
    hosts: tuple[str, ...] = ()
    """``samples[i]`` was taken on ``hosts[i]``, where several machines took them; else empty."""


@dataclass(frozen=True, slots=True)
class CellResult:
    """One row of a table: what was found, on what evidence, or why nothing was."""

    cell: Cell
    status: Status
    reason: str | None
    proof: Mapping[str, Any]
    metrics: Mapping[str, Metric]
    series: Mapping[str, str] = field(default_factory=dict)
    """Name of a series -> file beside run.json."""
    notes: tuple[str, ...] = ()

    @property
    def interpreted(self) -> bool:
        """Return whether the allocator is written in Python: marked wherever it is shown, and ranked nowhere."""
        return bool(self.proof.get("interpreted"))

    @property
    def fault(self) -> str | None:
        """Return whose fault it is that the cell failed, ``allocator`` or ``harness``; None: it did not fail."""
        if self.status is not Status.FAILED:
            return None
        return HARNESS if self.proof.get("harness_fault") else "allocator"

    @property
    def call(self) -> Call | None:
        """Return how it was called; None where that was not recorded."""
        recorded = self.proof.get("call")
        return Call(**recorded) if recorded else None


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run, as run.json has it."""

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
    """One figure of one cell against the same figure of another, before anyone judges it."""

    workload: str
    region: str
    mode: str
    base: str
    """Allocator that is compared with."""
    head: str
    """Allocator that is compared; the same one where two runs are."""
    metric: str
    basis: Basis
    is_ratio: bool
    """Whether effects are ln(head / base), and change, low and high are head / base - 1; else all are head - base."""
    base_value: float | None = None
    head_value: float | None = None
    effects: tuple[float, ...] = ()
    """One for each block that both sides have; empty unless paired."""
    change: float | None = None
    low: float | None = None
    high: float | None = None
    """Interval of the change with at least 95 %; None where there are too few samples."""
    samples: int = 0
    """Pairs, or samples of the side that has fewer."""
    at_floor: bool = False
    """Either side is a latency that cannot be told from the timer's noise; compared by difference."""
    resolution: float = 0.0
    """What the timer cannot tell apart, in the metric's unit, where ``at_floor``: no limit is less."""
    known_within: float = 0.0
    """In the metric's unit: what two figures may differ by though the truth does not; a change below is none."""
    repeats_within: float = 0.0
    """By so much of it two samples of the same allocator differ."""
    is_required: bool = False
    """Whether a gate that cannot judge this has not seen what it is to guard, and does not pass."""
    repeats_differ: bool = False
    """Exact on one side, and on the other not the same in every repeat."""
    why_not: str | None = None
    """Why there is no comparison: the field that differs."""
    hosts: tuple[str, ...] = ()
    """``effects[i]`` was found on ``hosts[i]``, where several machines took part; else empty."""
    hosts_low: float | None = None
    hosts_high: float | None = None
    """Interval with 95 % of what another machine of the kind would find, the host a random effect; as ``change``."""
    fault: Literal["harness"] | None = None
    """``harness``: one of the two could not be measured, through no fault of its allocator."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A comparison and what it comes to."""

    comparison: Comparison
    verdict: Verdict
    limit: float | None = None
    """By how much the metric may get worse: a share where the comparison is a ratio, else in the metric's unit."""
    reason: str = ""
    p_regression: float | None = None
    p_pass: float | None = None
    """Of "worse by more than the limit", and of "not", adjusted for the family; None where nothing was tested."""
    smallest_detectable: float | None = None
    """The least true change, in the terms of ``limit``, that so many blocks find in four of five runs."""
    blocks_needed: int | None = None
    """Blocks with which an allocator that has not changed passes in four of five runs."""
    blocks_to_decide: int | None = None
    """Blocks with which an effect and a scatter such as these are decided in four of five runs, where they were not."""
    is_suspect: bool = False
    """Worse at the first look, and to be measured again before anyone calls it a regression."""
    first_look: Comparison | None = None
    """What the first look saw, where ``comparison`` is the second."""
    next_step: str = ""
    """What to run to see more, or to settle it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an allocator stands among those of its workload and region."""

    workload: str
    region: str
    allocator: str
    rank: int
    """By time; those whose pairs do not tell them from the first of a rank share it."""
    is_on_front: bool
    """Whether no other is at least as good in both time and resident memory, and better in one."""
    time: float
    low: float | None
    high: float | None
    resident: float | None
    metric: str = "time_per_op_ns"


@dataclass(frozen=True, slots=True)
class Past:
    """One figure of an earlier run, for the history."""

    started: str
    source: str
    memtool: str
    cell: Cell
    metric: str
    figure: Metric


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a comparison has to say; what the table, the JSON and the annotations are written from."""

    memtool: str
    command: Literal["compare", "check"]
    sources: tuple[str, ...]
    """Files compared, the base first."""
    judgements: tuple[Judgement, ...]
    alpha: float
    margin: float
    family: int
    """How many tests share alpha."""
    is_choice: bool = False
    """Nobody holds allocators of one run to a base: neither of two is a regression of the other."""
    looks: Literal[1, 2] = 1
    """2: suspects were measured again on fresh blocks."""
    places: tuple[Place, ...] = ()
    notes: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    """What was to be judged and could not be, with the reason: a gate does not pass."""
    history: tuple[Past, ...] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)
    started: str = ""
    """When the run that is compared began."""
