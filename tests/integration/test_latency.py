"""Latency by real workers, on strategies whose slow operations are planted. No figure is compared with a live one,
except that a planted stall of 50 microseconds takes no less."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtool.engine.instruments.binding import SYSTEM_CALLS, system_calls_refusal
from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Status
from memtool.passes import Pass, Sample, histogram
from memtool.passes.calls import Calls
from memtool.passes.latency import Latency
from memtool.passes.throughput import Throughput
from memtool.store.series import History
from memtool.worker.parent import Job, RegionRequest, WorkerExecutor
from memtool.workload.language.arrival_kinds import Arrivals
from memtool.workload.language.arrivals import compile_arrivals
from memtool.workload.sources.generated import generated
from memtool.workload.trace import make_trace
from tests.events import workload_of
from tests.images import churn, image_fd, make_image

OBJECTS = 40_000
ALLOCATIONS = 60_000
"""Of churn(OBJECTS): all of them, and every second one again."""
STALLS = ALLOCATIONS // 500
STALL_NS = 50_000


@pytest.fixture
def executor(faulty_engine: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerExecutor:
    monkeypatch.setenv("MEMTOOL_ENGINE", str(faulty_engine))
    return WorkerExecutor(seed=1)


@pytest.fixture
def image() -> Iterator[tuple[int, int]]:
    made = make_image(churn(OBJECTS))
    descriptor = image_fd(made)
    yield descriptor, len(made)
    os.close(descriptor)


def take(
    executor: WorkerExecutor,
    image: tuple[int, int],
    strategy: str,
    run_pass: Pass = Pass.LATENCY,
    arrivals: tuple[int, ...] | None = None,
) -> Sample:
    sample = executor.execute(
        Job(
            cell=Cell("churn", strategy),
            block=0,
            run_pass=run_pass,
            plan=AllocatorPlan(AllocatorSpec(strategy), strategy, ""),
            image_fd=image[0],
            image_bytes=image[1],
            region=RegionRequest(64 << 20, 2 << 20),
            warmups=0,
            iterations=1,
            checkpoints=1,
            use_counter=False,
            time_limit=120.0,
            arrivals=arrivals,
        )
    )
    assert (sample.status, sample.reason) == (Status.OK, None)
    return sample


def percentile(sample: Sample, kind: str, q: float) -> float:
    result = sample.of(Latency).histograms[kind]
    return histogram.percentile(histogram.merge([result.buckets]), q, result.maximum)


def test_a_planted_stall_shows_in_the_tail_and_in_the_strip(executor: WorkerExecutor, image: tuple[int, int]) -> None:
    sample = take(executor, image, "stalls")
    # One allocation of 500 is 0.2 %: p99.9 is a stall, and half the allocations have nothing to do with one.
    assert percentile(sample, "allocate", 99.9) >= STALL_NS * 0.99
    assert percentile(sample, "allocate", 50.0) < STALL_NS
    history = History.of([sample], 1.0)
    slow = history.latency_over_time["allocate"]["slow"]["10000"]
    longest = history.latency_over_time["allocate"]["maximum_ns"]
    assert sum(slow) >= STALLS
    # 400 slices of 300 events, of which the first 40,000 allocate: allocation 500 is in slice 1, 1,000 in slice 3.
    for stalled in (1, 3, 4):
        assert longest[stalled] >= STALL_NS * 0.99
        assert slow[stalled] >= 1
    assert longest[180] is None  # where events 54,000 to 54,299 only free


def test_a_frame_is_as_long_as_what_happens_in_it(executor: WorkerExecutor) -> None:
    # 1,000 allocations in 10 frames of 100, and one of 500 stalls for 50 us: two frames have a stall, eight have none.
    content = {"frames": {"count": 10, "objects_per_frame": 100}, "objects": [{"size": 64}]}
    with make_trace(generated(workload_of(content), 1), "w.yaml") as trace:
        sample = take(executor, (trace.image_fd, trace.image_bytes), "stalls")
    frames = sample.of(Latency).histograms["frame"]
    assert sum(count for _, count in frames.buckets) == 10
    assert frames.maximum >= STALL_NS * 0.99
    assert percentile(sample, "frame", 90.0) >= STALL_NS * 0.98


def test_a_frame_arrives_with_all_its_operations() -> None:
    content = {
        "frames": {"count": 3, "objects_per_frame": 4, "scopes": {"per_frame": 2, "objects": 1, "depth": 2}},
        "objects": [{"size": 64}],
        "arrivals": {"frames": {"every": "1ms"}},
    }
    with make_trace(generated(workload_of(content), 3), "frames.yaml") as trace:
        assert trace.arrivals is not None
        image = (trace.image_fd, trace.image_bytes)
        for strategy in ("first-fit", "arena"):  # one frees block by block, the other a whole scope
            sample = take(WorkerExecutor(seed=1), image, strategy, arrivals=trace.arrivals.words)
            # The last frame begins 3 ms after the run; without a counter a tick is a nanosecond.
            latency = sample.of(Latency)
            assert latency.open_loop is not None
            assert latency.open_loop.schedule_ticks == 3_000_000
            assert sum(count for _, count in latency.histograms["allocate"].buckets) == 30


def test_open_loop_latency_contains_the_queue_behind_a_stall(executor: WorkerExecutor) -> None:
    made = make_image(churn(2000))
    descriptor = image_fd(made)
    every_10_us = compile_arrivals(Arrivals.model_validate({"constant": {"rate": "100k/s"}}), 1)
    try:
        closed = take(executor, (descriptor, len(made)), "stalls")
        opened = take(executor, (descriptor, len(made)), "stalls", arrivals=every_10_us.words)
    finally:
        os.close(descriptor)
    # Behind each of six stalls of 50 us among 3,000 allocations, the next ones are meant to begin 10, 20 and 30 us
    # after it: 40, 30 and 20 us late. Four of the stalls have only allocations behind them, so at least 16, more than
    # 0.5 %, take 20 us and more. A closed loop has the six, and lets the others begin when they can.
    assert percentile(opened, "allocate", 99.5) >= 20_000 * 0.99
    kept = opened.of(Latency).open_loop
    assert kept is not None
    assert kept.schedule_ticks == 6000 * 10_000
    assert kept.latest_ticks >= 40_000
    assert opened.of(Latency).body_ticks[0] >= 6000 * 10_000
    assert closed.of(Latency).open_loop is None


def test_a_schedule_that_nothing_keeps_up_with(executor: WorkerExecutor, image: tuple[int, int]) -> None:
    at_once = compile_arrivals(Arrivals.model_validate({"constant": {"rate": "1G/s"}}), 1)
    sample = take(executor, image, "stalls", arrivals=at_once.words)
    # The stalls alone take 6 ms; all 120,000 operations are due within 120 us.
    kept = sample.of(Latency).open_loop
    assert kept is not None
    assert kept.end_behind_ticks >= STALLS * STALL_NS - 120_000
    # Each waits for all before it: the median allocation for more than a third of the stalls.
    assert percentile(sample, "allocate", 50.0) >= STALLS // 3 * STALL_NS * 0.99


def test_histograms_by_size_add_up_to_those_of_the_kind(executor: WorkerExecutor) -> None:
    operations = [("allocate", slot, size) for slot, size in enumerate((1, 16, 17, 64, 256, 257, 262_144, 262_145))]
    operations += [("deallocate", slot, size) for _, slot, size in operations]
    made = make_image(operations)
    descriptor = image_fd(made)
    try:
        sample = take(executor, (descriptor, len(made)), "sound")
    finally:
        os.close(descriptor)
    for kind in ("allocate", "deallocate"):
        classes = sample.of(Latency).by_size[kind]
        assert [sum(count for _, count in size_class.buckets) for size_class in classes] == [2, 2, 1, 1, 0, 0, 0, 1, 1]
        whole = sample.of(Latency).histograms[kind]
        assert histogram.merge(size_class.buckets for size_class in classes) == histogram.merge([whole.buckets])
        assert max(size_class.maximum for size_class in classes) == whole.maximum


def test_system_calls_of_threads_that_block_signals_are_counted(
    executor: WorkerExecutor, image: tuple[int, int]
) -> None:
    if reason := system_calls_refusal():
        pytest.skip(reason)
    none = dict.fromkeys(SYSTEM_CALLS, 0)
    assert take(executor, image, "sound", Pass.CALLS).of(Calls).system_calls == none
    background = take(executor, image, "background", Pass.CALLS).of(Calls).system_calls
    # At least: what the C library does for a thread of its own accord is counted too.
    assert background["mmap"] >= 10
    assert background["munmap"] >= 10


def test_processor_time_contains_that_of_other_threads(executor: WorkerExecutor, image: tuple[int, int]) -> None:
    assert take(executor, image, "background", Pass.THROUGHPUT).of(Throughput).cpu_ns[0] >= 100_000_000
