"""Latency by rate of arrivals: which workloads are a sweep, what their figures are, and who is to blame for a queue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from memtool.model import Cell, CellResult, Determinism, Metric, Run, Status
from memtool.report import look, rates
from memtool.report.plots import by_rate
from memtool.report.tables import render
from tests.unit.report.fake_run import fake_run


def cell(rate: str, allocator: str, p50: float, **open_loop: Any) -> CellResult:
    """Return what a cell shows whose p99 is ten times its median, and its p99.9 a hundred times."""
    metrics = {
        f"allocate_{share}_ns": Metric("ns", Determinism.SAMPLED, (value,), (0,), value)
        for share, value in (("p50", p50), ("p99", 10 * p50), ("p999", 100 * p50))
    }
    return CellResult(Cell(f"web:rate={rate}", allocator), Status.OK, None, {"open_loop": open_loop}, metrics, {})


NULL = {"allocate": {"p50": 1.0, "p99": 20.0, "p999": 300.0}}
BLOWN_UP = {"allocate": {"p50": 9e6, "p99": 9.5e6, "p999": 9.8e6}}


@pytest.fixture
def run() -> Run:
    """Return glibc and tlsf at three rates: tlsf is late at the second, and at the third nobody can keep up."""
    base = fake_run()
    paced = {"1M": 10**6, "2M": 2 * 10**6, "50M": 5 * 10**7}
    infos = [
        replace(
            base.workloads[0],
            name=f"web:rate={name}",
            arrivals={"law": "poisson", "rate_per_s": rate, "burst": 1},
        )
        for name, rate in paced.items()
    ]
    cells = (
        cell("1M", "glibc", 30.0, end_behind_operations=0, null_ns=NULL),
        cell("1M", "tlsf", 40.0, end_behind_operations=0, null_ns=NULL),
        cell("2M", "glibc", 60.0, end_behind_operations=0, null_ns=NULL),
        cell("2M", "tlsf", 2e6, end_behind_operations=900, null_ns=NULL),
        cell("50M", "glibc", 1e7, end_behind_operations=9000, null_behind=True, null_ns=BLOWN_UP),
    )
    return replace(base, workloads=tuple(reversed(infos)), cells=cells)


def test_a_sweep_is_ordered_by_rate_and_one_rate_is_none(run: Run) -> None:
    (infos,) = rates.swept(run).values()
    assert [info.name for info in infos] == ["web:rate=1M", "web:rate=2M", "web:rate=50M"]
    assert rates.swept(replace(run, workloads=run.workloads[:1])) == {}
    assert rates.swept(fake_run()) == {}


def test_threads_beside_a_rate_are_sweeps_of_their_own(run: Run) -> None:
    infos = [
        replace(info, name=f"{info.name}:threads={count}", threads=count) for info in run.workloads for count in (1, 2)
    ]
    swept = rates.swept(replace(run, workloads=tuple(infos)))
    assert {name: len(result) for name, result in swept.items()} == {"web:threads=1": 3, "web:threads=2": 3}


def test_the_table_has_the_null_strategy_first_and_marks_who_did_not_keep_up(run: Run) -> None:
    headings, rows = rates.table(run, rates.swept(run)["web"], "allocate")
    assert headings == ["allocator", "percentile", "1M/s", "2M/s", "50M/s"]
    assert rows == [
        ["harness (null)", "p50", "1.00 ns", "1.00 ns", "9.00 ms*"],
        ["harness (null)", "p99", "20.0 ns", "20.0 ns", "9.50 ms*"],
        ["harness (null)", "p99.9", "300 ns", "300 ns", "9.80 ms*"],
        ["glibc", "p50", "30.0 ns", "60.0 ns", "10.0 ms*"],
        ["glibc", "p99", "300 ns", "600 ns", "100 ms*"],
        ["glibc", "p99.9", "3.00 µs", "6.00 µs", "1.00 s*"],
        ["tlsf", "p50", "40.0 ns", "2.00 ms*", "-"],
        ["tlsf", "p99", "400 ns", "20.0 ms*", "-"],
        ["tlsf", "p99.9", "4.00 µs", "200 ms*", "-"],
    ]


@pytest.mark.parametrize("style", ["table", "markdown"])
def test_it_stands_in_the_report_with_who_is_to_blame(run: Run, style: str) -> None:
    text = render(run, style)
    assert "web: latency of allocate by rate of arrivals, from the intended start" in text
    assert "latency of deallocate by rate" not in text
    assert "At 50M/s even that did not keep up: too fast for this machine, and no allocator's fault." in text
    without = replace(run, cells=run.cells[:4])
    assert "even that did not keep up" not in render(without, style)


def test_the_picture_has_three_percentiles_and_shows_where_nobody_can_keep_up(run: Run) -> None:
    figure = by_rate.draw(run, rates.swept(run)["web"], {name: item.of_line for name, item in look.styles(run).items()})
    assert isinstance(figure, Figure)
    assert [axes.get_title() for axes in figure.axes] == ["allocate p50", "allocate p99", "allocate p99.9"]
    drawn = {str(line.get_label()): line.get_xydata().tolist() for line in figure.axes[0].lines}  # type: ignore[union-attr]
    assert drawn["glibc"] == [[1e6, 30.0], [2e6, 60.0], [5e7, 1e7]]
    assert drawn["harness (null)"] == [[1e6, 1.0], [2e6, 1.0], [5e7, 9e6]]
    (grey,) = figure.axes[0].patches
    assert grey.get_window_extent().x0 > figure.axes[0].transData.transform((2e6, 1))[0]
    texts = [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]
    assert {"1M/s", "2M/s", "50M/s", "glibc", "tlsf", "harness (null)"} <= set(texts)


def test_a_sweep_without_latencies_is_not_drawn(run: Run) -> None:
    bare = replace(run, cells=tuple(replace(item, metrics={}, proof={}) for item in run.cells))
    assert by_rate.draw(bare, rates.swept(bare)["web"], {}) is None
    assert "by rate of arrivals" not in render(bare, "table")
