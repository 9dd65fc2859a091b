"""TLSF beyond what it shares: its classes, the rounding of a search, the size of its table."""

from __future__ import annotations

import itertools

import pytest

from memtool.engine.abi.binding import Heap
from memtool.engine.loading import EngineError


def hole_of(heap: Heap, size: int) -> int:
    """Return the offset of a free block with ``size`` usable bytes, walled in by used ones."""
    last = heap.allocate(24)
    assert last is not None
    # The last block grows in place by just that much: an allocation of `size` would be rounded up.
    offset = heap.reallocate(last, 24, size)
    assert offset == last
    heap.allocate(24)
    heap.deallocate(offset, size)
    return offset


def test_the_first_blocks_of_a_heap_of_one_mebibyte() -> None:
    with Heap("tlsf", capacity=1 << 20) as heap:
        # 65,536 granules of 16 bytes are 385 classes: 7 words of bitmap, 385 heads, 386 counts in 32 bits.
        assert [heap.allocate(size) for size in (1, 24, 25)] == [4688, 4720, 4752]
        assert heap.footprint == 4688 + 65536


@pytest.mark.parametrize(
    ("capacity", "subdivisions", "footprint"),
    [(256 << 10, 8, 1200), (256 << 10, 32, 3920), (64 << 30, 32, 10896), (64 << 30, 64, 20992)],
)
def test_the_table_depends_on_the_region_and_the_subdivisions(capacity: int, subdivisions: int, footprint: int) -> None:
    with Heap("tlsf", f"subdivisions={subdivisions}", capacity=capacity) as heap:
        assert heap.footprint == footprint


@pytest.mark.parametrize(
    ("subdivisions", "size", "result"),
    [
        # Below 1024 bytes with their tag, 32 subdivisions hold one size a class: nothing is rounded.
        (32, 1000, True),
        # 1040 bytes with their tag lie in the class from 1024 to 1055; the search begins at 1056.
        (32, 1032, False),
        (32, 1048, True),
        # 64 subdivisions hold one size a class below 2048 bytes.
        (64, 1032, True),
        (64, 2056, False),
        # 8 subdivisions do so below 256.
        (8, 248, True),
        (8, 264, False),
    ],
)
def test_a_block_of_the_very_size_is_found_unless_its_class_holds_smaller_ones(
    subdivisions: int, size: int, result: bool
) -> None:
    with Heap("tlsf", f"subdivisions={subdivisions},grow=16", capacity=1 << 20) as heap:
        hole = hole_of(heap, size)
        assert (heap.allocate(size) == hole) is result
        heap.check()


def test_a_block_is_cut_to_the_rounded_size_and_found_again() -> None:
    with Heap("tlsf", "grow=16", capacity=1 << 20) as heap:
        # With its tag 1040 bytes, the next class begins at 1056; 2112, at 2112; 2128, at 2176.
        for size, granted in ((1032, 1048), (2104, 2104), (2120, 2168)):
            offset = heap.allocate(size)
            assert offset is not None
            assert heap.usable_size(offset, size) == granted
            heap.allocate(24)
            heap.deallocate(offset, size)
            assert heap.allocate(size) == offset
        heap.check()


def test_rounding_never_costs_the_last_bytes_of_the_region() -> None:
    with Heap("tlsf", "grow=16", capacity=64 << 10) as heap:
        left = (64 << 10) - heap.footprint - 8
        offset = heap.allocate(left)
        assert offset is not None
        assert heap.usable_size(offset, left) == left
        heap.check()
        # The same from a free block at the end, which no list would find.
        heap.deallocate(offset, left)
        assert heap.allocate(left) == offset


@pytest.mark.parametrize(("subdivisions", "bound"), [(8, 1 / 8), (16, 1 / 16), (32, 1 / 32), (64, 1 / 64)])
def test_a_search_is_rounded_up_by_less_than_one_subdivision(subdivisions: int, bound: float) -> None:
    """Brute force over every hole of up to 36 KiB: the largest request that it serves says its class."""
    with Heap("tlsf", f"subdivisions={subdivisions},grow=16", capacity=64 << 20) as heap:
        classes = set()
        for hole in range(32, 36 << 10, 16):
            offset = hole_of(heap, hole - 8)
            largest = heap.stats()["largest_free"]
            assert largest is not None
            classes.add(largest + 8)
            assert heap.allocate(largest) == offset  # it does serve it
            if hole - 8 > largest:
                assert heap.reallocate(offset, largest, hole - 8) == offset
        heap.check()
    limits = sorted(classes)
    # The worst request of each class asks for one granule more than the class limit below it.
    roundings = [(above - (below + 16)) / (below + 16) for below, above in itertools.pairwise(limits)]
    assert 0.8 * bound < max(roundings) < bound


def test_subdivisions_are_one_of_four() -> None:
    with pytest.raises(EngineError, match=r"subdivisions: must be one of 8\|16\|32\|64, is '12'"):
        Heap("tlsf", "subdivisions=12")
