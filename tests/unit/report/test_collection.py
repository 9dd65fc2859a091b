"""Pictures and charts of collection: time by the size of the heap, utilisation, and pauses over time."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
from matplotlib.lines import Line2D

from memtool.model import Call, Cell, CellResult
from memtool.report import look
from memtool.report.charts import collection as charts
from memtool.report.plots.collection import by_heap, pauses_over_time, utilisation, without_heap
from memtool.store.series import History
from tests.runs import figure
from tests.unit.report.fake_run import fake_run

LIVE = 1 << 20


def cell(label: str, **figures: float) -> CellResult:
    made = fake_run().cells[0]
    return replace(made, cell=Cell("w", label), metrics={name: figure(name, value) for name, value in figures.items()})


def _points(line: Line2D) -> tuple[list[float], list[float]]:
    return np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()


def test_rows_that_differ_in_their_heap_alone_are_one_line() -> None:
    assert without_heap("mark-sweep:heap=2x") == "mark-sweep"
    assert without_heap("generational:heap=2x,nursery=1MiB") == "generational:nursery=1MiB"
    assert without_heap("generational:nursery=1MiB,heap=64MiB") == "generational:nursery=1MiB"


def test_time_is_drawn_over_the_heap_and_allocators_are_levels() -> None:
    info = replace(fake_run().workloads[0], name="w", facts={"peak_live_with_header": LIVE})
    cells = [
        cell("mark-sweep:heap=3x", cpu_ns_per_op=20.0, heap_limit_bytes=3.0 * LIVE),
        cell("mark-sweep:heap=2x", cpu_ns_per_op=30.0, heap_limit_bytes=2.0 * LIVE),
        cell("semispace:heap=4x", cpu_ns_per_op=30.0, heap_limit_bytes=4.0 * LIVE),
        cell("tlsf", cpu_ns_per_op=25.0),
        # Memory ran out where its heap was to be measured: it is a collector all the same, and no level.
        replace(cell("boehm:heap=2x", cpu_ns_per_op=40.0), proof={"call": asdict(Call("pointer", "collected"))}),
    ]
    drawn = by_heap(cells, info)
    assert drawn is not None
    (axes,) = drawn.axes
    lines = {str(line.get_label()): _points(line) for line in axes.lines}
    assert lines == {"mark-sweep": ([2.0, 3.0], [30.0, 20.0]), "tlsf": ([0.0, 1.0], [25.0, 25.0])}
    assert by_heap(cells[2:], info) is None


def test_utilisation_is_a_curve_for_each_that_pauses() -> None:
    paused = cell("mark-sweep", pause_max_ns=1e6, mmu_1ms=0.0, mmu_10ms=0.8, mmu_100ms=0.9)
    drawn = utilisation([paused, cell("tlsf", mmu_1ms=1.0, mmu_10ms=1.0)], look.styles_of(["mark-sweep", "tlsf"]))
    assert drawn is not None
    (axes,) = drawn.axes
    (line,) = axes.lines
    assert _points(line) == ([10**6, 10**7, 10**8], [0.0, 0.8, 0.9])
    assert utilisation([cell("tlsf", mmu_1ms=1.0, mmu_10ms=1.0)], {}) is None
    chart = charts.utilisation([paused])
    assert chart is not None
    assert chart.x.categories == ("1.00 ms", "10.0 ms", "100 ms")
    assert chart.lines[0].points == ((0, 0.0), (1, 0.8), (2, 0.9))


def test_pauses_are_drawn_where_they_began_by_what_they_were_for() -> None:
    paused = History(
        {}, {}, pauses=[(1e6, 2e5, "nursery", 2e5), (5e6, 3e6, "whole heap", 3e6), (9e6, 1e5, "nursery", 1e5)]
    )
    drawn = pauses_over_time([("generational", paused), ("tlsf", History({}, {}))])
    assert drawn is not None
    (axes,) = drawn.axes
    assert axes.get_ylabel() == "generational"
    assert [_points(line) for line in axes.lines] == [([5.0], [3e6]), ([1.0, 9.0], [2e5, 1e5])]
    assert pauses_over_time([("tlsf", History({}, {}))]) is None


def test_on_the_page_a_slice_of_the_replay_has_its_longest_pause() -> None:
    paused = History(
        {}, {}, pauses=[(0.0, 5.0, "nursery", 5.0), (1.0, 7.0, "nursery", 7.0), (990.0, 10.0, "whole heap", 10.0)]
    )
    chart = charts.pauses_over_time([("generational", cell("generational"), paused)])
    assert chart is not None
    assert {at: value for at, value in enumerate(chart.values[0]) if value is not None} == {0: 7.0, 99: 10.0}
