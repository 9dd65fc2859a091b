"""All results of docs/verification.md, in its order."""

from __future__ import annotations

from verification.arenas import MONOTONIC
from verification.blowup import BLOWUP
from verification.calls import CLASSES_OF_CALL
from verification.classics import CLASSICS
from verification.constant_time import CONSTANT_TIME
from verification.consumption import CONSUMPTION
from verification.faults import PAGE_FAULTS
from verification.fifty_percent import FIFTY_PERCENT
from verification.free_space import FREE_SPACE
from verification.glibc import GLIBC
from verification.malloc_lab import MALLOC_LAB
from verification.outcome import Line, Result, Verdict
from verification.packing import MINIMALLOC
from verification.peaks import PEAKS
from verification.real_programs import REAL_PROGRAMS
from verification.robson import ROBSON
from verification.rounding import BUDDY, SIZE_CLASSES
from verification.saturation import BAYS, SHORE


def _later(number: int, title: str, source: str, reference: str, line: tuple[str, str], needs: str) -> Result:
    """Return a result that memtool cannot reproduce yet; ``line`` is what, and the published figure."""
    return Result(number, title, source, reference, measured=lambda: [Line(*line, f"needs {needs}", Verdict.LATER)])


_RESULTS = (
    MALLOC_LAB,
    ROBSON,
    BUDDY,
    FIFTY_PERCENT,
    SHORE,
    BAYS,
    FREE_SPACE,
    SIZE_CLASSES,
    GLIBC,
    PAGE_FAULTS,
    MONOTONIC,
    CONSUMPTION,
    MINIMALLOC,
    CONSTANT_TIME,
    BLOWUP,
    CLASSICS,
    CLASSES_OF_CALL,
    PEAKS,
    REAL_PROGRAMS,
    _later(
        13,
        "Tracing collection: how often, and what marking costs",
        "Jones et al. 2012",
        "Jones, Hosking and Moss: The Garbage Collection Handbook, 2012, 2 and 10",
        ("collections; mark work a byte", "allocated / (heap - live), ± 1; in proportion to live / (heap - live)"),
        "collectors",
    ),
    _later(
        14,
        "Collection against explicit freeing",
        "Hertz, Berger 2005",
        "Hertz and Berger: Quantifying the performance of garbage collection vs. explicit memory management, "
        "OOPSLA 2005",
        ("excess time with 2x, 3x and 5x the memory", "about 70 %, 17 %, 0 %"),
        "collectors",
    ),
    _later(
        19,
        "False sharing, line splits, and mmap against read",
        "Crotty et al. 2022",
        "Crotty, Leis and Pavlo: Are you sure you want to use MMAP in your database management system?, CIDR 2022",
        ("order of times", "read faster than mmap beyond memory; padding faster than sharing a line"),
        "access and file workloads",
    ),
)
RESULTS = tuple(sorted(_RESULTS, key=lambda result: result.number))
