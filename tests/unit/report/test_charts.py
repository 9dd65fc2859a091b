"""Charts as data: what is in them, and what is left out of them and named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from memtool.kinds.picture import BarsInfo
from memtool.model import CellResult, Mark, Run
from memtool.report import look
from memtool.report.charts import latency, memory, of_run, times
from memtool.report.charts.of_run import Detail
from memtool.report.charts.record import Bars, Chart, Heat, Lines, Spots, Strips
from memtool.report.charts.thin import thinned
from memtool.store import series
from tests.runs import cell, figure
from tests.unit.report.fake_run import fake_run_with_series


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    folder = tmp_path_factory.mktemp("run")
    return folder, fake_run_with_series(folder)


@pytest.fixture(scope="module")
def charts(stored: tuple[Path, Run]) -> dict[str, Chart]:
    folder, run = stored
    cells = look.ordered([cell for cell in run.cells if cell.metrics])
    info = replace(run.workloads[0], marks=(Mark("drained", 200_000, 0, 0.5),))
    histories = {look.label(cell): series.read(folder, cell) for cell in cells}
    drawn = of_run.of_workload(cells, histories, info, Detail(202, 160))
    return {chart.name: chart for chart in drawn}


def test_a_thinned_line_keeps_its_ends_its_least_and_its_largest() -> None:
    points = [(float(x), 5.0) for x in range(1000)]
    points[333], points[777] = (333.0, 99.0), (777.0, -7.0)
    kept = thinned(points, 20)
    assert len(kept) <= 20
    assert {points[0], points[333], points[777], points[999]} <= set(kept)
    assert list(kept) == sorted(kept)


def test_a_gap_in_a_line_stays_a_gap() -> None:
    points = [(float(x), None if 400 <= x < 600 else 1.0) for x in range(1000)]
    assert any(value is None for _, value in thinned(points, 20))


def test_a_short_line_is_left_as_it_is() -> None:
    points = [(1.0, 2.0), (2.0, None), (3.0, 1.0)]
    assert thinned(points, 4) == tuple(points)


@pytest.mark.parametrize(
    ("cells", "points", "columns"), [(1, 202, 160), (100, 171, 160), (300, 57, 80), (9999, 24, 48)]
)
def test_a_page_of_more_cells_has_fewer_points_each(cells: int, points: int, columns: int) -> None:
    assert Detail.of(cells) == Detail(points, columns)


def test_the_longest_of_each_stretch_of_the_run_is_kept() -> None:
    assert latency.longest_of([1, None, 9, 2, None, None, 3, 4], 4) == (1, 9, None, 4)
    assert latency.longest_of([], 4) == ()


def test_a_run_has_the_charts_that_it_has_figures_for(charts: dict[str, Chart]) -> None:
    assert list(charts) == [
        "throughput",
        "speed-memory",
        "latency-allocate",
        "latency-deallocate",
        *(f"latency-by-size-{kind}-{name}" for kind in ("allocate", "deallocate") for name in ("p50", "p99", "p99.9")),
        "latency-over-time-allocate",
        "latency-over-time-deallocate",
        "footprint",
        "resident",
        "after-the-drain",
        "waterfall",
        "inside-0",
        "inside-1",
        "inside-2",
        "heaps",
    ]


def test_times_have_intervals_and_the_harness_beside_them(charts: dict[str, Chart]) -> None:
    chart = charts["throughput"]
    assert isinstance(chart, Bars)
    assert (chart.bars[0].label, chart.bars[0].values) == ("segregated-pool:spacing=3,chunk=1048576", (9.5,))
    assert (chart.bars[0].low, chart.bars[0].high) == (8.75, 10.25)
    assert chart.levels == (("harness", 4.0),)


def test_the_front_is_what_nothing_beats_in_both(charts: dict[str, Chart]) -> None:
    chart = charts["speed-memory"]
    assert isinstance(chart, Spots)
    assert chart.front == ((9.5, 13.0), (11.5, 12.25), (11.75, 10.5), (12.5, 10.25), (17.75, 9.5), (85.5, 9.25))


def test_percentiles_have_the_noise_floor_and_say_what_is_indistinguishable_from_it(charts: dict[str, Chart]) -> None:
    chart = charts["latency-deallocate"]
    assert isinstance(chart, Lines)
    assert list(chart.x.categories) == ["50", "90", "99", "99.9", "99.99", "max"]
    # Percentiles of the floor less its median, but half a step of the timer at least.
    assert chart.lines[0].label == "noise floor"
    assert tuple(chart.lines[0].points) == ((0, 0.5), (1, 1.0), (2, 2.0), (3, 11.0), (4, 596.5), (5, 38_486.5))
    pool = next(line for line in chart.lines if line.label.startswith("segregated-pool"))
    assert pool.hollow == (0, 1, 5)


def test_latency_by_size_leaves_out_what_did_not_happen(charts: dict[str, Chart]) -> None:
    chart = charts["latency-by-size-deallocate-p50"]
    assert isinstance(chart, Heat)
    assert list(chart.x.categories) == ["64 B", "more"]
    # Nothing larger is freed; the p50 of what is allocated, as the fake run has it for both kinds.
    assert list(chart.values[0]) == [2.5, None]


def test_memory_over_time_has_what_is_live_beneath_and_marks(charts: dict[str, Chart]) -> None:
    chart = charts["footprint"]
    assert isinstance(chart, Lines)
    assert (chart.lines[0].label, chart.lines[0].look) == ("live bytes", "area")
    assert chart.marks == (("drained", 200.0),)
    assert "glibc" not in {line.label for line in chart.lines}


def test_who_holds_far_more_leaves_the_chart_and_is_named() -> None:
    def held(name: str, mib: float) -> CellResult:
        return cell(
            name,
            {
                "rounding_bytes": figure("rounding_bytes", 0.0),
                "peak_live_bytes": figure("peak_live_bytes", mib * 2**20),
                "resident_at_peak_live_bytes": figure("resident_at_peak_live_bytes", mib * 2**20),
            },
        )

    chart = memory.waterfall([held("a", 4), held("b", 4), held("bump", 400)])
    assert chart is not None
    assert chart.axis.end == pytest.approx(4.2)
    assert chart.note == "Leaves the chart: bump (400 MiB)."


def test_a_heap_is_in_levels_of_runs(charts: dict[str, Chart]) -> None:
    chart = charts["heaps"]
    assert isinstance(chart, Strips)
    (moment,) = chart.moments
    assert moment.title == "when live bytes peak"
    slab = next(strip for strip in moment.strips if strip.label == "slab")
    # Of eight and a half MiB: five used, half a bucket, then free and untouched.
    assert len(slab.levels) == 12
    assert slab.levels[0].startswith("a")
    assert {sum(int(count) for count in _counts(level)) for level in slab.levels} == {160}


def _counts(level: str) -> list[str]:
    return "".join(letter if letter.isdigit() else " " for letter in level).split()


def test_bars_of_a_kind_stand_in_units_of_their_scale() -> None:
    info = BarsInfo("parts", "Parts", "µs", (("make", "time_per_op_ns"), ("end", "net_time_per_op_ns")), scale=1000)
    with_both = cell(
        "a",
        {"time_per_op_ns": figure("time_per_op_ns", 3000.0), "net_time_per_op_ns": figure("net_time_per_op_ns", 500.0)},
    )
    chart = times.declared([with_both, cell("b", {})], info)
    assert chart is not None
    assert [(bar.label, bar.values) for bar in chart.bars] == [("a", (3.0, 0.5))]
