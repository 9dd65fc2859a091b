"""An image that memory has no room for: workers read it from a disk, and measure what they measure of one in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from memtool.host.cgroup import Allowance
from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Status
from memtool.passes import Pass, Sample
from memtool.passes.footprint import Footprint
from memtool.worker.parent import Job, RegionRequest, WorkerExecutor
from memtool.workload.generated import generated
from memtool.workload.trace import Trace, make_trace
from tests.events import workload_of

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
    found = []
    with make_trace(generated(workload_of(CONTENT), 7), "w.yaml") as trace:
        found.append(measured(trace, Pass.FOOTPRINT))
    monkeypatch.setattr("memtool.host.machine.allowance", lambda: Allowance(2 << 20, 1 << 20, None))
    with make_trace(generated(workload_of(CONTENT), 7), "w.yaml") as trace:
        assert not str(Path(f"/proc/self/fd/{trace.image_fd}").readlink()).startswith("/memfd:")
        found.append(measured(trace, Pass.FOOTPRINT))
        assert measured(trace, Pass.CHECK).status is Status.OK
    assert [(sample.status, sample.reason) for sample in found] == 2 * [(Status.OK, None)]
    inside, outside = (sample.payload for sample in found)
    assert isinstance(inside, Footprint)
    assert isinstance(outside, Footprint)
    assert inside.peak_footprint_bytes == outside.peak_footprint_bytes > 50_000
