"""Throughput by number of threads: which workloads are one, and what their points are."""

from __future__ import annotations

from dataclasses import replace

from memtool.model import Cell, CellResult, Determinism, Metric, Status
from memtool.report import scaling
from tests.unit.report.fake_run import fake_run


def cell(workload: str, allocator: str, ns: float) -> CellResult:
    metric = Metric("ns", Determinism.SAMPLED, (ns,), (0,), ns, ns / 2, ns * 2)
    return CellResult(Cell(workload, allocator, mode="parallel"), Status.OK, None, {}, {"time_per_op_ns": metric}, {})


def test_a_sweep_is_one_picture_and_its_points_are_operations_a_second() -> None:
    base = fake_run()
    infos = tuple(replace(base.workloads[0], name=f"xmalloc:threads={count}", threads=count) for count in (4, 2))
    other = replace(base.workloads[0], name="larson", threads=2)
    cells = (cell(infos[0].name, "glibc", 50.0), cell(infos[1].name, "glibc", 20.0), cell("larson", "glibc", 1.0))
    run = replace(base, workloads=(*infos, other), cells=cells)
    swept = scaling.swept(run)
    assert {name: [info.threads for info in each] for name, each in swept.items()} == {"xmalloc": [2, 4]}
    assert scaling.points(run, swept["xmalloc"]) == {"glibc": [(2, 50.0, 25.0, 100.0), (4, 20.0, 10.0, 40.0)]}
    figure = scaling.draw(run, swept["xmalloc"], {})
    assert figure is not None
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["2", "4"]


def test_one_number_of_threads_is_no_sweep() -> None:
    assert scaling.swept(fake_run()) == {}
