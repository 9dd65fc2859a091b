"""The double-ended stack: which end serves what, and what each gives back. Headers take 8 bytes."""

from __future__ import annotations

from memtool.engine.abi.binding import Heap

BYTES = 8192


def stack(high: int = 1024, capacity: int = 1 << 20) -> Heap:
    return Heap("double-ended-stack", f"bytes={BYTES},high={high}", capacity=capacity)


def test_small_requests_rise_and_large_ones_sink() -> None:
    with stack() as heap:
        # Rounded up to 8 bytes below a multiple of 16, which is where the next header begins.
        assert heap.allocate(56) == 16
        assert heap.allocate(56) == 80
        # 1032 bytes before the end, down to a multiple of 16. Before the next, the header: 7144 - 1032 is one already.
        assert heap.allocate(1024) == BYTES - 1040
        assert heap.allocate(1024) == 6112
        assert heap.footprint == BYTES
        heap.check()


def test_each_end_is_a_stack_of_its_own() -> None:
    with stack() as heap:
        low = heap.allocate(56)
        high = heap.allocate(2000)
        assert low is not None
        assert high is not None
        # Across the ends the order does not matter.
        heap.deallocate(low, 56)
        assert heap.allocate(100) == low
        heap.deallocate(high, 2000)
        assert heap.allocate(2000) == high
        heap.check()


def test_the_ends_share_what_is_free_between_them() -> None:
    with stack() as heap:
        assert heap.allocate(6000) is not None
        assert heap.allocate(2500) is None
        for _ in range(3):
            assert heap.allocate(600) is not None
        assert heap.allocate(600) is None
        heap.check()


def test_a_scope_ends_at_both_ends() -> None:
    with stack() as heap:
        first = heap.allocate(56), heap.allocate(2000)
        heap.mark()
        inner = heap.allocate(56), heap.allocate(2000)
        heap.release()
        assert (heap.allocate(56), heap.allocate(2000)) == inner
        assert heap.stats()["used_blocks"] == 4
        assert None not in (*first, *inner)
        heap.check()


def test_a_block_that_is_resized_goes_to_the_end_of_its_size() -> None:
    with stack() as heap:
        heap.allocate(56)
        block = heap.allocate(56)
        assert block == 80
        assert heap.reallocate(block, 56, 500) == 80
        high = heap.reallocate(block, 500, 1500)
        assert high is not None
        assert high > 4096
        assert heap.allocate(56) == 80
        # It grows downwards and shrinks upwards, for its end is where it was.
        larger = heap.reallocate(high, 1500, 3000)
        assert larger is not None
        assert larger < high
        assert heap.reallocate(larger, 3000, 1500) == high
        heap.check()


def test_only_the_youngest_block_of_an_end_is_resized() -> None:
    with stack() as heap:
        low, _ = heap.allocate(56), heap.allocate(56)
        high, _ = heap.allocate(2000), heap.allocate(2000)
        assert low is not None
        assert high is not None
        assert heap.reallocate(low, 56, 100) is None
        assert heap.reallocate(high, 2000, 1500) is None
        heap.check()


def test_a_region_smaller_than_the_budget_is_the_budget() -> None:
    with stack(capacity=4096) as heap:
        assert heap.footprint == 4096
