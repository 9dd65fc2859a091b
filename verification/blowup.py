"""Row 18: what becomes of a producer's memory when a consumer frees it.

Two threads: one allocates, the other frees, and never more than a few batches are alive at once. Heaps that keep what
they free leave the producer without: it takes new memory for every batch, so the footprint grows with the length of the
run. Heaps that give a block back to its owner need no more for a long run than for a short one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from memtool.model import Mode
from memtool.options import BenchOptions
from memtool.passes import Pass
from verification.cells import run, value
from verification.outcome import Line, Result, Verdict

LENGTHS = (50_000, 100_000, 200_000)
"""Allocations of each run: each twice as long as the one before."""
KEEPS = "thread-heaps:foreign=keep"
RETURN = ("thread-heaps", "thread-cache", "thread-pool")
WORKLOAD = """\
name: blowup-{allocations}
threads: 2
allocations: {allocations}
pattern:
  producer-consumer: {{batch: 100, depth: 4, size: 64}}
touch: none
"""


def footprints(allocator: str) -> list[float]:
    """Return the greatest footprint in bytes for each length, replayed in the recorded order on real threads."""
    options = BenchOptions(allocators=allocator, mode=Mode.LOCKSTEP, passes=(Pass.FOOTPRINT,), blocks=1)
    cells = [cell for length in LENGTHS for cell in run(WORKLOAD.format(allocations=length), options)]
    return [value(cell, "peak_footprint_bytes") for cell in cells]


def lines(keeps: str = KEEPS, give_back: Sequence[str] = RETURN) -> Iterator[Line]:
    """Compare how the footprints grow; ``keeps`` and ``give_back`` are what stands for the two kinds of heaps."""
    quantity = f"footprint of {{}}, {', '.join(f'{length:,}' for length in LENGTHS)} blocks"
    kept = footprints(keeps)
    grows = all(1.8 <= longer / shorter <= 2.2 for shorter, longer in pairwise(kept))
    yield Line(quantity.format(keeps), "without bound: twice for twice the run", _written(kept), Verdict.of(grows))
    for gives_back in give_back:
        returned = footprints(gives_back)
        same = len(set(returned)) == 1
        yield Line(
            quantity.format(gives_back), "bounded: the same for any length", _written(returned), Verdict.of(same)
        )


def _written(figures: list[float]) -> str:
    return ", ".join(f"{figure:,.0f}" for figure in figures)


BLOWUP = Result(
    18,
    "Blowup of per-thread heaps",
    "Berger et al. 2000",
    "Berger, McKinley, Blumofe and Wilson: Hoard, a scalable memory allocator for multithreaded applications, "
    "ASPLOS 2000",
    measured=lines,
)
