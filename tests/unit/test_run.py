"""What a run says of its workloads."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from memtool.engine.packing import binding as packing_binding
from memtool.errors import InputError
from memtool.model import Cell, Mode, Status
from memtool.options import BenchOptions
from memtool.passes import Pass, Sample
from memtool.run import Outcome, fingerprint_of, output_directory
from memtool.summarised import Packings, packed, placements
from tests.payloads import figures
from tests.runs import cell, excluded, run, trace


@pytest.mark.parametrize("mode", [Mode.PARALLEL, Mode.LOCKSTEP])
def test_what_several_threads_replay_is_not_packed_and_says_that_this_is_why(mode: Mode) -> None:
    info = trace(threads=2)
    made = cast("Any", SimpleNamespace(info=replace(info, lanes=2)))
    result = packed(made, (Pass.FOOTPRINT,), mode, {})
    assert result.packing_bytes is None
    assert result.notes == (
        "not packed offline, packing_ratio is n/a: only what is replayed on one thread is (mode serial)",
    )


def placed(workload: str, allocator: str, footprint: int, status: Status = Status.OK) -> Sample:
    payload = figures(Pass.FOOTPRINT, peak_footprint_bytes=footprint) if status is Status.OK else None
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
    least = placements("w", cast("Any", SimpleNamespace(plans=plans)), samples)
    assert least == {"tlsf": 203_000, "first-fit": 198_400}
    made = cast("Any", SimpleNamespace(info=trace(), image_fd=-1, image_bytes=0))
    for searched, packing_bytes, packing_by in ((201_000, 198_400, "first-fit"), (198_400, 198_400, None)):
        monkeypatch.setattr(packing_binding, "pack_image", lambda *_, searched=searched: searched)
        result = packed(made, (Pass.FOOTPRINT,), Mode.SERIAL, least)
        assert (result.packing_bytes, result.packing_by) == (packing_bytes, packing_by)


def test_traces_are_packed_beside_what_is_measured_and_a_fault_is_told_who_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = [cast("Any", SimpleNamespace(info=trace(name=name), image_fd=at)) for at, name in enumerate("ab")]
    for item in made:
        item.image_bytes = 0

    def pack(descriptor: int, _: int) -> int:
        if descriptor == 1:
            raise MemoryError("no memory to pack")
        return 4096

    monkeypatch.setattr(packing_binding, "pack_image", pack)
    plan = cast("Any", SimpleNamespace(traces=made, settings=SimpleNamespace(passes=(Pass.FOOTPRINT,))))
    packings = Packings(plan, BenchOptions())
    packings.start()
    assert packings.of(made[0]) == 4096
    with pytest.raises(MemoryError, match="no memory to pack"):
        packings.of(made[1])


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    began = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    folders = [output_directory(BenchOptions(), began, {}) for _ in range(3)]
    assert [str(folder) for folder in folders] == [
        "results/2026-01-02-030405",
        "results/2026-01-02-030405-2",
        "results/2026-01-02-030405-3",
    ]
    assert all(folder.is_dir() for folder in folders)


def test_a_folder_of_results_that_cannot_be_made_is_invalid_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("results").write_text("a file", encoding="utf-8")
    with pytest.raises(InputError, match=r"^results/2026-01-02-030405: cannot be written: Not a directory$"):
        output_directory(BenchOptions(), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), {})


def test_whatever_changes_what_is_measured_is_in_the_fingerprint() -> None:
    # A resume went on with samples of another touch: the hash of the events does not know it.
    info = replace(trace(), memory_limit=1 << 20, threads=2, lanes=3)
    plan = cast(
        "Any",
        SimpleNamespace(infos=(info,), plans={}, settings=SimpleNamespace(counter="none")),
    )
    result = cast("Any", fingerprint_of(BenchOptions(), plan))
    known = {name: result["workloads"]["web"][name] for name in ("touch", "memory_limit", "threads", "lanes", "seed")}
    assert known == {"touch": "first", "memory_limit": 1 << 20, "threads": 2, "lanes": 3, "seed": 42}
    assert {"machine", "engine", "code", "environment", "counter", "passes", "cold", "cells"} <= set(result)


def test_a_run_that_measured_nothing_has_failed() -> None:
    sound, left_out, broken = cell("a"), excluded("b", "is not here"), cell("c", failed="killed by SIGSEGV")
    for cells, failed in (
        ((sound,), False),
        ((sound, left_out), False),
        ((left_out,), True),
        ((), True),
        ((sound, broken), True),
    ):
        assert Outcome(run(*cells), Path()).failed is failed
