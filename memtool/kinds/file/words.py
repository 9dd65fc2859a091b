"""The text above and below the tables of files, and the reasons for missing figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from memtool.kinds.file.metrics import SHARES
from memtool.kinds.file.names import MEMORY, is_mapped
from memtool.model import CellResult, Status, TraceInfo
from memtool.units import format_count, format_size

_SYNCS = frozenset(f"sync_{name}_ns" for name in (*SHARES, "max"))


def heading(info: TraceInfo) -> str:
    """Return a description of the accesses."""
    facts = info.facts
    medium = facts["device"] or f"a file of {format_size(facts['size'])}"
    durable = f", {facts['sync']} after every {format_count(facts['every'])}" if facts["sync"] != "none" else ""
    return (
        f"{info.name}: {facts['pattern']} on {medium}, {format_count(info.operations)} accesses of "
        f"{format_size(facts['block'])}{durable}\nseed {info.seed}, event hash {info.event_hash}"
    )


def remarks(cells: Sequence[CellResult], info: TraceInfo) -> Iterator[str]:
    """Yield remarks for reading the times correctly."""
    facts = info.facts
    yield (
        "A round is all accesses, with what a program does before the first and after the last: a mapping is made and "
        "goes again. Every byte that is read is used once."
    )
    if any(way.startswith("uring") for way in facts["ways"]):
        yield f"io_uring has {facts['depth']} accesses in flight; the latency of one is from its handing over on."
    if facts["device"] is None:
        yield f"Page cache: {_cache(info)}; cached at begin and end is what mincore says. It lay in {facts['folder']}."
    elif facts["device"] == MEMORY:
        yield "memfd stands for a device: memory of the kernel, without a disk or a page cache below it."
    if any(cell.status is Status.OK and "tlb_shootdowns" in cell.metrics for cell in cells):
        yield "TLB shootdowns are counted for the whole machine: what other programs do is among them."


def _cache(info: TraceInfo) -> str:
    facts = info.facts
    if facts["pattern"] == "append":
        return "of a file that begins empty"
    said = {
        "warm": "all of the file is in it before each round",
        "cold": "none of the file is in it before each round",
        "limited": "limited by a control group, and full: all of the file was read before the first round",
    }
    limit = f" ({format_size(facts['limit'])})" if facts["limit"] else ""
    return said[facts["cache"]] + limit


def why_not(cell: CellResult, name: str, trace: TraceInfo, *, was_measured: bool) -> str | None:
    """Return why a cell has no figure of a metric."""
    facts = trace.facts
    if name in ("mapped_resident_bytes", "mapped_huge_bytes") and not is_mapped(cell.cell.allocator):
        return "a call maps nothing"
    if name in _SYNCS and facts["sync"] == "none":
        return "nothing is made durable (sync)"
    if facts["device"] is not None and name in ("cached_before_share", "cached_after_share", "dirty_bytes"):
        return f"{facts['device']} has no page cache"
    if name == "dirty_bytes":
        return "this kernel does not count them for one file (cachestat, Linux 6.5)"
    if name == "device_read_bytes":
        return "this kernel does not count what a process reads (CONFIG_TASK_IO_ACCOUNTING)"
    return "this kernel does not count them (no TLB in /proc/interrupts)" if name == "tlb_shootdowns" else None
