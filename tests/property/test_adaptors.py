"""Whatever stands on a strategy, it is a sound heap, and says nothing of a program that does nothing wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtool.engine.abi import binding
from memtool.engine.abi.binding import Heap
from tests.sequences import STEPS, Block, Step, assert_sound, drive

ADAPTORS = [str(adaptor["name"]) for adaptor in binding.describe_adaptors()]
FREE_IN_ANY_ORDER = ["tlsf", "first-fit", "segregated-pool", "buddy"]
MIB = 1 << 20


@pytest.mark.parametrize("strategy", FREE_IN_ANY_ORDER)
@settings(max_examples=40)
@given(
    steps=STEPS,
    over=st.lists(st.sampled_from(ADAPTORS), min_size=1, max_size=4),
    capacity=st.sampled_from([256 * 1024, 16 * MIB]),
)
def test_recipes_of_any_order_and_depth(strategy: str, steps: list[Step], over: list[str], capacity: int) -> None:
    with Heap("+".join((strategy, *over)), capacity=capacity) as heap:
        live = drive(heap, steps)
        assert_sound(heap, live)
        assert_accounted(heap)
        for offset, size, alignment in live:
            heap.deallocate(offset, size, alignment)
        heap.check()
        assert heap.stats()["granted"] == 0


@settings(max_examples=60)
@given(
    over=st.lists(st.sampled_from([name for name in ADAPTORS if name != "quarantine"]), max_size=3),
    sizes=st.lists(st.tuples(st.integers(0, 5000), st.booleans(), st.integers(0, 5000)), max_size=30),
)
def test_a_stack_stays_one_under_adaptors(over: list[str], sizes: list[tuple[int, bool, int]]) -> None:
    """The youngest block alone is freed or resized; no adaptor may do otherwise behind its back."""
    with Heap("+".join(("stack", *over)), capacity=16 * MIB) as heap:
        live: list[Block] = []
        for size, resize, new_size in sizes:
            offset = heap.allocate(size)
            assert offset is not None
            live.append(Block(offset, size, 16))
            if resize:
                moved = heap.reallocate(offset, size, new_size)
                assert moved is not None
                live[-1] = Block(moved, new_size, 16)
            heap.check()
        assert_accounted(heap)
        for offset, size, _ in reversed(live):
            heap.deallocate(offset, size)
            heap.check()


@settings(max_examples=40)
@given(
    over=st.lists(st.sampled_from([name for name in ADAPTORS if name != "as-malloc"]), min_size=1, max_size=3),
    sizes=st.lists(st.one_of(st.integers(0, 3000), st.none()), max_size=60),
)
def test_scopes_are_scopes_under_adaptors(over: list[str], sizes: list[int | None]) -> None:
    """A size allocates, and None begins a scope; half of them end before the rest is allocated."""
    with Heap("+".join(("arena", *over)), capacity=64 * MIB) as heap:
        depth = 0
        for size in sizes:
            if size is None and depth < 2:
                assert heap.mark()
                depth += 1
            elif size is None:
                assert heap.release()
                depth -= 1
            else:
                assert heap.allocate(size) is not None
            heap.check()
        for _ in range(depth):
            assert heap.release()
        heap.check()


def assert_accounted(heap: Heap) -> None:
    """Assert that the heap's figures can be true together, and that a walk covers all of it."""
    stats = {name: figure or 0 for name, figure in heap.stats().items()}
    parts = stats["granted"] + stats["free_bytes"] + stats["metadata_bytes"]
    assert parts <= stats["footprint"] + stats["metadata_apart_bytes"]
    position = 0
    for offset, size, _ in heap.walk():
        assert offset == position
        position += size
    assert position == stats["footprint"]
