"""The text above and below the tables of a workload of heap events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from memtool.model import CellResult, Mode, TraceInfo
from memtool.units import arrivals_in_words, format_count, format_size


def heading(info: TraceInfo) -> str:
    """Return a description of the replayed events."""
    return (
        f"{info.name}: {format_count(info.operations)} operations ({format_count(info.allocations)} allocations), "
        f"peak {format_size(info.peak_live_bytes)} in {format_count(info.peak_live_objects)} objects\n"
        f"seed {info.seed}, event hash {info.event_hash}, touch {info.touch}" + _arrivals(info)
    )


def _arrivals(info: TraceInfo) -> str:
    if info.arrivals is None or info.lanes > 1:
        return ""
    return f"\nlatency open-loop, from the intended start of each operation: {arrivals_in_words(info.arrivals)}"


def remarks(cells: Sequence[CellResult], info: TraceInfo) -> Iterator[str]:
    """Yield remarks for reading the figures of memory correctly."""
    yield _of_parallel_memory(cells)
    yield _limits(info)


def _of_parallel_memory(cells: Sequence[CellResult]) -> str:
    if not any(cell.cell.mode == Mode.PARALLEL and "peak_live_bytes" in cell.metrics for cell in cells):
        return ""
    return (
        "Threads side by side meet in another order under each allocator, so each has live bytes of its own (column "
        "live): compare what an allocator holds with those, not bytes with bytes."
    )


def _limits(info: TraceInfo) -> str:
    if info.packing_bytes is None or not info.peak_live_bytes:
        return ""
    by = "" if info.packing_by is None else f", as {info.packing_by} placed them in this run"
    return (
        f"Load (max L): {format_size(info.peak_live_bytes)}, which no allocator can beat; best offline packing "
        f"found: {format_size(info.packing_bytes)}, {info.packing_bytes / info.peak_live_bytes:.3f} times the load{by}."
    )
