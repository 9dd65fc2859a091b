"""The text above and below the tables of a graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from memtool.kinds.graph.metrics import UTILISATIONS
from memtool.model import CellResult, TraceInfo
from memtool.units import format_count, format_size

_FREES = {"death": "as soon as nothing leads to it", "scope-end": "at the next safe point after nothing leads to it"}
_ROOTS_ONLY = (
    "Roots only: each object is held by a root of its own, and a free drops that root. The events do not say what the "
    "objects refer to, so no collector traces from one object to another and no barrier has anything to note: what the "
    "program's references would cost is not covered."
)
_LEAKED = "leaked: garbage in cycles, which reference counting never reclaims unless it looks for them (cycles=)."
_OF_PAUSES = frozenset({"pause_p50_ns", "pause_p99_ns", "pause_max_ns", *UTILISATIONS})
_OF_COLLECTORS = frozenset(
    {
        "heap_limit_bytes",
        "collections",
        "minor_collections",
        "forced_collections",
        "marked_bytes",
        "copied_bytes",
        "promoted_bytes",
        "barrier_hits_per_op",
        "barrier_ns_per_op",
        "collector_ns_per_op",
    }
)
_OF_INCREMENTS = frozenset({"increment_work", "overtaken_increments"})
_OF_CONTROLS = frozenset({"mutator_ns_per_op", "allocator_ns_per_op", "barrier_ns_per_op"})


def heading(info: TraceInfo) -> str:
    """Return a description of the program."""
    return (
        f"{info.name}: {info.facts['shape']}, {format_count(info.operations)} operations "
        f"({format_count(info.allocations)} objects of {format_size(info.total_bytes)}), "
        f"reachable at most {format_size(info.peak_live_bytes)}\nseed {info.seed}, event hash {info.event_hash}"
    )


def remarks(cells: Sequence[CellResult], info: TraceInfo) -> Iterator[str]:
    """Yield when explicit allocators get objects back, and remarks about the figures of collectors."""
    yield f"An explicit allocator gets an object {_FREES[info.facts['frees_at']]}."
    if info.facts["shape"] == "events":
        yield _ROOTS_ONLY
    if _is_above_zero(cells, "forced_collections"):
        yield "forced: memory was out where no collection was to begin, and one began."
    if _is_above_zero(cells, "leaked_bytes"):
        yield _LEAKED


def _is_above_zero(cells: Sequence[CellResult], name: str) -> bool:
    return any(name in cell.metrics and bool(cell.metrics[name].value) for cell in cells)


def why_not(cell: CellResult, name: str, trace: TraceInfo, *, was_measured: bool) -> str | None:
    """Return why a figure is missing."""
    if not was_measured:
        return None
    if name in _OF_CONTROLS and (name != "barrier_ns_per_op" or "heap_limit_bytes" in cell.metrics):
        return "allocates more than 512 MiB, and its controls run on a heap that is never full"
    if name in _OF_INCREMENTS and "heap_limit_bytes" in cell.metrics:
        return "does not work by increments"
    if name in _OF_COLLECTORS or name in ("floating_bytes", "leaked_bytes", *_OF_INCREMENTS):
        return "the collector does not say" if "heap_limit_bytes" in cell.metrics else "is no collector"
    if name in _OF_PAUSES:
        return "the program never stood still, or the run is shorter than the window"
    if name == "peak_footprint_bytes":
        return "of a heap outside the region memtool sees only the resident memory"
    return None
