"""What a workload of a few lines takes under each allocator: the cells of a run of which nothing is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from memtool.model import CellResult, Status
from memtool.passes import Pass
from memtool.plan import BenchOptions
from memtool.run import bench


def measure(
    text: str, passes: tuple[Pass, ...], blocks: int, allocators: Sequence[str] = ()
) -> Mapping[str, CellResult]:
    """Return the cells of a workload by their allocators: of those named, or of all rows that its kind has.

    A row that was not measured is an AssertionError with the reason.
    """
    with tempfile.TemporaryDirectory() as name:
        workload = Path(name) / "workload.yaml"
        workload.write_text(text, encoding="utf-8")
        options = BenchOptions(
            workloads=(str(workload),),
            allocators=",".join(allocators) or None,
            passes=passes,
            blocks=blocks,
            output=Path(name) / "out",
            draw_plots=False,
        )
        cells = bench(options, lambda *_: None).run.cells
    for cell in cells:
        assert cell.status is Status.OK, cell.reason
    return {cell.cell.allocator: cell for cell in cells}
