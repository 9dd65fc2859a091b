"""Throughput by number of threads: which workloads are one, and what their points are."""

from __future__ import annotations

from dataclasses import replace

from matplotlib.patches import Rectangle

from memtool.model import Cell, CellResult, Determinism, Metric, Run, Status
from memtool.report.plots import scaling
from memtool.report.scaling import Line, lines, table
from memtool.report.tables import render
from tests.unit.report.fake_run import fake_run


def cell(workload: str, allocator: str, ns: float, harness: float | None = None) -> CellResult:
    proof = {} if harness is None else {"harness_ns": harness}
    metric = Metric("ns", Determinism.SAMPLED, (ns,), (0,), ns, ns / 2, ns * 2)
    return CellResult(
        Cell(workload, allocator, mode="parallel"), Status.OK, None, proof, {"time_per_op_ns": metric}, {}
    )


def test_a_sweep_is_one_picture_and_its_points_are_operations_a_second() -> None:
    base = fake_run()
    infos = tuple(replace(base.workloads[0], name=f"xmalloc:threads={count}", threads=count) for count in (4, 2))
    other = replace(base.workloads[0], name="larson", threads=2)
    cells = (cell(infos[0].name, "glibc", 50.0), cell(infos[1].name, "glibc", 20.0), cell("larson", "glibc", 1.0))
    run = replace(base, workloads=(*infos, other), cells=cells)
    swept = scaling.swept(run)
    assert {name: [info.threads for info in item] for name, item in swept.items()} == {"xmalloc": [2, 4]}
    assert lines(run, swept["xmalloc"]) == [Line("glibc", ((2, 50.0, 25.0, 100.0), (4, 20.0, 10.0, 40.0)))]
    figure = scaling.draw(run, swept["xmalloc"], {})
    assert figure is not None
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["2", "4"]


def test_points_on_as_many_threads_as_processors_are_not_in_the_grey() -> None:
    base = fake_run()
    infos = [replace(base.workloads[0], name=f"xmalloc:threads={count}", threads=count) for count in (1, 2, 4)]
    cells = tuple(cell(info.name, "glibc", 50.0) for info in infos)
    run = replace(base, workloads=tuple(infos), cells=cells, machine={**base.machine, "cores": 2})
    figure = scaling.draw(run, infos, {})
    assert figure is not None
    (grey,) = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert grey.get_x() == 3
    assert grey.get_x() + grey.get_width() > 4
    assert figure.axes[0].get_xlabel() == "threads (whiskers: 95 % interval of the median)"
    few = tuple(
        replace(item, metrics={"time_per_op_ns": replace(item.metrics["time_per_op_ns"], low=None, high=None)})
        for item in cells
    )
    figure = scaling.draw(replace(run, cells=few), infos, {})
    assert figure is not None
    assert figure.axes[0].get_xlabel() == "threads (no intervals: fewer than 6 blocks)"


def test_one_number_of_threads_is_no_sweep() -> None:
    assert scaling.swept(fake_run()) == {}


def sweep() -> Run:
    """Return a pool that is there on one thread only, two mallocs on one and four, and the harness, which collapses."""
    base = fake_run()
    one, four = (replace(base.workloads[0], name=f"xmalloc:threads={count}", threads=count) for count in (1, 4))
    cells = (
        cell(one.name, "pool", 8.0, 5.0),
        cell(one.name, "glibc", 20.0, 5.0),
        cell(one.name, "slow", 40.0, 5.0),
        cell(four.name, "glibc", 500.0, 320.0),
        cell(four.name, "slow", 400.0, 320.0),
    )
    return replace(base, workloads=(one, four), cells=cells)


def test_what_was_left_out_on_the_most_threads_has_no_place_among_those_that_are_there() -> None:
    run = sweep()
    assert [line.label for line in lines(run, run.workloads)] == [
        "harness (null)",
        "slow",
        "glibc",
        "pool (not on 4)",
    ]


def test_the_harness_is_in_the_table_and_in_the_picture() -> None:
    run = sweep()
    headings, rows = table(run, run.workloads)
    assert headings == ["allocator", "1 thread", "4 threads", "4 over 1"]
    assert rows == [
        ["harness (null)", "200.00", "3.12", "0.02"],
        ["slow", "25.00", "2.50", "0.10"],
        ["glibc", "50.00", "2.00", "0.04"],
        ["pool", "125.00", "-", "-"],
    ]
    assert "xmalloc: throughput by number of threads" in render(run, "table")
    figure = scaling.draw(run, run.workloads, {})
    assert figure is not None
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["harness (null)", "slow", "glibc", "pool (not on 4)"]


def test_one_number_of_threads_has_no_table() -> None:
    assert "throughput by number of threads" not in render(fake_run(), "table")
