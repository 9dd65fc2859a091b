"""Results that others published, reproduced: each test names its source and the published figure."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest

from memtool.allocators import regions
from memtool.engine import binding
from memtool.engine.binding import Heap
from memtool.model import Pass, Status
from memtool.pipeline import BenchOptions, bench

MIB = 1 << 20


def granted(heap: Heap, size: int) -> int:
    """Return what a heap grants for a request."""
    offset = heap.allocate(size)
    assert offset is not None
    usable = heap.usable_size(offset, size)
    heap.deallocate(offset, size)
    return usable


def test_glibc_grants_what_its_formula_says() -> None:
    """glibc, malloc.c (request2size): usable(n) = max(24, ((n + 23) & ~15) - 8) below the mmap threshold."""
    owner = binding.symbol_owner("malloc")
    if owner is None or "libc.so" not in owner[0]:
        pytest.skip("another library serves malloc here")
    with Heap("malloc") as heap:

        def least(size: int) -> int:
            # A free chunk that is 16 bytes too large is handed out whole, so the smallest of several blocks counts.
            blocks = [offset for offset in (heap.allocate(size) for _ in range(6)) if offset is not None]
            usable = min(heap.usable_size(offset, size) for offset in blocks)
            for offset in blocks:
                heap.deallocate(offset, size)
            return usable

        assert [least(n) for n in range(20_000)] == [max(24, ((n + 23) & ~15) - 8) for n in range(20_000)]


def test_jemalloc_spacing_wastes_a_fifth_at_most() -> None:
    """jemalloc(3), "Implementation notes": four classes a doubling waste at most 20 % above four quanta."""
    with Heap("segregated-pool", "spacing=4", capacity=256 * MIB) as heap:
        sizes = {n: granted(heap, n) for n in range(1, 32 * 1024 + 1)}
    assert max(1 - n / usable for n, usable in sizes.items() if n > 64) <= 0.20
    classes = sorted(set(sizes.values()))
    assert classes[:10] == [16, 32, 48, 64, 80, 96, 112, 128, 160, 192]
    assert all(upper <= lower * 1.25 for lower, upper in pairwise(classes) if lower >= 64)


@pytest.mark.parametrize(("largest", "published"), [(1 << 16, 4 / 3), (3 << 14, 1.4815)])
def test_buddy_over_allocates_uniform_sizes(largest: int, published: float) -> None:
    """Binary buddy over-allocation, uniform [1, 2^k] and [1, 1.5 * 2^k] (Peterson and Norman, CACM 20(6), 1977)."""
    with Heap("buddy", capacity=64 * MIB) as heap:
        total = sum(granted(heap, n) for n in range(1, largest + 1))
    assert total / (largest * (largest + 1) / 2) == pytest.approx(published, rel=0.01)


def test_buddy_over_allocates_log_uniform_sizes() -> None:
    """Sizes log-uniform over whole octaves: 1/ln 2 = 1.4427 a request, 2 ln 2 = 1.3863 in bytes."""
    steps, octaves = 500, range(8, 16)
    sizes = [int(2 ** (octave + (step + 0.5) / steps)) for octave in octaves for step in range(steps)]
    with Heap("buddy", capacity=64 * MIB) as heap:
        usable = [granted(heap, size) for size in sizes]
    ratios = [got / size for got, size in zip(usable, sizes, strict=True)]
    assert sum(ratios) / len(ratios) == pytest.approx(1.4427, rel=0.01)
    assert sum(usable) / sum(sizes) == pytest.approx(1.3863, rel=0.01)


def holes(order: str) -> float:
    """Return free blocks / used blocks of first fit, averaged over a steady state of 1,000 blocks of 1 to 10^4 B."""
    draw = random.Random(7)
    found = []
    with Heap("first-fit", capacity=64 * MIB) as heap:
        live: list[tuple[int, int]] = []
        for step in range(40_000):
            if len(live) == 1000:
                live.append(live.pop(0 if order == "oldest" else draw.randrange(1000)))
                offset, size = live.pop()
                heap.deallocate(offset, size)
            size = draw.randint(1, 10_000)
            block = heap.allocate(size)
            assert block is not None
            live.append((block, size))
            if step > 20_000 and step % 100 == 0:
                stats = heap.stats()
                assert stats["free_blocks"] is not None
                assert stats["used_blocks"] is not None
                found.append(stats["free_blocks"] / stats["used_blocks"])
    return sum(found) / len(found)


def test_the_fifty_percent_rule_holds_for_random_frees() -> None:
    """Knuth, TAOCP 1, 2.5: about half as many holes as blocks, when blocks are freed in random order."""
    assert 0.45 <= holes("random") <= 0.52


def test_the_fifty_percent_rule_fails_for_frees_in_order_of_allocation() -> None:
    """Knuth, TAOCP 1, 2.5, and its exercises: freed in order of allocation, blocks leave hardly any holes."""
    assert holes("oldest") < 0.1


def test_a_monotonic_arena_takes_all_bytes_ever_asked_for() -> None:
    """N4468 (Lakos et al., 2015): a monotonic allocator's footprint is everything that was ever allocated."""
    with Heap("bump", capacity=64 * MIB) as heap:
        for _ in range(3):
            blocks = [(heap.allocate(16 * n), 16 * n) for n in range(1, 201)]
            for offset, size in blocks:
                assert offset is not None
                heap.deallocate(offset, size)
        assert heap.footprint == 3 * 16 * 201 * 100


@pytest.mark.parametrize(("region", "faults"), [("anonymous", 65_536), ("hugepages", 128), ("populate", 0)])
def test_faults_to_touch_a_quarter_gibibyte(region: str, faults: int, tmp_path: Path) -> None:
    """Linux on x86-64: 256 MiB from a base aligned to 2 MiB are 65,536 pages, 128 huge ones, or faulted in before."""
    reason = regions.why_not(region, uses_region=True)
    if reason is not None:
        pytest.skip(reason)
    workload = tmp_path / "touch.yaml"
    workload.write_text("name: touch\nallocations: 1\ntouch: pages\npattern: {ramp: {size: 256MiB}}\n")
    options = BenchOptions(
        workloads=(str(workload),),
        allocators="bump",
        regions=(region,),
        passes=(Pass.FOOTPRINT,),
        blocks=2,
        output=tmp_path / "out",
        draw_plots=False,
    )
    (cell,) = bench(options, lambda *_: None).run.cells
    assert cell.status is Status.OK, cell.reason
    measured = cell.metrics["minor_faults"].value
    assert measured is not None
    # A handful of the engine's own pages come on top.
    assert abs(measured - faults) <= max(0.01 * faults, 16)
