"""What TLSF, half-fit and segregated fit share: tags, merging, splitting, alignment, growth, exhaustion."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtool.engine.abi.binding import Heap
from memtool.engine.loading import EngineError
from tests.sequences import STEPS, Step, assert_sound, drive

NAMES = ("tlsf", "half-fit", "segregated-fit")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def heap(name: str) -> Iterator[Heap]:
    """Return a heap without a free tail: it grows by exactly what is missing."""
    with Heap(name, "grow=16", capacity=1 << 20) as opened:
        yield opened
        opened.check()


def allocated(heap: Heap, size: int, alignment: int = 16) -> int:
    offset = heap.allocate(size, alignment)
    assert offset is not None
    return offset


def blocks(heap: Heap) -> list[tuple[int, str]]:
    """Return (bytes, state) of the blocks alone, without table and tags."""
    return [(count, state) for _, count, state in heap.walk() if state != "metadata"]


def test_a_used_block_costs_eight_bytes_and_reaches_to_the_next_tag(heap: Heap) -> None:
    offsets = [allocated(heap, size) for size in (1, 24, 25, 40, 41, 0)]
    assert [heap.usable_size(offset, 1) for offset in offsets] == [24, 24, 40, 40, 56, 24]
    assert [after - before for before, after in itertools.pairwise(offsets)] == [32, 32, 48, 48, 64]


def test_the_heap_begins_with_its_table_and_ends_with_a_tag(heap: Heap) -> None:
    first = heap.footprint
    allocated(heap, 100)
    assert heap.walk() == [
        (0, first - 8, "metadata"),
        (first - 8, 8, "metadata"),
        (first, 104, "used"),
        (first + 104, 8, "metadata"),
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_three_neighbours_freed_in_any_order_become_one_block(heap: Heap, order: tuple[int, ...]) -> None:
    offsets = [allocated(heap, 104) for _ in range(3)]
    allocated(heap, 24)
    for index in order:
        heap.deallocate(offsets[index], 104)
        heap.check()
    assert blocks(heap) == [(3 * 112 - 8, "free"), (24, "used")]


def test_a_remainder_becomes_a_block_from_32_bytes_on(heap: Heap) -> None:
    hole = allocated(heap, 1016)  # 1024 with its tag, a class of its own everywhere
    allocated(heap, 24)
    heap.deallocate(hole, 1016)
    assert heap.allocate(1016 - 32) == hole
    assert blocks(heap) == [(984, "used"), (24, "free"), (24, "used")]
    heap.deallocate(hole, 1016 - 32)
    assert heap.allocate(1016 - 16) == hole  # 16 bytes could not hold a free block: they are granted
    assert blocks(heap) == [(1016, "used"), (24, "used")]


def test_the_last_block_freed_is_the_first_taken(heap: Heap) -> None:
    offsets = [allocated(heap, 1016) for _ in range(6)]
    for index in (0, 2, 4):
        heap.deallocate(offsets[index], 1016)
    assert [heap.allocate(1016) for _ in range(3)] == [offsets[4], offsets[2], offsets[0]]


def test_the_smaller_of_two_classes_that_fit_is_taken(heap: Heap) -> None:
    large, _, small, _ = (allocated(heap, size) for size in (4088, 24, 1016, 24))
    heap.deallocate(small, 1016)
    heap.deallocate(large, 4088)
    assert heap.allocate(500) == small


@pytest.mark.parametrize("alignment", [32, 64, 4096, 65536, 2 << 20])
def test_an_aligned_block_leaves_a_free_block_before_it(name: str, alignment: int) -> None:
    with Heap(name, "grow=16", capacity=8 << 20) as heap:
        allocated(heap, 24)
        while (heap.base + heap.footprint) % alignment == 0:  # where the next payload would be
            allocated(heap, 40)
        used = len(blocks(heap))
        offset = allocated(heap, 100, alignment)
        heap.check()
        assert (heap.base + offset) % alignment == 0
        assert [state for _, state in blocks(heap)[used:]] == ["free", "used"]
        heap.deallocate(offset, 100, alignment)
        heap.check()
        assert [state for _, state in blocks(heap)[used:]] == ["free"]


def test_an_aligned_block_is_carved_out_of_a_hole(heap: Heap) -> None:
    hole = allocated(heap, 16376)
    allocated(heap, 24)
    heap.deallocate(hole, 16376)
    before = heap.footprint
    offset = allocated(heap, 100, 4096)
    heap.check()
    assert hole < offset < hole + 16376
    assert (heap.base + offset) % 4096 == 0
    assert heap.footprint == before


def test_it_grows_by_the_step_and_counts_the_free_tail(name: str) -> None:
    with Heap(name, "grow=4096", capacity=1 << 20) as heap:
        empty = heap.footprint
        allocated(heap, 24)
        assert heap.footprint == empty + 4096
        allocated(heap, 4096 - 32 - 8)  # what is left exactly
        assert heap.footprint == empty + 4096
        allocated(heap, 100)
        assert heap.footprint == empty + 8192  # of which 112 bytes are used
        allocated(heap, 15864)  # 15872 with its tag, and 8192 - 4096 - 112 = 3984 are there
        assert heap.footprint == empty + 8192 + 15872 - 3984


def test_the_last_block_is_taken_even_where_the_lists_round_the_request_up(name: str) -> None:
    with Heap(name, "grow=50000", capacity=1 << 20) as heap:
        heap.deallocate(allocated(heap, 24), 24)
        before = heap.footprint
        allocated(heap, 50000 - 8)
        assert heap.footprint == before


def test_a_block_shrinks_in_place_and_frees_its_tail(heap: Heap) -> None:
    offset = allocated(heap, 1000)
    allocated(heap, 24)
    assert heap.reallocate(offset, 1000, 100) == offset
    assert blocks(heap) == [(104, "used"), (1008 - 112 - 8, "free"), (24, "used")]
    assert heap.reallocate(offset, 100, 24) == offset  # the new tail joins the free block behind
    assert blocks(heap) == [(24, "used"), (1008 - 32 - 8, "free"), (24, "used")]


def test_a_block_grows_into_the_free_block_behind_it(heap: Heap) -> None:
    offset, behind, _ = (allocated(heap, size) for size in (104, 1000, 24))
    heap.deallocate(behind, 1000)
    assert heap.reallocate(offset, 104, 600) == offset
    assert blocks(heap) == [(600, "used"), (112 + 1008 - 608 - 8, "free"), (24, "used")]
    assert heap.reallocate(offset, 600, 1112) == offset
    assert blocks(heap) == [(1112, "used"), (24, "used")]


def test_the_last_block_grows_with_the_heap(heap: Heap) -> None:
    offset = allocated(heap, 104)
    before = heap.footprint
    assert heap.reallocate(offset, 104, 1000) == offset
    assert heap.footprint == before + 1008 - 112


def test_a_block_that_cannot_stay_moves(heap: Heap) -> None:
    offset, after = allocated(heap, 104), allocated(heap, 104)
    assert heap.reallocate(offset, 104, 1000) == after + 112
    assert blocks(heap) == [(104, "free"), (104, "used"), (1000, "used")]


def test_a_block_that_cannot_grow_stays_as_it_was(heap: Heap) -> None:
    offset = allocated(heap, 100)
    assert heap.reallocate(offset, 100, 1 << 20) is None
    assert heap.reallocate(offset, 100, 1 << 60) is None
    assert blocks(heap) == [(104, "used")]


def test_out_of_memory_leaves_the_heap_usable(name: str) -> None:
    with Heap(name, capacity=256 << 10) as heap:
        offsets = list(iter(lambda: heap.allocate(1016), None))
        heap.check()
        # 256 KiB less the table, the first tag and the last: everything else was handed out.
        assert len(offsets) == (256 * 1024 - heap.walk()[0][1] - 8) // 1024
        heap.deallocate(offsets[7], 1016)
        assert heap.allocate(2000) is None
        assert heap.allocate(1016) == offsets[7]
        for offset in offsets:
            heap.deallocate(offset, 1016)
        heap.check()
        assert heap.stats()["free_blocks"] == 1
        # The last block is taken whatever its class.
        largest = heap.stats()["largest_free"]
        assert largest is not None
        assert largest == heap.stats()["free_bytes"]
        assert heap.allocate(largest) == offsets[0]


@pytest.mark.parametrize("size", [1 << 20, 1 << 32, 1 << 60, 2**64 - 1])
@pytest.mark.parametrize("alignment", [1, 16, 4096, 2 << 20])
def test_more_than_there_is_is_refused(heap: Heap, size: int, alignment: int) -> None:
    assert heap.allocate(size, alignment) is None


@pytest.mark.parametrize("capacity", [64, 4096])
def test_a_region_without_room_serves_nothing(name: str, capacity: int) -> None:
    with Heap(name, capacity=capacity) as heap:
        assert heap.allocate(4096) is None
        heap.check()


def test_figures_and_walk_agree(heap: Heap) -> None:
    kept = [allocated(heap, size) for size in (100, 200, 300, 400)]
    heap.deallocate(kept[1], 200)
    stats = heap.stats()
    assert stats["granted"] == 104 + 312 + 408
    assert stats["free_bytes"] == 200
    assert (stats["used_blocks"], stats["free_blocks"]) == (3, 1)
    assert stats["metadata_bytes"] == heap.footprint - 104 - 312 - 408 - 200
    assert blocks(heap) == [(104, "used"), (200, "free"), (312, "used"), (408, "used")]


@pytest.mark.parametrize("grow", [(1 << 32) + 1])
def test_the_growth_step_has_a_range(name: str, grow: int) -> None:
    with pytest.raises(EngineError, match=f"grow: must be from 0 to 4294967296, is '{grow}'"):
        Heap(name, f"grow={grow}")


@pytest.mark.parametrize("spared", range(0, 64, 16))
@pytest.mark.parametrize("fit", [*NAMES, "first-fit", "next-fit", "best-fit"])
def test_the_last_block_grows_by_what_is_left_or_not_at_all(fit: str, spared: int) -> None:
    """Sixteen bytes are no block: made one for a moment, their links would be written over the end of the heap."""
    with Heap(fit, "grow=16", capacity=16_384 + spared) as heap:
        last = None
        while (offset := heap.allocate(24)) is not None:
            last = offset
        assert last is not None
        resized = heap.reallocate(last, 24, 40)
        assert resized in (None, last)
        heap.check()


@settings(max_examples=200)
@given(name=st.sampled_from(NAMES), grow=st.sampled_from([16, 4096, 65536]), steps=STEPS)
def test_no_sequence_breaks_it(name: str, grow: int, steps: list[Step]) -> None:
    with Heap(name, f"grow={grow}", capacity=200_000) as heap:
        live = drive(heap, steps)
        assert_sound(heap, live)
        for block in live:
            heap.deallocate(*block)
        heap.check()
        assert [state for _, state in blocks(heap)] in ([], ["free"])
