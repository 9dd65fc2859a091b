"""Properties that every strategy must have, whatever the order of operations."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from memtool.engine.abi import binding
from memtool.engine.abi.binding import Heap
from tests.property.machine import machine_of

DESCRIBED = {str(strategy["name"]): strategy for strategy in binding.describe() if not strategy["is_control"]}
ON_REGION = [name for name, item in DESCRIBED.items() if item["uses_region"]]
MIB = 1 << 20


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_strategy_answers_as_its_model_expects(name: str) -> None:
    """Patterns written and read back, blocks apart and aligned, figures true, memory found again, whatever is asked."""
    machine = machine_of(name, str(DESCRIBED[name]["free_order"]), on_region=name in ON_REGION)
    run_state_machine_as_test(machine, settings=settings(max_examples=20, stateful_step_count=50))


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_strategy_is_as_sound_on_the_footing_of_a_malloc(name: str) -> None:
    """A bare pointer at the free finds the block's class, or the size in a header before it."""
    machine = machine_of(f"{name}+as-malloc", str(DESCRIBED[name]["free_order"]), on_region=name in ON_REGION)
    run_state_machine_as_test(machine, settings=settings(max_examples=10, stateful_step_count=40))


@pytest.mark.parametrize("name", ON_REGION)
def test_exhaustion_returns_none_and_leaves_the_heap_usable(name: str) -> None:
    largest, _ = binding.limits(name, "")
    size = min(1000, largest or 1000)
    with Heap(name, capacity=256 * 1024) as heap:
        blocks: list[int] = []
        while (offset := heap.allocate(size)) is not None:
            blocks.append(offset)
            assert len(blocks) <= 256 * 1024
        assert blocks
        heap.check()
        assert heap.allocate(min(2**60, largest or 2**60)) is None
        if DESCRIBED[name]["free_order"] == "reset":
            return
        for offset in blocks if DESCRIBED[name]["free_order"] == "fifo" else reversed(blocks):
            heap.deallocate(offset, size)
        heap.check()
        assert heap.allocate(size) is not None


@pytest.mark.parametrize("name", [name for name in ON_REGION if DESCRIBED[name]["free_order"] == "any"])
@pytest.mark.parametrize("order", ["first to last", "last to first", "every second"])
def test_freed_memory_is_found_again(name: str, order: str) -> None:
    with Heap(name, capacity=64 * MIB) as heap:

        def fill() -> list[int]:
            result = [heap.allocate(64) for _ in range(500)]
            return [offset for offset in result if offset is not None]

        blocks = fill()
        assert len(blocks) == 500
        first = held(heap)
        for _ in range(5):
            freed = {
                "first to last": blocks,
                "last to first": blocks[::-1],
                "every second": blocks[::2] + blocks[1::2],
            }[order]
            for offset in freed:
                heap.deallocate(offset, 64)
            blocks = fill()
            assert len(blocks) == 500
        assert held(heap) == first


def held(heap: Heap) -> int:
    """Return the bytes taken for blocks: the footprint without what the strategy keeps in it for itself.

    A free block may have to be noted somewhere (in a magazine), and the first frees take memory for that.
    """
    stats = heap.stats()
    inside = (stats["metadata_bytes"] or 0) - (stats["metadata_apart_bytes"] or 0)
    return heap.footprint - inside


@pytest.mark.parametrize("name", ON_REGION)
def test_huge_requests_are_refused(name: str) -> None:
    largest, _ = binding.limits(name, "")
    with Heap(name, capacity=MIB) as heap:
        for size in (2**60, 2**58, MIB + 1):
            if largest is None or size <= largest:
                assert heap.allocate(size) is None
        heap.check()


@pytest.mark.parametrize("name", ON_REGION)
@pytest.mark.parametrize("alignment", [32, 64, 4096, 65536, 2 * MIB])
def test_alignments_are_kept(name: str, alignment: int) -> None:
    largest_size, largest_alignment = binding.limits(name, "")
    if largest_alignment is not None and alignment > largest_alignment:
        pytest.skip(f"{name} aligns to {largest_alignment} at most")
    with Heap(name, capacity=64 * MIB) as heap:
        for size in (1, 24, 100, 5000):
            if largest_size is not None and size > largest_size:
                continue
            offset = heap.allocate(size, alignment)
            assert offset is not None
            assert (heap.base + offset) % alignment == 0
        heap.check()
