"""Tables of a run: speed and memory of each workload, and everything a stranger needs to explain a figure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tabulate import tabulate

from memtool.model import CellResult, Determinism, Metric, Mode, Pass, Run, Status, TraceInfo
from memtool.stats.summary import LEAST_SAMPLES, ranks
from memtool.store import run_file
from memtool.units import arrivals_in_words, format_count, format_ns, format_size, unit_for

NOT_APPLICABLE = "n/a"
FLOOR_MARK = "~"
NOISE_MARK = "!"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: a heading, the metric behind it, and how its figure is written."""

    heading: str
    metric: str
    write: Callable[[CellResult, Metric, float], str]
    """From a figure that is there, and what the table's bytes are divided by, to text."""
    missing: str = NOT_APPLICABLE


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table of a workload, with a row for each allocator."""

    title: str
    """``{unit}`` stands for that of its bytes."""
    columns: tuple[Column, ...]
    compared: tuple[str, ...]
    """The metric that the ratio to a reference is of: the first of which the reference has a figure above 0."""
    before: tuple[Column, ...] = ()
    """What stands to the left of the allocators' names."""
    sign: str | None = None
    """Shown only where any cell has this metric."""


@dataclass(frozen=True, slots=True)
class _Context:
    """What the tables of one workload have in common."""

    run: Run
    info: TraceInfo
    style: str
    reasons: dict[str, None]
    """Why figures are not there, of the n/a that were written, each once and in order."""


def _value(metric: Metric) -> float:
    assert metric.value is not None
    return metric.value


def _number(digits: int) -> Callable[[CellResult, Metric, float], str]:
    return lambda _cell, metric, _unit: f"{_value(metric):.{digits}f}"


def _latency(_cell: CellResult, metric: Metric, _unit: float) -> str:
    value = _value(metric)
    return (FLOOR_MARK if metric.at_floor else "") + (f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}")


def _bytes(_cell: CellResult, metric: Metric, unit: float) -> str:
    return f"{_value(metric) / unit:.2f}"


def _percent(_cell: CellResult, metric: Metric, _unit: float) -> str:
    return f"{_value(metric):.1%}"


def _count(_cell: CellResult, metric: Metric, _unit: float) -> str:
    return f"{_value(metric):,.0f}"


def _gross(cell: CellResult, metric: Metric, _unit: float) -> str:
    return (NOISE_MARK if cell.proof.get("noisy") else "") + f"{_value(metric):.2f}"


def _bounds(_cell: CellResult, metric: Metric, _unit: float) -> str:
    if metric.low is None or metric.high is None:
        return f"needs {LEAST_SAMPLES} blocks"
    return f"{metric.low:.2f} to {metric.high:.2f}"


def _percentiles(short: str, kind: str) -> tuple[Column, ...]:
    names = (("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"), ("max", "max"))
    return tuple(Column(f"{short}\n{name}", f"{kind}_{share}_ns", _latency) for name, share in names)


_RATIO = "ratio:"
"""Before the name of the metric that a ratio is of."""
_OWN = "own:"
"""Before the name of a figure that a malloc gives of itself."""
SPEED = (
    Column("ns/op", "time_per_op_ns", _gross),
    Column("95 % interval", "time_per_op_ns", _bounds),
    Column("net", "net_time_per_op_ns", _number(2)),
    Column("instr.\n/op", "instructions_per_op", _number(1)),
)
LATENCY = Sheet(
    "Latency of operations, in ns",
    (*_percentiles("alloc", "allocate"), *_percentiles("free", "deallocate")),
    ("allocate_p999_ns", "allocate_max_ns", "deallocate_p999_ns"),
)
FURTHER_LATENCY = Sheet(
    "Latency of reallocations, and of the first touch of a fresh block, in ns",
    (
        *_percentiles("realloc", "reallocate"),
        Column("touch\np50", "first_touch_ns", _latency),
        Column("touch\np99", "first_touch_p99_ns", _latency),
    ),
    ("reallocate_p999_ns", "first_touch_ns", "first_touch_p99_ns"),
)
THREADS = Sheet(
    "Between threads, in ns",
    (Column("waiting\n/op", "wait_ns", _number(2)), *_percentiles("foreign\nfree", "remote_deallocate")),
    ("remote_deallocate_p999_ns", "wait_ns"),
)
"""Shown where any cell has them: what happens between threads."""
MEMORY = Sheet(
    "Memory, in {unit}",
    (
        Column("footprint", "peak_footprint_bytes", _bytes),
        Column("resident", "peak_resident_bytes", _bytes),
        Column("at the\nend", "end_resident_bytes", _bytes),
        Column("after the\ndrain", "resident_after_drain_0ms_bytes", _bytes),
        Column("100 ms\nlater", "resident_after_drain_100ms_bytes", _bytes),
        Column("5 s\nlater", "resident_after_drain_5s_bytes", _bytes),
        Column("minor\nfaults", "minor_faults", _count),
        Column("system\ncalls", "system_calls", _count),
    ),
    ("peak_resident_bytes", "resident_after_drain_100ms_bytes", "system_calls"),
)
WATERFALL = Sheet(
    "Where it is when live bytes peak, in {unit}",
    (
        Column("live", "peak_live_bytes", _bytes),
        Column("+ rounding", "rounding_bytes", _bytes),
        Column("+ free", "free_bytes", _bytes),
        Column("+ metadata", "metadata_bytes", _bytes),
        Column("+ unaccounted", "unaccounted_bytes", _bytes),
        Column("resident", "resident_at_peak_live_bytes", _bytes),
        Column("unaccounted,\ndrained", "unaccounted_after_drain_bytes", _bytes),
    ),
    ("resident_at_peak_live_bytes",),
    sign="rounding_bytes",
)
OVERHEAD = Sheet(
    "Fragmentation, and footprint F over live bytes L",
    (
        Column("internal\nfragm.", "internal_fragmentation", _percent),
        Column("external\nfragm.", "external_fragmentation", _percent),
        Column("holes", "holes_ratio", _number(2)),
        Column("mean\nF/L", "footprint_mean_ratio", _number(3)),
        Column("F/L at\nmax L", "footprint_at_peak_live_ratio", _number(3)),
        Column("F/L at\nmax F", "footprint_at_peak_ratio", _number(3)),
        Column("max F/\nmax L", "footprint_peak_ratio", _number(3)),
        Column("max F/\npacked", "packing_ratio", _number(3)),
    ),
    ("footprint_peak_ratio", "internal_fragmentation"),
    sign="internal_fragmentation",
)
OWN_ACCOUNT = Sheet(
    "By their own account when live bytes peak, in {unit} above what they had before the replay",
    tuple(
        Column(name.replace("_", " "), f"{_OWN}{name}_bytes", _bytes)
        for name in ("in_use", "free", "metadata", "mapped")
    ),
    (f"{_OWN}mapped_bytes", f"{_OWN}in_use_bytes"),
)
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
    "holes_ratio",
    "free_bytes",
    "metadata_bytes",
    "unaccounted_bytes",
    "unaccounted_after_drain_bytes",
    *(_NEED_LIVE - {"internal_fragmentation"}),
}


def render(run: Run, style: str) -> str:
    """Return the whole report of a run as text: ``table``, ``markdown``, ``csv`` or ``json``."""
    if style == "json":
        return json.dumps(run_file.to_json(run), indent=1, allow_nan=False)
    if style == "csv":
        return _csv(run)
    parts = [_workload(run, info, style) for info in run.workloads]
    parts += _legend([cell for cell in run.cells if cell.metrics], style)
    parts += _listed([f"Note: {note}" for note in run.notes], style)
    parts.append(_footer(run, style))
    return "\n\n".join(part for part in parts if part)


_CSV_CELL = ("workload", "allocator", "region", "mode", "status", "reason")
_CSV_FIGURE = ("metric", "unit", "determinism", "samples", "value", "low", "high", "at_floor")


def _csv(run: Run) -> str:
    """Return one line a figure, nothing rounded, and one for each cell without any: for a data frame."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*_CSV_CELL, *_CSV_FIGURE, "interpreted"))
    for cell in run.cells:
        head = (*_names(cell), str(cell.status), cell.reason or "")
        interpreted = _yes(cell.interpreted)
        if not cell.metrics:
            writer.writerow((*head, *("" for _ in _CSV_FIGURE), interpreted))
        for name, each in cell.metrics.items():
            figures = (len(each.samples), each.value, each.low, each.high, _yes(each.at_floor))
            writer.writerow((*head, name, each.unit, str(each.determinism), *figures, interpreted))
    return out.getvalue().rstrip("\n")


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _names(result: CellResult) -> tuple[str, str, str, str]:
    cell = result.cell
    return cell.workload, cell.allocator, cell.region, cell.mode


def _workload(run: Run, info: TraceInfo, style: str) -> str:
    cells = [cell for cell in run.cells if cell.cell.workload == info.name]
    measured = [cell for cell in cells if cell.metrics]
    context = _Context(run, info, style, {})
    heading = _heading(info) + _replayed(run, info, cells)
    parts = [f"## {heading}" if style == "markdown" else heading]
    ordered = sorted(measured, key=lambda cell: _figure(cell, "time_per_op_ns") or float("inf"))
    speed = Sheet("Speed, in ns", SPEED, ("time_per_op_ns", "instructions_per_op"), _rank_column(ordered))
    parts += [_sheet(each, ordered, context) for each in (speed, LATENCY, FURTHER_LATENCY, THREADS, MEMORY)]
    parts.append(_of_parallel_memory(measured))
    parts += [_sheet(each, ordered, context) for each in (WATERFALL, OVERHEAD)]
    parts.append(_sheet(OWN_ACCOUNT, [cell for cell in ordered if _says_of_itself(cell)], context))
    parts.append(_limits(info))
    parts.append(_checked(cells))
    parts += _left_out(cells, style)
    parts += _listed([f"Note: {note}" for note in info.notes], style)
    parts += _explanation(measured, context)
    return "\n\n".join(part for part in parts if part)


def _heading(info: TraceInfo) -> str:
    return (
        f"{info.name}: {format_count(info.operations)} operations ({format_count(info.allocations)} allocations), "
        f"peak {format_size(info.peak_live_bytes)} in {format_count(info.peak_live_objects)} objects\n"
        f"seed {info.seed}, event hash {info.event_hash}, touch {info.touch}" + _arrivals(info)
    )


def _arrivals(info: TraceInfo) -> str:
    if info.arrivals is None or info.lanes > 1:
        return ""
    return f"\nlatency open-loop, from the intended start of each operation: {arrivals_in_words(info.arrivals)}"


def _replayed(run: Run, info: TraceInfo, cells: Sequence[CellResult]) -> str:
    """Say how a workload's threads were replayed; nothing of a workload that has one."""
    mode = cells[0].cell.mode if cells else Mode.SERIAL
    if info.threads == info.lanes == 1:
        return ""
    threads = f"{info.threads} threads" if info.threads > 1 else "1 thread"
    if mode == Mode.SERIAL:
        return f"\n{threads} at a time, replayed on one, in the recorded order (mode serial)"
    how = "side by side" if mode == Mode.PARALLEL else "one at a time in the recorded order"
    text = f"\n{threads} at a time ({info.lanes} in all), replayed {how} (mode {mode})"
    processors = int(run.machine.get("cores", 0))
    if info.threads > processors:
        return text + f"; MORE THREADS THAN THE {processors} PROCESSORS: times contain waiting for one"
    return text + ", each on a processor of its own"


def _label(cell: CellResult) -> str:
    failed = " (failed)" if cell.status is Status.FAILED else ""
    region = "" if cell.cell.region == "anonymous" else f" on {cell.cell.region}"
    interpreted = " (interpreted)" if cell.interpreted else ""
    return cell.cell.allocator + interpreted + region + failed


def _rank_column(cells: Sequence[CellResult]) -> tuple[Column, ...]:
    """Return the column of ranks; without any where nothing was timed. What has no interval has no rank."""
    timed = [cell for cell in cells if _figure(cell, "time_per_op_ns") is not None]
    if not timed:
        return ()
    ranked = [
        (cell, metric.value, metric.low, metric.high)
        for cell in timed
        if (metric := cell.metrics["time_per_op_ns"]).value is not None and metric.low is not None
        if cell.status is Status.OK and not cell.interpreted
    ]
    places = ranks([(value, low, high) for _, value, low, high in ranked])
    rank = {cell.cell: str(place) for (cell, *_), place in zip(ranked, places, strict=True)}
    return (Column("rank", "time_per_op_ns", lambda cell, _metric, _unit: rank.get(cell.cell, ""), ""),)


def _sheet(sheet: Sheet, cells: Sequence[CellResult], context: _Context) -> str:
    """Return a table, of the columns that any cell was measured for; nothing where there is none."""
    columns = [column for column in sheet.columns if any(_metric_of(cell, column.metric) for cell in cells)]
    if not columns or (sheet.sign is not None and not any(sheet.sign in cell.metrics for cell in cells)):
        return ""
    is_bytes = [column for column in columns if column.write is _bytes]
    largest = max((abs(_figure(cell, column.metric) or 0.0) for cell in cells for column in is_bytes), default=0.0)
    unit, name = unit_for(largest)
    if context.run.reference is not None:
        columns, cells = _with_ratio(sheet, columns, cells, context.run.reference)
    rows = [
        [
            *(_text(cell, column, unit, context) for column in sheet.before),
            _label(cell),
            *(_text(cell, column, unit, context) for column in columns),
        ]
        for cell in cells
    ]
    headings = [*(column.heading for column in sheet.before), "allocator", *(column.heading for column in columns)]
    return _titled(sheet.title.format(unit=name), context.style) + _table(headings, rows, context.style)


def _with_ratio(
    sheet: Sheet, columns: Sequence[Column], cells: Sequence[CellResult], reference: str
) -> tuple[list[Column], list[CellResult]]:
    """Return the columns with one of ratios to the reference, and the cells in its order.

    On each region the reference is the one on the same region: its own would compare memory, not allocators.
    """
    of_reference = [cell for cell in cells if cell.cell.allocator == reference]
    shown = [name for name in sheet.compared if any(column.metric == name for column in columns)]
    named = [name for name in shown if any((_figure(cell, name) or 0.0) > 0 for cell in of_reference)]
    metric = (named or shown or [columns[0].metric])[0]
    bases = {cell.cell.region: _figure(cell, metric) for cell in of_reference}

    def ratio(cell: CellResult) -> float | None:
        own, base = _figure(cell, metric), bases.get(cell.cell.region)
        return own / base if own is not None and base is not None and base > 0 else None

    places = [index for index, column in enumerate(columns) if column.metric == metric]
    heading = columns[places[0]].heading
    is_time = metric == "time_per_op_ns"
    written = Column(
        f"/ {reference}" if is_time else f"{heading}\n/ {reference}",
        f"{_RATIO}{metric}",
        lambda cell, _metric, _unit: NOT_APPLICABLE if (found := ratio(cell)) is None else f"{found:.3f}",
    )
    at = places[-1] + 1
    ordered = sorted(cells, key=lambda cell: float("inf") if (found := ratio(cell)) is None else found)
    return [*columns[:at], written, *columns[at:]], ordered


def _metric_of(cell: CellResult, name: str) -> Metric | None:
    """Return a metric of a cell, or what its malloc says of itself; a ratio has the metric that it is of."""
    name = name.removeprefix(_RATIO)
    if not name.startswith(_OWN):
        return cell.metrics.get(name)
    own = cell.proof.get("own_statistics", {}).get("peak", {})
    return Metric("B", Determinism.SAMPLED, (), (), own.get(name.removeprefix(_OWN))) if own else None


def _figure(cell: CellResult, name: str) -> float | None:
    metric = _metric_of(cell, name)
    return None if metric is None else metric.value


def _text(cell: CellResult, column: Column, unit: float, context: _Context) -> str:
    metric = _metric_of(cell, column.metric)
    if metric is not None and metric.value is not None:
        text = column.write(cell, metric, unit)
        if text == NOT_APPLICABLE:
            context.reasons.setdefault(_why_no_ratio(cell, context.run))
        return text
    if column.missing == NOT_APPLICABLE:
        context.reasons.setdefault(_why_not(cell, column.metric.removeprefix(_RATIO), metric, context.info))
    return column.missing


def _why_no_ratio(cell: CellResult, run: Run) -> str:
    there = [
        each for each in run.cells if each.cell == replace(cell.cell, allocator=run.reference or "") and each.metrics
    ]
    if there:
        return f"{run.reference} has no figure above 0 to hold others against"
    return f"{run.reference} was not measured on {cell.cell.region}, so nothing there has a ratio to it"


def _why_not(cell: CellResult, name: str, metric: Metric | None, info: TraceInfo) -> str:
    """Return why a cell has no figure for a metric that others have, or that it has without a value."""
    if metric is None:
        if cell.status is Status.FAILED:
            return "what had failed was measured no further"
        if cell.interpreted:
            return "neither instructions nor system calls are counted of what is written in Python"
        if name.startswith("remote_deallocate"):
            return "no block was freed by another thread"
        return "the pass does not measure this allocator"
    if name.startswith(_OWN):
        return "a malloc does not say it of itself"
    if name == "net_time_per_op_ns":
        return "no block has a null replay to take off"
    if name.endswith("_ns"):
        return "too few operations for a reading of the noise floor, without which there is no latency"
    if name in _OF_REGION and _figure(cell, "peak_footprint_bytes") is None:
        return "a system allocator's heap is not on a region, so it shows itself in resident memory only"
    if name == "packing_ratio" and info.packing_bytes is None:
        return "the workload was not packed offline"
    if name in _NEED_LIVE:
        return "ratios need 64 KiB alive"
    if name == "holes_ratio":
        return "holes need a block in use, and a strategy that counts its blocks"
    return "external fragmentation needs free bytes at the peak, and a strategy of more than one size of blocks"


def _of_parallel_memory(cells: Sequence[CellResult]) -> str:
    if not any(cell.cell.mode == Mode.PARALLEL and "peak_live_bytes" in cell.metrics for cell in cells):
        return ""
    return (
        "Threads side by side meet in another order under each allocator, so each has live bytes of its own (column "
        "live): compare what an allocator holds with those, not bytes with bytes."
    )


def _limits(info: TraceInfo) -> str:
    if info.packing_bytes is None or not info.peak_live_bytes:
        return ""
    return (
        f"Load (max L): {format_size(info.peak_live_bytes)}, which no allocator can beat; best offline packing "
        f"found: {format_size(info.packing_bytes)}, {info.packing_bytes / info.peak_live_bytes:.3f} of it."
    )


def _says_of_itself(cell: CellResult) -> bool:
    return any(figure is not None for figure in cell.proof.get("own_statistics", {}).get("peak", {}).values())


def _checked(cells: Sequence[CellResult]) -> str:
    """Say what the check pass came to, in one line; nothing where there was none."""
    unsound = [
        cell for cell in cells if cell.status is Status.FAILED and (cell.reason or "").startswith(f"{Pass.CHECK} ")
    ]
    sound = [cell for cell in cells if "invariants_checked" in cell.proof and cell not in unsound]
    if not sound and not unsound:
        return ""
    checks = sum(int(cell.proof["invariants_checked"]) for cell in sound)
    count = len(sound) + len(unsound)
    line = f"Checked: {count} allocators, every block and {format_count(checks)} times the whole heap; "
    return line + (
        f"{len(unsound)} NOT sound: {', '.join(_label(cell) for cell in unsound)}." if unsound else "all sound."
    )


def _titled(title: str, style: str) -> str:
    return f"{title}\n" if style == "table" else f"**{title}**\n\n"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], style: str) -> str:
    left = {"allocator", "95 % interval"}
    return tabulate(
        rows,
        headers=headings if style == "table" else [heading.replace("\n", " ") for heading in headings],
        tablefmt="pipe" if style == "markdown" else "simple",
        disable_numparse=True,
        colalign=["left" if heading in left else "right" for heading in headings],
    )


def _left_out(cells: Sequence[CellResult], style: str) -> list[str]:
    parts = []
    for status, title in ((Status.FAILED, "Failed"), (Status.EXCLUDED, "Left out")):
        found = [cell for cell in cells if cell.status is status]
        lines = [
            f"{'- ' if style == 'markdown' else '  '}{_label(cell).removesuffix(' (failed)')}: {cell.reason}"
            for cell in found
        ]
        if lines:
            parts.append("\n".join([f"{title}:", *lines]))
    # What several cells have in common, above all a noisy machine, is said once.
    noted: dict[str, list[str]] = {}
    for cell in cells:
        for note in cell.notes:
            noted.setdefault(note, []).append(_label(cell))
    return parts + [f"{', '.join(labels)}: {note}" for note, labels in noted.items()]


def _explanation(cells: Sequence[CellResult], context: _Context) -> list[str]:
    """Say what the figures of a workload contain, harness and noise floor, and why some are not there."""
    lines = []
    harness = [cell.proof.get("harness_ns") for cell in cells]
    known = sorted(figure for figure in harness if figure is not None)
    if known:
        lines.append(
            f"ns/op contains the harness: {known[len(known) // 2]:.2f} ns an operation in this run "
            "(the null strategy); net does not."
        )
    instructions = [cell.proof.get("harness_instructions") for cell in cells]
    counted = sorted(figure for figure in instructions if figure is not None)
    if counted:
        lines.append(f"Instructions contain the harness too: {counted[len(counted) // 2]:.1f} an operation.")
    floors = [cell.proof["noise_floor_ns"] for cell in cells if cell.proof.get("noise_floor_ns")]
    if floors:
        floor = {name: sorted(each[name] for each in floors)[len(floors) // 2] for name in floors[0]}
        figures = ", ".join(f"{_percentile_name(name)} {format_ns(value)}" for name, value in floor.items())
        lines.append(f"Noise floor (an empty timed region): {figures}; its median is subtracted from every percentile.")
    null = next((found for cell in cells if (found := cell.proof.get("open_loop", {}).get("null_ns"))), None)
    if null:
        figures = "; ".join(
            f"{kind} "
            + ", ".join(
                f"{_percentile_name(name)} {format_ns(value)}" for name, value in found.items() if name != "p90"
            )
            for kind, found in null.items()
        )
        lines.append(
            f"Under the same arrivals the null strategy shows: {figures}. This is queueing and what interrupts the "
            f"machine; latencies that are not told from it have the {FLOOR_MARK}."
        )
    if context.reasons:
        lines.append(f"{NOT_APPLICABLE}: {'; '.join(context.reasons)}.")
    return _listed(lines, context.style)


def _legend(cells: Sequence[CellResult], style: str) -> list[str]:
    """Say what the marks in the tables mean, those that stand in any."""
    lines = []
    steps = [step for cell in cells if (step := cell.proof.get("timer_resolution_ns"))]
    if steps and min(steps) >= 1:
        lines.append(
            f"The timer moves in steps of {format_ns(min(steps))} here: a latency below that reads as 0 or as one step."
        )
    if any(metric.at_floor for cell in cells for metric in cell.metrics.values()):
        lines.append(f"{FLOOR_MARK} at the floor: not told from the noise of timer and machine.")
    if any(cell.proof.get("noisy") and "time_per_op_ns" in cell.metrics for cell in cells):
        lines.append(f"{NOISE_MARK} taken on a noisy machine, as the notes say: hold no small difference for true.")
    if any(cell.interpreted for cell in cells):
        lines.append(
            "(interpreted): written in Python. Its times are those of calls into the interpreter, one replay a sample "
            "without warm-up, so it has no rank; its footprint compares, its resident memory contains its objects."
        )
    return _listed(lines, style)


def _listed(lines: Sequence[str], style: str) -> list[str]:
    return ["\n".join(f"{'- ' if style == 'markdown' else ''}{line}" for line in lines)] if lines else []


def _percentile_name(name: str) -> str:
    if name == "max":
        return name
    digits = name.removeprefix("p")
    return f"p{digits[:2]}.{digits[2:]}" if len(digits) > 2 else name


def _footer(run: Run, style: str) -> str:
    machine = run.machine
    text = (
        f"{machine.get('cpu', 'unknown processor')}, {machine.get('cores', '?')} cores, "
        f"Linux {machine.get('kernel', '?')}, "
        f"{machine.get('libc', '?')}; clock: {machine.get('clock', '?')}; {run.blocks} blocks; "
        f"memtool {run.memtool}, {run.started}"
    )
    return f"_{text}_" if style == "markdown" else text
