"""``bench --watch``: where allocators stand after each block."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from memtool import api
from memtool.commands.progress import table_of_standings
from memtool.model import Run
from memtool.options import BenchOptions
from memtool.passes import Pass
from tests.runs import cell, figure, run


def test_the_run_is_handed_on_after_each_block(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text("name: tiny\nallocations: 2000\nobjects:\n  - {size: {choice: {16: 2, 512: 1}}, lifetime: 40}\n")
    seen: list[Run] = []
    options = BenchOptions(
        workloads=(str(file),),
        allocators="tlsf,first-fit",
        blocks=3,
        passes=(Pass.THROUGHPUT, Pass.FOOTPRINT),
        output=tmp_path / "run",
        draw_plots=False,
    )
    outcome = api.bench(options, seen=seen.append)
    counts = [[len(cell.metrics["time_per_op_ns"].samples) for cell in so_far.cells] for so_far in seen]
    assert counts == [[1, 1], [2, 2], [3, 3]]
    assert [one.cell for one in seen[-1].cells] == [one.cell for one in outcome.run.cells]
    last = [one.metrics["time_per_op_ns"] for one in seen[-1].cells]
    assert last == [one.metrics["time_per_op_ns"] for one in outcome.run.cells]


def test_standings_have_ranks_once_there_are_blocks_for_them() -> None:
    def standing(*blocks: float) -> list[tuple[str, str, str, str, str]]:
        of = run(
            cell("slow", {"time_per_op_ns": figure("time_per_op_ns", *(3 * time for time in blocks))}),
            cell("fast", {"time_per_op_ns": figure("time_per_op_ns", *blocks)}),
        )
        out = io.StringIO()
        Console(file=out, width=80).print(table_of_standings(of))
        assert out.getvalue().split()[0] == "rank"
        return api.standings(of)

    assert standing(10, 11) == [("web", "", "fast", "10.5 ns", ""), ("web", "", "slow", "31.5 ns", "")]
    assert standing(*range(10, 20)) == [
        ("web", "1", "fast", "14.5 ns", "11.0 ns to 18.0 ns"),
        ("web", "2", "slow", "43.5 ns", "33.0 ns to 54.0 ns"),
    ]
