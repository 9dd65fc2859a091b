"""The text above and below the tables of accesses, and the reasons for missing figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from memtool.model import CellResult, TraceInfo
from memtool.units import format_count, format_size

_OF_BLOCKS = ("padding_bytes", "alignment_padding_bytes", "across_lines_share", "neighbours_share", "minor_faults")


def heading(info: TraceInfo) -> str:
    """Return a description of the accesses."""
    size = format_size(info.smallest_size)
    if info.smallest_size < info.largest_size:
        size += f" to {format_size(info.largest_size)}"
    blocks = f"{format_count(info.allocations)} blocks of {size}, "
    if all(way.startswith("load-") for way in info.facts["ways"]):
        blocks = ""
    return (
        f"{info.name}: {blocks}{format_count(info.operations)} operations a round\n"
        f"seed {info.seed}, event hash {info.event_hash}"
    )


def remarks(cells: Sequence[CellResult], info: TraceInfo) -> Iterator[str]:
    """Yield remarks for reading the times correctly."""
    ways = info.facts["ways"]
    if any(way.startswith("load-") for way in ways):
        yield (
            f"Loads: each of a page of its own, of {info.facts['pages']}, at the same place in all of them; a load "
            "across pages needs two of them, and two translations of addresses."
        )
    if any(way.startswith("count-") for way in ways):
        yield (
            f"Counting: {info.facts['threads']} threads, each on a processor of its own and in a word of its own; the "
            "time is that of one step of each."
        )
    if any(way.startswith(("read-", "write-", "chase")) for way in ways):
        yield (
            "Accesses are of 8 bytes. Where the next one is comes from a table that is read front to back; a chase "
            "reads it from the block itself, so that each access waits for the one before it."
        )


def why_not(cell: CellResult, name: str, trace: TraceInfo, *, was_measured: bool) -> str | None:
    """Return why a cell has no figure of a metric."""
    if name == "padding_bytes" and was_measured:
        return "a system allocator's heap is not on a region, and does not say what lies between its blocks"
    if name in _OF_BLOCKS and not was_measured:
        return "the way takes no block from an allocator"
    return None
