"""What a workload of a few lines takes under each allocator: the cells of a run of which nothing is kept."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from memtool.model import CellResult, Status
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.run import bench


def run(text: str | None, options: BenchOptions) -> Sequence[CellResult]:
    """Return the cells of a run on a workload with this text, or on those of the options.

    A cell that failed is an AssertionError with the reason.
    """
    with tempfile.TemporaryDirectory() as name:
        if text is not None:
            workload = Path(name) / "workload.yaml"
            workload.write_text(text, encoding="utf-8")
            options = replace(options, workloads=(str(workload),))
        cells = bench(replace(options, output=Path(name) / "out", draw_plots=False), lambda *_: None).run.cells
    for cell in cells:
        assert cell.status is not Status.FAILED, cell.reason
    return cells


def measure(
    text: str, passes: tuple[Pass, ...], blocks: int, allocators: Sequence[str] = ()
) -> Mapping[str, CellResult]:
    """Return the cells of a workload by their allocators: of those named, or of all rows that its kind has.

    A row that was not measured is an AssertionError with the reason.
    """
    cells = run(text, BenchOptions(allocators=",".join(allocators) or None, passes=passes, blocks=blocks))
    for cell in cells:
        assert cell.status is Status.OK, cell.reason
    return {cell.cell.allocator: cell for cell in cells}


def value(cell: CellResult, metric: str) -> float:
    """Return a figure of a cell that was measured."""
    assert cell.status is Status.OK, cell.reason
    figure = cell.metrics[metric].value
    assert figure is not None
    return figure


def ratio(upper: Sequence[float], lower: Sequence[float]) -> float:
    """Return the median of the ratios of two figures, taken block by block: a slow moment of the machine meets both."""
    return statistics.median(above / below for above, below in zip(upper, lower, strict=True))


def ratio_of_times(head: CellResult, base: CellResult) -> float:
    """Return the same of the times of two cells, of the blocks that both have."""
    times = [cell.metrics["time_per_op_ns"] for cell in (head, base)]
    by_block = [dict(zip(time.blocks, time.samples, strict=True)) for time in times]
    both = by_block[0].keys() & by_block[1].keys()
    return statistics.median(by_block[0][block] / by_block[1][block] for block in both)
