"""Trace files of other tools, measured as workloads are."""

from __future__ import annotations

from pathlib import Path

from memtool.model import Status
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.run import bench

# Two of 40 KiB whose spans do not meet, and two of 30 KiB that meet both: 100 KiB at once, and no more are needed.
BUFFERS = "id,lower,upper,size\n" + "".join(
    f"{name},{lower},{upper},{kib * 1024}\n"
    for name, lower, upper, kib in (("a", 0, 5, 40), ("b", 5, 9, 40), ("c", 1, 9, 30), ("d", 2, 8, 30))
)


def test_a_csv_of_buffers_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "buffers.csv"
    file.write_text(BUFFERS, encoding="utf-8")
    options = BenchOptions(
        workloads=(str(file),),
        allocators="tlsf,bump",
        passes=(Pass.CHECK, Pass.FOOTPRINT),
        output=tmp_path / "out",
        draw_plots=False,
    )
    run = bench(options, lambda *_: None).run
    assert [cell.status for cell in run.cells] == [Status.OK] * 2
    (info,) = run.workloads
    assert (info.name, info.operations, info.peak_live_bytes, info.packing_bytes) == ("buffers", 8, 102_400, 102_400)
    assert all(cell.metrics["peak_live_bytes"].value == 102_400 for cell in run.cells)
    bump = next(cell for cell in run.cells if cell.cell.allocator == "bump")
    # What is never used again: 140 KiB for 100.
    assert bump.metrics["load_ratio"].value == 1.4
