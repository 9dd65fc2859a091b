"""Marks, from the workload file to the map of a heap at each of them, worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memtool.model import Cell
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.run import bench
from memtool.store import series

PAGE = 4096
# A0 * A1 A2 F0 A3 * F1 A4 F2 A5 F3 | F4 F5, in a pool that has four blocks, and gives out what was freed last.
QUEUE = f"""\
name: queue
allocations: 6
pattern:
  fifo: {{live: 2, size: {PAGE}}}
touch: pages
marks: {{later: 70%, first: 1}}
"""


def test_a_heap_is_mapped_at_each_mark_and_goes_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "queue.yaml"
    file.write_text(QUEUE, encoding="utf-8")
    options = BenchOptions(
        workloads=(str(file),),
        allocators=f"pool:block={PAGE},chunk={4 * PAGE}",
        passes=(Pass.HEAP,),
        output=tmp_path / "out",
    )
    outcome = bench(options, lambda *_: None)
    assert [path.name for path in outcome.plots] == [
        f"queue-heap-{moment}.png" for moment in ("first", "peak", "later", "end")
    ]
    (cell,) = outcome.run.cells
    assert cell.cell == Cell("queue", f"pool:block={PAGE},chunk={4 * PAGE}")
    maps = series.read(outcome.directory, cell).heap_maps
    assert [blocks(heap_map) for heap_map in maps] == [
        ("first", 1, 1 * PAGE, "used free free free"),
        ("peak", 3, 3 * PAGE, "used used used free"),
        # Object 0 is gone, and object 3 has its block.
        ("later", 5, 3 * PAGE, "used used used free"),
        ("end", 10, 2 * PAGE, "free used used free"),
    ]


def blocks(result: Any) -> tuple[str, int, int, str]:
    """Return (moment, operations done, live bytes, what each bucket of one block is)."""
    assert result["bucket_bytes"] == PAGE
    states = []
    for used, free in zip(result["buckets"]["used"], result["buckets"]["free"], strict=True):
        assert {used, free} == {0, PAGE}
        states.append("used" if used else "free")
    return result["moment"], result["clock"], result["live_bytes"], " ".join(states)
