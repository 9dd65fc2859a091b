"""What stands on malloc or on the kernel: contents, alignment, and what is zero."""

from __future__ import annotations

import ctypes
import mmap

import pytest

from memtool.engine.abi.binding import Heap

NAMES = ["new-delete", "std-allocator", "calloc", "unique-ptr", "shared-ptr", "pmr-new-delete", "mmap"]
PAGE = mmap.PAGESIZE


def contents(heap: Heap, offset: int, size: int) -> bytes:
    return ctypes.string_at(heap.base + offset, size)


WITH_PARAMETERS = [("unique-ptr", "make=zero"), ("shared-ptr", "make=apart"), ("mmap", "populate=yes")]


@pytest.mark.parametrize(("name", "parameters"), [*((name, "") for name in NAMES), *WITH_PARAMETERS])
def test_blocks_are_apart_and_keep_what_is_written(name: str, parameters: str) -> None:
    sizes = [0, 1, 7, 16, 24, 100, 1000, 5000, 100_000]
    with Heap(name, parameters, capacity=1 << 20) as heap:
        blocks = []
        for number, size in enumerate(sizes * 5):
            offset = heap.allocate(size)
            assert offset is not None
            assert (heap.base + offset) % min(16, 1 << max(size, 1).bit_length() - 1) == 0
            assert heap.usable_size(offset, size) >= size
            ctypes.memset(heap.base + offset, number, size)
            blocks.append((offset, size))
        for number, (offset, size) in enumerate(blocks):
            assert contents(heap, offset, size) == bytes([number]) * size
        for offset, size in blocks:
            heap.deallocate(offset, size)
        assert heap.footprint == 0


@pytest.mark.parametrize(("name", "parameters"), [("calloc", ""), ("unique-ptr", "make=zero"), ("mmap", "")])
def test_some_hand_out_nothing_but_zeroes(name: str, parameters: str) -> None:
    with Heap(name, parameters, capacity=1 << 20) as heap:
        for _ in range(20):
            offset = heap.allocate(1000)
            assert offset is not None
            assert contents(heap, offset, 1000) == bytes(1000)
            ctypes.memset(heap.base + offset, 1, 1000)
            heap.deallocate(offset, 1000)


def test_a_mapping_is_whole_pages_aligned_as_asked_and_moves_when_it_grows() -> None:
    with Heap("mmap", capacity=1 << 20) as heap:
        offset = heap.allocate(1, 2 << 20)
        assert offset is not None
        assert (heap.base + offset) % (2 << 20) == 0
        assert heap.usable_size(offset, 1) == PAGE
        ctypes.memset(heap.base + offset, 7, 1)
        grown = heap.reallocate(offset, 1, 50 * PAGE, 2 << 20)
        assert grown is not None
        assert (heap.base + grown) % (2 << 20) == 0
        assert contents(heap, grown, 2) == b"\x07\x00"
        heap.deallocate(grown, 50 * PAGE, 2 << 20)


@pytest.mark.parametrize("name", NAMES)
def test_more_than_there_is_returns_none(name: str) -> None:
    with Heap(name, capacity=1 << 20) as heap:
        assert heap.allocate(1 << 60) is None
        offset = heap.allocate(100)
        assert offset is not None
        heap.deallocate(offset, 100)
