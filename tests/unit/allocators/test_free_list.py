"""The textbook's free list: each choice on traces worked by hand, any choices on random ones, and those that clash."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtool.engine.abi.binding import Heap
from memtool.engine.loading import EngineError
from tests.sequences import STEPS, Step, assert_sound, drive

# Blocks are their payload: addresses can be worked out in one's head.
BARE = "structure=apart,header=0,footer=0,alignment=1,grow=1"


def allocated(heap: Heap, size: int, alignment: int = 1) -> int:
    offset = heap.allocate(size, alignment)
    assert offset is not None
    return offset


def holes(heap: Heap, *sizes: int) -> list[int]:
    """Leave holes of these sizes in this order, walled in by used bytes, freed from the first to the last."""
    offsets = []
    for size in sizes:
        offsets.append(allocated(heap, size))
        allocated(heap, 1)
    for offset, size in zip(offsets, sizes, strict=True):
        heap.deallocate(offset, size, 1)
    return offsets


def parts(heap: Heap) -> list[tuple[int, str]]:
    return [(count, state) for _, count, state in heap.walk()]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        # Holes of 30, 50, 20 and 40 bytes at 0, 31, 82 and 103; requests of 20, 20 and 20 bytes.
        ("fit=first,order=address", [0, 31, 51]),
        ("fit=first,order=lifo", [103, 123, 82]),
        ("fit=first,order=lifo,remainder=place", [103, 123, 82]),
        ("fit=first,order=fifo", [0, 31, 82]),
        ("fit=first,order=fifo,remainder=place", [0, 31, 51]),
        ("fit=first,order=size-ascending", [82, 0, 103]),
        ("fit=first,order=size-descending", [31, 103, 0]),
        ("fit=first,order=size-descending,remainder=place", [31, 51, 103]),
        ("fit=next,order=address", [0, 31, 51]),
        ("fit=next,order=fifo", [0, 31, 82]),
        ("fit=next,order=lifo", [103, 82, 31]),
        ("fit=best,order=address", [82, 0, 103]),
        ("fit=best,order=lifo", [82, 0, 103]),
        ("fit=worst,order=address", [31, 103, 0]),
        ("fit=worst,order=lifo", [31, 103, 51]),
    ],
)
def test_which_hole_is_taken(parameters: str, expected: list[int]) -> None:
    with Heap("free-list", f"{parameters},{BARE}", capacity=4096) as heap:
        assert holes(heap, 30, 50, 20, 40) == [0, 31, 82, 103]
        assert [heap.allocate(20, 1) for _ in range(3)] == expected
        heap.check()


def test_next_fit_goes_on_where_it_ended() -> None:
    with Heap("free-list", f"fit=next,{BARE}", capacity=4096) as heap:
        first, second, third, _ = holes(heap, 10, 20, 10, 20)
        assert [heap.allocate(5, 1) for _ in range(3)] == [first, first + 5, second]
        heap.deallocate(first, 5, 1)
        assert heap.allocate(5, 1) == second + 5  # the hole before it is not looked at
        assert heap.allocate(10, 1) == second + 10
        assert heap.allocate(10, 1) == third


@pytest.mark.parametrize("structure", ["structure=explicit", "structure=implicit"])
def test_next_fit_begins_at_the_block_that_its_place_was_merged_into(structure: str) -> None:
    with Heap("free-list", f"fit=next,grow=1,{structure}", capacity=1 << 16) as heap:
        a, b, c, d, _ = (allocated(heap, 48, 16) for _ in range(5))
        heap.deallocate(b, 48)
        heap.deallocate(d, 48)
        assert heap.allocate(48) == b
        heap.deallocate(a, 48)
        heap.deallocate(b, 48)  # where the last search ended: now in the middle of a hole that begins at a
        assert heap.allocate(48) == a
        assert heap.allocate(48) == b
        assert heap.allocate(48) == d
        assert c < d


def test_blocks_of_one_size_keep_the_order_in_which_they_were_freed() -> None:
    with Heap("free-list", f"order=size-ascending,{BARE}", capacity=4096) as heap:
        first, _, last = (allocated(heap, 10), allocated(heap, 1), allocated(heap, 10))
        allocated(heap, 1)
        heap.deallocate(last, 10, 1)
        heap.deallocate(first, 10, 1)
        assert [heap.allocate(10, 1), heap.allocate(10, 1)] == [last, first]


@pytest.mark.parametrize(
    ("coalescing", "order", "freed", "left"),
    [
        ("immediate", "lifo", [0, 1, 2], [30]),
        ("none", "lifo", [0, 1, 2], [10, 10, 10]),
        ("deferred", "lifo", [0, 1, 2], [10, 10, 10]),
        # The list is 2 1 0: no block is followed by its neighbour. Freed the other way round each is.
        ("listed", "lifo", [0, 1, 2], [10, 10, 10]),
        ("listed", "lifo", [2, 1, 0], [30]),
        ("listed", "address", [0, 2, 1], [30]),
    ],
)
def test_when_neighbours_merge(coalescing: str, order: str, freed: list[int], left: list[int]) -> None:
    with Heap("free-list", f"coalescing={coalescing},order={order},{BARE}", capacity=4096) as heap:
        offsets = [allocated(heap, 10) for _ in range(3)]
        allocated(heap, 1)
        for which in freed:
            heap.deallocate(offsets[which], 10, 1)
            heap.check()
        assert parts(heap) == [*((size, "free") for size in left), (1, "used")]


def test_deferred_merging_comes_before_growth() -> None:
    with Heap("free-list", f"coalescing=deferred,order=lifo,{BARE}", capacity=4096) as heap:
        offsets = [allocated(heap, 10) for _ in range(3)]
        allocated(heap, 1)
        for offset in offsets:
            heap.deallocate(offset, 10, 1)
        assert heap.stats()["largest_free"] == 30  # though no single block has so many
        assert heap.allocate(25, 1) == 0
        assert heap.footprint == 31
        assert heap.allocate(6, 1) == 31  # 5 are left: it grows after all


def test_tags_between_free_neighbours_are_not_free_before_they_merge() -> None:
    with Heap("free-list", "coalescing=deferred,grow=1", capacity=4096) as heap:
        offsets = [allocated(heap, 40) for _ in range(4)]  # blocks of 64 bytes: 8 in front, 48, 8 behind
        for offset in offsets[:3]:
            heap.deallocate(offset, 40, 1)
        stats = heap.stats()
        assert (stats["free_bytes"], stats["largest_free"], stats["metadata_bytes"]) == (144, 144, 72)
        assert heap.allocate(176, 1) == offsets[0]  # the tags of two go with the merge
        assert heap.footprint == 264


def test_without_merging_the_heap_grows_beside_its_holes() -> None:
    with Heap("free-list", f"coalescing=none,{BARE}", capacity=4096) as heap:
        for offset in [allocated(heap, 10) for _ in range(3)]:
            heap.deallocate(offset, 10, 1)
        assert heap.allocate(25, 1) == 20  # only the hole at the heap's end gets longer
        assert heap.footprint == 45


@pytest.mark.parametrize(("extend", "at", "footprint"), [("gap", 60, 160), ("need", 60, 200)])
def test_growth_counts_the_free_tail_or_does_not(extend: str, at: int, footprint: int) -> None:
    with Heap("free-list", f"extend={extend},initial=100,{BARE}", capacity=4096) as heap:
        allocated(heap, 60)
        assert heap.allocate(100, 1) == at
        assert heap.footprint == footprint
        heap.check()


def test_the_heap_grows_by_its_step_where_that_much_is_left() -> None:
    parameters = "structure=apart,header=0,footer=0,alignment=1,grow=1000"
    with Heap("free-list", parameters, capacity=1500) as heap:
        allocated(heap, 10)
        assert heap.footprint == 1000
        assert heap.allocate(1200, 1) == 10  # 210 are missing and 500 are left: not enough for the step
        assert heap.footprint == 1210


def test_a_heap_that_must_not_grow_does_not() -> None:
    with Heap("free-list", "structure=apart,header=0,footer=0,alignment=1,initial=100,grow=0") as heap:
        assert (heap.allocate(60, 1), heap.allocate(60, 1), heap.allocate(40, 1)) == (0, None, 60)
        assert heap.footprint == 100


def test_the_book_s_layout() -> None:
    """Computer Systems, figure 9.39: a word in front, one behind, payloads at multiples of 8, 16 bytes at least."""
    parameters = "structure=implicit,header=4,footer=4,alignment=8,minimum=16,initial=4096,grow=4096,extend=need"
    with Heap("free-list", parameters, capacity=1 << 20) as heap:
        assert [heap.allocate(size, 8) for size in (1, 8, 9, 24, 25)] == [8, 24, 40, 64, 96]
        assert heap.usable_size(40, 9) == 16
        assert heap.footprint == 4 + 4096
        assert heap.walk()[:4] == [(0, 4, "metadata"), (4, 4, "metadata"), (8, 8, "used"), (16, 4, "metadata")]
        # The free tail is too small, and not counted; what the heap grows by is merged with it.
        assert heap.allocate(4096, 8) == 136
        assert heap.footprint == 4 + 4096 + 4104


def test_a_remainder_that_is_no_block_is_granted() -> None:
    with Heap("free-list", "grow=1,split=64", capacity=1 << 16) as heap:
        hole = allocated(heap, 112, 16)  # 128 with header and footer
        allocated(heap, 1, 16)
        heap.deallocate(hole, 112)
        assert heap.allocate(64) == hole  # 80; 48 are left
        assert heap.usable_size(hole, 64) == 112
        heap.deallocate(hole, 64)
        assert heap.allocate(48) == hole
        assert heap.usable_size(hole, 48) == 48


def test_payloads_are_rounded() -> None:
    with Heap("free-list", f"round=24,{BARE}", capacity=4096) as heap:
        assert [heap.allocate(size, 1) for size in (1, 24, 25, 1)] == [0, 24, 48, 96]


def test_metadata_apart_is_counted_apart() -> None:
    with Heap("free-list", BARE, capacity=4096) as heap:
        allocated(heap, 100)
        stats = heap.stats()
        assert stats["metadata_bytes"] == stats["metadata_apart_bytes"]
        assert stats["metadata_apart_bytes"]
        assert (stats["granted"], stats["footprint"]) == (100, 100)


@pytest.mark.parametrize("alignment", [64, 4096, 1 << 20])
@pytest.mark.parametrize("parameters", ["", "structure=implicit", "structure=apart,header=0,footer=0"])
def test_larger_alignments_leave_a_free_block_in_front(parameters: str, alignment: int) -> None:
    with Heap("free-list", parameters, capacity=8 << 20) as heap:
        allocated(heap, 24, 16)
        offset = allocated(heap, 100, alignment)
        heap.check()
        assert (heap.base + offset) % alignment == 0
        heap.deallocate(offset, 100, alignment)
        heap.check()
        assert heap.stats()["free_blocks"] == 1


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("alignment=24", "alignment: must be a power of two, is 24"),
        (
            "structure=implicit,order=lifo",
            "order: structure=implicit has no list, its blocks are walked in address order",
        ),
        (
            "structure=implicit,coalescing=listed",
            "coalescing: structure=implicit has no list, so nothing can follow in it",
        ),
        ("header=0", "header: must be at least 4 to hold a block's size, or the structure apart; is 0"),
        ("footer=2", "footer: must be 0 or at least 4 to hold a block's size, is 2"),
        ("minimum=24", "minimum: must be at least 32, what a free block of this structure holds, is 24"),
        ("minimum=64,split=32", "split: must be at least the smallest block, 64, is 32"),
        ("grow=0", "grow: must not be 0 if the heap starts empty"),
        ("fit=good", "fit: must be one of first|next|best|worst, is 'good'"),
    ],
)
def test_what_does_not_go_together_is_said_in_one_line(parameters: str, words: str) -> None:
    with pytest.raises(EngineError) as raised:
        Heap("free-list", parameters)
    assert str(raised.value) == words


LAYOUTS = st.sampled_from(
    [
        "",
        "footer=0",
        "header=16,footer=16,minimum=64,split=128",
        "header=4,footer=4,alignment=8",
        "header=4,footer=0,alignment=8",
        "structure=apart,header=0,footer=0,alignment=16",
        "structure=apart,header=4,footer=3,alignment=1,round=5",
        "structure=implicit",
        "structure=implicit,header=4,footer=0,alignment=2",
    ]
)


@settings(max_examples=300)
@given(
    fit=st.sampled_from(["first", "next", "best", "worst"]),
    order=st.sampled_from(["address", "lifo", "fifo", "size-ascending", "size-descending"]),
    coalescing=st.sampled_from(["immediate", "deferred", "listed", "none"]),
    remainder=st.sampled_from(["order", "place"]),
    growth=st.sampled_from(["grow=1", "grow=4096,extend=need", "initial=65536,grow=0", "initial=4096,extend=gap"]),
    layout=LAYOUTS,
    steps=STEPS,
)
def test_no_sequence_breaks_any_of_them(
    fit: str, order: str, coalescing: str, remainder: str, growth: str, layout: str, steps: list[Step]
) -> None:
    if "implicit" in layout:
        order = "address"
        coalescing = "deferred" if coalescing == "listed" else coalescing
    parameters = f"fit={fit},order={order},coalescing={coalescing},remainder={remainder},{growth}"
    # Smaller than the default alignment: what is asked for is not what is promised.
    small = any(f"alignment={item}" in layout.split(",") for item in (1, 2, 8))
    steps = [Step(s.kind, s.pick, s.size, 1 if small and s.alignment <= 16 else s.alignment) for s in steps]
    with Heap("free-list", ",".join(filter(None, (parameters, layout))), capacity=300_000) as heap:
        live = drive(heap, steps)
        assert_sound(heap, live)
        for block in live:
            heap.deallocate(*block)
        heap.check()
        assert heap.stats()["used_blocks"] == 0
        assert (heap.stats()["largest_free"] or 0) <= (heap.stats()["free_bytes"] or 0)
        if coalescing == "immediate":
            assert heap.stats()["free_blocks"] in {0, 1}
