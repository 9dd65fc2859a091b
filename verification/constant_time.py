"""Row 15: what it costs to find that no free block will do, in instructions, for TLSF and for a list.

A heap holds n free blocks that are all too small for what is asked for then: TLSF sees that in its bitmaps, a list is
walked to its end. The instructions of the requests are those of a replay with them less those of the same without.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from memtool.allocators.registry import Registry
from memtool.allocators.spec import parse_allocators
from memtool.engine.generate.binding import ImageBuilder
from memtool.host.counters import Counter, choose
from memtool.model import Cell, Status
from memtool.passes import Pass
from memtool.passes.counters import Instructions
from memtool.worker.parent import Job, RegionRequest, WorkerExecutor
from verification.outcome import Line, Result, Verdict

FREE_BLOCKS = (10, 100, 1000, 10_000, 100_000)
SMALL, LARGE = 64, 256
"""Bytes of the blocks that become free, and of the requests that none of them serves."""
REQUESTS = 100
MOST = 300
FLAT = 1.05
"""The most that the largest count may be of the smallest: room for the bits of n itself."""
NEAR = 0.1
TLSF = "tlsf"
LISTS = ("free-list:fit=first,order=lifo,grow=16", "free-list:fit=best,order=lifo,grow=16")
"""They grow by what a request needs, so that nothing larger is ever in the list."""
Counts = Mapping[int, float]
"""Free blocks -> instructions an operation."""
_DEALLOCATE, _ALLOCATE, _EPILOGUE = 0, 1, 8
_LOG2_ALIGNMENT = 4


def _events(free_blocks: int, requests: int) -> memoryview:
    """Return canonical events (events/events.hpp): 2n blocks, every second one freed, then requests and their frees."""
    blocks = np.arange(2 * free_blocks, dtype=np.uint64)
    large = np.arange(2 * free_blocks, 2 * free_blocks + requests, dtype=np.uint64)
    parts = [
        (_ALLOCATE, blocks, SMALL),
        (_DEALLOCATE, blocks[::2], 0),
        (_ALLOCATE, large, LARGE),
        (_DEALLOCATE, large, 0),
        (_EPILOGUE, np.zeros(1, dtype=np.uint64), 0),
        (_DEALLOCATE, blocks[1::2], 0),
    ]
    events = [
        np.column_stack(
            (
                np.uint64(kind) | objects << np.uint64(24),
                np.full(len(objects), size | (_LOG2_ALIGNMENT << 58 if size else 0), dtype=np.uint64),
            )
        )
        for kind, objects, size in parts
    ]
    return memoryview(bytearray(np.concatenate(events).tobytes()))


def _instructions(allocator: str, free_blocks: int, requests: int, *, counter: Counter) -> int:
    """Return the instructions of a replay in a worker of its own."""
    (spec,) = parse_allocators(allocator, {})
    descriptor = os.memfd_create("memtool-image")
    try:
        with ImageBuilder("none", descriptor) as builder:
            builder.append(_events(free_blocks, requests))
            builder.finish()
        sample = WorkerExecutor(1).execute(
            Job(
                cell=Cell("holes", spec.label),
                block=0,
                run_pass=Pass.COUNTERS,
                plan=Registry().resolve(spec),
                image_fd=descriptor,
                image_bytes=os.fstat(descriptor).st_size,
                region=RegionRequest(1 << 30, 2 << 20),
                warmups=0,
                iterations=1,
                checkpoints=1,
                use_counter=False,
                time_limit=600.0,
                counter=counter,
            )
        )
    finally:
        os.close(descriptor)
    assert sample.status is Status.OK, sample.reason
    return sample.of(Instructions).instructions


def count(allocators: Sequence[str], free_blocks: Sequence[int], counter: Counter) -> dict[str, dict[int, float]]:
    """Return allocator -> free blocks -> instructions an operation, counted as many at a time as there are cores."""
    jobs = [(name, free, requests) for name in allocators for free in free_blocks for requests in (0, REQUESTS)]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        instructions = dict(zip(jobs, pool.map(lambda job: _instructions(*job, counter=counter), jobs), strict=True))
    return {
        name: {
            free: (instructions[name, free, REQUESTS] - instructions[name, free, 0]) / (2 * REQUESTS)
            for free in free_blocks
        }
        for name in allocators
    }


def flat(allocator: str, counts: Counts) -> Line:
    """Compare counts that should not depend on how much is free."""
    ours = f"{min(counts.values()):,.1f} to {max(counts.values()):,.1f}"
    is_flat = max(counts.values()) <= MOST and max(counts.values()) <= FLAT * min(counts.values())
    quantity = f"instructions an operation of {allocator}, {min(counts):,} to {max(counts):,} free blocks"
    return Line(quantity, f"constant; <= {MOST}, within 5 %", ours, Verdict.of(is_flat))


def proportional(allocator: str, counts: Counts) -> Line:
    """Compare counts that should grow as the free blocks do: ten times as many, ten times as much."""
    free = sorted(counts)
    factors = [counts[more] / counts[few] * few / more for few, more in pairwise(free)]
    ours = ", ".join(f"{counts[blocks]:,.0f}" for blocks in free)
    is_linear = all(abs(factor - 1) <= NEAR for factor in factors)
    quantity = f"the same of {allocator}, {', '.join(f'{blocks:,}' for blocks in free)} free blocks"
    return Line(quantity, "in proportion to the free blocks, ± 10 %", ours, Verdict.of(is_linear))


def lines(tlsf: str = TLSF, lists: Sequence[str] = LISTS) -> Iterator[Line]:
    """Count both kinds; ``tlsf`` and ``lists`` are what stands for them."""
    counter, reason = choose("auto")
    if reason is not None:
        yield Line("instructions an operation", "flat, and in proportion", reason, Verdict.NOT_RUN)
        return
    yield flat(tlsf, count((tlsf,), FREE_BLOCKS, counter)[tlsf])
    # Below a thousand free blocks the rest of an operation is a part of the count that can be seen.
    for name, counts in count(lists, FREE_BLOCKS[2:], counter).items():
        yield proportional(name, counts)


CONSTANT_TIME = Result(
    15,
    "TLSF's constant time",
    "Masmano et al. 2008",
    "Masmano, Ripoll, Real, Crespo and Wellings: Implementation of a constant-time dynamic storage allocator, "
    "Software: Practice and Experience 38(10), 2008",
    measured=lines,
)
