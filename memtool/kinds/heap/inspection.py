"""The text of an inspection of heap events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from tabulate import tabulate

from memtool.kinds.work import Inspection
from memtool.model import TraceInfo
from memtool.units import arrivals_in_words, format_count, format_mean_size, format_size, plural
from memtool.workload.description.characterise import Characteristics, Site, StackShare

_MOST_ROWS = 10
_Row = TypeVar("_Row", bound=Site | StackShare)


def summary(inspection: Inspection) -> str:
    """Return an inspection as text: facts, and histograms of sizes and of lifetimes."""
    info, characteristics, image_bytes = inspection.trace, inspection.characteristics, inspection.image_bytes
    rows = [
        *_events(info, characteristics),
        *_memory(info, characteristics, image_bytes),
        *_marks(info),
        *(("note", note) for note in info.notes),
    ]
    facts = tabulate(rows, tablefmt="plain", disable_numparse=True)
    sizes = [(f"from {format_size(1 << level)}", count) for level, count in characteristics.sizes.items()]
    empty = [(format_size(0), characteristics.empty)] if characteristics.empty else []
    lifetimes = [(f"from {format_count(1 << level)}", count) for level, count in characteristics.lifetimes.items()]
    ended = characteristics.allocations - characteristics.never_freed
    freed = f"of the {plural(ended, 'object')} freed before the epilogue"
    parts = [facts, "Sizes of allocations\n" + _bars([*empty, *sizes])]
    if lifetimes:
        parts.append(f"Lifetimes in allocations, {freed}\n" + _bars(lifetimes))
    parts += [*_sites(characteristics, inspection.symbols), *_stacks(characteristics, inspection.symbols)]
    parts += [*_threads_table(characteristics), _in_words(inspection)]
    return "\n\n".join(parts)


def _in_words(inspection: Inspection) -> str:
    """Return the portrait as a paragraph."""
    words = " ".join(sentence.says for sentence in inspection.portrait)
    return f"In words\n{words}"


def _sites(of: Characteristics, symbols: Mapping[int, str]) -> Iterator[str]:
    """Yield the call sites by bytes and by requests; none where they are unknown."""
    for order, sites in _orders(of.sites):
        rows = [(*_shares(of, site), _named(site.caller, symbols)) for site in sites]
        heads = ("", "bytes", "", "requests", "temporary", "never freed", "returns to")
        table = tabulate(rows, heads, tablefmt="plain", disable_numparse=True, colalign=(*6 * ("right",), "left"))
        more = len(of.sites) + of.other_sites - len(sites)
        yield f"Call sites with the most {order}{f', of {more + len(sites):,}' if more else ''}\n{table}"


def _stacks(of: Characteristics, symbols: Mapping[int, str]) -> Iterator[str]:
    """Yield the call stacks by bytes and by requests, the innermost call first; none where they are unknown."""
    for order, stacks in _orders(of.stacks):
        rows = []
        for stack in stacks:
            names = [_named(frame, symbols) for frame in stack.frames] or ["not known"]
            rows.append((*_shares(of, stack), names[0]))
            rows += [(*6 * ("",), f"from {name}") for name in names[1:]]
        heads = ("", "bytes", "", "requests", "temporary", "never freed", "returns to")
        table = tabulate(rows, heads, tablefmt="plain", disable_numparse=True, colalign=(*6 * ("right",), "left"))
        more = len(of.stacks) + of.other_stacks - len(stacks)
        yield f"Call stacks with the most {order}{f', of {more + len(stacks):,}' if more else ''}\n{table}"


def _orders(sites: Sequence[_Row]) -> Iterator[tuple[str, Sequence[_Row]]]:
    """Yield each sort key of call sites, or stacks, with the first entries in this order; none if there are none."""
    if sites:
        yield "bytes", sites[:_MOST_ROWS]
        yield "requests", sorted(sites, key=lambda site: site.allocations, reverse=True)[:_MOST_ROWS]


def _shares(of: Characteristics, site: Site | StackShare) -> tuple[str, ...]:
    return (
        _share(site.bytes, max(of.total_bytes, 1)),
        format_size(site.bytes),
        _share(site.allocations, max(of.allocations + of.reallocations, 1)),
        format_count(site.allocations),
        format_count(site.temporary),
        format_size(site.left_bytes),
    )


def _named(caller: int, symbols: Mapping[int, str]) -> str:
    return symbols.get(caller, f"{caller:#x}") if caller else "not known"


def _threads_table(of: Characteristics) -> Iterator[str]:
    """Yield the activity of the busiest threads; nothing for a single thread."""
    if of.threads == 1:
        return
    rows = [
        (
            str(row.thread),
            format_count(row.operations),
            format_count(row.allocations),
            format_size(row.bytes),
            format_count(row.frees),
            format_count(row.remote_frees),
        )
        for row in of.by_thread[:_MOST_ROWS]
    ]
    heads = ("thread", "operations", "allocations", "asked for", "frees", "of others' objects")
    table = tabulate(rows, heads, tablefmt="plain", disable_numparse=True, colalign=6 * ("right",))
    yield f"The busiest threads{f', of {of.threads:,}' if of.threads > len(rows) else ''}\n{table}"


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
        changed = f"{format_count(characteristics.grown)} grow, {format_count(characteristics.shrunk)} shrink"
        yield "resizes", f"{chain}; to {least} to {most}; {changed}"
    alignments = (f"{alignment} ({format_count(uses)})" for alignment, uses in characteristics.alignments.items())
    yield "alignments", ", ".join(alignments)
    common = (f"{format_size(size)} ({format_count(count)})" for size, count in characteristics.common_sizes[:5])
    rounded = ", to one percent" if characteristics.has_rounded_sizes else ""
    yield "most common sizes", ", ".join(common) + rounded
    freed = max(characteristics.allocations - characteristics.never_freed, 1)
    yield (
        "temporary",
        f"{plural(characteristics.temporary, 'object')} ({_share(characteristics.temporary, freed)} of those freed) "
        "that its thread frees before it asks for anything else",
    )
    bulk = _share(characteristics.bulk_frees, freed)
    yield "frees in bulk", f"{format_count(characteristics.bulk_frees)} ({bulk}), 64 or more in a row"
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
    if characteristics.seconds:
        yield "recorded over", f"{characteristics.seconds[-1]:.3g} s"
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
    """Return a share in percent; values close to 0 % or 100 % are not rounded to it."""
    if count in (0, total):
        return "100.0%" if count else "0.0%"
    return "<0.1%" if count / total < 0.0005 else ">99.9%" if count / total >= 0.9995 else f"{count / total:.1%}"
