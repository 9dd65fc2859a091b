"""The memory that a worker finds its figures in: laid out here by hand, in words of eight bytes, and read by name."""

from __future__ import annotations

import struct

import pytest

from memtool.passes import CHOSEN, Pass
from memtool.passes.check import Check
from memtool.passes.footprint import Footprint
from memtool.passes.heap import Heap
from memtool.passes.latency import Latency, OpenLoop, Slices
from memtool.passes.layout import Asked
from memtool.passes.throughput import Throughput
from memtool.passes.timing import ThreadRow
from memtool.worker.figures import head_bytes, initial_memory, read
from tests.payloads import MEASURES

BUCKETS = 4352
UNKNOWN = 2**64 - 1


def words(run_pass: Pass, asked: Asked) -> list[int]:
    """Return what a worker is given, in words."""
    content, length = initial_memory(MEASURES[run_pass], asked)
    assert len(content) <= length
    return list(struct.unpack(f"<{length // 8}Q", content.ljust(length, b"\0")))


def packed(held: list[int]) -> bytes:
    return struct.pack(f"<{len(held)}Q", *held)


def test_a_structure_is_read_by_the_names_of_its_fields() -> None:
    memory = struct.pack("<5Q", 64, 3, 300, 7, 9)
    assert read(MEASURES[Pass.CHECK], Asked(), memory, {}) == Check(64, 3, 300, 7, 9)


@pytest.mark.parametrize("run_pass", CHOSEN)
def test_memory_of_another_length_is_no_sample(run_pass: Pass) -> None:
    content, length = initial_memory(MEASURES[run_pass], Asked(checkpoints=3))
    assert length >= head_bytes(MEASURES[run_pass]) > 0
    for memory in (b"", content.ljust(length, b"\0") + b"\0"):
        with pytest.raises(ValueError, match=f"^{len(memory)} bytes, not {length}$"):
            read(MEASURES[run_pass], Asked(checkpoints=3), memory, {"system_calls": {}})


def test_a_worker_is_given_what_it_is_asked() -> None:
    assert words(Pass.COUNTERS, Asked(counter=2)) == [2, 0]
    assert words(Pass.CALLS, Asked(socket=7)) == [7]
    assert words(Pass.HEAP, Asked(drain_waits_ms=(0, 100, 1_000, 5_000)))[:4] == [0, 100, 1_000, 5_000]
    # The structure has 1,224 words; behind it is room for five rows of 14 figures.
    footprint = words(Pass.FOOTPRINT, Asked(checkpoints=3))
    assert (footprint[0], footprint[1], len(footprint)) == (3, 1_224 * 8, 1_224 + 5 * 14)
    latency = words(Pass.LATENCY, Asked(slow_ticks=(1, 2, 3), arrivals=(8, 9)))
    assert latency[:7] == [1, 2, 3, (len(latency) - 2) * 8, 0, 0, 0]
    assert latency[-2:] == [8, 9]


def test_replays_that_counted_are_timed_and_threads_have_rows() -> None:
    held = words(Pass.THROUGHPUT, Asked(lanes=2))
    # An offset, the number of replays, four times 64 figures, and how late one was.
    assert (held[0], len(held)) == (259 * 8, 259 + 8)
    held[1] = 2
    for first, figures in ((2, (10, 20, 99)), (66, (1, 2)), (130, (5, 6)), (194, (3, 4))):
        held[first : first + len(figures)] = figures
    held[258] = 77
    held[259:] = [7, 1, 8, 0, 9, 2, 6, 4]
    assert read(MEASURES[Pass.THROUGHPUT], Asked(lanes=2), packed(held), {}) == Throughput(
        body_ticks=(10, 20),
        epilogue_ticks=(1, 2),
        cpu_ns=(5, 6),
        wait_ticks=(3, 4),
        threads=(ThreadRow(7, 1, 8, 0), ThreadRow(9, 2, 6, 4)),
        late_ticks=77,
    )
    alone = read(MEASURES[Pass.THROUGHPUT], Asked(), packed([0, 1, 10, *[0] * 256]), {})
    assert alone == Throughput((10,), (0,), (0,), (), (), 0)


def test_latencies_by_kind_by_size_and_over_the_run() -> None:
    held = words(Pass.LATENCY, Asked())
    # 7 words that are given, 258 of timings, then the schedule, maxima by kind and by size, slices, histograms.
    held[265:268] = [1_000, 40, 30]
    maxima, by_size, slices = 268, 268 + 8, 268 + 8 + 18
    histograms = slices + 400 * 8
    held[maxima + 4] = 15  # the floor
    held[histograms + 4 * BUCKETS + 10] = 3
    held[by_size + 9 + 1] = 77  # frees of 17 to 64 bytes
    held[histograms + 8 * BUCKETS + (9 + 1) * BUCKETS + 70] = 2
    held[slices + 8 + 4 : slices + 16] = [50, 3, 2, 1]  # frees of the second slice
    result = read(MEASURES[Pass.LATENCY], Asked(), packed(held), {})
    assert isinstance(result, Latency)
    assert (result.histograms["floor"].maximum, result.histograms["floor"].buckets) == (15, ((10, 3),))
    assert result.histograms["allocate"].buckets == ()
    assert [(item.maximum, item.buckets) for item in result.by_size["deallocate"]][:3] == [
        (0, ()),
        (77, ((70, 2),)),
        (0, ()),
    ]
    assert result.slices["deallocate"].maximum[:3] == (0, 50, 0)
    assert [level[1] for level in result.slices["deallocate"].slow] == [3, 2, 1]
    assert result.slices["allocate"] == Slices((0,) * 400, ((0,) * 400,) * 3)
    assert result.open_loop == OpenLoop(1_000, 40, 30)


def test_the_frees_of_a_thread_are_those_of_its_own_blocks_and_of_others() -> None:
    held = words(Pass.LATENCY, Asked(lanes=2))
    own = len(held) - 2 * 8 * BUCKETS
    held[own + 8 * BUCKETS + 1 * BUCKETS + 20] = 4  # the second thread's deallocate
    held[own + 8 * BUCKETS + 5 * BUCKETS + 20] = 1  # and remote_deallocate
    held[own + 8 * BUCKETS + 5 * BUCKETS + 21] = 2
    result = read(MEASURES[Pass.LATENCY], Asked(lanes=2), packed(held), {})
    assert isinstance(result, Latency)
    assert [row.histograms for row in result.threads] == [
        {"allocate": (), "deallocate": ()},
        {"allocate": (), "deallocate": ((20, 5), (21, 2))},
    ]
    assert (result.by_size, result.slices, result.open_loop) == ({}, {}, None)


def test_what_a_strategy_does_not_know_is_none() -> None:
    held = words(Pass.FOOTPRINT, Asked(checkpoints=1, marks=("half",)))
    held[2] = 2  # rows
    held[23:37] = [5, 100, *[UNKNOWN] * 12]  # at the peak
    held[51:65] = [7, 60, 1, 64, *[UNKNOWN] * 10]  # at the first mark
    first, second = [1, 10, 1, 16, 4096, *[UNKNOWN] * 9], [2, 20, 2, 32, 8192, *[UNKNOWN] * 9]
    held[1_224 : 1_224 + 28] = [*first, *second]
    with pytest.raises(ValueError, match="live_objects"):
        read(MEASURES[Pass.FOOTPRINT], Asked(checkpoints=1), packed(held), {})
    known = [1, 16]
    held[25:27], held[34] = known, 100
    held[62] = 60
    result = read(MEASURES[Pass.FOOTPRINT], Asked(checkpoints=1, marks=("half",)), packed(held), {})
    assert isinstance(result, Footprint)
    assert (result.at_peak_live.live_bytes, result.at_peak_live.footprint_bytes) == (100, None)
    assert (result.at_marks["half"].clock, result.at_marks["half"].free_bytes) == (7, None)
    assert result.series["footprint_bytes"] == (4096, 8192)
    assert result.series["metadata_bytes"] == (None, None)


def test_a_heap_map_has_the_name_of_its_moment() -> None:
    held = words(Pass.HEAP, Asked(marks=("half",)))
    held[4:8] = [400, 300, 200, 100]
    held[8:12] = [5, UNKNOWN, UNKNOWN, 9]
    held[12] = 2  # maps
    item = 8 + 4 + 3 * 256 + 5 * 2048
    held[13 : 13 + 12] = [UNKNOWN, 20, 500, 1, 4096, 1, 2, 0, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN]
    held[25:28] = [0, 8192, 0]
    held[25 + 768 : 25 + 768 + 10] = [1, 2, 3, 4, 5, 10, 20, 30, 40, 50]
    held[13 + item] = 0
    result = read(MEASURES[Pass.HEAP], Asked(marks=("half",)), packed(held), {})
    assert isinstance(result, Heap)
    assert [heap_map.moment for heap_map in result.maps] == ["peak", "half"]
    assert (result.maps[0].walked, result.maps[0].extents[0].bytes) == (True, 8192)
    assert result.maps[0].buckets == {
        "used": (1, 10),
        "free": (2, 20),
        "metadata": (3, 30),
        "resident": (4, 40),
        "before": (5, 50),
    }
    assert result.after_drain_resident_bytes == (400, 300, 200, 100)
    assert (result.own_after_drain.in_use_bytes, result.own_after_drain.free_bytes) == (5, None)
