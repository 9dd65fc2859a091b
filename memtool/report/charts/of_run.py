"""Which charts there are of a workload: whatever its cells have figures for, whatever kind of work it is."""

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
    """How finely charts are drawn: a page of many cells has to stay small enough to be sent."""

    points: int
    """Of a line, at most."""
    columns: int
    """Of the strip of a heap, at most."""

    @staticmethod
    def of(cells: int) -> Detail:
        """Return what suits a page that shows so many cells; 202 points are all that a run has of memory over time."""
        return Detail(
            max(24, min(202, 120_000 // (_LINES_OF_A_CELL * max(1, cells)))), max(48, min(160, 24_000 // max(1, cells)))
        )

    def less(self) -> Detail:
        """Return half as much, and no less than shows a course."""
        return Detail(max(8, self.points // 2), max(8, self.columns // 2))


def of_workload(
    cells: Sequence[CellResult], histories: Mapping[str, series.History], info: TraceInfo, detail: Detail
) -> list[Chart]:
    """Return the charts of a workload, in the order in which they are read.

    Args:
        cells: those with figures, in the order of the tables.
        histories: their series, by label.
        info: what was replayed.
        detail: how finely they are drawn.
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
    # What a kind draws stands in place of a picture with the same name that any kind has.
    general = [chart for chart in charts if chart is not None and chart.name not in own]
    special = [chart for picture in declared if (chart := times.declared(cells, picture)) is not None]
    return [*general[:1], *special, *general[1:]]


def of_sweeps(run: Run) -> list[tuple[str, list[Chart]]]:
    """Return (workload, charts) of what was measured on several numbers of threads, or at several rates."""
    swept: list[tuple[str, list[Chart]]] = []
    for name, infos in scaling.swept(run).items():
        chart = sweeps.over_threads(run, infos)
        swept += [(name, [chart])] if chart is not None else []
    for name, infos in rates.swept(run).items():
        charts: list[Chart] = list(sweeps.over_rates(run, infos))
        swept += [(name, charts)] if charts else []
    return swept
