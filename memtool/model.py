"""What crosses the stages of the pipeline: plain frozen records, no behaviour beyond names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Pass(StrEnum):
    """One kind of worker process; each sample is of one pass. In the order in which a block runs them."""

    CHECK = "check"
    THROUGHPUT = "throughput"
    LATENCY = "latency"
    FOOTPRINT = "footprint"
    COUNTERS = "counters"
    HEAP = "heap"


class Status(StrEnum):
    """What became of a cell or a sample."""

    OK = "ok"
    FAILED = "failed"
    EXCLUDED = "excluded"


class Determinism(StrEnum):
    """Whether repeats of a figure agree to the last bit."""

    SAMPLED = "sampled"
    EXACT = "exact"


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
    """As those of an adaptor."""
    adaptors: tuple[AdaptorSpec, ...] = ()
    """The innermost first."""

    @property
    def label(self) -> str:
        """Return the written form, which is also the column name: ``pool:block=64+lock``."""
        return "+".join((_written(self.name, self.parameters), *(each.label for each in self.adaptors)))


def _written(name: str, parameters: tuple[tuple[str, str], ...]) -> str:
    return f"{name}:{','.join(f'{key}={value}' for key, value in parameters)}" if parameters else name


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
    """(symbol, kind) by which the worker asks the library for its version; see worker/child.py."""
    family: str = ""
    exact: bool = True
    """Whether footprint figures are expected to be the same in every repeat (verified, never assumed)."""
    uses_region: bool = True
    is_control: bool = False
    free_order: str = "any"
    """any | lifo | fifo | reset, see engine/strategy.hpp."""
    thread_safe: bool = False
    """Whether any thread may call it at any time."""
    adopted: tuple[str, ...] | None = None
    """What the worker adopts (allocators/adoption.py): ("library", path), or ("python", file or module, class)."""

    @property
    def interpreted(self) -> bool:
        """Return whether it is written in Python, so that its times are the interpreter's."""
        return self.adopted is not None and self.adopted[0] == "python"


@dataclass(frozen=True, slots=True)
class TraceInfo:
    """What is known of a trace before it is replayed; from the head of its image (engine/events.hpp)."""

    name: str
    source: str
    """Path of the workload file."""
    seed: int
    event_hash: str
    operations: int
    epilogue_operations: int
    allocations: int
    reallocations: int
    slots: int
    peak_live_bytes: int
    peak_live_objects: int
    total_bytes: int
    smallest_size: int
    largest_size: int
    largest_alignment: int
    scopes: int
    first_not_lifo: int | None
    first_not_fifo: int | None
    """Numbers of the first operation that frees another object than the youngest or the oldest, or resizes another than
    the youngest; None: frees are all LIFO or all FIFO."""
    touch: str
    memory_limit: int | None = None
    notes: tuple[str, ...] = ()
    """What the generator rounded or dropped, for the report."""
    threads: int = 1
    packing_bytes: int | None = None
    """Least memory that the blocks were packed into by one who knows all of them beforehand; None: not packed."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of a table: workload × allocator × region × mode."""

    workload: str
    allocator: str
    region: str = "anonymous"
    mode: str = "serial"


@dataclass(frozen=True, slots=True)
class Sample:
    """What one worker process found out: one cell, one block, one pass."""

    cell: Cell
    block: int
    run_pass: Pass
    status: Status
    reason: str | None
    payload: Mapping[str, Any] = field(default_factory=dict)
    """As the worker sent it: ticks, histograms, series, proof (worker/protocol.py)."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of one cell, with the samples that it stands on."""

    unit: str
    determinism: Determinism
    samples: tuple[float, ...]
    blocks: tuple[int, ...]
    """``samples[i]`` was taken in ``blocks[i]``."""
    value: float | None
    """Median of the samples; None: not applicable."""
    low: float | None = None
    high: float | None = None
    """Exact 95 % interval of the median; None below 6 samples."""
    at_floor: bool = False
    """A latency that cannot be told from the timer's own noise."""


@dataclass(frozen=True, slots=True)
class CellResult:
    """One row of a table: what was found, on what evidence, or why nothing was."""

    cell: Cell
    status: Status
    reason: str | None
    proof: Mapping[str, Any]
    metrics: Mapping[str, Metric]
    series: Mapping[str, str]
    """Name of a series -> file beside run.json."""
    notes: tuple[str, ...] = ()

    @property
    def interpreted(self) -> bool:
        """Return whether the allocator is written in Python: marked wherever it is shown, and ranked nowhere."""
        return bool(self.proof.get("interpreted"))


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
    blocks: int
    reference: str | None = None
    notes: tuple[str, ...] = ()
