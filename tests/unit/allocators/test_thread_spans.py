"""thread-spans beyond what it shares: pages that change their class, large blocks in place, memory that goes back."""

from __future__ import annotations

import ctypes
import mmap
from pathlib import Path

import pytest

from memtool.engine.abi.binding import Heap

PAGE = 4096


def allocated(heap: Heap, size: int) -> int:
    offset = heap.allocate(size)
    assert offset is not None
    return offset


def first_byte(heap: Heap, offset: int) -> int:
    return ctypes.string_at(heap.base + offset, 1)[0]


def test_a_span_that_has_all_its_blocks_back_is_pages_for_any_class() -> None:
    with Heap("thread-spans", capacity=16 << 20) as heap:
        # 32 spans of 16 KiB, and a page in which they are written down.
        blocks = [allocated(heap, 1024) for _ in range(512)]
        assert heap.stats()["used_blocks"] == 512
        before = heap.footprint
        for block in blocks:
            heap.deallocate(block, 1024)
        heap.check()
        # 16 blocks stay in the thread's array, and an empty span of 16: of at most three spans.
        for _ in range(29 * 4):
            allocated(heap, PAGE)
        assert heap.footprint == before
        heap.check()


def test_a_thread_keeps_no_more_of_a_class_than_its_array_holds() -> None:
    with Heap("thread-spans", "cached=4096,span=4096", capacity=16 << 20) as heap:
        blocks = [allocated(heap, 1024) for _ in range(64)]
        for block in blocks:
            heap.deallocate(block, 1024)
        pages = sum(count for _, count, state in heap.walk() if state == "free" and count == 1024) // PAGE
        # Four blocks in the array, of up to two spans of four, and one span that is empty.
        assert pages <= 3
        assert heap.stats()["used_blocks"] == 0


def test_a_large_block_is_resized_where_it_lies() -> None:
    with Heap("thread-spans", capacity=16 << 20) as heap:
        block = allocated(heap, 100 * PAGE)
        assert heap.reallocate(block, 100 * PAGE, 300 * PAGE) == block  # at the end of the region
        assert heap.reallocate(block, 300 * PAGE, 120 * PAGE) == block
        assert heap.usable_size(block, 120 * PAGE) == 120 * PAGE
        assert allocated(heap, 100 * PAGE) == block + 120 * PAGE  # in the pages that it left
        assert heap.reallocate(block, 120 * PAGE, 130 * PAGE) != block
        heap.check()
        assert heap.stats()["used_blocks"] == 2


@pytest.mark.parametrize(
    ("old", "new", "stays"),
    [(1000, 600, True), (1000, 500, False), (1000, 1024, True), (1000, 1025, False), (16, 1, True), (40_000, 8, False)],
)
def test_a_block_moves_when_it_is_too_small_or_less_than_half_used(old: int, new: int, stays: bool) -> None:
    with Heap("thread-spans", capacity=1 << 20) as heap:
        block = allocated(heap, old)
        ctypes.memset(heap.base + block, 7, old)
        moved = heap.reallocate(block, old, new)
        assert moved is not None
        assert (moved == block) is stays
        assert ctypes.string_at(heap.base + moved, min(old, new)) == b"\x07" * min(old, new)
        heap.deallocate(moved, new)
        heap.check()
        assert heap.stats()["used_blocks"] == 0


def test_large_zeroes_are_zero_where_something_else_was() -> None:
    with Heap("thread-spans", capacity=1 << 20) as heap:
        block = allocated(heap, 256 * 1024)
        ctypes.memset(heap.base + block, 0xFF, 256 * 1024)
        heap.deallocate(block, 256 * 1024)
        assert heap.allocate_zeroed(256 * 1024) == block
        assert ctypes.string_at(heap.base + block, 256 * 1024) == bytes(256 * 1024)


def test_long_runs_go_back_to_the_system_once_four_mebibytes_lie_idle() -> None:
    with Heap("thread-spans", capacity=64 << 20) as heap:
        blocks = [allocated(heap, 3 << 20) for _ in range(3)]
        for block in blocks:
            ctypes.memset(heap.base + block, 0xFF, 3 << 20)
        for block in blocks:
            heap.deallocate(block, 3 << 20)
        # Pages that went back read as zero.
        assert [first_byte(heap, block) for block in blocks] == [0xFF, 0, 0]
        heap.check()


def test_pages_that_spans_have_taken_do_not_lie_idle() -> None:
    with Heap("thread-spans", capacity=64 << 20) as heap:
        kept, *taken = (allocated(heap, size << 20) for size in (1, 2, 2))
        ctypes.memset(heap.base + kept, 0xFF, 1 << 20)
        for block in taken:
            heap.deallocate(block, 2 << 20)
        for _ in range(4096):
            allocated(heap, 1024)  # in the four MiB that were freed
        heap.deallocate(kept, 1 << 20)
        assert first_byte(heap, kept) == 0xFF
        heap.check()


def gives_pages_at_once() -> bool:
    """Return whether the kernel has MADV_POPULATE_WRITE (Linux 5.14)."""
    with mmap.mmap(-1, PAGE) as pages:
        try:
            pages.madvise(23)
        except OSError:
            return False
    return True


@pytest.mark.skipif(not gives_pages_at_once(), reason="the kernel gives a page at a time")
def test_a_class_that_has_grown_has_its_pages_before_they_are_written_to() -> None:
    with Heap("thread-spans", capacity=16 << 20) as heap:
        blocks = [allocated(heap, 1024) for _ in range(16 * 6)]  # six spans of four pages, of which none is written to
        page_of = [(heap.base + block) // PAGE for block in blocks]
        with Path("/proc/self/pagemap").open("rb") as pagemap:  # bit 63: the page is there

            def is_there(page: int) -> bool:
                pagemap.seek(page * 8)
                return bool(int.from_bytes(pagemap.read(8), "little") >> 63)

            there = [is_there(page) for page in page_of]
        assert there[: 16 * 4] == [False] * 16 * 4
        assert there[16 * 4 :] == [True] * 16 * 2
