"""An image that memory has no room for: workers read it from a disk, and measure what they measure of one in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from memtool.host.cgroup import Allowance
from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Status
from memtool.passes import Pass, Sample
from memtool.passes.footprint import Footprint
from memtool.passes.latency import Latency
from memtool.worker.parent import Job, RegionRequest, WorkerExecutor
from memtool.workload.sources.generated import generated
from memtool.workload.trace import Trace, make_trace
from tests.events import workload_of

WINDOW = 128 << 10
CONTENT = {"allocations": 100_000, "pattern": {"fifo": {"live": 500, "size": 100}}}


def measured(trace: Trace, run_pass: Pass) -> Sample:
    return WorkerExecutor(seed=1).execute(
        Job(
            cell=Cell("fifo", "tlsf"),
            block=0,
            run_pass=run_pass,
            plan=AllocatorPlan(AllocatorSpec("tlsf"), "tlsf", ""),
            image_fd=trace.image_fd,
            image_bytes=trace.image_bytes,
            region=RegionRequest(1 << 24, 4096),
            warmups=0,
            iterations=1,
            checkpoints=4,
            use_counter=False,
            time_limit=60.0,
        )
    )


def test_a_worker_measures_the_same_of_an_image_on_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    result = []
    with make_trace(generated(workload_of(CONTENT), 7), "w.yaml") as trace:
        result.append(measured(trace, Pass.FOOTPRINT))
    monkeypatch.setattr("memtool.host.machine.allowance", lambda: Allowance(2 << 20, 1 << 20, None))
    with make_trace(generated(workload_of(CONTENT), 7), "w.yaml") as trace:
        assert not str(Path(f"/proc/self/fd/{trace.image_fd}").readlink()).startswith("/memfd:")
        result.append(measured(trace, Pass.FOOTPRINT))
        assert measured(trace, Pass.CHECK).status is Status.OK
    assert [(sample.status, sample.reason) for sample in result] == 2 * [(Status.OK, None)]
    inside, outside = (sample.payload for sample in result)
    assert isinstance(inside, Footprint)
    assert isinstance(outside, Footprint)
    assert inside.peak_footprint_bytes == outside.peak_footprint_bytes > 50_000


def test_an_image_on_a_disk_is_replayed_window_by_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """1.5 MiB of events in windows of 128 KiB: the same operations, and no fault of theirs is the allocator's."""
    monkeypatch.setattr("memtool.worker.parent.IMAGE_WINDOW", WINDOW)
    monkeypatch.setattr("memtool.host.machine.allowance", lambda: Allowance(2 << 20, 1 << 20, None))
    with make_trace(generated(workload_of(CONTENT), 7), "w.yaml") as trace:
        assert trace.image_bytes > 10 * WINDOW
        samples = {run_pass: measured(trace, run_pass) for run_pass in (Pass.FOOTPRINT, Pass.THROUGHPUT, Pass.LATENCY)}
    assert [(sample.status, sample.reason) for sample in samples.values()] == 3 * [(Status.OK, None)]
    footprint = samples[Pass.FOOTPRINT].payload
    assert isinstance(footprint, Footprint)
    # 500 blocks of 100 bytes are 13 pages, and the image 390.
    assert footprint.minor_faults + footprint.major_faults < 200
    latency = samples[Pass.LATENCY].payload
    assert isinstance(latency, Latency)
    assert sum(count for _, count in latency.histograms["allocate"].buckets) == 100_000
