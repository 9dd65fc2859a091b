"""Binary buddy: addresses by Knuth's rules, merging with the buddy alone, the map apart, growth."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtool.engine.abi import binding
from memtool.engine.abi.binding import Heap
from memtool.engine.loading import EngineError
from tests.sequences import STEPS, Step, assert_sound, drive


def allocated(heap: Heap, size: int, alignment: int = 16) -> int:
    offset = heap.allocate(size, alignment)
    assert offset is not None
    return offset


def page(heap: Heap, offset: int) -> list[tuple[int, str]]:
    """Return (bytes, state) of the blocks of 4096 bytes from ``offset`` on, which is split."""
    return [(count, state) for at, count, state in heap.walk() if offset <= at < offset + 4096]


@pytest.mark.parametrize(
    ("size", "granted"),
    [(0, 16), (1, 16), (16, 16), (17, 32), (32, 32), (33, 64), (4096, 4096), (4097, 8192), (65537, 131072)],
)
def test_a_request_is_rounded_up_to_a_power_of_two(size: int, granted: int) -> None:
    with Heap("buddy", capacity=4 << 20) as heap:
        assert heap.usable_size(allocated(heap, size), size) == granted
        assert heap.stats()["granted"] == granted
        heap.check()


def test_the_smallest_block_is_a_parameter() -> None:
    with Heap("buddy", "minimum=64", capacity=1 << 20) as heap:
        first = allocated(heap, 1)
        assert heap.usable_size(first, 1) == 64
        assert allocated(heap, 1) == first + 64


def test_a_block_is_split_and_its_upper_halves_are_free() -> None:
    with Heap("buddy", capacity=1 << 20) as heap:
        first = allocated(heap, 256)
        assert page(heap, first) == [
            (256, "used"), (256, "free"), (512, "free"), (1024, "free"), (2048, "free"),
        ]  # fmt: skip
        # The smallest free block that fits: the buddy, then the half of the 512.
        assert [allocated(heap, 256) for _ in range(2)] == [first + 256, first + 512]
        assert allocated(heap, 600) == first + 1024
        heap.check()


def test_neighbours_that_are_not_buddies_are_not_merged() -> None:
    with Heap("buddy", capacity=1 << 20) as heap:
        first = allocated(heap, 64)
        rest = [allocated(heap, 64) for _ in range(3)]
        assert rest == [first + 64, first + 128, first + 192]
        heap.deallocate(first + 64, 64)
        heap.deallocate(first + 128, 64)
        assert page(heap, first)[:4] == [(64, "used"), (64, "free"), (64, "free"), (64, "used")]
        heap.deallocate(first, 64)
        assert page(heap, first)[:3] == [(128, "free"), (64, "free"), (64, "used")]
        heap.check()


def test_the_last_free_merges_through_every_order() -> None:
    with Heap("buddy", capacity=1 << 20) as heap:
        before = heap.allocate(4096)
        assert before is not None
        heap.deallocate(before, 4096)
        walk = heap.walk()
        offsets = [allocated(heap, 16) for _ in range(256)]
        assert offsets == list(range(before, before + 4096, 16))
        for offset in offsets[::2] + offsets[1::2]:
            heap.deallocate(offset, 16)
        assert heap.walk() == walk
        heap.check()


@pytest.mark.parametrize("alignment", [32, 4096, 65536, 2 << 20])
def test_a_block_is_aligned_to_its_size(alignment: int) -> None:
    with Heap("buddy", capacity=16 << 20) as heap:
        allocated(heap, 1)
        by_alignment = allocated(heap, 1, alignment)
        by_size = allocated(heap, alignment)
        assert (heap.base + by_alignment) % alignment == 0
        assert (heap.base + by_size) % alignment == 0
        # An alignment is bought with a block of that size.
        assert heap.usable_size(by_alignment, 1) == alignment
        heap.check()


def test_alignments_beyond_two_mebibytes_are_refused() -> None:
    assert binding.limits("buddy", "") == (None, 2 << 20)
    with Heap("buddy", capacity=64 << 20) as heap:
        assert heap.allocate(1, 4 << 20) is None


def test_a_block_grows_in_place_while_its_buddies_are_free() -> None:
    with Heap("buddy", capacity=1 << 20) as heap:
        first = allocated(heap, 64)
        assert heap.reallocate(first, 64, 1000) == first
        assert page(heap, first) == [(1024, "used"), (1024, "free"), (2048, "free")]
        assert heap.reallocate(first, 1000, 100) == first
        assert page(heap, first) == [
            (128, "used"), (128, "free"), (256, "free"), (512, "free"), (1024, "free"), (2048, "free"),
        ]  # fmt: skip
        heap.check()


def test_an_upper_half_cannot_grow_in_place() -> None:
    with Heap("buddy", capacity=1 << 20) as heap:
        first, upper = allocated(heap, 64), allocated(heap, 64)
        assert heap.reallocate(upper, 64, 65) == first + 128
        assert page(heap, first)[:3] == [(64, "used"), (64, "free"), (128, "used")]
        heap.check()


def test_a_resize_within_the_block_does_nothing() -> None:
    with Heap("buddy", capacity=1 << 20) as heap:
        first = allocated(heap, 33)
        assert heap.reallocate(first, 33, 64) == first
        assert heap.stats()["granted"] == 64


def test_a_huge_reservation_costs_nothing_until_it_is_used() -> None:
    with Heap("buddy", capacity=64 << 30) as heap:
        allocated(heap, 64)
        assert heap.footprint <= 128 << 10
        stats = heap.stats()
        assert stats["metadata_bytes"] is not None
        assert stats["metadata_bytes"] <= 64 << 10


def test_the_map_grows_with_the_heap() -> None:
    with Heap("buddy", capacity=1 << 30) as heap:
        blocks = [allocated(heap, 4096) for _ in range(4096)]
        heap.check()
        stats = heap.stats()
        assert stats["metadata_bytes"] is not None
        # 16 MiB in blocks of 16 bytes, two bits each, is 256 KiB; the map covers a power of two of them.
        assert 256 << 10 <= stats["metadata_bytes"] <= 512 << 10
        assert sum(state == "metadata" for _, _, state in heap.walk()) == 1
        for block in blocks:
            heap.deallocate(block, 4096)
        heap.check()
        assert heap.stats()["used_blocks"] == 0
        assert allocated(heap, 4 << 20) is not None


@pytest.fixture
def aligned() -> Iterator[Heap]:
    """Return a heap on 64 MiB from a multiple of 2 MiB, as memtool's own regions are: offsets are literal."""
    with Heap("buddy", capacity=64 << 20) as heap:
        if heap.base % (2 << 20):
            pytest.skip("this system does not align large mappings")
        yield heap
        heap.check()


def test_the_first_map_covers_four_chunks(aligned: Heap) -> None:
    # 256 KiB are 16,384 blocks of 16 bytes, two bits each.
    assert aligned.walk() == [(0, 4096, "metadata")]
    assert allocated(aligned, 64) == 4096
    assert aligned.footprint == 65536


def test_half_of_a_region_can_be_one_block(aligned: Heap) -> None:
    allocated(aligned, 64)
    assert allocated(aligned, 32 << 20) == 32 << 20
    assert aligned.allocate(32 << 20) is None


def test_free_memory_at_the_end_is_part_of_what_is_asked_for(aligned: Heap) -> None:
    assert [allocated(aligned, 65536) for _ in range(2)] == [65536, 131072]
    assert aligned.footprint == 196608
    aligned.deallocate(131072, 65536)
    assert allocated(aligned, 131072) == 131072
    assert aligned.footprint == 262144


def test_a_gap_before_an_aligned_block_is_free(aligned: Heap) -> None:
    allocated(aligned, 64)
    assert allocated(aligned, 131072) == 131072
    assert aligned.footprint == 262144
    assert allocated(aligned, 65536) == 65536


def test_an_outgrown_map_is_replaced_and_freed(aligned: Heap) -> None:
    assert [allocated(aligned, 65536) for _ in range(3)] == [65536, 131072, 196608]
    # The map for 512 KiB lies behind the heap. Where the old one was there is room for what was asked for.
    assert allocated(aligned, 65536) == 0
    assert aligned.walk() == [
        (0, 65536, "used"), (65536, 65536, "used"), (131072, 65536, "used"), (196608, 65536, "used"),
        (262144, 8192, "metadata"),
    ]  # fmt: skip
    assert allocated(aligned, 65536) == 327680
    assert aligned.footprint == 393216


def test_out_of_memory_leaves_the_heap_usable() -> None:
    with Heap("buddy", capacity=1 << 20) as heap:
        offsets = list(iter(lambda: heap.allocate(4096), None))
        heap.check()
        stats = heap.stats()
        assert stats["metadata_bytes"] is not None
        assert len(offsets) * 4096 + stats["metadata_bytes"] <= 1 << 20
        assert len(offsets) >= 240  # all but the map, and what is left of maps it has outgrown
        assert heap.allocate(65536) is None
        heap.deallocate(offsets[5], 4096)
        assert heap.allocate(4096) == offsets[5]
        for offset in offsets:
            heap.deallocate(offset, 4096)
        heap.check()
        assert heap.allocate(65536) is not None


@pytest.mark.parametrize("size", [1 << 20, 1 << 32, 1 << 60, 2**64 - 1])
def test_more_than_there_is_is_refused_and_takes_nothing(size: int) -> None:
    with Heap("buddy", capacity=1 << 20) as heap:
        before = heap.footprint
        assert heap.allocate(size) is None
        assert heap.footprint == before


def test_a_region_without_room_serves_nothing() -> None:
    with Heap("buddy", "minimum=4096", capacity=4096) as heap:
        assert heap.allocate(1) is None
        heap.check()


@pytest.mark.parametrize(("name", "value"), [("minimum", 24), ("chunk", 4097)])
def test_parameters_are_powers_of_two(name: str, value: int) -> None:
    with pytest.raises(EngineError, match=f"{name}: must be a power of two, is {value}"):
        Heap("buddy", f"{name}={value}")


def test_stats_and_walk_agree() -> None:
    with Heap("buddy", capacity=1 << 20) as heap:
        kept = [allocated(heap, size) for size in (10, 20, 30, 40, 1000)]
        heap.deallocate(kept[1], 20)
        stats = heap.stats()
        assert stats["granted"] == 16 + 32 + 64 + 1024
        assert stats["used_blocks"] == 4
        assert stats["free_bytes"] == heap.footprint - 1136 - (stats["metadata_bytes"] or 0)
        walk = heap.walk()
        assert sum(count for _, count, state in walk if state == "free") == stats["free_bytes"]
        assert max(count for _, count, state in walk if state == "free") == stats["largest_free"]


@settings(max_examples=150)
@given(minimum=st.sampled_from([16, 64, 4096]), chunk=st.sampled_from([4096, 65536]), steps=STEPS)
def test_no_sequence_breaks_it(minimum: int, chunk: int, steps: list[Step]) -> None:
    with Heap("buddy", f"minimum={minimum},chunk={chunk}", capacity=700_000) as heap:
        live = drive(heap, steps)
        assert_sound(heap, live)
        for block in live:
            heap.deallocate(*block)
        heap.check()
        assert heap.stats()["used_blocks"] == 0
