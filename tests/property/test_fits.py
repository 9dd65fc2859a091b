"""The fast fits take the block that the textbook's list would take: the same addresses on any sequence."""

from __future__ import annotations

import random
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtool.engine.abi.binding import Heap

FITS = ("first", "next", "best", "worst")
# The layout of support/physical_block.hpp: a tag in front, and room for links and a size in free blocks.
LAYOUT = "order=address,header=8,footer=0,alignment=16,minimum=32,extend=gap"
LARGEST = st.sampled_from([64, 600, 20_000, 300_000])
STEPS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1 << 30)), max_size=300)


class Pair:
    """A fast fit and the list that is its model, side by side."""

    def __init__(self, fit: str, grow: int) -> None:
        with ExitStack() as opened:
            self.fast = opened.enter_context(Heap(f"{fit}-fit", f"grow={grow}", 512 << 20))
            self.model = opened.enter_context(Heap("free-list", f"fit={fit},{LAYOUT},grow={grow}", 512 << 20))
            self.close = opened.pop_all().close
        self.live: list[tuple[int, int]] = []

    def allocate(self, size: int) -> None:
        offset, expected = self.fast.allocate(size), self.model.allocate(size)
        assert offset is not None
        assert offset == expected
        self.live.append((offset, size))

    def deallocate(self, which: int) -> None:
        offset, size = self.live.pop(which % len(self.live))
        self.fast.deallocate(offset, size)
        self.model.deallocate(offset, size)

    def compare(self) -> None:
        self.fast.check()
        fast, model = self.fast.stats(), self.model.stats()
        for figure in ("granted", "free_bytes", "largest_free", "free_blocks", "used_blocks"):
            assert fast[figure] == model[figure]


@pytest.mark.parametrize("fit", FITS)
@settings(max_examples=60)
@given(steps=STEPS, largest=LARGEST, grow=st.sampled_from([16, 4096, 65536]))
def test_a_fast_fit_hands_out_the_addresses_of_the_list(
    fit: str, steps: list[tuple[int, int]], largest: int, grow: int
) -> None:
    pair = Pair(fit, grow)
    try:
        for kind, number in steps:
            if kind < 6 or not pair.live:
                pair.allocate(number % largest)
            else:
                pair.deallocate(number)
        pair.compare()
    finally:
        pair.close()


@pytest.mark.parametrize("fit", FITS)
def test_it_does_so_on_a_large_heap_too(fit: str) -> None:
    draw = random.Random(11)
    pair = Pair(fit, 65536)
    try:
        for step in range(12_000):
            # It grows to 2,500 blocks, lives for a while, and shrinks again.
            share = 0.9 if step < 3000 else 0.5 if step < 9000 else 0.2
            if not pair.live or draw.random() < share:
                pair.allocate(int(draw.lognormvariate(6, 1.8)))
            else:
                pair.deallocate(draw.randrange(1 << 30))
            if step % 1000 == 999:
                pair.compare()
        while pair.live:
            pair.deallocate(draw.randrange(1 << 30))
        pair.compare()
    finally:
        pair.close()
