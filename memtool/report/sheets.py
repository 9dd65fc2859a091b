"""What is shown of a run, as data: sheets of figures, each with its value, and the reason where it is missing.

A sheet is declared once, below; text, Markdown and whatever else shows it render the same figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import median

from memtool.model import CellResult, Determinism, Metric, Run, Status, TraceInfo
from memtool.passes.throughput import harness_dominates
from memtool.report import calls, look
from memtool.stats.paired import ranks
from memtool.stats.summary import LEAST_SAMPLES
from memtool.units import format_ns, format_size, unit_for

NOT_APPLICABLE = "n/a"
FLOOR_MARK = "~"
_OWN = "own:"
"""Before the name of a figure that a malloc gives of itself."""
_LEAST_SHOWN = 0.095
"""In the unit of a table; what is less has a unit of its own, and so has what is more than ``_MOST_SHOWN``."""
_MOST_SHOWN = 9999.5


class Quantity(StrEnum):
    """What a figure is of, and so how it is written."""

    BYTES = "bytes"
    TIME = "time"
    """Nanoseconds."""
    SHARE = "share"
    RATIO = "ratio"
    COUNT = "count"
    NUMBER = "number"
    MILLISECONDS = "milliseconds"
    """Of whole programs; the figures are in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: a heading, the metric behind it, and how its figures are written."""

    heading: str
    metric: str
    quantity: Quantity
    digits: int = 2
    is_interval: bool = False
    """Shows the ends of the interval and not the value."""


@dataclass(frozen=True, slots=True)
class SheetInfo:
    """A sheet as it is declared: one table of a workload, with a row for each allocator."""

    title: str
    """``{unit}`` stands for that of its bytes."""
    columns: tuple[Column, ...]
    compared: tuple[str, ...]
    """The metric that the ratio to a reference is of: the first of which the reference has a figure above 0."""
    sign: str | None = None
    """Shown only where any cell has this metric."""
    ranked: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """What stands in one place of a sheet."""

    text: str
    value: float | None = None
    """In the unit of its metric, unrounded."""
    reason: str | None = None
    """Why there is no figure, where it is n/a."""


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one cell, one for each heading of its sheet."""

    label: str
    rank: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet with its figures. Columns of which no cell has a figure are in ``left_out`` only."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[Row, ...]
    ranked: bool = False
    left_out: tuple[tuple[str, str], ...] = ()
    """(heading, reason) of the columns that are n/a for everyone."""


def _percentiles(short: str, kind: str) -> tuple[Column, ...]:
    names = (("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"), ("max", "max"))
    return tuple(Column(f"{short}\n{name}", f"{kind}_{share}_ns", Quantity.TIME, 1) for name, share in names)


SPEED = SheetInfo(
    "Speed, in ns",
    (
        Column("ns/op", "time_per_op_ns", Quantity.TIME),
        Column("95 % interval", "time_per_op_ns", Quantity.TIME, is_interval=True),
        Column("net", "net_time_per_op_ns", Quantity.TIME),
        Column("instr.\n/op", "instructions_per_op", Quantity.NUMBER, 1),
    ),
    ("time_per_op_ns", "instructions_per_op"),
    ranked=True,
)
LATENCY = SheetInfo(
    "Latency of operations, in ns",
    (*_percentiles("alloc", "allocate"), *_percentiles("free", "deallocate")),
    ("allocate_p999_ns", "allocate_max_ns", "deallocate_p999_ns"),
)
FURTHER_LATENCY = SheetInfo(
    "Latency of reallocations, and of the first touch of a fresh block, in ns",
    (
        *_percentiles("realloc", "reallocate"),
        Column("touch\np50", "first_touch_ns", Quantity.TIME, 1),
        Column("touch\np99", "first_touch_p99_ns", Quantity.TIME, 1),
    ),
    ("reallocate_p999_ns", "first_touch_ns", "first_touch_p99_ns"),
)
THREADS = SheetInfo(
    "Between threads, in ns",
    (Column("waiting\n/op", "wait_ns", Quantity.TIME), *_percentiles("foreign\nfree", "remote_deallocate")),
    ("remote_deallocate_p999_ns", "wait_ns"),
)
"""Shown where any cell has them: what happens between threads."""
FRAMES = SheetInfo(
    "Time of all operations of a frame together, in ns",
    (
        Column("half of\nframes", "frame_p50_ns", Quantity.TIME, 1),
        Column("99 %", "frame_p99_ns", Quantity.TIME, 1),
        Column("99.9 %", "frame_p999_ns", Quantity.TIME, 1),
        Column("worst\nframe", "frame_max_ns", Quantity.TIME, 1),
    ),
    ("frame_p99_ns", "frame_max_ns"),
    sign="frame_p50_ns",
)
"""Shown where a workload has frames."""
MEMORY = SheetInfo(
    "Memory, in {unit}",
    (
        Column("footprint", "peak_footprint_bytes", Quantity.BYTES),
        Column("of the\nlimit", "limit_used_share", Quantity.SHARE),
        Column("resident", "peak_resident_bytes", Quantity.BYTES),
        Column("at the\nend", "end_resident_bytes", Quantity.BYTES),
        Column("after the\ndrain", "resident_after_drain_0ms_bytes", Quantity.BYTES),
        Column("100 ms\nlater", "resident_after_drain_100ms_bytes", Quantity.BYTES),
        Column("5 s\nlater", "resident_after_drain_5s_bytes", Quantity.BYTES),
        Column("minor\nfaults", "minor_faults", Quantity.COUNT),
        Column("system\ncalls", "system_calls", Quantity.COUNT),
        Column("/ on one\nthread", "blowup_ratio", Quantity.RATIO, 2),
    ),
    ("peak_resident_bytes", "resident_after_drain_100ms_bytes", "system_calls"),
)
WATERFALL = SheetInfo(
    "Where it is when live bytes peak, in {unit}",
    (
        Column("live", "peak_live_bytes", Quantity.BYTES),
        Column("+ rounding", "rounding_bytes", Quantity.BYTES),
        Column("+ free", "free_bytes", Quantity.BYTES),
        Column("+ metadata", "metadata_bytes", Quantity.BYTES),
        Column("+ unac-\ncounted", "unaccounted_bytes", Quantity.BYTES),
        Column("resident", "resident_at_peak_live_bytes", Quantity.BYTES),
        Column("unaccounted,\ndrained", "unaccounted_after_drain_bytes", Quantity.BYTES),
    ),
    ("resident_at_peak_live_bytes",),
    sign="rounding_bytes",
)
OVERHEAD = SheetInfo(
    "Fragmentation, and footprint F over live bytes L",
    (
        Column("internal\nfragm.", "internal_fragmentation", Quantity.SHARE),
        Column("external\nfragm.", "external_fragmentation", Quantity.SHARE),
        Column("greatest\nexternal", "external_fragmentation_max", Quantity.SHARE),
        Column("holes", "holes_ratio", Quantity.RATIO, 2),
        Column("mean\nF/L", "footprint_mean_ratio", Quantity.RATIO, 3),
        Column("F/L at\nmax L", "footprint_at_peak_live_ratio", Quantity.RATIO, 3),
        Column("F/L at\nmax F", "footprint_at_peak_ratio", Quantity.RATIO, 3),
        Column("max F/\nmax L", "footprint_peak_ratio", Quantity.RATIO, 3),
        Column("max F/\npacked", "packing_ratio", Quantity.RATIO, 3),
    ),
    ("footprint_peak_ratio", "internal_fragmentation"),
    sign="internal_fragmentation",
)
OWN_ACCOUNT = SheetInfo(
    "By their own account when live bytes peak, in {unit} above what they had before the replay",
    tuple(
        Column(name.replace("_", " "), f"{_OWN}{name}_bytes", Quantity.BYTES)
        for name in ("in_use", "free", "metadata", "mapped")
    ),
    (f"{_OWN}mapped_bytes", f"{_OWN}in_use_bytes"),
)
_MS, _COUNT = Quantity.MILLISECONDS, Quantity.COUNT
PROGRAM = SheetInfo(
    "Whole program, times in ms",
    (
        Column("wall", "wall_time_ns", _MS),
        Column("95 % interval", "wall_time_ns", _MS, is_interval=True),
        *(Column(name, f"{name}_time_ns", _MS) for name in ("cpu", "user", "system")),
        Column("until\nready", "ready_time_ns", _MS),
    ),
    ("wall_time_ns", "cpu_time_ns"),
    ranked=True,
)
PROGRAM_MEMORY = SheetInfo(
    "Memory of all its processes, in {unit}, and what the kernel counts",
    (
        Column("peak", "tree_peak_resident_bytes", Quantity.BYTES),
        Column("95 % interval", "tree_peak_resident_bytes", Quantity.BYTES, is_interval=True),
        Column("largest\nprocess", "largest_process_resident_bytes", Quantity.BYTES),
        Column("processes", "tree_processes", _COUNT),
        *(Column(f"{name}\nfaults", f"tree_{name}_faults", _COUNT) for name in ("minor", "major")),
        *(Column(f"{name}\nswitches", f"tree_{name}_switches", _COUNT) for name in ("voluntary", "involuntary")),
        Column("exit", "exit_status", _COUNT),
    ),
    ("tree_peak_resident_bytes",),
)
_OF_PROGRAMS = (PROGRAM, PROGRAM_MEMORY)
SHEETS = (*_OF_PROGRAMS, SPEED, LATENCY, FURTHER_LATENCY, THREADS, FRAMES, MEMORY, WATERFALL, OVERHEAD, OWN_ACCOUNT)
"""In the order in which they are shown."""
_NEED_LIVE = {
    "internal_fragmentation",
    "footprint_mean_ratio",
    "footprint_at_peak_live_ratio",
    "footprint_at_peak_ratio",
    "footprint_peak_ratio",
    "packing_ratio",
}
_OF_REGION = {
    "peak_footprint_bytes",
    "external_fragmentation",
    "external_fragmentation_max",
    "holes_ratio",
    "free_bytes",
    "metadata_bytes",
    "unaccounted_bytes",
    "unaccounted_after_drain_bytes",
    *(_NEED_LIVE - {"internal_fragmentation"}),
}


def build(info: SheetInfo, cells: Sequence[CellResult], run: Run, trace: TraceInfo) -> Sheet | None:
    """Return a sheet of a workload's cells, in their order; None where the run has nothing that it shows."""
    if info is OWN_ACCOUNT:
        cells = [cell for cell in cells if says_of_itself(cell)]
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
    if info is SPEED and known and any(cell.call is not None for cell in cells):
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
    """Return what the row of a cell is called; what failed says so."""
    return look.label(cell) + look.failed(cell)


def says_of_itself(cell: CellResult) -> bool:
    """Return whether the malloc of a cell has figures of its own."""
    return any(figure is not None for figure in cell.proof.get("own_statistics", {}).get("peak", {}).values())


def ranking(cells: Sequence[CellResult]) -> dict[int, str]:
    """Return the rank by time of each cell that has one, by its place. What has no interval has no rank."""
    ranked = [
        (index, dict(zip(metric.blocks, metric.samples, strict=True)))
        for index, cell in enumerate(cells)
        if (metric := look.time_of(cell)) and metric.value is not None and metric.low is not None
        if cell.status is Status.OK and not cell.interpreted
    ]
    places = ranks([samples for _, samples in ranked])
    return {index: str(place) for (index, _), place in zip(ranked, places, strict=True)}


def _metric(cell: CellResult, name: str) -> Metric | None:
    """Return a metric of a cell, or what its malloc says of itself."""
    if not name.startswith(_OWN):
        return cell.metrics.get(name)
    own = cell.proof.get("own_statistics", {}).get("peak", {})
    return Metric("B", Determinism.SAMPLED, (), (), own.get(name.removeprefix(_OWN))) if own else None


def _value(cell: CellResult, name: str) -> float | None:
    metric = _metric(cell, name)
    return None if metric is None else metric.value


def _unit(rows: Sequence[Sequence[float | None]]) -> tuple[int, str]:
    """Return the unit of a sheet's bytes: that of the row in the middle, so that one giant flattens no other."""
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
    """Put a column of ratios to the reference behind the column that they are of.

    On each region the reference is the one on the same region: its own would compare memory, not allocators.
    """
    of_reference = [cell for cell in cells if cell.cell.allocator == run.reference]
    shown = [name for name in info.compared if any(column.metric == name for column in columns)]
    named = [name for name in shown if any((_value(cell, name) or 0.0) > 0 for cell in of_reference)]
    metric = (named or shown or [columns[0].metric])[0]
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


_REASONS: tuple[tuple[Callable[[str, CellResult, TraceInfo], bool], str], ...] = (
    (lambda name, _cell, _trace: name.startswith(_OWN), "a malloc does not say it of itself"),
    (
        lambda name, cell, trace: (
            name == "net_time_per_op_ns"
            and harness_dominates(
                cell.cell, trace, cell.proof.get("harness_ns") or 0.0, _value(cell, "time_per_op_ns") or 0.0
            )
        ),
        "more than half of the time is the harness's, which hands objects over between threads, so there is no net",
    ),
    (lambda name, _cell, _trace: name == "net_time_per_op_ns", "no block has a null replay to take off"),
    (
        lambda name, _cell, _trace: name.endswith("_ns"),
        "too few operations for a reading of the noise floor, without which there is no latency",
    ),
    (
        lambda name, cell, _trace: name in _OF_REGION and _value(cell, "peak_footprint_bytes") is None,
        "a system allocator's heap is not on a region, so it shows itself in resident memory only",
    ),
    (
        lambda name, _cell, trace: name == "packing_ratio" and trace.packing_bytes is None,
        "the workload was not packed offline",
    ),
    (lambda name, _cell, _trace: name in _NEED_LIVE, "ratios need 64 KiB alive"),
    (
        lambda name, _cell, _trace: name == "holes_ratio",
        "holes need a block in use, and a strategy that counts its blocks",
    ),
    (
        lambda name, _cell, _trace: name.startswith("external_fragmentation"),
        "external fragmentation needs free bytes at the peak, and a strategy of more than one size of blocks",
    ),
)
"""Why a metric that was measured has no value: the first that holds."""


def _why_not(cell: CellResult, name: str, trace: TraceInfo) -> str:
    """Return why a cell has no figure for a metric that others have, or that it has without a value."""
    if _metric(cell, name) is None:
        if cell.status is Status.FAILED:
            return "what had failed was measured no further"
        if cell.interpreted:
            return "neither instructions nor system calls are counted of what is written in Python"
        if name.startswith("remote_deallocate"):
            return "no block was freed by another thread"
        return "the pass does not measure this allocator"
    return next((reason for holds, reason in _REASONS if holds(name, cell, trace)), "the allocator does not know it")
