"""The object pool: when the constructor writes, seen in the memory itself."""

from __future__ import annotations

import ctypes

import pytest

from memtool.engine.abi.binding import Heap

CONSTRUCTED = b"\x5a"


def contents(heap: Heap, offset: int, size: int) -> bytes:
    return ctypes.string_at(heap.base + offset, size)


def fill(heap: Heap, offset: int, size: int) -> None:
    ctypes.memset(heap.base + offset, 1, size)


@pytest.mark.parametrize(
    ("construct", "again"),
    # What the program left in an object is there when it comes back; or the constructor has run over it.
    [("once", b"\x01" * 64), ("always", CONSTRUCTED * 40 + b"\x01" * 24)],
)
def test_an_object_is_constructed_when_its_block_is_first_handed_out_or_always(construct: str, again: bytes) -> None:
    with Heap("object-pool", f"block=64,state=40,construct={construct}", capacity=1 << 20) as heap:
        offset = heap.allocate(64)
        assert offset == 0
        assert contents(heap, 0, 64) == CONSTRUCTED * 40 + bytes(24)
        fill(heap, 0, 64)
        heap.deallocate(0, 64)
        assert heap.allocate(64) == 0
        assert contents(heap, 0, 64) == again


def test_being_free_leaves_no_trace_in_an_object() -> None:
    with Heap("object-pool", "block=64", capacity=1 << 20) as heap:
        first, second = heap.allocate(64), heap.allocate(64)
        # 64 bytes and the link behind them, rounded up to 16.
        assert (first, second) == (0, 80)
        for offset in (0, 80):
            fill(heap, offset, 64)
            heap.deallocate(offset, 64)
        assert contents(heap, 0, 64) == contents(heap, 80, 64) == b"\x01" * 64


def test_a_constructor_writes_no_more_than_the_object() -> None:
    with Heap("object-pool", "block=24,state=4096", capacity=1 << 20) as heap:
        assert [heap.allocate(24) for _ in range(2)] == [0, 32]
        assert contents(heap, 24, 8) == bytes(8)


def test_links_are_metadata() -> None:
    with Heap("object-pool", "block=64,chunk=4096", capacity=1 << 20) as heap:
        heap.allocate(64)
        stats = heap.stats()
        # 51 blocks of 80 bytes fit into 4096.
        assert (stats["footprint"], stats["granted"], stats["free_blocks"]) == (4080, 64, 50)
        assert stats["metadata_bytes"] == 51 * 16
