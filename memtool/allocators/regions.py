"""Regions: where a strategy's memory comes from. The worker maps them; engine/region.hpp hands them out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_MADV_HUGEPAGE = 14
_MADV_NOHUGEPAGE = 15
_HUGE_PAGE = 2 << 20
_THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@dataclass(frozen=True, slots=True)
class RegionKind:
    """One kind of memory under a strategy: a worker reserves it, advises the kernel, faults in a part."""

    name: str
    summary: str
    when: str
    """When one would measure on it, one line."""
    advice: tuple[int, ...] = ()
    """Numbers for madvise over the whole reservation."""
    alignment: int = _HUGE_PAGE
    """Of the region's base, in bytes; the same for all, so that no kind is favoured by where it begins."""
    populate: bool = False
    """Whether the part that the workload will need is faulted in beforehand."""
    needs_huge_pages: bool = False


# "always" on the host would put every region into huge pages. A kernel that has none refuses the advice.
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
    )
}
"""Every kind of region; locked, file and shared memory are to stand here beside these."""


def why_not(name: str, uses_region: bool) -> str | None:
    """Return why an allocator cannot be measured on this region; None when it can."""
    if not uses_region and name != "anonymous":
        return f"takes its memory from the system itself, so it cannot be put on {name}"
    return why_unavailable(REGIONS[name])


def why_unavailable(kind: RegionKind) -> str | None:
    """Return why this machine has no such region, and what mends it; None when it has."""
    if not kind.needs_huge_pages:
        return None
    try:
        setting = _THP.read_text(encoding="ascii")
    except OSError:
        return "this kernel has no transparent huge pages"
    if "[never]" in setting:
        return f"transparent huge pages are off; mend it with: echo madvise | sudo tee {_THP}"
    return None
