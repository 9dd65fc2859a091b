"""Turns a workload file with the key ``container`` into the input of a worker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtool.kinds.container.image import CONTROL, EACH, WAYS
from memtool.kinds.ways import Way, by_pointer
from memtool.kinds.work import SCHEMA, Inspection, Work, refuse_options
from memtool.model import AllocatorPlan, Mode, TraceInfo
from memtool.units import format_count, format_size

if TYPE_CHECKING:
    from memtool.kinds.container.keys import Workload
    from memtool.workload.trace import Trace

_PAGE = 4096


@dataclass(frozen=True, slots=True)
class StepFacts:
    """One step of a script."""

    step: str
    operations: int


@dataclass(frozen=True, slots=True)
class Characteristics:
    """What a script requests."""

    steps: tuple[StepFacts, ...]
    elements: int
    """Elements that are read, copied or destroyed."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of such a file."""
    from memtool.kinds.container.keys import Workload
    from memtool.workload.language.descriptions import described

    schema = described(Workload.model_json_schema(by_alias=True), "Containers")
    return {"$schema": SCHEMA, **schema, "title": "memtool containers"}


def _read(path: Path) -> Workload:
    from memtool.kinds.container.keys import Workload
    from memtool.workload.language.loader import load

    return load(path, Workload)


def load(path: Path, *, seed: int | None, threads: int | None, rate: int | None, mode: Mode) -> Trace:
    """Return the compiled operations of a file. Raises InputError, MemtoolError."""
    from memtool.kinds.container.script import make_trace

    refuse_options(path, threads, rate, "containers have none")
    return make_trace(_read(path), path, seed)


def why_not(plan: AllocatorPlan, trace: TraceInfo) -> str | None:
    """Return why an allocator cannot serve the containers in a way; None when it can."""
    from memtool.allocators import pairing

    if not trace.facts["available"]:
        return f"the engine's C++ library has no std::{trace.facts['type']}, which is of C++23; use map, or a vector"
    if plan.spec.way == CONTROL:
        return None
    if plan.is_control:
        return f"hands out the same block again and again; the way {CONTROL} is what containers cost by themselves"
    no_heaps = _why_no_heaps(plan, trace) if plan.spec.way.endswith(EACH) else None
    return no_heaps or pairing.why_not_here(plan, trace)


def _why_no_heaps(plan: AllocatorPlan, trace: TraceInfo) -> str | None:
    shared = plan.spec.way.removesuffix(EACH)
    if not plan.uses_region:
        return f"takes memory from the system, where all heaps are one: it has the way {shared}"
    heaps, limit = trace.facts["containers"], trace.memory_limit
    if limit is not None and limit // heaps < _PAGE:
        return (
            f"a memory_limit of {format_size(limit)} is less than a page for each of {format_count(heaps)} heaps: "
            f"raise it, or use the way {shared}"
        )
    return None


def inspect(path: Path, seed: int | None) -> Inspection:
    """Return the inspection of a file."""
    workload = _read(path)
    with load(path, seed=seed, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        container = workload.container
        counts = map(container.operations_of, container.script)
        steps = tuple(StepFacts(*figures) for figures in zip(trace.info.facts["steps"], counts, strict=True))
        characteristics = Characteristics(steps, trace.info.facts["elements"])
        definition = workload.model_dump(mode="json", by_alias=True, exclude_none=True)
        return Inspection(trace.info, trace.image_bytes, characteristics, definition)


def summary(inspection: Inspection) -> str:
    """Return an inspection as text."""
    from tabulate import tabulate

    from memtool.kinds.container.words import heading

    info, facts = inspection.trace, inspection.characteristics
    sizes = f"{format_size(info.smallest_size)} to {format_size(info.largest_size)}"
    rows = [
        ("blocks asked for", f"{format_count(info.allocations)}, {format_size(info.total_bytes)} in all"),
        ("sizes", sizes),
        ("peak live", f"{format_size(info.peak_live_bytes)} in {format_count(info.peak_live_objects)} blocks"),
        ("elements read, copied, destroyed", format_count(facts.elements)),
        *((f"step {number}", f"{step.step}: {format_count(step.operations)} operations")
          for number, step in enumerate(facts.steps, 1)),
    ]  # fmt: skip
    return f"{heading(info)}\n\n{tabulate(rows, tablefmt='plain', disable_numparse=True)}"


WORK = Work(
    key="container",
    json_schema=json_schema,
    load=load,
    ways=tuple(Way(name, needs_allocator=name != CONTROL) for name in WAYS),
    called=by_pointer,
    why_not=why_not,
    listed=lambda path: ("container", _read(path).description),
    inspect=inspect,
    summary=summary,
)
