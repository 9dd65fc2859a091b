"""The resources of std::pmr on a region: what the region is asked for."""

from __future__ import annotations

import itertools

import pytest

from memtool.engine.abi.binding import Heap, uses_region

POOLS = ["pmr-unsynchronized-pool", "pmr-synchronized-pool"]


def test_the_footprint_of_a_monotonic_buffer_is_all_that_was_ever_asked_for() -> None:
    # 1000 requests of 64 bytes, each freed at once, fit into 64,000 bytes and not into one less.
    for initial, buffers in ((64_000, 1), (63_999, 2)):
        with Heap("pmr-monotonic-buffer", f"initial={initial}", capacity=1 << 20) as heap:
            for _ in range(1000):
                offset = heap.allocate(64)
                assert offset is not None
                heap.deallocate(offset, 64)
            assert (heap.footprint == initial) is (buffers == 1)


def test_each_buffer_of_a_monotonic_buffer_is_larger_than_the_last() -> None:
    with Heap("pmr-monotonic-buffer", "initial=1024", capacity=1 << 20) as heap:
        footprints = []
        for _ in range(300):
            heap.allocate(64)
            footprints.append(heap.footprint)
        steps = [after - before for before, after in itertools.pairwise(footprints) if after > before]
        assert len(steps) > 3
        assert steps == sorted(steps)


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("upstream", ["region", "monotonic"])
def test_pools_reuse_what_is_freed(name: str, upstream: str) -> None:
    with Heap(name, f"upstream={upstream}", capacity=1 << 22) as heap:
        offsets = [heap.allocate(64) for _ in range(100)]
        footprint = heap.footprint
        for _ in range(20):
            for offset in offsets:
                assert offset is not None
                heap.deallocate(offset, 64)
            offsets = [heap.allocate(64) for _ in range(100)]
        assert heap.footprint == footprint
        heap.check()


@pytest.mark.parametrize(("upstream", "grows"), [("region", False), ("monotonic", True)])
def test_what_is_too_large_for_the_pools_goes_to_the_upstream_and_back(upstream: str, grows: bool) -> None:
    with Heap("pmr-unsynchronized-pool", f"upstream={upstream},largest=4096", capacity=1 << 26) as heap:
        footprints = []
        for _ in range(20):
            offset = heap.allocate(100_000)
            assert offset is not None
            heap.deallocate(offset, 100_000)
            footprints.append(heap.footprint)
        # A monotonic upstream takes nothing back.
        assert (footprints[-1] > footprints[2]) is grows


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize(("size", "alignment"), [(24, 16), (100, 64), (200, 128), (1, 256), (40, 1), (5000, 4096)])
def test_blocks_of_pools_are_aligned_whatever_the_size(name: str, size: int, alignment: int) -> None:
    with Heap(name, capacity=1 << 24) as heap:
        offsets = [heap.allocate(size, alignment) for _ in range(20)]
        assert all(offset is not None and (heap.base + offset) % alignment == 0 for offset in offsets)


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("upstream", ["region", "monotonic"])
@pytest.mark.parametrize("blocks", [0, 1, 5, 23])
def test_a_pool_whose_memory_is_out_refuses(name: str, upstream: str, blocks: int) -> None:
    # A program whose upstream refuses libstdc++ a list of chunks is killed; here it is where the list would not fit.
    for capacity in (*range(4096, 8192, 64), 1 << 16):
        with Heap(name, f"upstream={upstream},blocks={blocks}", capacity) as heap:
            for size in (8, 24, 64, 200, 1000, 40, 8):
                while (offset := heap.allocate(size)) is not None:
                    assert 0 <= offset <= heap.footprint - size
            heap.check()


@pytest.mark.parametrize("name", POOLS)
def test_a_large_block_that_was_freed_is_found_again_though_the_region_is_full(name: str) -> None:
    # Good fit passed over holes of the request's own class: two of these blocks do not fit into 64 KiB.
    for size in range(30_869, 61_000, 97):
        with Heap(name, capacity=1 << 16) as heap:
            offset = heap.allocate(size)
            assert offset is not None
            assert heap.allocate(size) is None
            heap.deallocate(offset, size)
            assert heap.allocate(size) is not None


def test_only_an_upstream_on_the_region_is_counted() -> None:
    assert uses_region("pmr-monotonic-buffer", "")
    assert not uses_region("pmr-monotonic-buffer", "upstream=new-delete")
    for name in POOLS:
        assert [uses_region(name, f"upstream={item}") for item in ("region", "monotonic", "new-delete")] == [
            True,
            True,
            False,
        ]
    assert not uses_region("pmr-new-delete", "")
    with Heap("pmr-unsynchronized-pool", "upstream=new-delete", capacity=1 << 20) as heap:
        assert heap.allocate(64) is not None
        assert heap.footprint == 0


# A plain program with a buffer of so many bytes, an upstream that counts and a release() after each 100 blocks of 64 B.
# The first buffer, then chunks of 1.5 times the last and a header of 16, in multiples of 64.
@pytest.mark.parametrize(("initial", "peak"), [(1024, 1024 + 1600 + 2368 + 3520), (4096, 4096 + 6208)])
def test_the_end_of_a_scope_releases_a_monotonic_buffer(initial: int, peak: int) -> None:
    with Heap("pmr-monotonic-buffer", f"initial={initial}", 1 << 20) as heap:
        peaks = []
        for _ in range(500):
            assert heap.mark()
            for _ in range(100):
                assert heap.allocate(64) is not None
            peaks.append(heap.footprint)
            assert heap.release()
        assert set(peaks) == {peak}
        assert heap.footprint == initial  # the first buffer is its own


def test_a_monotonic_buffer_keeps_all_where_something_was_allocated_outside_of_scopes() -> None:
    with Heap("pmr-monotonic-buffer", "", 1 << 20) as heap:
        kept = heap.allocate(64)
        assert heap.mark()
        assert heap.allocate(64) is not None
        assert heap.release()
        fresh = heap.allocate(64)
        assert kept is not None
        assert fresh is not None
        assert fresh >= kept + 128
