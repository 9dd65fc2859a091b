"""Row 12: local allocators, what they take and how fast a data structure grows on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from memtool.engine.abi.binding import Heap
from memtool.passes import Pass
from verification.cells import measure, ratio
from verification.outcome import Line, Result, Verdict

BLOCKS = 6
PMR_MONOTONIC, PMR_POOL = "pmr-monotonic-buffer", "pmr-unsynchronized-pool"
ALLOCATORS = ("bump", "segregated-pool", "new-delete", PMR_MONOTONIC, PMR_POOL)
GROWTH = """\
name: growth
description: A node-based container is filled, then destroyed.
allocations: 20k
touch: first
pattern: {ramp: {size: {uniform: [16, 128]}}}
"""


def footprint_line(strategy: str = "bump") -> Line:
    """Compare what a monotonic arena takes with all bytes that were ever asked of it, freed or not."""
    requested = 0
    with Heap(strategy, capacity=64 << 20) as heap:
        for _ in range(3):
            blocks = [(heap.allocate(16 * n), 16 * n) for n in range(1, 201)]
            for offset, size in blocks:
                assert offset is not None
                heap.deallocate(offset, size)
                requested += size
        taken = heap.footprint
    quantity = "bytes taken by a monotonic allocator, three times 200 blocks, each freed"
    return Line(quantity, f"all bytes ever asked for: {requested:,}", f"{taken:,}", Verdict.of(taken == requested))


Times = Mapping[str, Sequence[float]]
"""Allocator -> ns an operation, block by block."""


def growth_times(allocators: Sequence[str]) -> Times:
    """Return how long it takes to fill and destroy a container on each."""
    cells = measure(GROWTH, (Pass.THROUGHPUT,), BLOCKS, allocators)
    return {allocator: cell.metrics["time_per_op_ns"].samples for allocator, cell in cells.items()}


def order_lines(times: Times) -> Iterator[Line]:
    """Compare the order of times."""

    def between(upper: str, lower: str) -> float:
        return ratio(times[upper], times[lower])

    quantity = "time to fill and destroy a container of 20,000 nodes"
    monotonic, pool = between("bump", "segregated-pool"), between("segregated-pool", "new-delete")
    yield Line(
        quantity,
        "monotonic <= pool < new/delete",
        f"bump {monotonic:.2f} x segregated-pool; segregated-pool {pool:.2f} x new-delete",
        Verdict.of(monotonic <= 1 and pool < 1),
    )
    # The paper's pool is Bloomberg's own. Libstdc++'s is another one, and slower than glibc's malloc: of its place in
    # the order only the first half carries over, and the other half is shown.
    monotonic, pool = between(PMR_MONOTONIC, PMR_POOL), between(PMR_MONOTONIC, "new-delete")
    slower = between(PMR_POOL, "new-delete")
    yield Line(
        f"{quantity}, std::pmr of libstdc++",
        "monotonic <= pool, monotonic < new/delete",
        f"monotonic {monotonic:.2f} x pool, {pool:.2f} x new-delete (pool {slower:.2f} x)",
        Verdict.of(monotonic <= 1 and pool < 1),
    )


MONOTONIC = Result(
    12,
    "Local allocators: what a monotonic one takes, and the order of times",
    "Lakos et al. 2015",
    "Lakos, Mendelsohn, Meredith and Myers: On quantifying memory-allocation strategies, N4468 (2015), P0089R1 (2016)",
    exact=lambda: [footprint_line()],
    measured=lambda: order_lines(growth_times(ALLOCATORS)),
)
