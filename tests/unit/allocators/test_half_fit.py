"""Half-fit beyond what it shares: one class for each power of two, and what it passes over."""

from __future__ import annotations

import pytest

from memtool.engine.abi.binding import Heap


def hole_of(heap: Heap, size: int) -> int:
    """Return the offset of a free block with ``size`` usable bytes, walled in by used ones."""
    offset = heap.allocate(size)
    heap.allocate(24)
    assert offset is not None
    heap.deallocate(offset, size)
    return offset


@pytest.mark.parametrize(
    ("hole", "size", "result"),
    [
        # With their tags: a hole of 1024 bytes is in the list from 1024 on, where requests from 528 on begin.
        (1016, 1016, True),
        (1016, 520, True),
        # One of 1008 is in the list from 512 on, where a request of 512 begins and one of 528 does not.
        (1000, 504, True),
        (1000, 505, False),
        (1000, 1000, False),
    ],
)
def test_only_lists_are_searched_where_every_block_fits(hole: int, size: int, result: bool) -> None:
    with Heap("half-fit", "grow=16", capacity=1 << 20) as heap:
        offset = hole_of(heap, hole)
        assert (heap.allocate(size) == offset) is result
        heap.check()


def test_memory_runs_out_before_a_hole_that_would_fit_is_found() -> None:
    with Heap("half-fit", "grow=16", capacity=4096) as heap:
        hole = hole_of(heap, 2000)
        assert heap.allocate(4096 - heap.footprint - 8) is not None  # the rest of the region
        assert heap.footprint == 4096
        # The hole has 2016 bytes with its tag: it is known to serve 1024, and nothing beyond.
        assert heap.allocate(1017) is None
        assert heap.allocate(1016) == hole
        heap.check()


def test_the_largest_request_that_fits_is_the_power_of_two_below_the_hole() -> None:
    with Heap("half-fit", "grow=16", capacity=1 << 20) as heap:
        hole_of(heap, 2000)
        stats = heap.stats()
        assert (stats["free_bytes"], stats["largest_free"]) == (2008, 1016)


def test_its_table_is_small() -> None:
    with Heap("half-fit", capacity=64 << 30) as heap:
        # 34 classes up to 2^32 granules: 8 bytes of bitmap, 272 of heads, 136 of counts; 8 that align the
        # payloads, 8 of the last tag.
        assert heap.footprint == 432
