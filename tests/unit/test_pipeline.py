"""What a run says of its workloads."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from memtool import pipeline
from memtool.engine import packing_binding
from memtool.model import Cell, Mode, Pass, Sample, Status
from tests.runs import trace


@pytest.mark.parametrize("mode", [Mode.PARALLEL, Mode.LOCKSTEP])
def test_what_several_threads_replay_is_not_packed_and_says_that_this_is_why(mode: Mode) -> None:
    info = trace(threads=2)
    made = cast("Any", SimpleNamespace(info=replace(info, lanes=2)))
    found = pipeline._packed(made, (Pass.FOOTPRINT,), mode, {})
    assert found.packing_bytes is None
    assert found.notes == (
        "not packed offline, packing_ratio is n/a: only what is replayed on one thread is (--mode serial)",
    )


def placed(workload: str, allocator: str, footprint: int, status: Status = Status.OK) -> Sample:
    payload = {"peak_footprint_bytes": footprint} if status is Status.OK else {}
    return Sample(Cell(workload, allocator), 0, Pass.FOOTPRINT, status, None, payload)


def test_what_an_allocator_of_the_run_did_bounds_the_best_packing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not on a region, failed, or serves nothing places no blocks."""
    samples = [
        placed("w", "tlsf", 203_000),
        placed("w", "first-fit", 198_400),
        placed("other", "first-fit", 100),
        placed("w", "null+track", 64),
        placed("w", "pool", 0, Status.FAILED),
        placed("w", "glibc", 1),
    ]
    plans = {sample.cell: SimpleNamespace(uses_region=sample.cell.allocator != "glibc") for sample in samples}
    placements = pipeline._placements("w", cast("Any", SimpleNamespace(plans=plans)), samples)
    assert placements == {"tlsf": 203_000, "first-fit": 198_400}
    made = cast("Any", SimpleNamespace(info=trace(), image_fd=-1, image_bytes=0))
    for searched, packing_bytes, packing_by in ((201_000, 198_400, "first-fit"), (198_400, 198_400, None)):
        monkeypatch.setattr(packing_binding, "pack_image", lambda *_, searched=searched: searched)
        found = pipeline._packed(made, (Pass.FOOTPRINT,), Mode.SERIAL, placements)
        assert (found.packing_bytes, found.packing_by) == (packing_bytes, packing_by)
