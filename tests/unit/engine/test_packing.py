"""The offline packer: hand-worked instances, and that what it says is a packing."""

from __future__ import annotations

import os
from itertools import combinations, permutations
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtool.engine.packing.binding import pack, pack_image
from memtool.workload.importers.minimalloc import load
from memtool.workload.trace import make_trace
from tests.images import churn, image_fd, make_image

WORK = 2_000_000
Block = tuple[int, int, int]
"""(lower, upper, size)."""


def packed(*blocks: Block, work: int = WORK) -> tuple[int, int, list[int]]:
    lower, upper, size = ([block[column] for block in blocks] for column in range(3))
    return pack(lower, upper, size, work)


def test_nothing_needs_nothing() -> None:
    assert packed() == (0, 0, [])


def test_blocks_that_never_meet_share_memory() -> None:
    assert packed((0, 1, 100), (1, 2, 60), (2, 3, 100)) == (100, 100, [0, 0, 0])


def test_an_online_allocator_needs_more_than_who_knows_all() -> None:
    # In order of time, the small block that stays lies at 64, between two that go: first fit needs 64 + 1 + 65.
    load, footprint, _ = packed((0, 2, 64), (0, 9, 1), (3, 5, 65))
    assert (load, footprint) == (66, 66)


def best(blocks: list[Block]) -> int:
    """Return the least footprint, by trying every order of first fit: an optimal packing is one of them."""
    least = sum(size for *_, size in blocks)
    for order in permutations(range(len(blocks))):
        offsets: dict[int, int] = {}
        for i in order:
            lower, upper, size = blocks[i]
            taken = sorted(
                (offsets[j], offsets[j] + blocks[j][2])
                for j in offsets
                if lower < blocks[j][1] and blocks[j][0] < upper
            )
            offset = 0
            for low, high in taken:
                if low >= offset + size:
                    break
                offset = max(offset, high)
            offsets[i] = offset
        least = min(least, max((offsets[i] + blocks[i][2] for i in order), default=0))
    return least


block = st.tuples(st.integers(0, 12), st.integers(1, 8), st.integers(1, 9)).map(
    lambda result: (result[0], result[0] + result[1], result[2])
)


@settings(max_examples=60)
@given(st.lists(block, min_size=1, max_size=6))
def test_few_blocks_are_packed_as_well_as_can_be(blocks: list[Block]) -> None:
    assert packed(*blocks)[1] == best(blocks)


@settings(max_examples=60)
@given(st.lists(block, max_size=60), st.sampled_from([0, 10_000, WORK]))
def test_what_is_found_is_a_packing(blocks: list[Block], work: int) -> None:
    load, footprint, offsets = packed(*blocks, work=work)
    for (a, b), (at_a, at_b) in zip(combinations(blocks, 2), combinations(offsets, 2), strict=True):
        together = a[0] < b[1] and b[0] < a[1]
        assert not together or at_a + a[2] <= at_b or at_b + b[2] <= at_a
    assert footprint == max((at + size for at, (*_, size) in zip(offsets, blocks, strict=True)), default=0)
    assert footprint >= load == max((sum(s for lo, up, s in blocks if lo <= t < up) for t in range(21)), default=0)


@settings(max_examples=60)
@given(st.lists(st.tuples(block, st.sampled_from([1, 1, 2, 8])), max_size=60), st.sampled_from([0, 10_000, WORK]))
def test_what_is_found_is_aligned_and_a_packing(asked: list[tuple[Block, int]], work: int) -> None:
    blocks, alignments = [item for item, _ in asked], [alignment for _, alignment in asked]
    lower, upper, size = ([item[column] for item in blocks] for column in range(3))
    load, footprint, offsets = pack(lower, upper, size, work, alignments)
    assert [at % alignment for at, alignment in zip(offsets, alignments, strict=True)] == [0] * len(blocks)
    for (a, b), (at_a, at_b) in zip(combinations(blocks, 2), combinations(offsets, 2), strict=True):
        together = a[0] < b[1] and b[0] < a[1]
        assert not together or at_a + a[2] <= at_b or at_b + b[2] <= at_a
    assert footprint == max((at + size for at, (*_, size) in zip(offsets, blocks, strict=True)), default=0) >= load


@settings(max_examples=60)
@given(st.lists(block, max_size=40), st.randoms(use_true_random=False))
def test_neither_the_order_of_the_blocks_nor_the_unit_of_time_matters(blocks: list[Block], random: Random) -> None:
    load, footprint, offsets = packed(*blocks, work=100_000)
    assert packed(*blocks, work=100_000) == (load, footprint, offsets)
    others = [(7 * lower, 7 * upper, size) for lower, upper, size in blocks]
    random.shuffle(others)
    assert packed(*others, work=100_000)[:2] == (load, footprint)


def cut(seed: int, count: int, width: int = 1000, height: int = 1 << 20) -> list[Block]:
    """Return a rectangle of time by memory, cut at random into at least `count` blocks: they fit as they were cut.

    The largest piece is cut next, across, along, or into a pinwheel of five, which no straight cuts make.
    """
    random, pieces = Random(seed), [(0, width, 0, height)]
    while len(pieces) < count:
        left, right, low, high = pieces.pop(max(range(len(pieces)), key=lambda k: area(pieces[k])))
        way = random.random()
        if way < 0.25 and right - left >= 3 and high - low >= 3:
            a, b = sorted(random.sample(range(left + 1, right), 2))
            c, d = sorted(random.sample(range(low + 1, high), 2))
            pieces += [(left, b, low, c), (b, right, low, d), (a, right, d, high), (left, a, c, high), (a, b, c, d)]
        elif way < 0.6 and right - left >= 2:
            middle = random.randint(left + 1, right - 1)
            pieces += [(left, middle, low, high), (middle, right, low, high)]
        else:
            middle = random.randint(low + 1, high - 1)
            pieces += [(left, right, low, middle), (left, right, middle, high)]
    blocks = [(left, right, high - low) for left, right, low, high in pieces]
    random.shuffle(blocks)
    return blocks


def area(piece: tuple[int, int, int, int]) -> int:
    left, right, low, high = piece
    return (right - left) * (high - low)


@pytest.mark.parametrize("seed", range(5))
def test_few_blocks_that_are_known_to_fit_exactly_are_packed_exactly(seed: int) -> None:
    assert packed(*cut(seed, 40), work=300_000_000)[:2] == (1 << 20, 1 << 20)


@pytest.mark.parametrize("seed", range(20))
def test_blocks_that_are_known_to_fit_exactly_are_packed_nearly_so(seed: int) -> None:
    """A tenth of a second each; nobody has tuned for these."""
    load, footprint, _ = packed(*cut(seed, 100 + 15 * seed), work=100_000_000)
    assert load == 1 << 20
    assert footprint <= 1.05 * load


def test_many_small_blocks_among_few_that_grow_end_at_the_load() -> None:
    """Sixteen blocks grow by two fifths each, old and new alive together; 4,000 small ones come and go between them."""
    random, count = Random(5), 4_000
    step = count // 16
    large = [(2 * k * step, 2 * (k + 1) * step + 4, int(100_000 * 1.4**k)) for k in range(16)]
    small = [
        (2 * i + 1, 2 * i + 1 + random.choice([2, 4, 8, 40, 400]), random.choice([16, 32, 48, 120, 500]))
        for i in range(count)
    ]
    load, footprint, _ = packed(*large, *small, work=100_000_000)
    assert load <= footprint <= 1.01 * load


def test_an_image_is_packed_by_its_events() -> None:
    # 400 blocks of 64 bytes; half go and come again: nothing is lost by it.
    image = make_image(churn(400))
    descriptor = image_fd(image)
    try:
        assert pack_image(descriptor, len(image)) == 400 * 64
        assert pack_image(descriptor, len(image), most=599) is None
        assert pack_image(descriptor, len(image), most=600) == 400 * 64
    finally:
        os.close(descriptor)


# Found on buffers of at most 2 KiB that each begin on a page: 2.22 MiB were said to do where 2,058 pages are 8.04.
@pytest.mark.parametrize(
    ("rows", "needed"),
    [
        # Each begins a page, so the third ends behind two whole ones.
        (["0,10,100,4096", "0,10,100,4096", "0,10,100,4096"], 2 * 4096 + 100),
        # What asks for nothing lies between two that do.
        (["0,10,100,4096", "0,10,100,4096", "0,10,3000,1"], 4096 + 100),
        # In order of time the small one comes first, and would move the others up.
        (["0,10,8,1", "1,10,64,64", "2,10,64,64"], 64 + 64 + 8),
        # One after the other, in the same place.
        (["0,4,100,4096", "4,8,100,4096"], 100),
        (["0,10,100,16", "0,10,60,8"], 160),
    ],
)
def test_blocks_are_packed_as_they_are_aligned(tmp_path: Path, rows: list[str], needed: int) -> None:
    file = tmp_path / "buffers.csv"
    lines = ["id,lower,upper,size,alignment", *(f"{i},{row}" for i, row in enumerate(rows))]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with make_trace(load(file), "test") as trace:
        assert pack_image(trace.image_fd, trace.image_bytes) == needed


def test_many_blocks_of_several_alignments_are_packed_as_they_are_aligned(tmp_path: Path) -> None:
    # 3,000 blocks, all alive at once: 1,000 pages, of which each has room for two blocks more.
    file = tmp_path / "buffers.csv"
    rows = [f"{i},{i},9000,{(2048, 1024, 1024)[i % 3]},{(4096, 1024, 16)[i % 3]}" for i in range(3_000)]
    file.write_text("\n".join(["id,lower,upper,size,alignment", *rows]) + "\n", encoding="utf-8")
    with make_trace(load(file), "test") as trace:
        assert pack_image(trace.image_fd, trace.image_bytes) == 1_000 * 4096


@pytest.mark.parametrize("count", [4_000])
def test_many_blocks_are_packed_in_order_of_time(count: int) -> None:
    """More pairs overlap than the search over orders keeps: all 4,000 blocks are alive at once."""
    blocks = [(i, 2 * count - i, 16 + i % 7) for i in range(count)]
    load, footprint, _ = packed(*blocks)
    assert load == footprint == sum(16 + i % 7 for i in range(count))
