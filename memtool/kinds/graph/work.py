"""Turns a workload file with the key ``graph`` into the input of a worker."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from memtool.kinds.work import Inspection, Work, refuse_options, schema_of
from memtool.model import AllocatorPlan, Mode, TraceInfo
from memtool.units import format_count, format_size

if TYPE_CHECKING:
    from memtool.kinds.graph.keys import Workload
    from memtool.workload.trace import Trace


@dataclass(frozen=True, slots=True)
class Characteristics:
    """Counts of a program."""

    allocations: int
    allocated_bytes: int
    stores: int
    root_writes: int
    safe_points: int
    left_objects: int
    """Objects that no explicit allocator gets back: they are reachable at the end, or no safe point follows."""


def _read(path: Path) -> Workload:
    from memtool.kinds.graph.keys import Workload
    from memtool.workload.language.loader import load

    return load(path, Workload)


def load(path: Path, *, seed: int | None, threads: int | None, rate: int | None, mode: Mode) -> Trace:
    """Return the program of a file. Raises InputError, MemtoolError."""
    from memtool.kinds.graph.program import make_trace

    why = "a graph has none; it runs on one thread, which is all that a collector serves"
    refuse_options(path, threads, rate, why)
    return make_trace(_read(path), path, seed)


def why_not(plan: AllocatorPlan, trace: TraceInfo) -> str | None:
    """Return why a row cannot run a program; None where it can."""
    from memtool.allocators import pairing

    if plan.family == pairing.COLLECTOR:
        return None
    if plan.is_control:
        return "hands out the same block again and again, and objects would live upon each other"
    return pairing.why_not_here(plan, trace)


def inspect(path: Path, seed: int | None) -> Inspection:
    """Return the inspection of a file."""
    workload = _read(path)
    with load(path, seed=seed, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        made, facts = trace.info.allocations, trace.info.facts
        counts = {name: facts[name] for name in ("allocated_bytes", "stores", "root_writes", "safe_points")}
        characteristics = Characteristics(allocations=made, left_objects=made - facts["frees"], **counts)
        definition = workload.model_dump(mode="json", by_alias=True, exclude_none=True)
        return Inspection(trace.info, trace.image_bytes, characteristics, definition)


def summary(inspection: Inspection) -> str:
    """Return an inspection as text."""
    from tabulate import tabulate

    from memtool.kinds.graph.words import heading

    info, facts = inspection.trace, inspection.characteristics
    rows = [
        ("objects", f"{format_count(info.allocations)}, {format_size(info.total_bytes)} in all"),
        ("sizes", f"{format_size(info.smallest_size)} to {format_size(info.largest_size)}"),
        ("reachable at most", f"{format_size(info.peak_live_bytes)} in {format_count(info.peak_live_objects)} objects"),
        ("left at the end", format_count(facts.left_objects)),
        ("stores to fields", format_count(facts.stores)),
        ("writes to roots", format_count(facts.root_writes)),
        ("safe points", format_count(facts.safe_points)),
    ]
    return f"{heading(info)}\n\n{tabulate(rows, tablefmt='plain', disable_numparse=True)}"


WORK = Work(
    key="graph",
    json_schema=partial(schema_of, "graph", "memtool graph"),
    load=load,
    has_references=True,
    why_not=why_not,
    listed=lambda path: ("graph", _read(path).description),
    inspect=inspect,
    summary=summary,
)
