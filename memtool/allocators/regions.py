"""Regions: the sources of a strategy's memory. The worker maps them; allocators/concept/region.hpp hands them out."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from memtool.host import machine
from memtool.units import MIB, format_size

_MADV_HUGEPAGE = 14
_MADV_NOHUGEPAGE = 15
_HUGE_PAGE = 2 << 20
_THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_OWN_STATUS = Path("/proc/self/status")
_CAP_IPC_LOCK = 14


class Backing(StrEnum):
    """The object that a region maps."""

    NONE = "none"
    FILE = "file"
    MEMORY = "memory"
    """A file in memory only (memfd_create)."""


@dataclass(frozen=True, slots=True)
class RegionKind:
    """One kind of memory under a strategy: a worker reserves it, advises the kernel, and faults in a part."""

    name: str
    summary: str
    when: str
    """When to measure on it, in one line."""
    advice: tuple[int, ...] = ()
    """Advice numbers for madvise over the whole reservation."""
    alignment: int = _HUGE_PAGE
    """Alignment of the region's base, in bytes; the same for all kinds, so that none is favoured by it."""
    populate: bool = False
    """Whether the part that the workload will need is faulted in beforehand."""
    needs_huge_pages: bool = False
    backing: Backing = Backing.NONE
    shared: bool = False
    """Whether writes go to the file and not to a private copy."""
    locked: bool = False
    """Whether the populated part is locked into memory (mlock)."""


# "always" on the host would put every region into huge pages. A kernel without them refuses the advice.
_SMALL_PAGES = (_MADV_NOHUGEPAGE,) if _THP.exists() else ()

REGIONS = {
    kind.name: kind
    for kind in (
        RegionKind(
            name="anonymous",
            summary="Private anonymous memory in small pages, faulted in as it is touched.",
            when="the default: what malloc and mmap give a program",
            advice=_SMALL_PAGES,
        ),
        RegionKind(
            name="populate",
            summary="Small anonymous pages, faulted in before the replay: twice the peak of live bytes.",
            when="to see a strategy's own time without page faults; programs that pre-fault for real time",
            advice=_SMALL_PAGES,
            populate=True,
        ),
        RegionKind(
            name="hugepages",
            summary="Anonymous memory in transparent huge pages, from a base aligned to 2 MiB.",
            when="large heaps: fewer faults and TLB misses, paid for in resident bytes",
            advice=(_MADV_HUGEPAGE,),
            needs_huge_pages=True,
        ),
        RegionKind(
            name="locked",
            summary="Small anonymous pages, faulted in and locked before the replay: twice the peak of live bytes.",
            when="real-time programs, which lock what they use so that nothing is ever swapped out",
            advice=_SMALL_PAGES,
            populate=True,
            locked=True,
        ),
        RegionKind(
            name="file-private",
            summary="A private mapping of a file on disk: a page is copied when it is first written.",
            when="heaps that begin as an image on disk",
            backing=Backing.FILE,
        ),
        RegionKind(
            name="file-shared",
            summary="A shared mapping of a file on disk: what is written is the file's, and outlives the process.",
            when="persistent heaps; what write-back costs",
            backing=Backing.FILE,
            shared=True,
        ),
        RegionKind(
            name="shared-memory",
            summary="A shared mapping of a file in memory (memfd), as processes share it.",
            when="heaps that several processes map",
            backing=Backing.MEMORY,
            shared=True,
        ),
    )
}
"""Every kind of region, the default first."""


def populated(kind: RegionKind, peak_live_bytes: int, capacity: int) -> int:
    """Return how many bytes at the head of a region are faulted in before the replay.

    Twice the peak of live bytes is enough for a sound strategy; pages beyond it are faulted in as usual.
    """
    return min(capacity, 2 * peak_live_bytes + MIB) if kind.populate else 0


def why_not(name: str, uses_region: bool, peak_live_bytes: int = 0) -> str | None:
    """Return why an allocator cannot be measured on this region; None where it can."""
    if not uses_region and name != "anonymous":
        return f"takes its memory from the system itself, so it cannot be put on {name}"
    return why_unavailable(REGIONS[name], peak_live_bytes)


def why_no_addresses(size: int) -> str | None:
    """Return why this process cannot reserve this much address space, and the remedy; None where it can."""
    for which, option in ((resource.RLIMIT_AS, "-v"), (resource.RLIMIT_DATA, "-d")):
        limit = machine.soft_limit(which)
        if limit is not None and limit < size:
            return (
                f"{format_size(size)} of addresses are reserved for a region, and this shell allows "
                f"{format_size(limit)} (ulimit {option}): give the workload a memory_limit, or lift the shell's limit"
            )
    return None


def why_unavailable(kind: RegionKind, peak_live_bytes: int = 0) -> str | None:
    """Return why this machine lacks this region for a workload of this peak, and the remedy; None where it has it."""
    if kind.locked:
        return _why_unlockable(2 * peak_live_bytes + MIB)
    if not kind.needs_huge_pages:
        return None
    try:
        setting = _THP.read_text(encoding="ascii")
    except OSError:
        return "this kernel has no transparent huge pages"
    if "[never]" in setting:
        return f"transparent huge pages are off; mend it with: echo madvise | sudo tee {_THP}"
    return None


def _why_unlockable(needed: int) -> str | None:
    limit = machine.soft_limit(resource.RLIMIT_MEMLOCK)
    if limit is None or limit >= needed or _may_lock_any():
        return None
    return (
        f"{format_size(needed)} would have to be locked, and this shell may lock {format_size(limit)}; "
        "mend it with: sudo prlimit --pid $$ --memlock=unlimited"
    )


def _may_lock_any() -> bool:
    """Return whether this process has the capability that lifts the limit (capabilities(7), CAP_IPC_LOCK)."""
    try:
        lines = _OWN_STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    effective = next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> _CAP_IPC_LOCK & 1)
