"""Draws the heap maps of docs/: each strategy at the peak of live bytes, and three side by side.

    python scripts/heap_map_images.py

The quickstart, or for a strategy that cannot serve it the first of these workloads that it can. Of an allocator that
does not live on a region: what is resident, and what of that is used. A strategy on its region that cannot walk its
heap has no picture.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memtool.allocators.registry import Registry
from memtool.engine.abi import binding
from memtool.model import Status
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.report.paper import canvas
from memtool.report.plots import heap_maps
from memtool.run import bench
from memtool.store import series

FOLDER = Path(__file__).parent.parent / "docs/images/heap-maps"
WORKLOADS = ("quickstart", "chapter/frequent-small-objects", "chapter/nested-lifetimes", "chapter/message-queue")
BESIDE = ("first-fit", "buddy", "tlsf")
DPI = 100


def main() -> None:
    """Replay, and draw what was mapped."""
    registry = Registry()
    names = [
        allocator.name for allocator in registry.known() if allocator.family != "control" and allocator.missing is None
    ]
    on_region = {str(allocator["name"]) for allocator in binding.describe() if allocator["uses_region"]}
    maps = {workload: mapped(workload, names, on_region) for workload in WORKLOADS}
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in names:
        first = next(((workload, by_name[name]) for workload, by_name in maps.items() if name in by_name), None)
        if first is not None:
            save(name, [(name, first[1])], f"{first[0]}, when live bytes peak")
    save("side-by-side", [(name, maps["quickstart"][name]) for name in BESIDE], "quickstart, when live bytes peak")


def mapped(workload: str, names: list[str], on_region: set[str]) -> dict[str, Mapping[str, Any]]:
    """Return the heap of each strategy that can serve the workload, at its peak of live bytes."""
    with tempfile.TemporaryDirectory() as folder:
        options = BenchOptions(
            workloads=(workload,),
            allocators=",".join(names),
            passes=(Pass.FOOTPRINT, Pass.HEAP),
            blocks=1,
            output=Path(folder) / "run",
            draw_plots=False,
        )
        outcome = bench(options, lambda *_: None)
        peaks = {}
        for cell in outcome.run.cells:
            if cell.status is Status.OK:
                at_peak = series.read(outcome.directory, cell).heap_maps[0]
                if at_peak["walked"] or cell.cell.allocator not in on_region:
                    peaks[cell.cell.allocator] = at_peak
        return peaks


def save(name: str, panels: list[tuple[str, Mapping[str, Any]]], title: str) -> None:
    """Draw the strips into a file of docs/images/heap-maps."""
    with canvas.own_style():
        heap_maps.draw(panels, title).savefig(FOLDER / f"{name}.png", dpi=DPI)


if __name__ == "__main__":
    main()
