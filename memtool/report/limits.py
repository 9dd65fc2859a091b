"""The least memory limits found by a search, as tables, as CSV, or as a document."""

from __future__ import annotations

import json

from memtool.model import Status
from memtool.report import grid, look
from memtool.stats.limits import LimitRow, Limits, Searched
from memtool.store import limits_file
from memtool.units import format_size

_LEFT = frozenset({"allocator"})
_LEFT_OUT = ((Status.FAILED, "Failed"), (Status.EXCLUDED, "Left out"))


def render(limits: Limits, style: str, width: int | None = None) -> str:
    """Return a search's result as ``table``, ``markdown``, ``csv`` or ``json``; sizes are in exact bytes."""
    if style == "json":
        return json.dumps(limits_file.to_json(limits), indent=1, allow_nan=False)
    if style == "csv":
        return _csv(limits)
    width = width if style == "table" else None
    parts = [part for searched in limits.workloads for part in _workload(limits, searched, style, width)]
    how = (
        f"Limits are bytes, in steps of {limits.step_bytes}: the least memory_limit found by bisection that one replay "
        "survives.\n× peak live: the largest / the peak of live bytes of its seed."
    )
    notes = [how, *(f"Note: {note}" for note in limits.notes)]
    return "\n\n".join([*parts, *(grid.wrapped(note, width) for note in notes)])


def _workload(limits: Limits, searched: Searched, style: str, width: int | None) -> list[str]:
    name, seeds = searched.name, searched.seeds
    rows = [row for row in limits.rows if row.cell.workload == name]
    peaks = sorted({info.peak_live_bytes for info in seeds})
    peak = " to ".join(format_size(size) for size in dict.fromkeys((peaks[0], peaks[-1])))
    title = f"{name}: least memory limit, peak {peak} live"
    parts = [f"## {title}" if style == "markdown" else title]
    survived = [row for row in rows if row.status is Status.OK]
    if survived:
        headings = ["allocator", *(f"seed {info.seed}" for info in seeds), "largest", "× peak live"]
        cells = [_cells(row) for row in sorted(survived, key=lambda row: row.largest_bytes or 0)]
        parts += grid.table(headings, cells, style, left=_LEFT, width=width)
    for status, words in _LEFT_OUT:
        lines = [f"{_label(row)}: {row.reason}" for row in rows if row.status is status]
        if lines:
            parts.append(f"{words}:\n{grid.wrapped(grid.listed(lines, style, '  '), width)}")
    return parts


def _label(row: LimitRow) -> str:
    return look.name_of(row.cell.allocator, row.cell.region)


def _cells(row: LimitRow) -> list[str]:
    ratio = row.largest_over_peak_live
    figures = [*(limit.limit_bytes for limit in row.limits), row.largest_bytes or 0]
    return [_label(row), *(f"{figure:,}" for figure in figures), "n/a" if ratio is None else f"{ratio:.3f}"]


_CSV = ("workload", "allocator", "region", "status", "reason", "seed", "peak_live_bytes", "limit_bytes")


def _csv(limits: Limits) -> str:
    """Return one line for each limit, and one for each allocator without a limit."""
    rows: list[tuple[object, ...]] = [_CSV]
    for row in limits.rows:
        head = (row.cell.workload, row.cell.allocator, row.cell.region, str(row.status), row.reason or "")
        if not row.limits:
            rows.append((*head, "", "", ""))
        rows += ((*head, limit.seed, limit.peak_live_bytes, limit.limit_bytes) for limit in row.limits)
    return grid.csv_of(rows)
