"""Tables of a run: speed and memory of each workload, and the explanations that a reader needs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from memtool import groups
from memtool.kinds import results
from memtool.kinds.sheet import SheetInfo
from memtool.model import HARNESS, CellResult, Mode, Run, Status, TraceInfo
from memtool.passes import Pass
from memtool.report import calls, grid, look, programs, rates, scaling, sheets, summary
from memtool.report.look import NOISE_MARK
from memtool.report.sheets import FLOOR_MARK, NOT_APPLICABLE, Sheet, label_of
from memtool.stats.compare import error_on
from memtool.store import run_file
from memtool.units import format_count, format_ns, format_size

_ERRORS_IN_A_FIGURE = 20
"""With fewer, the error of resident memory is stated, because it may exceed 5 % of the figure."""
_LEFT = frozenset({"allocator", "95 % interval", calls.HEADING})


def render(run: Run, style: str, width: int | None = None, chosen: Sequence[SheetInfo] | None = None) -> str:
    """Return the whole report of a run as text: ``table``, ``markdown``, ``csv``, ``samples`` (as CSV) or ``json``.

    Tables and prose take at most ``width`` columns; None: no limit. ``chosen`` are the sheets to include; None: all for
    which the run has figures.
    """
    if style == "json":
        return json.dumps(run_file.to_json(run), indent=1, allow_nan=False)
    if style == "csv":
        return _csv(run)
    if style == "samples":
        return _samples(run)
    width = width if style == "table" else None
    parts = [part for info in run.workloads for part in _workload(run, info, style, width, chosen)]
    parts += _scaling(run, style, width)
    parts += _by_rate(run, style, width)
    parts += _by_program(run, style, width)
    ends = legend(run, style)
    ends += _listed([f"Note: {note}" for note in run.notes], style)
    ends.append(_footer(run, style))
    return "\n\n".join([*parts, *(grid.wrapped(part, width) for part in ends)])


_CSV_CELL = ("workload", "allocator", "region", "mode", "status", "reason")
_CSV_FIGURE = ("metric", "unit", "determinism", "samples", "value", "low", "high", "at_floor")
_CSV_SAMPLE = ("workload", "allocator", "region", "mode", "metric", "unit", "block", "sample")


def _samples(run: Run) -> str:
    """Return one line for each sample, unrounded, for your own statistics."""
    rows = (
        (*_names(cell), name, metric.unit, block, sample)
        for cell in run.cells
        for name, metric in cell.metrics.items()
        for block, sample in zip(metric.blocks, metric.samples, strict=True)
    )
    return grid.csv_of([_CSV_SAMPLE, *rows])


def _csv(run: Run) -> str:
    """Return one line for each figure, unrounded, and one for each cell without figures, for a data frame."""
    rows: list[tuple[object, ...]] = [(*_CSV_CELL, *_CSV_FIGURE, "interpreted", calls.HEADING, "fault")]
    for cell in run.cells:
        head = (*_names(cell), str(cell.status), cell.reason or "")
        rest = (_yes(cell.interpreted), "" if cell.call is None else calls.code(cell.call), cell.fault or "")
        if not cell.metrics:
            rows.append((*head, *("" for _ in _CSV_FIGURE), *rest))
        for name, metric in cell.metrics.items():
            figures = (len(metric.samples), metric.value, metric.low, metric.high, _yes(metric.at_floor))
            rows.append((*head, name, metric.unit, str(metric.determinism), *figures, *rest))
    return grid.csv_of(rows)


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _names(result: CellResult) -> tuple[str, str, str, str]:
    cell = result.cell
    return cell.workload, cell.allocator, cell.region, cell.mode


def _workload(
    run: Run, info: TraceInfo, style: str, width: int | None, chosen: Sequence[SheetInfo] | None
) -> list[str]:
    """Return the parts of the report on one workload: its heading, its tables, and their explanations."""
    cells = [cell for cell in run.cells if cell.cell.workload == info.name]
    measured = look.measured(run, info)
    answer = (" " if style == "markdown" else "\n").join(summary.sentences(run, info)) if chosen is None else ""
    chosen = results(info.kind).sheets if chosen is None else chosen
    built = [sheet for choice in chosen if (sheet := sheets.build(choice, measured, run, info)) is not None]
    heading = results(info.kind).heading(info) + replayed(run, info, cells)
    parts = [grid.wrapped(f"## {heading}" if style == "markdown" else heading, width)]
    parts += [grid.wrapped(answer, width)] if answer else []
    parts += [text for sheet in built for text in _sheet(sheet, style, width)]
    return [*parts, *(grid.wrapped(part, width) for part in prose(run, info, built, style))]


def prose(run: Run, info: TraceInfo, built: Sequence[Sheet], style: str = "table") -> list[str]:
    """Return the explanations of a workload's tables, in paragraphs: remarks, checks, exclusions, notes."""
    cells = [cell for cell in run.cells if cell.cell.workload == info.name]
    measured = look.measured(run, info)
    parts = [*results(info.kind).remarks(measured, info), _checked(cells)]
    parts += _left_out(cells, style)
    parts += _listed([f"Note: {note}" for note in info.notes], style)
    return [part for part in parts + _explanation(measured, built, style) if part]


def _scaling(run: Run, style: str, width: int | None) -> list[str]:
    """Return a table of throughput by number of threads for each swept workload, including the harness."""
    parts = []
    for name, infos in scaling.swept(run).items():
        headings, rows = scaling.table(run, infos)
        if not any(len(row) - row.count("-") > 2 for row in rows):
            continue
        title = f"{name}: throughput by number of threads, in million operations a second, all threads together"
        parts += _titled(title, grid.table(headings, rows, style, left=_LEFT, keys=1, width=width), style, width)
        parts.append(
            grid.wrapped(
                f"{scaling.HARNESS} hands objects over between threads, and nothing else: where it collapses, all do.",
                width,
            )
        )
    return parts


def _by_rate(run: Run, style: str, width: int | None) -> list[str]:
    """Return tables of latency by rate of arrivals for each swept workload, including the null strategy."""
    parts = []
    for name, infos in rates.swept(run).items():
        for kind in rates.KINDS:
            headings, rows = rates.table(run, infos, kind)
            if rows:
                title = f"{name}: latency of {kind} by rate of arrivals, from the intended start"
                text = grid.table(headings, rows, style, left=_LEFT, keys=2, width=width)
                parts += _titled(title, text, style, width)
        if parts:
            parts.append(grid.wrapped(rates.explanation(run, infos), width))
    return parts


def _by_program(run: Run, style: str, width: int | None) -> list[str]:
    """Return a table of the wall times of several programs, side by side."""
    headings, rows = programs.table(run)
    text = grid.table(headings, rows, style, left=_LEFT, keys=1, width=width) if rows else []
    return _titled("Wall time of each program, in ms", text, style, width)


def _titled(title: str, text: Sequence[str], style: str, width: int | None, continued: str = "") -> list[str]:
    """Return the parts of a table under their title, to which those after the first add ``continued``."""
    titles = [title, *(title + continued for _ in text[1:])]
    form = "{}\n{}" if style == "table" else "**{}**\n\n{}"
    return [form.format(grid.wrapped(words, width), part) for words, part in zip(titles, text, strict=False)]


def _sheet(sheet: Sheet, style: str, width: int | None) -> list[str]:
    """Return the tables of a sheet: one, or several where it is wider than ``width``."""
    if not sheet.rows or not sheet.headings:
        return []
    ranked = ["rank"] if sheet.ranked else []
    rows = [
        [*([row.rank] if sheet.ranked else []), row.label, *(figure.text for figure in row.figures)]
        for row in sheet.rows
    ]
    drawn = grid.table(
        [*ranked, "allocator", *sheet.headings], rows, style, left=_LEFT, keys=1 + len(ranked), width=width
    )
    return _titled(sheet.title, drawn, style, width, " (continued)")


def replayed(run: Run, info: TraceInfo, cells: Sequence[CellResult]) -> str:
    """State the machines on which a workload was replayed, if not this one, and how its threads were replayed."""
    mode = cells[0].cell.mode if cells else Mode.SERIAL
    machines = groups.of_workload(run.machine, info.name)
    return (f"\n{machines}" if machines else "") + _threads(run, info, mode)


def _threads(run: Run, info: TraceInfo, mode: str) -> str:
    if info.threads == info.lanes == 1:
        return ""
    threads = f"{info.threads} threads" if info.threads > 1 else "1 thread"
    if mode == Mode.SERIAL:
        return f"\n{threads} at a time, replayed on one, in the recorded order (mode serial)"
    if info.lanes == 1:
        return f"\n{threads} at a time, of which one does anything: replayed on one (mode {mode})"
    how = "side by side" if mode == Mode.PARALLEL else "one at a time in the recorded order"
    text = f"\n{threads} at a time ({info.lanes} in all), replayed {how} (mode {mode})"
    processors = int(groups.facts_of(run.machine, info.name).get("cores", 0))
    if info.threads > processors:
        return text + f"; MORE THREADS THAN THE {processors} PROCESSORS: times contain waiting for one"
    return text + ", each on a processor of its own"


def _checked(cells: Sequence[CellResult]) -> str:
    """Return the result of the check pass in one line; empty if there was none."""
    in_check = [cell for cell in cells if cell.fault is not None and (cell.reason or "").startswith(f"{Pass.CHECK} ")]
    failed = [cell for cell in in_check if cell.fault != HARNESS]
    spent = [cell for cell in failed if ": out of memory at event " in (cell.reason or "")]
    unsound = [cell for cell in failed if cell not in spent]
    sound = [cell for cell in cells if "invariants_checked" in cell.proof and cell not in in_check]
    if not sound and not failed:
        return ""
    checks = sum(int(cell.proof["invariants_checked"]) for cell in sound)
    count = len(sound) + len(failed)
    line = f"Checked: {count} allocators, every block and {format_count(checks)} times the whole heap; "
    verdicts = [
        f"{len(group)} {words}: {', '.join(label_of(cell) for cell in group)}"
        for words, group in (("NOT sound", unsound), ("out of memory", spent))
        if group
    ]
    return line + ("; ".join(verdicts) + "." if verdicts else "all sound.")


def _left_out(cells: Sequence[CellResult], style: str) -> list[str]:
    parts = []
    for title, left_out in (
        ("Failed", [cell for cell in cells if cell.fault not in (None, HARNESS)]),
        ("Not measured, through no fault of the allocator", [cell for cell in cells if cell.fault == HARNESS]),
        ("Left out", [cell for cell in cells if cell.status is Status.EXCLUDED]),
    ):
        if left_out:
            lines = (f"{look.label(cell)}: {cell.reason}" for cell in left_out)
            parts.append(f"{title}:\n{grid.listed(lines, style, '  ')}")
    # Remarks that several cells share, above all a noisy machine, appear once.
    noted: dict[str, list[str]] = {}
    for cell in cells:
        for note in cell.notes:
            noted.setdefault(note, []).append(label_of(cell))
    return parts + [f"{', '.join(labels)}: {note}" for note, labels in noted.items()]


def _explanation(cells: Sequence[CellResult], built: Sequence[Sheet], style: str) -> list[str]:
    """Describe what the figures of a workload include, harness and noise floor, and why some are missing."""
    lines = []
    harness = [cell.proof.get("harness_ns") for cell in cells]
    known = sorted(figure for figure in harness if figure is not None)
    if known:
        lines.append(
            f"ns/op includes the harness, {known[len(known) // 2]:.2f} ns per operation in this run "
            "(measured by the null strategy); net does not."
        )
    instructions = [cell.proof.get("harness_instructions") for cell in cells]
    counted = sorted(figure for figure in instructions if figure is not None)
    if counted:
        lines.append(f"Instructions include the harness too, {counted[len(counted) // 2]:.1f} per operation.")
    floors = [cell.proof["noise_floor_ns"] for cell in cells if cell.proof.get("noise_floor_ns")]
    if floors:
        floor = {name: sorted(reading[name] for reading in floors)[len(floors) // 2] for name in floors[0]}
        figures = ", ".join(f"{_percentile_name(name)} {format_ns(value)}" for name, value in floor.items())
        lines.append(f"Noise floor (an empty timed region): {figures}; its median is subtracted from every percentile.")
    null = next((of_null for cell in cells if (of_null := cell.proof.get("open_loop", {}).get("null_ns"))), None)
    if null:
        figures = "; ".join(
            f"{kind} "
            + ", ".join(
                f"{_percentile_name(name)} {format_ns(value)}" for name, value in of_null.items() if name != "p90"
            )
            for kind, of_null in null.items()
        )
        lines.append(
            f"Under the same arrivals the null strategy shows: {figures}. This is queueing and what interrupts the "
            f"machine; latencies that are not told from it have the {FLOOR_MARK}."
        )
    in_tables = (figure for sheet in built for row in sheet.rows for figure in row.figures)
    reasons = dict.fromkeys(figure.reason for figure in in_tables if figure.reason is not None)
    if reasons:
        lines.append(f"{NOT_APPLICABLE}: {'; '.join(reasons)}.")
    left_out: dict[str, list[str]] = {}
    for sheet in built:
        for heading, reason in sheet.left_out:
            left_out.setdefault(reason, []).append(heading)
    lines += [
        f"Not shown, {NOT_APPLICABLE} for all: {', '.join(headings)} ({reason})."
        for reason, headings in left_out.items()
    ]
    return _listed(lines, style)


def legend(run: Run, style: str = "table") -> list[str]:
    """Explain the marks that appear in the tables."""
    cells = [cell for cell in run.cells if cell.metrics]
    lines = calls.legend(cells)
    steps = [step for cell in cells if (step := cell.proof.get("timer_resolution_ns"))]
    if steps and min(steps) >= 1:
        lines.append(
            f"The timer moves in steps of {format_ns(min(steps))} here: a latency below that reads as 0 or as one step."
        )
    lines += _errors(run)
    if any(metric.at_floor for cell in cells for metric in cell.metrics.values()):
        lines.append(f"{FLOOR_MARK} at the floor: indistinguishable from the noise of timer and machine.")
    if any(cell.proof.get("noisy") and look.time_of(cell) for cell in cells):
        lines.append(f"{NOISE_MARK} taken on a noisy machine, as the notes say: do not trust small differences.")
    if any(cell.interpreted for cell in cells):
        lines.append(
            "(interpreted): written in Python. Its times are those of calls into the interpreter, one replay a sample "
            "without warm-up, so it has no rank; its footprint compares, its resident memory contains its objects."
        )
    return _listed(lines, style)


def _errors(run: Run) -> list[str]:
    """State the error of resident memory, where it is a large part of a figure."""
    lanes = {info.name: info.lanes for info in run.workloads}
    errors = []
    for cell in run.cells:
        peak = cell.metrics.get("peak_resident_bytes")
        error = error_on(
            "peak_resident_bytes",
            lanes.get(cell.cell.workload, 1),
            groups.facts_of(run.machine, cell.cell.workload),
        )
        if peak is not None and peak.value is not None and peak.value < _ERRORS_IN_A_FIGURE * error.within:
            errors.append(error)
    if not errors:
        return []
    widest = max(errors, key=lambda error: error.within)
    return [
        f"Resident memory is known within {format_size(widest.repeats)}, and a peak inside an operation may be "
        f"{format_size(widest.within - widest.repeats)} higher than it says: trust no smaller differences."
    ]


def _listed(lines: Sequence[str], style: str) -> list[str]:
    return [grid.listed(lines, style)] if lines else []


def _percentile_name(name: str) -> str:
    if name == "max":
        return name
    digits = name.removeprefix("p")
    return f"p{digits[:2]}.{digits[2:]}" if len(digits) > 2 else name


def _footer(run: Run, style: str) -> str:
    machine = run.machine
    kernel = f", Linux {machine['kernel']}" if "kernel" in machine else ""
    libc = f", {machine['libc']}" if "libc" in machine else ""
    text = (
        f"{groups.short(machine)}{kernel}{libc}; clock: {machine.get('clock', '?')}; {run.blocks} blocks; "
        f"memtool {run.memtool}, {run.started}"
    )
    return f"_{text}_" if style == "markdown" else text
