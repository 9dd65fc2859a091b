"""The frame arena: which frame's memory is met again when. A chunk of 4096 bytes gives 4064 behind its header of 32."""

from __future__ import annotations

import pytest

from memtool.engine.abi.binding import Heap

FIRST = 32


def frame(heap: Heap, *sizes: int) -> list[int | None]:
    """Run a frame that allocates and ends."""
    heap.mark()
    offsets = [heap.allocate(size) for size in sizes]
    heap.check()
    heap.release()
    heap.check()
    return offsets


@pytest.mark.parametrize(
    ("buffers", "firsts"),
    [
        (1, [FIRST, FIRST, FIRST, FIRST]),
        (2, [FIRST, 4096 + FIRST, FIRST, 4096 + FIRST]),
        (3, [FIRST, 4096 + FIRST, 8192 + FIRST, FIRST]),
    ],
)
def test_frames_take_their_memory_in_turn(buffers: int, firsts: list[int]) -> None:
    with Heap("frame-arena", f"buffers={buffers},chunk=4096", capacity=1 << 20) as heap:
        assert [frame(heap, 100, 100) for _ in range(4)] == [[first, first + 112] for first in firsts]
        assert heap.footprint == 4096 * buffers


def test_scopes_in_a_frame_are_marks_in_its_buffer() -> None:
    with Heap("frame-arena", "chunk=4096", capacity=1 << 20) as heap:
        heap.mark()
        before = heap.allocate(64)
        heap.mark()
        assert heap.allocate(64) == FIRST + 64
        assert heap.allocate(8000) == 4096 + FIRST  # in a chunk of its own
        heap.release()
        assert heap.allocate(64) == FIRST + 64
        heap.check()
        heap.release()
        assert before == FIRST


def test_what_no_frame_has_allocated_stays() -> None:
    with Heap("frame-arena", "buffers=1,chunk=4096", capacity=1 << 20) as heap:
        assert heap.allocate(64) == FIRST
        assert [frame(heap, 64) for _ in range(3)] == [[4096 + FIRST]] * 3
        assert heap.allocate(64) == FIRST + 64


def test_a_buffer_keeps_its_chunks_from_frame_to_frame() -> None:
    with Heap("frame-arena", "buffers=1,chunk=4096", capacity=1 << 20) as heap:
        first = frame(heap, 4000, 4000, 4000)
        assert first == [FIRST, 4096 + FIRST, 8192 + FIRST]
        assert frame(heap, 4000, 4000, 4000) == first
        # What does not fit into the chunk that is next goes to one in which it does.
        assert frame(heap, 4000, 5000, 4000) == [FIRST, 12_288 + FIRST, 12_288 + 5040 + FIRST]
        assert heap.footprint == 12_288 + 5040 + 4096


def test_the_youngest_block_is_resized_in_place_but_not_across_the_begin_of_its_scope() -> None:
    with Heap("frame-arena", capacity=1 << 20) as heap:
        heap.mark()
        block = heap.allocate(64)
        assert block == FIRST
        assert heap.reallocate(block, 64, 200) == FIRST
        heap.mark()
        assert heap.reallocate(block, 200, 300) == FIRST + 208
        heap.check()
