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
    """One kind of memory under a strategy."""

    name: str
    summary: str
    advice: tuple[int, ...] = ()
    """Numbers for madvise over the whole reservation."""
    alignment: int = _HUGE_PAGE
    """Of the region's base, bytes."""
    populate: bool = False
    """Whether the part that the workload will need is faulted in beforehand."""
    needs_huge_pages: bool = False


# Without the advice against them, "always" on the host would put every region into huge pages.
REGIONS = {
    region.name: region
    for region in (
        RegionKind(
            "anonymous",
            "private anonymous memory in small pages, faulted in as it is touched",
            (_MADV_NOHUGEPAGE,),
        ),
        RegionKind(
            "populate",
            "anonymous memory in small pages, faulted in before the replay",
            (_MADV_NOHUGEPAGE,),
            populate=True,
        ),
        RegionKind(
            "hugepages",
            "anonymous memory in transparent huge pages, from a base aligned to 2 MiB",
            (_MADV_HUGEPAGE,),
            needs_huge_pages=True,
        ),
    )
}


def why_not(name: str, uses_region: bool) -> str | None:
    """Return why an allocator cannot be measured on this region; None when it can."""
    region = REGIONS[name]
    if not uses_region and name != "anonymous":
        return f"takes its memory from the system itself, so it cannot be put on {name}"
    return why_unavailable(region)


def why_unavailable(region: RegionKind) -> str | None:
    """Return why this machine has no such region, and what mends it; None when it has."""
    if not region.needs_huge_pages:
        return None
    try:
        setting = _THP.read_text(encoding="ascii")
    except OSError:
        return "this kernel has no transparent huge pages"
    if "[never]" in setting:
        return f"transparent huge pages are off; mend it with: echo madvise | sudo tee {_THP}"
    return None
