"""Requests that are aligned to less than 16 bytes: who packs them closer, worked out by hand, and who says that not."""

from __future__ import annotations

import pytest

from memtool.allocators.pairing import rounding, why_not
from memtool.allocators.registry import Registry
from memtool.allocators.spec import parse_allocators
from memtool.engine.abi.binding import Heap
from memtool.model import AllocatorPlan
from memtool.workload.sources.generated import generated
from memtool.workload.trace import Trace, make_trace
from tests.events import workload_of

HEAP4 = "header=8,footer=0,alignment=8,initial=45360,grow=0"
"""FreeRTOS's heap_4 on a 64-bit machine: a header of 8 bytes, blocks in multiples of 8, a fixed heap."""


def trace_of(size: int, alignment: int | None = None) -> Trace:
    ramp = {"size": size} | ({} if alignment is None else {"alignment": alignment})
    content = {"name": "w", "allocations": 10, "pattern": {"ramp": ramp}}
    return make_trace(generated(workload_of(content), 1), "w.yaml")


def plan_of(text: str) -> AllocatorPlan:
    known = Registry()
    (spec,) = parse_allocators(text, known.groups)
    return known.resolve(spec)


def refusal(allocator: str, size: int, alignment: int | None = None) -> str | None:
    with trace_of(size, alignment) as trace:
        return why_not(plan_of(allocator), trace.info)


def test_a_heap_of_eight_byte_headers_holds_1890_blocks_of_16() -> None:
    with Heap("free-list", HEAP4, 45_360) as heap:
        served = 0
        while heap.allocate(16, 8) is not None:
            served += 1
        assert served == 1890  # 45,360 / (8 + 16)
        heap.check()


def test_a_pool_of_24_byte_nodes_takes_480_000_bytes_for_20_000() -> None:
    with Heap("pool", "block=24,chunk=4800", 1 << 20) as heap:
        assert all(heap.allocate(24, 8) is not None for _ in range(20_000))
        assert heap.footprint == 480_000  # it took 640,000 for blocks of 32


@pytest.mark.parametrize(
    ("strategy", "parameters", "stride"),
    [
        ("pool", "block=24", 24),
        ("pool", "block=20", 24),  # a link must be aligned
        ("thread-pool", "block=24", 24),
        ("object-pool", "block=24", 32),  # a word of metadata each
        ("bump", "", 24),
        ("arena", "", 24),
        ("frame-arena", "", 24),
        ("pmr-monotonic-buffer", "", 24),
        ("stack", "", 32),  # a header of 8
        ("ring", "", 32),
        ("free-list", "alignment=8", 40),  # a header and a footer of 8
        ("free-list", "header=4,footer=4,alignment=1", 32),
        ("first-fit", "", 32),  # a tag of 8; multiples of 16
        ("segregated-pool", "", 32),
    ],
)
def test_blocks_of_24_aligned_to_8_follow_each_other_this_closely(strategy: str, parameters: str, stride: int) -> None:
    with Heap(strategy, parameters, 1 << 20) as heap:
        size = 20 if "block=20" in parameters else 24
        offsets = [heap.allocate(size, 8) for _ in range(3)]
        assert None not in offsets
        assert offsets[2] is not None
        assert offsets[1] is not None
        assert abs(offsets[2] - offsets[1]) == stride
        heap.check()


@pytest.mark.parametrize(("strategy", "stride"), [("bump", 5), ("arena", 5), ("frame-arena", 5)])
def test_bytes_are_not_aligned_at_all(strategy: str, stride: int) -> None:
    with Heap(strategy, "", 1 << 20) as heap:
        first, second = heap.allocate(5, 1), heap.allocate(5, 1)
        assert first is not None
        assert second is not None
        assert second - first == stride
        aligned = heap.allocate(1, 16)
        assert aligned is not None
        assert (heap.base + aligned) % 16 == 0


def test_the_largest_alignment_of_a_trace_is_what_was_asked_for() -> None:
    for alignment, largest in ((1, 1), (2, 2), (4, 4), (8, 8), (16, 16), (None, 16), (64, 64)):
        with trace_of(100, alignment) as trace:
            assert trace.info.largest_alignment == largest


def test_what_aligns_to_8_serves_a_workload_that_asks_for_8() -> None:
    for alignment in (1, 2, 4, 8):
        allocator = f"free-list:alignment={alignment},header=8,footer=0"
        assert refusal(allocator, 24, alignment) is None
        assert refusal(allocator, 24) == (
            f"aligns to {alignment} at most; the workload asks for 16, unless it says alignment: {alignment}"
        )
    assert refusal("pool:block=24", 24, 8) is None
    assert refusal("pool:block=24", 24) == (
        "aligns to 8 at most; the workload asks for 16, unless it says alignment: 8"
    )


def test_the_default_asks_no_more_of_a_small_block_than_what_fits_into_it() -> None:
    assert refusal("pool:block=8", 8) is None
    assert refusal("pool:block=12", 12) is None
    assert refusal("pool:block=24", 16) == (
        "aligns to 8 at most; the workload asks for 16, unless it says alignment: 8"
    )


def test_a_note_says_who_rounds_up() -> None:
    plans = [plan_of(text) for text in ("pool:block=24", "pool:block=32", "arena", "first-fit", "stack", "null")]
    with trace_of(24, 8) as trace:
        assert rounding(plans, trace.info) == (
            "w asks for an alignment of 8. Some align every block to more, and round it up "
            "(to 16: pool:block=32, first-fit)."
        )
    with trace_of(24, 4) as trace:
        assert rounding(plans, trace.info) == (
            "w asks for an alignment of 4. Some align every block to more, and round it up "
            "(to 8: pool:block=24, stack; to 16: pool:block=32, first-fit)."
        )
    with trace_of(24) as trace:
        assert rounding(plans, trace.info) is None
