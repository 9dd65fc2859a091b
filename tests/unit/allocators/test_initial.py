"""Heaps that begin as one pool of fixed size: what they refuse where a heap that grows at its end would serve."""

from __future__ import annotations

import itertools

import pytest

from memtool.engine.abi.binding import Heap
from memtool.engine.loading import EngineError

POOL = 2 << 20
FIXED = f"initial={POOL},grow=0"
REAL_TIME = ("tlsf", "half-fit", "segregated-fit")
FITS = ("first-fit", "next-fit", "best-fit", "worst-fit")


def test_tlsf_refuses_what_its_search_rounds_beyond_the_pool() -> None:
    # 2,080,008 bytes with the tag: rounded up to a multiple of 32 KiB that is 2 MiB, more than the pool has.
    with Heap("tlsf", FIXED, POOL) as heap:
        assert heap.footprint == POOL
        assert heap.allocate(2_080_000) is None
        assert heap.allocate(2_064_384 - 8) is not None  # 63 times 32 KiB: a class that the pool's block is in
        heap.check()


def test_without_a_pool_the_end_of_the_heap_serves_it() -> None:
    with Heap("tlsf", "", POOL) as heap:
        assert heap.allocate(2_080_000) is not None


def test_half_fit_refuses_more_than_the_power_of_two_below_its_pool() -> None:
    with Heap("half-fit", FIXED, POOL) as heap:
        assert heap.allocate((1 << 20) + 100) is None
        assert heap.stats()["largest_free"] == (1 << 20) - 8
        assert heap.allocate((1 << 20) - 8) is not None
        heap.check()


@pytest.mark.parametrize("name", ["segregated-fit", *FITS])
def test_the_others_search_their_block_itself(name: str) -> None:
    with Heap(name, FIXED, POOL) as heap:
        largest = heap.stats()["largest_free"]
        # What is not the block's is a table of classes, or the index beside it; and two tags.
        assert largest == POOL - TABLES_APART.get(name, 2736) - 24
        assert heap.allocate(largest + 1) is None
        assert heap.allocate(largest) is not None
        assert heap.allocate(1) is None
        heap.check()


TABLES_APART = {"first-fit": 25_120, "next-fit": 25_120, "best-fit": 4_224, "worst-fit": 4_224}
"""Bytes that an index of such a pool needs beside the region; in whole granules. They are part of the budget."""


@pytest.mark.parametrize("name", [*REAL_TIME, *FITS])
def test_a_pool_is_no_larger_than_the_region_and_may_grow(name: str) -> None:
    with Heap(name, f"initial={4 * POOL},grow=0", POOL) as heap:
        assert heap.footprint == POOL - TABLES_APART.get(name, 0)
    with Heap(name, "initial=65536,grow=4096", POOL) as heap:
        assert heap.footprint == 65_536
        assert heap.allocate(100_000) is not None
        assert heap.footprint > 65_536
        heap.check()
    with pytest.raises(EngineError, match="grow: must not be 0 if the heap starts empty"):
        Heap(name, "grow=0", POOL)


def test_a_free_list_of_the_whole_region_leaves_room_for_its_own_first_bytes() -> None:
    with Heap("free-list", f"initial={POOL},grow=0", POOL) as heap:
        # 8 bytes so that payloads are aligned behind their headers, and 8 that are no whole step of 16.
        assert heap.stats()["largest_free"] == POOL - 16 - 16
        assert heap.allocate(POOL - 32) is not None
        heap.check()


@pytest.mark.parametrize("parameters", ["", "initial=65536", "initial=1048576", "grow=16"])
@pytest.mark.parametrize("name", [*REAL_TIME, *FITS, "segregated-pool", "slab"])
@pytest.mark.parametrize("capacity", [64 << 10, 1 << 20])
def test_a_heap_and_its_tables_stay_within_the_limit(name: str, parameters: str, capacity: int) -> None:
    if name not in (*REAL_TIME, *FITS) and parameters:
        pytest.skip("it has no such parameter")
    # An index grows with its heap: 768 bytes of 64 KiB and 12,544 of 1 MiB were once to be had for nothing.
    with Heap(name, parameters, capacity) as heap:
        sizes = itertools.cycle((24, 300, 40, 5000))
        offsets = []
        for size in sizes:
            offset = heap.allocate(size)
            tables = heap.stats()["metadata_apart_bytes"]
            assert tables is not None
            assert heap.footprint + tables <= capacity
            if offset is None:
                break
            offsets.append((offset, size))
        for offset, size in offsets[::2]:
            heap.deallocate(offset, size)
            tables = heap.stats()["metadata_apart_bytes"]
            assert tables is not None
            assert heap.footprint + tables <= capacity
