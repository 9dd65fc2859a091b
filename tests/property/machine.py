"""Any heap as a state machine: hypothesis chooses the operations, a model knows what a sound heap must answer."""

from __future__ import annotations

import ctypes
from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from memtool.engine.abi import binding
from memtool.engine.abi.binding import Heap

KIB, MIB = 1 << 10, 1 << 20
SIZES = st.one_of(
    st.integers(0, 300),
    st.integers(0, 40 * KIB),
    st.sampled_from([0, 1, 4095, 4096, 4097, 64 * KIB, MIB, 2**31, 2**60, 2**63 - 1]),
)
ALIGNMENTS = st.sampled_from([16] * 6 + [1, 2, 8, 32, 64, 4096, 64 * KIB, 2 * MIB])
PICKS = st.integers(0, 1 << 20)
ORDERS: dict[str, Callable[[list[Block]], list[Block]]] = {
    "first to last": list,
    "last to first": lambda blocks: blocks[::-1],
    "every second": lambda blocks: blocks[::2] + blocks[1::2],
    "from the middle": lambda blocks: blocks[len(blocks) // 2 :] + blocks[: len(blocks) // 2],
}
_WHOLE = 8 * KIB
"""Longer blocks are filled and read back at both ends."""
_MOST_BLOCKS = 100


@dataclass(frozen=True)
class Traits:
    """What a strategy says of itself, as far as it decides what may be asked of it."""

    name: str
    parameters: str
    largest_size: int
    largest_alignment: int
    free_order: str
    on_region: bool


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A live block, what it was asked for with, and the pattern that was written to it; equal to itself alone."""

    offset: int
    size: int
    alignment: int
    pattern: int

    @property
    def end(self) -> int:
        return self.offset + max(self.size, 1)

    def parts(self, size: int) -> list[tuple[int, int]]:
        """Return (offset, bytes) of what carries the pattern, of the first ``size`` bytes."""
        if self.size <= _WHOLE:
            return [(0, min(size, self.size))]
        return [(0, min(size, 4 * KIB))] + ([(self.size - 4 * KIB, 4 * KIB)] if size == self.size else [])


class HeapMachine(RuleBasedStateMachine):
    """Operations on one heap; each block carries a pattern of its own, which must be there when it is freed."""

    traits: Traits
    """Of the subclass, which is one strategy's: see machine_of()."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[list[Block]] = [[]]
        """Live blocks, a list for each open scope."""
        self.spans: list[tuple[int, int]] = []
        """Where live blocks begin and end, in address order."""
        self.allocations = 0

    @initialize(capacity=st.sampled_from([64 * KIB, MIB, 16 * MIB]))
    def open(self, capacity: int) -> None:
        self.heap = Heap(self.traits.name, self.traits.parameters, capacity)

    @rule(size=SIZES, alignment=ALIGNMENTS, zeroed=st.booleans())
    def allocate(self, size: int, alignment: int, zeroed: bool) -> None:
        size, alignment = min(size, self.traits.largest_size), min(alignment, self.traits.largest_alignment)
        # What is zeroed is written to, and what malloc serves of that size would really be taken.
        zeroed = zeroed and size <= MIB
        if not self.traits.on_region:
            size = min(size, MIB)
        ask = self.heap.allocate_zeroed if zeroed else self.heap.allocate
        offset = ask(size, alignment)
        if offset is None:
            return
        if zeroed:
            assert ctypes.string_at(self.heap.base + offset, size) == bytes(size), "a zeroed block is not zero"
        self._enter(offset, size, alignment)

    @precondition(lambda self: self.frames[-1])
    @rule(pick=PICKS)
    def deallocate(self, pick: int) -> None:
        self._free(self._pick(pick))

    @precondition(lambda self: self.frames[-1])
    @rule(pick=PICKS, size=SIZES)
    def reallocate(self, pick: int, size: int) -> None:
        # A queue's youngest block is the one that can grow.
        block = self.frames[-1][-1] if self.traits.free_order == "fifo" else self._pick(pick)
        size = min(size, self.traits.largest_size, *([] if self.traits.on_region else [MIB]))
        moved = self.heap.reallocate(block.offset, block.size, size, block.alignment)
        if moved is None:
            self._verify(block)
            return
        self._leave(block)
        self._verify(Block(moved, block.size, block.alignment, block.pattern), min(block.size, size))
        self._enter(moved, size, block.alignment)

    @precondition(lambda self: self.frames[-1])
    @rule(order=st.sampled_from(sorted(ORDERS)))
    def deallocate_all(self, order: str) -> None:
        for block in self._in_order(self.frames[-1], order):
            self._free(block)

    @precondition(lambda self: self.traits.on_region)
    @rule(size=st.integers(0, 100 * KIB), order=st.sampled_from(sorted(ORDERS)))
    def exhaust(self, size: int, order: str) -> None:
        """Fill up, free all of it in some order: what was served must be served again."""
        size = min(size, self.traits.largest_size)
        before = len(self.frames[-1])
        for _ in range(_MOST_BLOCKS):
            offset = self.heap.allocate(size)
            if offset is None:
                break
            self._enter(offset, size, 16)
        self.heap.check()
        served = self.frames[-1][before:]
        if not served or self.traits.free_order == "reset" or (self.traits.free_order == "fifo" and before > 0):
            return
        for block in self._in_order(served, order):
            self._free(block)
        self.heap.check()
        again = self.heap.allocate(size)
        assert again is not None, "what was freed is not found again"
        self._enter(again, size, 16)

    @precondition(lambda self: len(self.frames) < 8)
    @rule()
    def begin_scope(self) -> None:
        if self.heap.mark():
            self.frames.append([])

    @precondition(lambda self: len(self.frames) > 1)
    @rule()
    def end_scope(self) -> None:
        for block in list(self.frames[-1]):
            self._verify(block)
            self._leave(block)
        self.frames.pop()
        assert self.heap.release()

    @invariant()
    def is_sound(self) -> None:
        self.heap.check()
        stats = self.heap.stats()
        live = [block for frame in self.frames for block in frame]
        if not self.traits.on_region or stats["granted"] is None:
            return
        if self.traits.free_order != "reset":
            usable = sum(self.heap.usable_size(block.offset, block.size) for block in live)
            assert stats["granted"] == usable, "what is granted is not what live blocks may use"
        footprint = self.heap.footprint + (stats["metadata_apart_bytes"] or 0)
        assert stats["granted"] + (stats["free_bytes"] or 0) + (stats["metadata_bytes"] or 0) <= footprint, (
            "figures exceed the footprint"
        )

    def teardown(self) -> None:
        for frame in self.frames:
            for block in frame:
                self._verify(block)
        self.heap.check()
        self._walk()
        while len(self.frames) > 1:
            self.end_scope()
        if self.frames[-1]:
            self.deallocate_all("every second")
        self.heap.check()
        self.heap.close()

    def _walk(self) -> None:
        """A walk visits the footprint without gaps; what it calls used holds the live blocks."""
        at = 0
        used: list[tuple[int, int]] = []
        for offset, count, state in self.heap.walk():
            assert offset == at, "the walk leaves a gap or visits a byte twice"
            at += count
            if state == "used":
                used.append((offset, at))
        if at == 0:
            return
        assert at == self.heap.footprint
        for begin, end in self.spans:
            _, within = used[bisect(used, (begin, 1 << 63)) - 1]
            assert end <= within, "the walk does not show a live block as used"

    def _pick(self, pick: int) -> Block:
        """Choose a block that may be freed now: any, the youngest, or the oldest."""
        blocks = self.frames[-1]
        return blocks[{"lifo": -1, "fifo": 0}.get(self.traits.free_order, pick % len(blocks))]

    def _in_order(self, blocks: list[Block], order: str) -> list[Block]:
        """Return blocks in the order wanted, or in the only one that the strategy can take."""
        forced = {"lifo": "last to first", "fifo": "first to last"}
        return ORDERS[forced.get(self.traits.free_order, order)](list(blocks))

    def _free(self, block: Block) -> None:
        self._verify(block)
        self._leave(block)
        self.heap.deallocate(block.offset, block.size, block.alignment)

    def _leave(self, block: Block) -> None:
        span = (block.offset, block.end)
        place = bisect(self.spans, span) - 1
        assert self.spans.pop(place) == span
        self.frames[-1].remove(block)

    def _enter(self, offset: int, size: int, alignment: int) -> None:
        """Verify a new block's place and fill it."""
        self.allocations += 1
        block = Block(offset, size, alignment, self.allocations % 251 + 1)
        # A default request need not be aligned to more than fits into it.
        need = min(16, 1 << max(size, 1).bit_length() - 1) if alignment == 16 else alignment
        assert (self.heap.base + offset) % need == 0, "a block is misaligned"
        usable = self.heap.usable_size(offset, size)
        assert usable >= size, "a block is smaller than was asked"
        if self.traits.on_region:
            assert 0 <= offset <= offset + size <= self.heap.footprint, "a block lies outside the footprint"
        span = (offset, block.end)
        place = bisect(self.spans, span)
        near = [*self.spans[max(place - 1, 0) : place], span, *self.spans[place : place + 1]]
        assert all(end <= begin for (_, end), (begin, _) in pairwise(near)), "a live block was handed out again"
        self.spans.insert(place, span)
        for at, count in block.parts(size):
            ctypes.memset(self.heap.base + offset + at, block.pattern, count)
        self.frames[-1].append(block)

    def _verify(self, block: Block, size: int | None = None) -> None:
        for at, count in block.parts(block.size if size is None else size):
            result = ctypes.string_at(self.heap.base + block.offset + at, count)
            assert result == bytes([block.pattern]) * count, "a live block was written to"


def machine_of(name: str, free_order: str, *, on_region: bool, parameters: str = "") -> type[HeapMachine]:
    """Return the machine of a strategy of the engine, with these parameters."""
    size, alignment = binding.limits(name, parameters)
    chosen = Traits(name, parameters, size or 1 << 63, alignment or 1 << 62, free_order, on_region)
    return type(f"HeapMachine_{name}", (HeapMachine,), {"traits": chosen})
