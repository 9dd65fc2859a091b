"""Tables of a run: speed and memory of each workload, and everything a stranger needs to explain a figure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from memtool.model import CellResult, Metric, Mode, Run, Status, TraceInfo
from memtool.stats.summary import ranks
from memtool.store import run_file
from memtool.units import arrivals_in_words, format_count, format_ns, format_size

NOT_APPLICABLE = "n/a"
FLOOR_MARK = "~"
NOISE_MARK = "!"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: a heading, the metric behind it, and how its figure is written."""

    heading: str
    metric: str
    write: Callable[[Metric], str]


def _number(digits: int) -> Callable[[Metric], str]:
    def write(metric: Metric) -> str:
        return NOT_APPLICABLE if metric.value is None else f"{metric.value:.{digits}f}"

    return write


def _latency(metric: Metric) -> str:
    if metric.value is None:
        return NOT_APPLICABLE
    return (FLOOR_MARK if metric.at_floor else "") + (
        f"{metric.value:,.0f}" if metric.value >= 99.5 else f"{metric.value:.1f}"
    )


def _mebibytes(metric: Metric) -> str:
    return NOT_APPLICABLE if metric.value is None else f"{metric.value / 2**20:.2f}"


def _percent(metric: Metric) -> str:
    return NOT_APPLICABLE if metric.value is None else f"{metric.value:.1%}"


def _count(metric: Metric) -> str:
    return NOT_APPLICABLE if metric.value is None else f"{metric.value:,.0f}"


SPEED = (
    Column("net", "net_time_per_op_ns", _number(2)),
    Column("alloc\np50", "allocate_p50_ns", _latency),
    Column("alloc\np99", "allocate_p99_ns", _latency),
    Column("alloc\np99.99", "allocate_p9999_ns", _latency),
    Column("free\np50", "deallocate_p50_ns", _latency),
    Column("free\np99", "deallocate_p99_ns", _latency),
    Column("free\np99.99", "deallocate_p9999_ns", _latency),
)
THREADS = (
    Column("waiting\n/op", "wait_ns", _number(2)),
    Column("foreign\nfree p50", "remote_deallocate_p50_ns", _latency),
    Column("foreign\nfree p99", "remote_deallocate_p99_ns", _latency),
    Column("foreign\nfree p99.99", "remote_deallocate_p9999_ns", _latency),
)
"""Shown where any cell has them: what happens between threads."""
INSTRUCTIONS = Column("instr.\n/op", "instructions_per_op", _number(1))
MEMORY = (
    Column("footprint", "peak_footprint_bytes", _mebibytes),
    Column("resident", "peak_resident_bytes", _mebibytes),
    Column("at the\nend", "end_resident_bytes", _mebibytes),
    Column("after the\ndrain", "resident_after_drain_0ms_bytes", _mebibytes),
    Column("100 ms\nlater", "resident_after_drain_100ms_bytes", _mebibytes),
    Column("5 s\nlater", "resident_after_drain_5s_bytes", _mebibytes),
    Column("minor\nfaults", "minor_faults", _count),
)
CALLS = Column("system\ncalls", "system_calls", _count)
WATERFALL = (
    Column("live", "peak_live_bytes", _mebibytes),
    Column("+ rounding", "rounding_bytes", _mebibytes),
    Column("+ free", "free_bytes", _mebibytes),
    Column("+ metadata", "metadata_bytes", _mebibytes),
    Column("+ other", "unaccounted_bytes", _mebibytes),
    Column("resident", "resident_at_peak_live_bytes", _mebibytes),
    Column("other,\ndrained", "unaccounted_after_drain_bytes", _mebibytes),
)
OVERHEAD = (
    Column("internal\nfragm.", "internal_fragmentation", _percent),
    Column("external\nfragm.", "external_fragmentation", _percent),
    Column("holes", "holes_ratio", _number(2)),
    Column("mean\nF/L", "footprint_mean_ratio", _number(3)),
    Column("F/L at\nmax L", "footprint_at_peak_live_ratio", _number(3)),
    Column("F/L at\nmax F", "footprint_at_peak_ratio", _number(3)),
    Column("max F/\nmax L", "footprint_peak_ratio", _number(3)),
    Column("max F/\npacked", "packing_ratio", _number(3)),
)
_OWN = (
    ("in use", "in_use_bytes"),
    ("free", "free_bytes"),
    ("metadata", "metadata_bytes"),
    ("mapped", "mapped_bytes"),
)


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
    heading = _heading(info) + _replayed(run, info, cells)
    parts = [f"## {heading}" if style == "markdown" else heading]
    if measured:
        ordered, ratios = _ordered(run, measured)
        if any({"time_per_op_ns", INSTRUCTIONS.metric} & cell.metrics.keys() for cell in measured):
            parts.append(_speed(ordered, ratios, run.reference, style))
        parts.append(_between_threads(ordered, style))
        parts += _memory(ordered, info, style)
    parts += _left_out(cells, style)
    parts += _listed([f"Note: {note}" for note in info.notes], style)
    parts += _explanation(measured, style)
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


def _between_threads(cells: Sequence[CellResult], style: str) -> str:
    columns = [column for column in THREADS if any(column.metric in cell.metrics for cell in cells)]
    if not columns:
        return ""
    rows = [[_label(cell), *(_write(cell, column) for column in columns)] for cell in cells]
    headings = ["allocator", *(column.heading for column in columns)]
    return _titled("Between threads, in ns", style) + _table(headings, rows, style)


def _ordered(run: Run, cells: Sequence[CellResult]) -> tuple[list[CellResult], dict[int, str]]:
    """Return the cells, fastest first, and the text of each one's ratio to the reference by position in that order."""

    def time(cell: CellResult) -> float:
        metric = cell.metrics.get("time_per_op_ns")
        return metric.value if metric is not None and metric.value is not None else float("inf")

    ordered = sorted(cells, key=time)
    if run.reference is None:
        return ordered, {}
    # On each region the reference is the one on the same region: its own would compare memory, not allocators.
    bases = {cell.cell.region: time(cell) for cell in ordered if cell.cell.allocator == run.reference}

    def ratio(cell: CellResult) -> str:
        base = bases.get(cell.cell.region, 0.0)
        known = 0 < base < float("inf") and time(cell) < float("inf")
        return f"{time(cell) / base:.3f}" if known else NOT_APPLICABLE

    return ordered, {index: ratio(cell) for index, cell in enumerate(ordered)}


def _label(cell: CellResult) -> str:
    failed = " (failed)" if cell.status is Status.FAILED else ""
    region = "" if cell.cell.region == "anonymous" else f" on {cell.cell.region}"
    interpreted = " (interpreted)" if cell.interpreted else ""
    return cell.cell.allocator + interpreted + region + failed


def _speed(cells: Sequence[CellResult], ratios: dict[int, str], reference: str | None, style: str) -> str:
    timed = [cell.metrics.get("time_per_op_ns") for cell in cells]
    known = [
        index
        for index, metric in enumerate(timed)
        if metric is not None and metric.value is not None
        if cells[index].status is Status.OK and not cells[index].interpreted
    ]
    # Without intervals nothing says which of two is the faster.
    known = [index for index in known if timed[index].low is not None]  # type: ignore[union-attr]
    places = ranks([_interval(timed[index]) for index in known])
    rank = {index: str(place) for index, place in zip(known, places, strict=True)}
    headings = ["rank", "allocator", "ns/op", "95 % interval"]
    if reference is not None:
        headings.append(f"/ {reference}")
    columns = [*SPEED, INSTRUCTIONS] if any(INSTRUCTIONS.metric in cell.metrics for cell in cells) else SPEED
    headings += [column.heading for column in columns]
    rows = []
    for index, cell in enumerate(cells):
        metric = timed[index]
        row = [
            rank.get(index, ""),
            _label(cell),
            (NOISE_MARK if cell.proof.get("noisy") else "") + _write(cell, Column("", "time_per_op_ns", _number(2))),
            _bounds(metric),
        ]
        if reference is not None:
            row.append(ratios[index])
        rows.append(row + [_write(cell, column) for column in columns])
    return _titled("Speed, in ns", style) + _table(headings, rows, style)


def _memory(cells: Sequence[CellResult], info: TraceInfo, style: str) -> list[str]:
    """Return the tables of memory: each is left out where nothing that only it shows was measured."""
    parts = []
    counted = any(CALLS.metric in cell.metrics for cell in cells)
    for title, columns, sign in (
        ("Memory, in MiB", (*MEMORY, CALLS) if counted else MEMORY, "peak_resident_bytes"),
        ("Where it is when live bytes peak, in MiB", WATERFALL, "rounding_bytes"),
        ("Fragmentation, and footprint F over live bytes L", OVERHEAD, "internal_fragmentation"),
    ):
        if any(sign in cell.metrics for cell in cells):
            headings = ["allocator", *(column.heading for column in columns)]
            rows = [[_label(cell), *(_write(cell, column) for column in columns)] for cell in cells]
            parts.append(_titled(title, style) + _table(headings, rows, style))
    parts += _own_account(cells, style)
    if info.packing_bytes is not None and info.peak_live_bytes:
        parts.append(
            f"Load (max L): {format_size(info.peak_live_bytes)}, which no allocator can beat; best offline packing "
            f"found: {format_size(info.packing_bytes)}, {info.packing_bytes / info.peak_live_bytes:.3f} of it."
        )
    return parts


def _own_account(cells: Sequence[CellResult], style: str) -> list[str]:
    """Return what each malloc says of itself at the peak of live bytes."""
    rows = []
    for cell in cells:
        own = cell.proof.get("own_statistics", {}).get("peak", {})
        figures = [own.get(key) for _, key in _OWN]
        if any(figure is not None for figure in figures):
            rows.append(
                [_label(cell), *(NOT_APPLICABLE if each is None else f"{each / 2**20:.2f}" for each in figures)]
            )
    if not rows:
        return []
    headings = ["allocator", *(heading for heading, _ in _OWN)]
    title = "By their own account when live bytes peak, in MiB above what they had before the replay"
    return [_titled(title, style) + _table(headings, rows, style)]


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


def _write(cell: CellResult, column: Column) -> str:
    metric = cell.metrics.get(column.metric)
    return NOT_APPLICABLE if metric is None else column.write(metric)


def _interval(metric: Metric | None) -> tuple[float, float | None, float | None]:
    assert metric is not None
    assert metric.value is not None
    return metric.value, metric.low, metric.high


def _bounds(metric: Metric | None) -> str:
    if metric is None or metric.value is None:
        return NOT_APPLICABLE
    if metric.low is None or metric.high is None:
        return "needs 6 blocks"
    return f"{metric.low:.2f} to {metric.high:.2f}"


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


def _explanation(cells: Sequence[CellResult], style: str) -> list[str]:
    """Say what the figures of a workload contain: harness and noise floor."""
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
    return _listed(lines, style)


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
    if any(cell.proof.get("noisy") for cell in cells):
        lines.append(f"{NOISE_MARK} taken on a noisy machine, as the notes say: hold no small difference for true.")
    if any(cell.interpreted for cell in cells):
        lines.append(
            "(interpreted): written in Python. Its times are those of calls into the interpreter, one replay a sample "
            "without warm-up, so it has no rank; its footprint compares, its resident memory contains its objects."
        )
    if any(
        column.metric in cell.metrics and cell.metrics[column.metric].value is None
        for cell in cells
        for column in (*MEMORY, *WATERFALL, *OVERHEAD)
    ):
        lines.append(
            f"{NOT_APPLICABLE}: not applicable. A system allocator's heap is not on a region, so it shows itself in "
            "resident memory only; ratios need 64 KiB alive."
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
