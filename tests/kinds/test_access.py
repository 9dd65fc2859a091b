"""Accesses from YAML to figures that are known by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from memtool.model import CellResult, Determinism, Status
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.run import bench

Measure = Callable[[str, str, tuple[Pass, ...]], Mapping[str, CellResult]]


@pytest.fixture(scope="module")
def measure(tmp_path_factory: pytest.TempPathFactory) -> Measure:
    """Return what measures a workload of accesses with some allocators, and gives its cells by their labels."""

    def run(access: str, allocators: str, passes: tuple[Pass, ...]) -> Mapping[str, CellResult]:
        folder = tmp_path_factory.mktemp("access")
        (folder / "w.yaml").write_text(f"name: w\naccess: {{{access}}}\n", encoding="utf-8")
        options = BenchOptions(
            workloads=(str(folder / "w.yaml"),),
            allocators=allocators,
            passes=passes,
            blocks=2,
            output=folder / "run",
            draw_plots=False,
        )
        cells = bench(options, lambda *_: None).run.cells
        return {cell.cell.allocator: cell for cell in cells}

    return run


def value(cell: CellResult, name: str) -> float | None:
    metric = cell.metrics[name]
    assert metric.determinism is Determinism.EXACT
    return metric.value


def test_padding_is_what_alignment_makes_of_it(measure: Measure) -> None:
    access = "ways: [align-16, align-64], blocks: 64, size: 24"
    cells = measure(access, "arena,pool:block=32", (Pass.FOOTPRINT,))
    # Blocks of 24 B, each 32 B after the one before it: 8 B are lost to each.
    assert value(cells["arena@align-16"], "padding_bytes") == 8
    assert value(cells["pool:block=32@align-16"], "padding_bytes") == 8
    # Each 64 B after the one before it, and 32 B behind the last: (63 x 64 + 32 - 64 x 24) / 64.
    assert value(cells["arena@align-64"], "padding_bytes") == 39.5
    assert value(cells["arena@align-64"], "alignment_padding_bytes") == 40
    left_out = cells["pool:block=32@align-64"]
    assert (left_out.status, left_out.reason) == (Status.EXCLUDED, "aligns to 32 at most; the workload asks for 64")


def test_blocks_lie_on_lines(measure: Measure) -> None:
    cells = measure("ways: [read-random], blocks: 64, size: 24, alignment: 8", "arena", (Pass.CHECK, Pass.FOOTPRINT))
    # Blocks of 24 B side by side: of each 8, on three lines of 64 B, two cross into the next line, and all but the last
    # share one with the block that follows.
    assert value(cells["arena@read-random"], "across_lines_share") == 0.25
    assert value(cells["arena@read-random"], "neighbours_share") == pytest.approx(56 / 63)
    assert cells["arena@read-random"].proof["invariants_checked"] == 1


def test_ways_without_an_allocator_have_a_row_each_and_times(measure: Measure) -> None:
    cells = measure("ways: [load-16-line, count-apart], accesses: 1000", "arena", (Pass.THROUGHPUT,))
    assert sorted(cells) == ["arena", "count-apart", "load-16-line"]
    assert cells["arena"].reason == "is not needed: the workload has ways of its own (load-16-line, count-apart)"
    assert {"cpu_ns_per_op", "time_per_op_ns"} <= set(cells["load-16-line"].metrics)
