"""The sheets of a run as data: figures with their values, or the reasons why they are missing.

Each kind of work declares its sheets once; text, Markdown and all other forms render the same figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from memtool.kinds import results
from memtool.kinds.sheet import OWN, Column, Quantity, SheetInfo
from memtool.model import CellResult, Determinism, Metric, Run, Status, TraceInfo
from memtool.report import calls, look
from memtool.stats.over_hosts import by_block
from memtool.stats.paired import ranks
from memtool.stats.summary import LEAST_SAMPLES
from memtool.units import format_ns, format_size, unit_for

NOT_APPLICABLE = "n/a"
FLOOR_MARK = "~"
_LEAST_SHOWN = 0.095
"""In the unit of a table; smaller figures have their own unit, as have those above ``_MOST_SHOWN``."""
_MOST_SHOWN = 9999.5


@dataclass(frozen=True, slots=True)
class Figure:
    """The content of one position in a sheet."""

    text: str
    value: float | None = None
    """In the unit of its metric, unrounded."""
    reason: str | None = None
    """Reason why there is no figure, where it is n/a."""


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one cell, one for each heading of its sheet."""

    label: str
    rank: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet with its figures. Columns without any figure appear only in ``left_out``."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[Row, ...]
    ranked: bool = False
    left_out: tuple[tuple[str, str], ...] = ()
    """(heading, reason) of the columns that are n/a for every cell."""


def build(info: SheetInfo, cells: Sequence[CellResult], run: Run, trace: TraceInfo) -> Sheet | None:
    """Return a sheet of a workload's cells, in their order; None where the run has no figure for it."""
    cells = [cell for cell in cells if info.of(cell)]
    columns = [column for column in info.columns if any(_metric(cell, column.metric) for cell in cells)]
    if not columns or (info.sign is not None and not any(info.sign in cell.metrics for cell in cells)):
        return None
    known = [column for column in columns if any(_value(cell, column.metric) is not None for cell in cells)]
    left_out = tuple(
        (column.heading.replace("\n", " "), _why_not(cells[0], column.metric, trace))
        for column in columns
        if column not in known
    )
    sizes = [column.metric for column in known if column.quantity is Quantity.BYTES]
    unit, name = _unit([[_value(cell, metric) for metric in sizes] for cell in cells])
    written = [(column.heading, [_figure(cell, column, unit, trace) for cell in cells]) for column in known]
    if run.reference is not None and known:
        _add_ratios(info, known, written, cells, run)
    if info.with_calls and known and any(cell.call is not None for cell in cells):
        written.append((calls.HEADING, [Figure("" if cell.call is None else calls.code(cell.call)) for cell in cells]))
    rank = ranking(cells) if info.ranked else {}
    return Sheet(
        title=info.title.format(unit=name),
        headings=tuple(heading for heading, _ in written),
        rows=tuple(
            Row(label_of(cell), rank.get(index, ""), tuple(figures[index] for _, figures in written))
            for index, cell in enumerate(cells)
        ),
        ranked=bool(rank),
        left_out=left_out,
    )


def label_of(cell: CellResult) -> str:
    """Return the name of a cell's row, with a remark if the cell failed."""
    return look.label(cell) + look.failed(cell)


def ranking(cells: Sequence[CellResult]) -> dict[int, str]:
    """Return the rank by time of each ranked cell, by its index. A cell without an interval has no rank."""
    ranked = [
        (index, by_block(metric))
        for index, cell in enumerate(cells)
        if (metric := look.time_of(cell)) and metric.value is not None and metric.low is not None
        if cell.status is Status.OK and not cell.interpreted
    ]
    places = ranks([samples for _, samples in ranked])
    return {index: str(place) for (index, _), place in zip(ranked, places, strict=True)}


def _metric(cell: CellResult, name: str) -> Metric | None:
    """Return a metric of a cell, or a figure that its malloc reports about itself."""
    if not name.startswith(OWN):
        return cell.metrics.get(name)
    own = cell.proof.get("own_statistics", {}).get("peak", {})
    return Metric("B", Determinism.SAMPLED, (), (), own.get(name.removeprefix(OWN))) if own else None


def _value(cell: CellResult, name: str) -> float | None:
    metric = _metric(cell, name)
    return None if metric is None else metric.value


def _unit(rows: Sequence[Sequence[float | None]]) -> tuple[int, str]:
    """Return the unit of a sheet's bytes: that of the median row, so that an outlier does not determine it."""
    largest = [most for row in rows if (most := max((abs(value) for value in row if value), default=0)) > 0]
    return unit_for(median(largest) if largest else 0)


def _figure(cell: CellResult, column: Column, unit: int, trace: TraceInfo) -> Figure:
    metric = _metric(cell, column.metric)
    if metric is None or metric.value is None:
        return Figure(NOT_APPLICABLE, None, _why_not(cell, column.metric, trace))
    if column.is_interval:
        if metric.low is None or metric.high is None:
            return Figure(f"needs {LEAST_SAMPLES} blocks")
        low, high = (_written(column, bound, unit) for bound in (metric.low, metric.high))
        return Figure(f"{low} to {high}")
    noisy = column.metric in look.TIMES and cell.proof.get("noisy")
    mark = (FLOOR_MARK if metric.at_floor else "") + (look.NOISE_MARK if noisy else "")
    return Figure(mark + _written(column, metric.value, unit), metric.value)


def _written(column: Column, value: float, unit: int) -> str:
    if column.quantity is Quantity.BYTES:
        in_unit = abs(value) / unit
        return f"{value / unit:.2f}" if _LEAST_SHOWN <= in_unit < _MOST_SHOWN or value == 0 else format_size(value)
    if column.quantity is Quantity.TIME:
        if abs(value) >= _MOST_SHOWN:
            return format_ns(value)
        return f"{value:,.0f}" if column.digits == 1 and abs(value) >= 99.5 else f"{value:.{column.digits}f}"
    if column.quantity is Quantity.MILLISECONDS:
        return f"{value / 1e6:,.{1 if value >= 99.5e6 else 2}f}"
    if column.quantity is Quantity.SHARE:
        return f"{value:.1%}"
    return f"{value:,.0f}" if column.quantity is Quantity.COUNT else f"{value:.{column.digits}f}"


def _add_ratios(
    info: SheetInfo,
    columns: Sequence[Column],
    written: list[tuple[str, list[Figure]]],
    cells: Sequence[CellResult],
    run: Run,
) -> None:
    """Insert a column of ratios to the reference after the column of the compared figures.

    Each region has its own reference, on the same region: otherwise the ratio would compare regions, not allocators.
    """
    of_reference = [cell for cell in cells if cell.cell.allocator == run.reference]
    in_columns = [name for name in info.compared if any(column.metric == name for column in columns)]
    named = [name for name in in_columns if any((_value(cell, name) or 0.0) > 0 for cell in of_reference)]
    metric = (named or in_columns or [columns[0].metric])[0]
    bases = {cell.cell.region: _value(cell, metric) for cell in of_reference}
    places = [index for index, column in enumerate(columns) if column.metric == metric]

    def ratio(cell: CellResult) -> Figure:
        own, base = _value(cell, metric), bases.get(cell.cell.region)
        if base is None or base <= 0:
            return Figure(NOT_APPLICABLE, None, _why_no_ratio(cell, run))
        if own is None:
            return Figure(NOT_APPLICABLE)
        return Figure(f"{own / base:.3f}", own / base)

    heading = "" if metric in look.TIMES else f"{columns[places[0]].heading}\n"
    written.insert(places[-1] + 1, (f"{heading}/ {run.reference}", [ratio(cell) for cell in cells]))


def _why_no_ratio(cell: CellResult, run: Run) -> str:
    there = [
        result
        for result in run.cells
        if result.cell == replace(cell.cell, allocator=run.reference or "") and result.metrics
    ]
    if there:
        return f"{run.reference} has no figure above 0 to hold others against"
    return f"{run.reference} was not measured on {cell.cell.region}, so nothing there has a ratio to it"


def _why_not(cell: CellResult, name: str, trace: TraceInfo) -> str:
    """Return why a cell has no figure for a metric that other cells have, or has the metric without a value."""
    was_measured = _metric(cell, name) is not None
    if not was_measured and cell.status is Status.FAILED:
        return "what had failed was measured no further"
    if not was_measured and cell.interpreted:
        return "neither instructions nor system calls are counted of what is written in Python"
    reason = results(trace.kind).why_not(cell, name, trace, was_measured=was_measured)
    otherwise = "the allocator does not know it" if was_measured else "the pass does not measure this allocator"
    return reason or otherwise
