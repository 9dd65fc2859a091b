"""Row 11: page faults of touching memory once."""

from __future__ import annotations

from collections.abc import Iterator

from memtool.allocators import regions
from memtool.options import BenchOptions
from memtool.passes import Pass
from verification.cells import run, value
from verification.outcome import Line, Result, Verdict

FAULTS = {"anonymous": 65_536, "hugepages": 128, "populate": 0}
PLACES = {
    "anonymous": "in pages of 4 KiB",
    "hugepages": "in transparent huge pages of 2 MiB",
    "populate": "faulted in before",
}
STRAY = 16
"""Faults that the engine itself may take meanwhile: its own stack, code and tables."""


def lines(faults: dict[str, int] = FAULTS) -> Iterator[Line]:
    """Compare what the kernel counts for each kind of region."""
    for region, published in faults.items():
        quantity = f"faults to touch 256 MiB {PLACES[region]}"
        written = f"{published:,}, ± 1 %"
        reason = regions.why_not(region, uses_region=True)
        if reason is not None:
            yield Line(quantity, written, reason, Verdict.NOT_RUN)
            continue
        measured = _measure(region)
        is_near = abs(measured - published) <= max(0.01 * published, STRAY)
        yield Line(quantity, written, f"{measured:,.0f}", Verdict.of(is_near))


def _measure(region: str) -> float:
    options = BenchOptions(allocators="bump", regions=(region,), passes=(Pass.FOOTPRINT,), blocks=2)
    (cell,) = run("name: touch\nallocations: 1\ntouch: pages\npattern: {ramp: {size: 256MiB}}\n", options)
    return value(cell, "minor_faults")


PAGE_FAULTS = Result(
    11,
    "Page faults of touching a quarter gibibyte",
    "x86-64, Linux",
    "Intel 64 and IA-32 Architectures Software Developer's Manual 3A, 4.5 (pages of 4 KiB and 2 MiB); Linux, "
    "Documentation/admin-guide/mm/transhuge.rst; mmap(2), MAP_POPULATE",
    measured=lines,
)
