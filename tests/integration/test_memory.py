"""Strategies that keep, leak, round or lie: each is told by the figure of its name, at the value worked out by hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Metric, Status
from memtool.passes import Pass, Sample
from memtool.passes.heap import Heap
from memtool.stats.summarise import summarise_cell
from memtool.worker.parent import Job, RegionRequest, WorkerExecutor
from tests.images import churn, image_fd, make_image
from tests.unit.stats.test_summarise import CLOCK, TRACE

OBJECTS, SIZE = 20_000, 272
"""All are allocated, half of them freed and allocated again, then all are freed: 30,000 deallocations. 272 is a
multiple of 16, so that nothing is rounded unless a strategy means to."""
TOUCH_ALL = 3
PEAK = OBJECTS * SIZE


@pytest.fixture
def executor(faulty_engine: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerExecutor:
    monkeypatch.setenv("MEMTOOL_ENGINE", str(faulty_engine))
    return WorkerExecutor(seed=1)


@pytest.fixture(scope="module")
def image() -> Iterator[tuple[int, int]]:
    made = make_image(churn(OBJECTS, SIZE), touch=TOUCH_ALL)
    descriptor = image_fd(made)
    yield descriptor, len(made)
    os.close(descriptor)


def take(executor: WorkerExecutor, image: tuple[int, int], strategy: str, run_pass: Pass) -> Sample:
    plan = AllocatorPlan(AllocatorSpec(strategy), strategy, "")
    return executor.execute(
        Job(
            cell=Cell("fixture", strategy),
            block=0,
            run_pass=run_pass,
            plan=plan,
            image_fd=image[0],
            image_bytes=image[1],
            region=RegionRequest(1 << 30, 2 << 20),
            warmups=0,
            iterations=1,
            checkpoints=10,
            use_counter=False,
            time_limit=60.0,
            drain_waits_ms=(0, 1, 2, 3),
        )
    )


def figures(executor: WorkerExecutor, image: tuple[int, int], strategy: str) -> dict[str, Metric]:
    samples = [take(executor, image, strategy, run_pass) for run_pass in (Pass.CHECK, Pass.FOOTPRINT, Pass.HEAP)]
    assert [(sample.status, sample.reason) for sample in samples] == [(Status.OK, None)] * 3
    trace = replace(TRACE, peak_live_bytes=PEAK)
    return dict(summarise_cell(samples[0].cell, samples, [], trace, CLOCK, exact_expected=True).metrics)


def values(result: dict[str, Metric], *names: str) -> list[float | None]:
    return [result[name].value for name in names]


AFTER_DRAIN = [f"resident_after_drain_{wait}_bytes" for wait in ("0ms", "100ms", "1s", "5s")]
WATERFALL = ("rounding_bytes", "free_bytes", "metadata_bytes", "unaccounted_bytes")


def test_what_never_gives_memory_back_has_all_of_it_after_the_drain(
    executor: WorkerExecutor, image: tuple[int, int]
) -> None:
    result = figures(executor, image, "keeps")
    assert values(result, "peak_footprint_bytes", *WATERFALL) == [5_440_000, 0, 0, 0, 0]
    assert result["peak_resident_bytes"].value == pytest.approx(5_440_000, rel=0.01)
    assert values(result, *AFTER_DRAIN) == [pytest.approx(5_440_000, rel=0.01)] * 4
    assert values(result, "unaccounted_after_drain_bytes", "internal_fragmentation") == [0, 0]


def test_what_gives_memory_back_has_none_of_it_after_the_drain(
    executor: WorkerExecutor, image: tuple[int, int]
) -> None:
    result = figures(executor, image, "gives-back")
    assert values(result, "peak_footprint_bytes", "unaccounted_after_drain_bytes") == [5_440_000, 0]
    assert values(result, *AFTER_DRAIN) == [pytest.approx(0, abs=54_400)] * 4


def test_a_leak_of_one_block_in_a_hundred_is_unaccounted_after_the_drain(
    executor: WorkerExecutor, image: tuple[int, int]
) -> None:
    result = figures(executor, image, "leaks")
    # 100 of the first 10,000 freed blocks do not come back, so that 100 more are taken; 300 are lost in the end.
    assert values(result, "peak_footprint_bytes", "unaccounted_bytes") == [5_467_200, 0]
    assert values(result, "unaccounted_after_drain_bytes", "internal_fragmentation") == [81_600, 0]


def test_rounding_to_powers_of_two_is_internal_fragmentation(executor: WorkerExecutor, image: tuple[int, int]) -> None:
    result = figures(executor, image, "rounds")
    # 272 become 512.
    assert values(result, "internal_fragmentation", *WATERFALL) == [0.46875, 4_800_000, 0, 0, 0]
    assert values(result, "footprint_peak_ratio", "unaccounted_after_drain_bytes") == [512 / 272, 0]


@pytest.mark.parametrize("run_pass", [Pass.CHECK, Pass.FOOTPRINT])
def test_more_granted_than_the_footprint_is_a_lie(
    executor: WorkerExecutor, image: tuple[int, int], run_pass: Pass
) -> None:
    sample = take(executor, image, "claims-too-much", run_pass)
    assert sample.status is Status.FAILED
    assert sample.reason is not None
    assert "stats() claims more granted bytes" in sample.reason


def test_fewer_granted_than_live_is_a_lie_in_the_footprint_pass_too(
    executor: WorkerExecutor, image: tuple[int, int]
) -> None:
    sample = take(executor, image, "lies", Pass.FOOTPRINT)
    assert sample.reason == ("after 6000 operations: stats() claims fewer granted bytes (1632) than are live (1632000)")


def heap_maps(executor: WorkerExecutor, image: tuple[int, int], strategy: str) -> list[dict[str, Any]]:
    sample = take(executor, image, strategy, Pass.HEAP)
    assert sample.reason is None
    return [asdict(heap_map) for heap_map in sample.of(Heap).maps]


def test_a_map_of_a_region_that_was_touched_whole(executor: WorkerExecutor, image: tuple[int, int]) -> None:
    peak, end = heap_maps(executor, image, "keeps")
    assert (peak["moment"], peak["clock"], peak["live_bytes"]) == ("peak", 20_000, 5_440_000)
    assert (end["moment"], end["clock"], end["live_bytes"]) == ("end", 60_000, 0)
    assert list(peak["extents"]) == [{"address": 0, "bytes": 5_440_000, "first_bucket": 0}]
    # 5,440,000 bytes are 1,329 pages, the last of them in part.
    assert (peak["bucket_bytes"], len(peak["buckets"]["resident"])) == (4096, 1329)
    assert sum(peak["buckets"]["resident"]) == 5_440_000
    assert not peak["walked"]


def test_what_an_arena_holds_of_dead_blocks_is_not_used_in_its_map(image: tuple[int, int]) -> None:
    peak, end = heap_maps(WorkerExecutor(seed=1), image, "arena")
    assert peak["walked"]
    # 272 bytes are a multiple of the alignment. By the end 30,000 blocks were handed out, and none is alive.
    assert sum(peak["buckets"]["used"]) == PEAK
    assert sum(end["buckets"]["used"]) == 0
    assert end["extents"][0]["bytes"] >= 30_000 * SIZE
    assert sum(end["buckets"]["free"]) < OBJECTS * SIZE


def test_a_map_of_malloc_holds_every_live_byte(executor: WorkerExecutor, image: tuple[int, int]) -> None:
    peak, end = heap_maps(executor, image, "malloc")
    # glibc grants 280 bytes for 272, and may hand out 16 more.
    assert OBJECTS * 280 <= sum(peak["buckets"]["used"]) <= OBJECTS * 296
    assert sum(end["buckets"]["used"]) == 0
    fresh = sum(peak["buckets"]["resident"]) - sum(peak["buckets"]["before"])
    assert fresh >= 0.95 * OBJECTS * 288
    own = peak["own"]
    assert own["in_use_bytes"] == pytest.approx(OBJECTS * 288, rel=0.02)
    assert own["metadata_bytes"] is None
