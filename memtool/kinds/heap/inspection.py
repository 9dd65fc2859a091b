"""What a workload of heap events asks for, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tabulate import tabulate

from memtool.kinds.work import Inspection
from memtool.model import TraceInfo
from memtool.units import arrivals_in_words, format_count, format_mean_size, format_size, plural
from memtool.workload.characterise import Characteristics


def summary(inspection: Inspection) -> str:
    """Return what a workload asks for as text: facts, and histograms of sizes and of lifetimes."""
    info, characteristics, image_bytes = inspection.trace, inspection.characteristics, inspection.image_bytes
    rows = [
        *_events(info, characteristics),
        *_memory(info, characteristics, image_bytes),
        *_marks(info),
        *(("note", note) for note in info.notes),
    ]
    # tabulate cannot wrap a cell that is a number with a comma in it: each says what it counts.
    facts = tabulate(rows, tablefmt="plain", maxcolwidths=[None, 90], disable_numparse=True)
    sizes = [(f"from {format_size(1 << level)}", count) for level, count in characteristics.sizes.items()]
    empty = [(format_size(0), characteristics.empty)] if characteristics.empty else []
    lifetimes = [(f"from {format_count(1 << level)}", count) for level, count in characteristics.lifetimes.items()]
    ended = characteristics.allocations - characteristics.never_freed
    freed = f"of the {plural(ended, 'object')} freed before the epilogue"
    parts = [facts, "Sizes of allocations\n" + _bars([*empty, *sizes])]
    if lifetimes:
        parts.append(f"Lifetimes in allocations, {freed}\n" + _bars(lifetimes))
    return "\n\n".join(parts)


def _events(info: TraceInfo, characteristics: Characteristics) -> Iterator[tuple[str, str]]:
    yield "workload", f"{info.name} ({info.source})"
    yield "seed, event hash", f"{info.seed}, {info.event_hash}"
    yield (
        "operations",
        f"{format_count(info.operations)}, and {plural(info.epilogue_operations, 'free')} in the epilogue",
    )
    resized, zeroed = format_count(characteristics.reallocations), format_count(characteristics.zeroed)
    yield "allocations", f"{format_count(characteristics.allocations)}, {resized} resized, {zeroed} zeroed"
    sizes = f"{format_size(characteristics.smallest_size)} to {format_size(characteristics.largest_size)}"
    middle = f"median {format_size(characteristics.median_size)}, mean {format_mean_size(characteristics.mean_size)}"
    yield "sizes", f"{sizes}, {middle}{'; when allocated' if characteristics.reallocations else ''}"
    if characteristics.resized_to is not None:
        resized_objects = plural(sum(characteristics.resize_chains.values()), "object")
        least, most = (format_size(size) for size in characteristics.resized_to)
        chain = f"of {resized_objects}, the most of one {format_count(max(characteristics.resize_chains))}"
        yield "resizes", f"{chain}; to {least} to {most}"
    alignments = (f"{alignment} ({format_count(uses)})" for alignment, uses in characteristics.alignments.items())
    yield "alignments", ", ".join(alignments)
    yield "threads", _threads(info, characteristics)
    yield "scopes", f"{format_count(info.scopes)} that end all at once" if info.scopes else "none"
    orders = (("LIFO", info.first_not_lifo), ("FIFO", info.first_not_fifo))
    if info.arrivals is not None:
        yield "arrivals", arrivals_in_words(info.arrivals)
    yield "frees", "; ".join(_order(name, first) for name, first in orders)


def _threads(info: TraceInfo, characteristics: Characteristics) -> str:
    if characteristics.threads == 1:
        return "one"
    at_once = "" if characteristics.threads == info.threads else f" in all, {format_count(info.threads)} at once"
    remote = plural(characteristics.remote_frees, "free")
    return f"{format_count(characteristics.threads)}{at_once}; {remote} by another than allocated"


def _order(name: str, first: int | None) -> str:
    return f"all {name}" if first is None else f"{name} for the first {plural(first, 'operation')}"


def _memory(info: TraceInfo, characteristics: Characteristics, image_bytes: int) -> Iterator[tuple[str, str]]:
    yield "all bytes ever asked for", format_size(info.total_bytes)
    peak = f"{format_size(info.peak_live_bytes)} in at most {plural(info.peak_live_objects, 'object')}"
    yield "peak live", f"{peak}: the load, the least memory that can serve it"
    if info.packing_bytes is not None:
        packed = (
            f"{format_size(info.packing_bytes)}, {info.packing_bytes / max(info.peak_live_bytes, 1):.3f} of the load"
        )
        yield "best packing found", f"{packed}: offline, with all events known beforehand"
    if info.memory_limit is not None:
        of_it = info.peak_live_bytes / info.memory_limit
        yield "memory limit", f"{format_size(info.memory_limit)}; the load is {of_it:.1%} of it"
    yield "mean live", format_mean_size(characteristics.mean_live_bytes)
    an_operation = image_bytes / (info.operations + info.epilogue_operations)
    yield "event image", f"{format_size(image_bytes)}, {an_operation:.1f} bytes an operation, epilogue included"


def _marks(info: TraceInfo) -> Iterator[tuple[str, str]]:
    for mark in info.marks:
        after = f"after {format_count(mark.operation)} operations, {format_size(mark.live_bytes)} live"
        yield "mark", f"{mark.name}: {after}"


def _bars(classes: Sequence[tuple[str, int]]) -> str:
    """Return a histogram of (name, count) as bars of text."""
    total, most = sum(count for _, count in classes), max(count for _, count in classes)
    rows = [(name, f"{count:,}", _share(count, total), "#" * round(40 * count / most)) for name, count in classes]
    return tabulate(rows, tablefmt="plain", colalign=("right", "right", "right", "left"))


def _share(count: int, total: int) -> str:
    """Return a share in percent: neither nothing nor all where it is but nearly that."""
    if count == total:
        return "100.0%"
    return "<0.1%" if count / total < 0.0005 else ">99.9%" if count / total >= 0.9995 else f"{count / total:.1%}"
