"""Half-fit beyond what it shares: one class for each power of two, and what it passes over."""

from __future__ import annotations

import pytest

from memtool.engine.binding import Heap


def hole_of(heap: Heap, size: int) -> int:
    """Return the offset of a free block with ``size`` usable bytes, walled in by used ones."""
    offset = heap.allocate(size)
    heap.allocate(24)
    assert offset is not None
    heap.deallocate(offset, size)
    return offset


@pytest.mark.parametrize(
    ("hole", "size", "found"),
    [
        # With their tags: a hole of 1024 bytes is in the list from 1024 on, where a request of 528 to 1024 begins.
        (1016, 1016, True),
        (1016, 520, True),
        # One of 1008 is in the list from 512 on, where a request of 512 begins and one of 528 does not.
        (1000, 504, True),
        (1000, 505, False),
        (1000, 1000, False),
    ],
)
def test_only_lists_are_searched_where_every_block_fits(hole: int, size: int, found: bool) -> None:
    with Heap("half-fit", "grow=16", capacity=1 << 20) as heap:
        offset = hole_of(heap, hole)
        assert (heap.allocate(size) == offset) is found
        heap.check()


def test_a_hole_of_nearly_twice_the_request_is_passed_over_and_memory_runs_out() -> None:
    with Heap("half-fit", "grow=16", capacity=4096) as heap:
        hole_of(heap, 2000)
        while heap.allocate(24) is not None and heap.stats()["largest_free"] != 1016:
            pass
        # The hole has 2008 bytes with its tag: it is known to serve 1024, and nothing beyond.
        heap.check()


def test_the_largest_request_that_fits_is_the_power_of_two_below_the_hole() -> None:
    with Heap("half-fit", "grow=16", capacity=1 << 20) as heap:
        hole_of(heap, 2000)
        stats = heap.stats()
        assert (stats["free_bytes"], stats["largest_free"]) == (2000, 1016)


def test_its_table_is_small() -> None:
    with Heap("half-fit", capacity=64 << 30) as heap:
        # 34 classes up to 2^32 granules: a word of bitmap, 34 heads, 34 counts of 4 bytes; one tag.
        assert heap.footprint == 8 + 34 * 8 + 34 * 4 + 8
