"""The ring: where its head goes, worked out by hand. A block of 56 bytes takes 64, its link included."""

from __future__ import annotations

import random

import pytest

from memtool.engine.abi.binding import Heap

SIZE = 56
FIRST = 16
"""Where the first block lies: behind its link, aligned to 16."""


def ring(capacity: int = 4096) -> Heap:
    return Heap("ring", "chunk=4096", capacity=capacity)


def fill(heap: Heap, count: int) -> list[int]:
    offsets = [heap.allocate(SIZE) for _ in range(count)]
    assert all(offset is not None for offset in offsets)
    return [offset for offset in offsets if offset is not None]


def test_blocks_follow_each_other_and_end_where_the_next_link_begins() -> None:
    with ring() as heap:
        assert fill(heap, 3) == [FIRST, FIRST + 64, FIRST + 128]
        assert heap.usable_size(FIRST, SIZE) == SIZE
        # It takes 16 more, of which a word may be the next link's, aligned to 8.
        assert heap.usable_size(FIRST, SIZE + 1) == SIZE + 8


def test_the_head_comes_round_to_what_was_freed() -> None:
    with ring() as heap:
        # 4096 bytes: 8 before the first link, 63 blocks, and 56 that the link to the base still fits in.
        offsets = fill(heap, 63)
        assert offsets[-1] == FIRST + 62 * 64
        assert heap.allocate(SIZE) is None
        heap.deallocate(offsets[0], SIZE)
        # A ring that is exactly full cannot be told from an empty one, so the head stays behind the tail.
        assert heap.allocate(SIZE) is None
        heap.deallocate(offsets[1], SIZE)
        assert heap.allocate(SIZE) == FIRST
        assert heap.allocate(SIZE) is None
        heap.check()


def test_a_full_ring_grows_at_its_end_and_closes_again() -> None:
    with ring(64 * 1024) as heap:
        first = fill(heap, 63)
        for offset in first[:2]:
            heap.deallocate(offset, SIZE)
        # Round to the base once; then there is no room before the tail, and the head leaves for the end.
        second = fill(heap, 3)
        # The link to the base is at 8 + 63 * 64 = 4040; the next run begins behind it, its first block at 16 more.
        assert second == [FIRST, 4064, 4128]
        assert heap.footprint == 8192
        heap.check()
        for offset in first[2:] + second[:1]:
            heap.deallocate(offset, SIZE)
        # The tail has followed: all before it is free, and is found when the end is reached.
        rest = fill(heap, 61)
        assert rest[0] == second[-1] + 64
        assert fill(heap, 2)[-1] < 4096
        assert heap.footprint == 8192
        heap.check()


def test_an_empty_ring_begins_again_at_its_base() -> None:
    with ring() as heap:
        for offset in fill(heap, 10):
            heap.deallocate(offset, SIZE)
        assert fill(heap, 1) == [FIRST]


def test_a_queue_of_bounded_length_has_a_bounded_footprint() -> None:
    draw = random.Random(1)
    with ring(1 << 20) as heap:
        queue: list[tuple[int, int]] = []
        for _ in range(20_000):
            size = draw.randrange(1, 200)
            offset = heap.allocate(size)
            assert offset is not None
            queue.append((offset, size))
            if len(queue) > 50:
                heap.deallocate(*queue.pop(0))
        # At most 50 * 216 bytes live, and once round.
        assert heap.footprint <= 16 * 1024
        heap.check()


def test_only_the_youngest_block_is_resized_in_place_where_there_is_room() -> None:
    with ring() as heap:
        old, young = fill(heap, 2)
        assert heap.reallocate(old, SIZE, 100) is None
        assert heap.reallocate(young, SIZE, 1000) == young
        assert heap.allocate(SIZE) == young + 1008
        heap.check()


def test_a_youngest_block_without_room_moves_and_leaves_its_place_to_be_freed_with_it() -> None:
    with ring() as heap:
        offsets = fill(heap, 63)
        for offset in offsets[:40]:
            heap.deallocate(offset, SIZE)
        assert heap.reallocate(offsets[-1], SIZE, 1000) == FIRST
        heap.check()
        assert heap.stats()["used_blocks"] == 23
        for offset in offsets[40:-1]:
            heap.deallocate(offset, SIZE)
        heap.deallocate(FIRST, 1000)
        assert heap.stats()["used_blocks"] == 0
        heap.check()


@pytest.mark.parametrize("alignment", [64, 256])
def test_padding_before_an_aligned_block_is_accounted_for(alignment: int) -> None:
    with ring() as heap:
        fill(heap, 1)
        offset = heap.allocate(SIZE, alignment)
        assert offset is not None
        # Behind the first block its link would begin at 72: padding up to the link of the aligned one.
        padding = (72, offset - 8 - 72, "metadata")
        assert padding in heap.walk()
        heap.check()
