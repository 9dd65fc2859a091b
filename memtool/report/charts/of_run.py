"""The charts of a workload: all for which its cells have figures, for any kind of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memtool.kinds import results
from memtool.model import CellResult, Run, TraceInfo
from memtool.report import look, rates, scaling
from memtool.report.charts import collection, latency, memory, sweeps, times
from memtool.report.charts.record import Chart
from memtool.store import series

_LINES_OF_A_CELL = 7


@dataclass(frozen=True, slots=True)
class Detail:
    """The resolution of charts: a page of many cells must stay small enough to be sent."""

    points: int
    """Largest number of points of a line."""
    columns: int
    """Largest number of columns of a heap's strip."""

    @staticmethod
    def of(cells: int) -> Detail:
        """Return the resolution for a page with this many cells; a run has at most 202 points of memory over time."""
        return Detail(
            max(24, min(202, 120_000 // (_LINES_OF_A_CELL * max(1, cells)))), max(48, min(160, 24_000 // max(1, cells)))
        )

    def less(self) -> Detail:
        """Return half the resolution, but enough to show a course."""
        return Detail(max(8, self.points // 2), max(8, self.columns // 2))


def of_workload(
    cells: Sequence[CellResult], histories: Mapping[str, series.History], info: TraceInfo, detail: Detail
) -> list[Chart]:
    """Return the charts of a workload, in the order in which they are read.

    Args:
        cells: those with figures, in the order of the tables.
        histories: their series, by label.
        info: the replayed workload.
        detail: the resolution.
    """
    labelled = [(look.label(cell), cell, histories[look.label(cell)]) for cell in cells]
    declared = results(info.kind).pictures
    own = {picture.name for picture in declared}
    charts: list[Chart | None] = [
        times.throughput(cells),
        times.against_memory(cells),
        times.program(cells),
        *latency.by_percentile(cells),
        *latency.by_size(labelled),
        *latency.over_time(labelled),
        collection.utilisation(cells),
        collection.pauses_over_time(labelled),
        *memory.over_time(cells, histories, info, detail.points),
        memory.after_the_drain(cells),
        memory.waterfall(cells),
        *memory.inside(cells, histories, info, detail.points),
        times.padding(cells),
        memory.heaps(cells, histories, detail.columns),
    ]
    # A chart of a kind replaces the general chart of the same name.
    general = [chart for chart in charts if chart is not None and chart.name not in own]
    special = [chart for picture in declared if (chart := times.declared(cells, picture)) is not None]
    return [*general[:1], *special, *general[1:]]


def of_sweeps(run: Run) -> list[tuple[str, list[Chart]]]:
    """Return (workload, charts) for workloads that were measured with several numbers of threads or rates."""
    swept: list[tuple[str, list[Chart]]] = []
    for name, infos in scaling.swept(run).items():
        chart = sweeps.over_threads(run, infos)
        swept += [(name, [chart])] if chart is not None else []
    for name, infos in rates.swept(run).items():
        charts: list[Chart] = list(sweeps.over_rates(run, infos))
        swept += [(name, charts)] if charts else []
    return swept
