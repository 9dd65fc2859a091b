"""Segregated fit beyond what it shares: first fit inside the class, and the spacing of the classes."""

from __future__ import annotations

import pytest

from memtool.engine.abi.binding import Heap


def holes_of(heap: Heap, *sizes: int) -> list[int]:
    """Return the offsets of free blocks of these usable bytes, freed in this order, used ones between."""
    offsets = []
    for size in sizes:
        offset = heap.allocate(size)
        assert offset is not None
        offsets.append(offset)
        heap.allocate(24)
    for offset, size in zip(offsets, sizes, strict=True):
        heap.deallocate(offset, size)
    return offsets


def test_inside_a_class_the_first_that_fits_is_taken_and_not_the_best() -> None:
    with Heap("segregated-fit", "classes=1,grow=16", capacity=1 << 20) as heap:
        # All in the class from 1024 to 2047, the last one freed first in the list.
        exact, large, small = holes_of(heap, 1192, 1592, 1096)
        assert heap.allocate(1192) == large
        assert heap.allocate(1192) == exact
        assert heap.allocate(1000) == small
        heap.check()


def test_a_block_of_the_very_size_is_found_whatever_its_class() -> None:
    with Heap("segregated-fit", "classes=1,grow=16", capacity=1 << 20) as heap:
        for size in range(24, 3000, 112):
            (hole,) = holes_of(heap, size)
            assert heap.allocate(size) == hole


def test_a_class_without_a_fit_is_left_for_the_next_one() -> None:
    with Heap("segregated-fit", "classes=1,grow=16", capacity=1 << 20) as heap:
        _, above = holes_of(heap, 1100, 2200)
        assert heap.allocate(1500) == above
        heap.check()


@pytest.mark.parametrize(("classes", "taken"), [(1, 1), (2, 0)])
def test_spacing_decides_which_blocks_compete(classes: int, taken: int) -> None:
    with Heap("segregated-fit", f"classes={classes},grow=16", capacity=1 << 20) as heap:
        # 1104 and 1904 bytes with their tags: one class of a power of two, or its lower and its upper half.
        holes = holes_of(heap, 1096, 1896)
        assert heap.allocate(1096) == holes[taken]


def test_the_largest_free_block_is_known_exactly() -> None:
    with Heap("segregated-fit", "classes=1,grow=16", capacity=1 << 20) as heap:
        holes_of(heap, 1880, 1992, 1096)
        assert heap.stats()["largest_free"] == 1992
