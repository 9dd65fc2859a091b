"""Row 12: local allocators, what they take and how fast a data structure grows on them."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from memtool.engine.binding import Heap
from memtool.model import Pass, Status
from memtool.pipeline import BenchOptions, bench
from verification.outcome import Line, Result, Verdict

BLOCKS = 6
GROWTH = """\
name: growth
description: A node-based container is filled, then destroyed.
allocations: 20k
touch: first
pattern: {ramp: {size: {uniform: [16, 128]}}}
"""


def footprint_line(strategy: str = "bump") -> Line:
    """Compare what a monotonic arena takes with all bytes that were ever asked of it, freed or not."""
    asked = 0
    with Heap(strategy, capacity=64 << 20) as heap:
        for _ in range(3):
            blocks = [(heap.allocate(16 * n), 16 * n) for n in range(1, 201)]
            for offset, size in blocks:
                assert offset is not None
                heap.deallocate(offset, size)
                asked += size
        taken = heap.footprint
    what = "bytes taken by a monotonic allocator, three times 200 blocks, each freed"
    return Line(what, f"all bytes ever asked for: {asked:,}", f"{taken:,}", Verdict.of(taken == asked))


def order_line(monotonic: str = "bump", pool: str = "segregated-pool", global_heap: str = "new-delete") -> Line:
    """Compare times of growth. Ratios within a block, so that a slow moment of the machine meets all three."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workload = folder / "growth.yaml"
        workload.write_text(GROWTH)
        options = BenchOptions(
            workloads=(str(workload),),
            allocators=",".join((monotonic, pool, global_heap)),
            passes=(Pass.THROUGHPUT,),
            blocks=BLOCKS,
            output=folder / "out",
            draw_plots=False,
        )
        cells = {cell.cell.allocator: cell for cell in bench(options, lambda *_: None).run.cells}
    for cell in cells.values():
        assert cell.status is Status.OK, cell.reason
    times = {allocator: cell.metrics["time_per_op_ns"].samples for allocator, cell in cells.items()}
    return judge_order(times, monotonic, pool, global_heap)


def judge_order(times: Mapping[str, Sequence[float]], monotonic: str, pool: str, global_heap: str) -> Line:
    """Compare the order of three allocators' times, given block by block."""

    def ratio(upper: str, lower: str) -> float:
        return statistics.median(a / b for a, b in zip(times[upper], times[lower], strict=True))

    first, second = ratio(monotonic, pool), ratio(pool, global_heap)
    return Line(
        "time to fill and destroy a container of 20,000 nodes",
        "monotonic <= pool < new/delete",
        f"{monotonic} {first:.2f} x {pool}; {pool} {second:.2f} x {global_heap}",
        Verdict.of(first <= 1 and second < 1),
    )


MONOTONIC = Result(
    12,
    "Local allocators: what a monotonic one takes, and the order of times",
    "Lakos et al. 2015",
    "Lakos, Mendelsohn, Meredith and Myers: On quantifying memory-allocation strategies, N4468 (2015), P0089R1 (2016)",
    exact=lambda: [footprint_line()],
    measured=lambda: [order_line()],
)
