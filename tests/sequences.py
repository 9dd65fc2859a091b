"""Random sequences of operations on a heap, for property tests of single strategies."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

from hypothesis import strategies as st

from memtool.engine.abi.binding import Heap

SIZES = st.one_of(st.integers(0, 200), st.integers(0, 20_000), st.sampled_from([65536, 1 << 18, 1 << 60]))
ALIGNMENTS = st.sampled_from([1, 8, 16, 16, 16, 64, 256, 4096, 65536, 2 << 20])


@dataclass(frozen=True)
class Step:
    """One operation: ``kind`` 0-4 allocates, 5-7 frees, 8-9 resizes the live block that ``pick`` chooses."""

    kind: int
    pick: int
    size: int
    alignment: int


KINDS, PICKS = st.integers(0, 9), st.integers(0, 1 << 20)


@st.composite
def _step(draw: st.DrawFn) -> Step:
    """Draw only what the kind of step makes use of: most of the time of these tests goes into drawing."""
    kind = draw(KINDS)
    pick = draw(PICKS) if kind >= 5 else 0
    size = draw(SIZES) if kind < 5 or kind >= 8 else 64
    return Step(kind, pick, size, draw(ALIGNMENTS) if kind < 5 else 16)


_STEP = _step()
STEPS = st.lists(_STEP, max_size=120)
"""Short ones above all: hypothesis likes lists of five."""
LONG_STEPS = st.lists(_STEP, min_size=40, max_size=120)


class Block(NamedTuple):
    """A live block: its offset, and what it was asked for with."""

    offset: int
    size: int
    alignment: int


def drive(heap: Heap, steps: list[Step]) -> list[Block]:
    """Run the steps, checking the heap after each; return the blocks that are live after the last."""
    live: list[Block] = []
    for step in steps:
        if live and step.kind >= 5:
            block = live.pop(step.pick % len(live))
            if step.kind < 8:
                heap.deallocate(*block)
            else:
                live.append(_resized(heap, block, step.size))
        else:
            offset = heap.allocate(step.size, step.alignment)
            if offset is not None:
                live.append(Block(offset, step.size, step.alignment))
        heap.check()
    return live


def _resized(heap: Heap, block: Block, size: int) -> Block:
    offset = heap.reallocate(block.offset, block.size, size, block.alignment)
    return block if offset is None else Block(offset, size, block.alignment)


def _needed(block: Block) -> int:
    """Return the alignment that a block must have: of a default request no more than what fits into it."""
    if block.alignment != 16:
        return block.alignment
    return int(min(16, 1 << (max(block.size, 1).bit_length() - 1)))


def assert_sound(heap: Heap, live: list[Block]) -> None:
    """Assert that live blocks are aligned and apart, and that the heap grants what they may use together."""
    assert all((heap.base + block.offset) % _needed(block) == 0 for block in live)
    spans = sorted((at, at + heap.usable_size(at, size)) for at, size, _ in live)
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))
    assert all(heap.usable_size(at, size) >= size for at, size, _ in live)
    assert sum(end - begin for begin, end in spans) == heap.stats()["granted"]
