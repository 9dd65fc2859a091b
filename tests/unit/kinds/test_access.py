"""Accesses: what a file may say, what is drawn, which rows there are, and what blocks come to."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from memtool.errors import InputErrors
from memtool.host import machine
from memtool.kinds import results
from memtool.kinds.access.results import Memory
from memtool.kinds.access.work import sizes
from memtool.kinds.work import load_trace, work
from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Mode, Status, TraceInfo
from memtool.passes import Clock, Pass, Sample
from memtool.passes.declaration import CellSamples

PATTERNS = "name: p\nseed: 7\naccess: {ways: [chase, read-random], blocks: 4, size: [16, 32], accesses: 1k}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "w.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def trace_of(folder: Path, text: str = PATTERNS) -> TraceInfo:
    with load_trace(str(written(folder, text)), seed=None, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        return trace.info


def test_a_file_becomes_what_the_kernel_reads(tmp_path: Path) -> None:
    with load_trace(str(written(tmp_path, PATTERNS)), seed=9, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        image = Path(f"/proc/self/fd/{trace.image_fd}").read_bytes()
        info = trace.info
    # blocks, smallest, largest, alignment, every, accesses, stride, ahead, pages, threads
    assert struct.unpack("<12Q", image) == (0x31737365636361, 9, 4, 16, 32, 16, 64, 1000, 16, 16, 64, 2)
    assert (info.kind, info.operations, info.allocations, info.largest_size) == ("access", 1000, 4, 32)
    assert info.facts["ways"] == ["chase", "read-random"]


def test_what_is_timed_decides_what_an_operation_is_and_other_ways_are_another_workload(tmp_path: Path) -> None:
    aligned = trace_of(tmp_path, "name: p\naccess: {ways: [align-64], blocks: 500, size: [1, 64]}\n")
    other = trace_of(tmp_path, "name: p\naccess: {ways: [align-32], blocks: 500, size: [1, 64]}\n")
    assert aligned.operations == 500
    assert aligned.event_hash != other.event_hash


def test_sizes_are_drawn_by_splitmix64() -> None:
    # The generator's published outputs for the seed 0 begin with these; a size is their first byte, and one more.
    outputs = (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F)
    assert sizes(0, 3, 1, 256) == [(output >> 56) + 1 for output in outputs] == [227, 111, 7]


@pytest.mark.parametrize(
    ("access", "words"),
    [
        ("{ways: [chas]}", "access.ways[0]: must be "),
        ("{size: [64, 16]}", "access.size: must be [low, high], is [64, 16]"),
        ("{size: 4}", "must be at least 8, the bytes of an access, for read-sequential, is 4"),
        ("{ways: [align-64, chase]}", "must not have align-64, which is of allocations, beside chase, which is not"),
        ("{ways: [chase, chase]}", "access.ways: names a way twice"),
        ("{ways: [count-as-given], blocks: 1}", "access.blocks: must be at least threads (2), is 1"),
        ("{ways: [count-as-given], alignment: 4}", "access.alignment: must be at least 8 for count-as-given, is 4"),
        ("{threads: 9}", "access.threads: must be <= 8, is 9"),
        ("{alignment: 24}", "access.alignment: must be a power of two, is 24"),
        ("{block: 3}", "access.block: unknown key; did you mean 'blocks'?"),
        ("{}\nmemory_limit: 4KiB", None),
        ("{ways: [load-16-page]}\nmemory_limit: 64KiB", "memory_limit: must be at least 528384 for loads of 64 pages"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line_and_key(
    tmp_path: Path, access: str, words: str | None
) -> None:
    path = written(tmp_path, f"name: w\naccess: {access}\n")
    if words is None:
        assert trace_of(tmp_path, path.read_text(encoding="utf-8")).memory_limit == 4096
        return
    with pytest.raises(InputErrors) as problems:
        load_trace(str(path), seed=None, threads=None, rate=None, mode=Mode.SERIAL)
    (line,) = str(problems.value).splitlines()
    assert line.startswith(f"{path}:")
    assert words in line


def plan_of(way: str, strategy: str = "", parameters: str = "") -> AllocatorPlan:
    return AllocatorPlan(AllocatorSpec(strategy, way=way), strategy, parameters)


def test_a_load_that_the_processor_has_not_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info, why_not = trace_of(tmp_path), work("access").why_not
    monkeypatch.setattr(machine, "architecture", lambda: "x86_64")
    monkeypatch.setattr(machine, "processor_flags", lambda: frozenset({"avx2"}))
    assert why_not(plan_of("load-32-line"), info) is None
    assert why_not(plan_of("load-64-line"), info) == (
        "this processor has no load of 64 bytes (AVX-512): see the narrower ones"
    )
    monkeypatch.setattr(machine, "architecture", lambda: "aarch64")
    monkeypatch.setattr(machine, "processor_flags", frozenset)
    assert why_not(plan_of("load-32-line"), info) is None
    assert why_not(plan_of("load-64-line"), info) == "loads of 64 bytes are measured on x86-64 only"


def test_threads_that_count_need_a_processor_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info, why_not = trace_of(tmp_path), work("access").why_not
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    assert why_not(plan_of("count-apart"), info) is None
    monkeypatch.setattr(machine, "usable_cores", lambda: 1)
    assert str(why_not(plan_of("count-apart"), info)).startswith(
        "its 2 threads are to count at the same time, and memtool may use 1 processor here: run it where"
    )
    assert why_not(plan_of("load-16-line"), info) is None


def test_an_allocator_is_left_out_of_the_alignments_that_it_does_not_serve(tmp_path: Path) -> None:
    info, why_not = trace_of(tmp_path), work("access").why_not
    assert why_not(plan_of("align-64", "pool", "block=64"), info) is None
    assert why_not(plan_of("align-128", "pool", "block=64"), info) == (
        "aligns to 64 at most; the workload asks for 128"
    )
    ring = replace(plan_of("chase", "ring"), free_order="fifo")
    assert "takes back only the oldest block" in str(why_not(ring, info))


MEMORY = Memory(
    blocks=4,
    asked_bytes=100,
    aligned_bytes=128,
    footprint_bytes=4096,
    free_bytes=3900,
    metadata_bytes=32,
    across_lines=1,
    neighbours=3,
    minor_faults=5,
)


def summarised(*memories: Memory) -> dict[str, float | None]:
    cell = Cell("w", "arena@chase")
    samples = [Sample(cell, block, Pass.FOOTPRINT, Status.OK, None, memory) for block, memory in enumerate(memories)]
    measure = results("access").measures[Pass.FOOTPRINT]
    info = TraceInfo("w", 1, "0" * 32, 1, 1, 1, kind="access")
    summary = measure.summarise(CellSamples(samples, (), (), info, Clock(1.0, "tsc")))
    return {name: figure.by_block[0][1] for name, figure in summary.figures.items()}


def test_padding_is_what_is_left_of_a_footprint() -> None:
    # 4096 - 3900 free - 32 of metadata = 164 for 100 that were asked for.
    assert summarised(MEMORY) == {
        "padding_bytes": 16.0,
        "alignment_padding_bytes": 7.0,
        "across_lines_share": 0.25,
        "neighbours_share": 1.0,
        "minor_faults": 5,
    }


def test_a_system_allocator_has_no_padding_and_a_way_without_blocks_no_figures() -> None:
    assert summarised(replace(MEMORY, footprint_bytes=None))["padding_bytes"] is None
    assert summarised(replace(MEMORY, blocks=0)) == {}
