"""The engine's strategies against the same ones in plain Python: written apart, they must agree on every address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtool.allocators.interpreted import Region
from memtool.allocators.reference.arena import Arena
from memtool.allocators.reference.best_fit import BestFit
from memtool.allocators.reference.buddy import Buddy
from memtool.allocators.reference.first_fit import FirstFit
from memtool.allocators.reference.pool import Pool
from memtool.allocators.reference.tlsf import Tlsf
from memtool.engine.abi import binding
from memtool.engine.abi.binding import Heap
from tests.property.oracles import FreeList, HalfFit, NextFit, SegregatedFit, WorstFit
from tests.sequences import LONG_STEPS, STEPS, Block, Step

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Pair:
    """A strategy of the engine, and its reference with the same parameters."""

    name: str
    reference: Callable[..., Any]
    settings: Mapping[str, int | str]

    @property
    def parameters(self) -> str:
        return ",".join(f"{name}={value}" for name, value in self.settings.items())


INDEXED = ("first-fit", "next-fit", "best-fit", "worst-fit")
"""What of these lies apart from the blocks counts towards the capacity."""
SAME_ADDRESSES = [
    Pair("first-fit", FirstFit, {"grow": 64 * KIB}),
    Pair("first-fit", FirstFit, {"grow": 16}),
    Pair("first-fit", FirstFit, {"grow": 0, "initial": 40 * KIB}),
    Pair("best-fit", BestFit, {"grow": 64 * KIB}),
    Pair("best-fit", BestFit, {"grow": 100}),
    Pair("best-fit", BestFit, {"grow": 100, "initial": 3000}),
    Pair("next-fit", NextFit, {"grow": 64 * KIB}),
    Pair("next-fit", NextFit, {"grow": 16}),
    Pair("next-fit", NextFit, {"grow": 0, "initial": 40 * KIB}),
    Pair("worst-fit", WorstFit, {"grow": 64 * KIB}),
    Pair("worst-fit", WorstFit, {"grow": 100, "initial": 3000}),
    Pair("half-fit", HalfFit, {"grow": 64 * KIB}),
    Pair("half-fit", HalfFit, {"grow": 4096, "initial": 20_000}),
    Pair("segregated-fit", SegregatedFit, {"classes": "4", "grow": 64 * KIB}),
    Pair("segregated-fit", SegregatedFit, {"classes": "1", "grow": 16}),
    Pair("segregated-fit", SegregatedFit, {"classes": "32", "grow": 0, "initial": 64 * KIB}),
    *(
        Pair("free-list", FreeList, {"fit": fit, "order": order, "grow": 4096})
        for fit, order in (
            *(("first", order) for order in ("address", "lifo", "fifo", "size-ascending", "size-descending")),
            *(("best", order) for order in ("address", "lifo")),
            *(("worst", order) for order in ("address", "fifo")),
        )
    ),
    Pair("free-list", FreeList, {"fit": "next", "grow": 64 * KIB}),
    Pair("free-list", FreeList, {"fit": "next", "grow": 16, "extend": "need"}),
    Pair("free-list", FreeList, {"order": "lifo", "grow": 100, "extend": "need", "header": 16}),
    Pair("free-list", FreeList, {"header": 8, "footer": 0, "alignment": 8, "grow": 0, "initial": 45_360}),
    Pair("tlsf", Tlsf, {"subdivisions": "32", "grow": 64 * KIB}),
    Pair("tlsf", Tlsf, {"subdivisions": "8", "grow": 4096}),
    Pair("tlsf", Tlsf, {"subdivisions": "32", "grow": 0, "initial": 64 * KIB}),
    Pair("tlsf", Tlsf, {"subdivisions": "16", "grow": 4096, "initial": 20_000}),
    Pair("pool", Pool, {"block": 64, "chunk": 64 * KIB}),
    Pair("pool", Pool, {"block": 5, "chunk": 4096}),
    Pair("pool", Pool, {"block": 4000, "chunk": 4096}),
    Pair("arena", Arena, {"chunk": 64 * KIB}),
    Pair("arena", Arena, {"chunk": 4096}),
]


def in_region(figures: dict[str, int | None]) -> dict[str, int | None]:
    """Return the figures of a heap without what it keeps apart, which a reference has no need of."""
    metadata, apart = figures["metadata_bytes"], figures["metadata_apart_bytes"]
    assert apart is not None
    return figures | {"metadata_bytes": None if metadata is None else metadata - apart}


def named(pair: Pair) -> str:
    return f"{pair.name}:{pair.parameters}"


@pytest.mark.parametrize("pair", SAME_ADDRESSES, ids=named)
@settings(max_examples=25)
@given(steps=st.one_of(STEPS, LONG_STEPS), capacity=st.sampled_from([4096, 64 * KIB, MIB]))
def test_addresses_and_figures_agree(pair: Pair, steps: list[Step], capacity: int) -> None:
    # An index is part of the budget, and takes some pages from its beginning; a reference has none.
    capacity = max(capacity, 256 * KIB) if pair.name in INDEXED else capacity
    with Heap(pair.name, pair.parameters, capacity) as heap:
        region = Region.anonymous(capacity, heap.base)
        twin = Twins(pair, heap, pair.reference(region, **pair.settings))
        for step in steps:
            try:
                twin.step(step)
            except NoRoomForIndex:
                return
        assert heap.footprint == region.used
        figures = twin.reference.stats()
        assert {name: item for name, item in in_region(heap.stats()).items() if name in figures} == figures
        # The engine tells a tag from the payload behind it; so does the reference.
        assert heap.walk() == list(twin.reference.walk())


@pytest.mark.parametrize("minimum", [16, 64, 4096])
@settings(max_examples=25)
@given(steps=st.one_of(STEPS, LONG_STEPS))
def test_buddies_hold_the_same_blocks(minimum: int, steps: list[Step]) -> None:
    """Not at the same addresses: the engine keeps its map of blocks in the heap, which takes buddies of its own."""
    pair = Pair("buddy", Buddy, {"minimum": minimum, "chunk": 64 * KIB})
    with Heap(pair.name, pair.parameters, 256 * MIB) as heap:
        twin = Twins(pair, heap, Buddy(Region.anonymous(256 * MIB, heap.base), minimum=minimum, chunk=64 * KIB))
        for step in steps:
            if step.kind < 8 and step.size <= MIB:
                twin.step(step, same=False)
        figures = heap.stats()
        assert {name: figures[name] for name in ("granted", "used_blocks")} == {
            name: twin.reference.stats()[name] for name in ("granted", "used_blocks")
        }


class NoRoomForIndex(Exception):
    """The engine has too little memory left to do as its reference, which keeps nothing apart."""


class Twins:
    """A heap of the engine and one in Python, driven through the same operations."""

    def __init__(self, pair: Pair, heap: Heap, reference: Any) -> None:
        self.name = pair.name
        self.heap = heap
        self.reference = reference
        self.most = tuple(most or 1 << 62 for most in binding.limits(pair.name, pair.parameters))
        self.live: list[tuple[int, Block]] = []
        """In the engine's heap, and in the reference."""

    def step(self, step: Step, *, same: bool = True) -> None:
        size, alignment = min(step.size, self.most[0]), min(step.alignment, self.most[1])
        if self.live and step.kind >= 8 and hasattr(self.reference, "reallocate"):
            offset, block = self.live.pop(step.pick % len(self.live))
            ours = self.heap.reallocate(offset, block.size, size, block.alignment)
            theirs = self.reference.reallocate(block.offset, block.size, size, block.alignment)
            alignment = block.alignment
            if ours is None and theirs is None:
                self.live.append((offset, block))
                return
        elif self.live and step.kind >= 5:
            offset, block = self.live.pop(step.pick % len(self.live))
            self.heap.deallocate(offset, block.size, block.alignment)
            self.reference.deallocate(*block)
            self.reference.check()
            return
        else:
            ours = self.heap.allocate(size, alignment)
            theirs = self.reference.allocate(size, alignment)
        if self.name in INDEXED:
            # From here on the index, which may take another page at any time, decides by how much the engine can grow.
            apart = self.heap.stats()["metadata_apart_bytes"] or 0
            if self.reference.region.used + 2 * apart + 4096 > self.reference.region.capacity:
                raise NoRoomForIndex
        assert (ours is None) == (theirs is None)
        if ours is None:
            return
        assert ours == theirs or not same
        assert self.heap.usable_size(ours, size) == self.reference.usable_size(theirs, size)
        self.reference.check()
        self.live.append((ours, Block(theirs, size, alignment)))


@settings(max_examples=30)
@given(steps=st.lists(st.tuples(st.sampled_from("amr"), st.integers(0, 5000)), max_size=80))
def test_scopes_of_arenas_agree(steps: list[tuple[str, int]]) -> None:
    with Heap("arena", capacity=MIB) as heap:
        arena = Arena(Region.anonymous(MIB, heap.base), chunk=64 * KIB)
        marks = []
        for kind, size in steps:
            if kind == "a":
                assert heap.allocate(size) == arena.allocate(size, 16)
            elif kind == "m":
                assert heap.mark()
                marks.append(arena.mark())
            elif marks:
                assert heap.release()
                arena.release(marks.pop())
            arena.check()
        assert heap.footprint == arena.region.used
