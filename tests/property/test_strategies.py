"""Properties that every strategy must have, whatever the order of operations."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memtool.engine import binding
from memtool.engine.binding import Heap

DESCRIBED = {str(each["name"]): each for each in binding.describe() if not each["is_control"]}
ON_REGION = [name for name, each in DESCRIBED.items() if each["uses_region"]]
MIB = 1 << 20

Request = tuple[str, int, int]
requests = st.lists(
    st.one_of(
        st.tuples(
            st.just("allocate"),
            st.one_of(st.integers(0, 200), st.integers(0, 40_000)),
            st.sampled_from([16, 16, 16, 16, 1, 8, 32, 64, 4096]),
        ),
        st.tuples(st.just("deallocate"), st.integers(0, 10_000), st.just(0)),
        st.tuples(st.just("reallocate"), st.integers(0, 20_000), st.just(0)),
    ),
    max_size=120,
)


class Model:
    """The oracle: what is live where, as a sound allocator must keep it."""

    def __init__(self, name: str, heap: Heap) -> None:
        self.heap = heap
        self.order = DESCRIBED[name]["free_order"]
        self.individual = DESCRIBED[name]["free_order"] != "reset"
        largest, alignment = binding.limits(name, "")
        self.largest = largest if largest is not None else 1 << 62
        self.alignment = alignment if alignment is not None else 1 << 62
        self.live: list[tuple[int, int, int]] = []

    def apply(self, request: Request) -> None:
        kind, number, alignment = request
        if kind == "allocate":
            size, alignment = min(number, self.largest), min(alignment, self.alignment)
            self.enter(self.heap.allocate(size, alignment), size, alignment)
        elif self.live:
            offset, size, alignment = self.live.pop(self.choice(kind, number))
            if kind == "deallocate":
                self.heap.deallocate(offset, size, alignment)
                return
            new_size = min(number, self.largest)
            moved = self.heap.reallocate(offset, size, new_size, alignment)
            if moved is None:
                self.live.append((offset, size, alignment))
            else:
                self.enter(moved, new_size, alignment)

    def choice(self, kind: str, number: int) -> int:
        """Return which live block an operation is on: one that the strategy can take it on."""
        if self.order == "lifo" or (self.order == "fifo" and kind == "reallocate"):
            return -1
        return 0 if self.order == "fifo" else number % len(self.live)

    def enter(self, offset: int | None, size: int, alignment: int) -> None:
        if offset is None:
            return
        natural = 1 << (max(size, 1).bit_length() - 1)
        need = min(16, natural) if alignment == 16 else alignment
        assert (self.heap.base + offset) % need == 0
        assert offset >= 0
        assert offset + size <= self.heap.footprint
        assert self.heap.usable_size(offset, size) >= size
        for other, other_size, _ in self.live:
            assert offset + max(size, 1) <= other or other + max(other_size, 1) <= offset
        self.live.append((offset, size, alignment))

    def verify(self) -> None:
        self.heap.check()
        stats = self.heap.stats()
        footprint = stats["footprint"]
        assert footprint is not None
        walked = self.heap.walk()
        position = 0
        for offset, size, _ in walked:
            assert offset == position
            position += size
        assert position == footprint
        if stats["granted"] is not None and self.individual:
            assert stats["granted"] == sum(self.heap.usable_size(at, size) for at, size, _ in self.live)
            parts = stats["granted"] + (stats["free_bytes"] or 0) + (stats["metadata_bytes"] or 0)
            assert parts <= footprint + (stats["metadata_apart_bytes"] or 0)


@pytest.mark.parametrize("name", ON_REGION)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=requests, capacity=st.sampled_from([64 * 1024, MIB, 16 * MIB]))
def test_blocks_are_apart_aligned_and_accounted_for(name: str, requests: list[Request], capacity: int) -> None:
    with Heap(name, capacity=capacity) as heap:
        model = Model(name, heap)
        for request in requests:
            model.apply(request)
        model.verify()
        while model.live:
            model.apply(("deallocate", len(model.live) - 1, 0))
        model.verify()


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
            found = [heap.allocate(64) for _ in range(500)]
            return [offset for offset in found if offset is not None]

        blocks = fill()
        assert len(blocks) == 500
        first = heap.footprint
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
        assert heap.footprint == first


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
