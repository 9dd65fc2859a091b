"""Pictures of latency, by the size of requests and over the run. Dark is fast, light is slow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memtool.model import CellResult, Mark
from memtool.passes.histogram import is_within_a_step
from memtool.report import palette
from memtool.report.paper import canvas, marks
from memtool.store import series
from memtool.units import format_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = ("allocate", "deallocate")
SHARES = ((50.0, "p50"), (99.0, "p99"), (99.9, "p99.9"))
_LEAST_NS = 1.0
Labelled = Sequence[tuple[str, CellResult, series.History]]


def percentile(bands: Sequence[Sequence[float]], q: float, maximum: float) -> float:
    """Return the nearest-rank percentile of a series file's histogram, [low, high, count] for each bin.

    It is the middle of the bin, or the exact ``maximum`` of all values if that is less.
    """
    rank = max(1, -(-round(q * 1000) * sum(int(band[2]) for band in bands) // 100_000))
    seen = 0
    for low, high, count in bands:
        seen += int(count)
        if seen >= rank:
            return min((low + high) / 2, maximum)
    raise ValueError("a histogram without values has no percentiles")


def by_size(cells: Labelled) -> Figure | None:
    """Draw the percentiles of each class of sizes, minus the floor's median, as figures on a scale of colours."""
    known = [(label, cell, history) for label, cell, history in cells if any(history.latency_by_size.values())]
    if not known:
        return None
    sizes = classes([history for _, _, history in known])
    figure, grid = _panels(len(KINDS), len(SHARES), 14.0, 1.6 + 0.5 * len(known))
    tables = {
        (kind, name): [[figure_of(cell, history, kind, size, q) for size in sizes] for _, cell, history in known]
        for kind in KINDS
        for q, name in SHARES
    }
    norm = _scale([value for table in tables.values() for row in table for value in row])
    for row, kind in enumerate(KINDS):
        for column, (q, name) in enumerate(SHARES):
            axes = grid[row][column]
            _heat(axes, tables[kind, name], norm)
            at_floor = [
                [is_at_floor(cell, history, kind, size, q, name) for size in sizes] for _, cell, history in known
            ]
            _write_figures(axes, tables[kind, name], at_floor, norm)
            axes.set_title(f"{kind} {name}", fontsize=9)
            axes.set_xticks([index + 0.5 for index in range(len(sizes))], [ends_at(size) for size in sizes])
            axes.tick_params(axis="x", labelsize=7)
            _name_rows(axes, [label for label, _, _ in known])
    for axes in grid[-1]:
        axes.set_xlabel("bytes asked for, up to")
    figure.suptitle(
        "Latency by size in ns, less the floor's median (~: at the floor; k: thousand; blank: no such operation)"
    )
    return figure


def over_time(cells: Labelled, marked: Sequence[Mark] = ()) -> Figure | None:
    """Draw the times of slow operations: the longest of each slice of the run, as the median of the samples."""
    known = [(label, history) for label, _, history in cells if history.latency_over_time]
    if not known:
        return None
    tables = {kind: [history.latency_over_time[kind]["maximum_ns"] for _, history in known] for kind in KINDS}
    norm = _scale([value for table in tables.values() for row in table for value in row])
    figure, grid = _panels(len(KINDS), 1, 10.0, 1.4 + 0.5 * len(known))
    for (axes,), kind in zip(grid, KINDS, strict=True):
        drawn = _heat(axes, tables[kind], norm, width=100.0)
        axes.set_title(kind, fontsize=9)
        _name_rows(axes, [label for label, _ in known])
        marks.draw(axes, marks.over_events(marked), "white")
    marks.write_names(grid[0][0], marks.over_events(marked), inches=8.5)
    grid[-1][0].set_xlabel("events of the run (%)")
    bar = figure.colorbar(drawn, ax=[axes for (axes,) in grid], pad=0.01, format=canvas.times)
    bar.set_label("longest operation of a slice,\nthe floor's median included", fontsize=9)
    figure.suptitle("Latency over time: when the slow operations happened (median of the samples)")
    return figure


def _name_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Name the rows, the first at the top, as in every table."""
    axes.set_yticks([index + 0.5 for index in range(len(labels))], labels)
    axes.set_ylim(len(labels), 0)  # invert_yaxis() would invert shared axes again with each call


def _panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, Any]:
    return canvas.subplots(rows, columns, width, height, font=8, sharex=True, sharey=True, squeeze=False)


def classes(histories: Sequence[series.History]) -> list[int | None]:
    """Return the classes of sizes that occur, by their largest size; the unbounded one is last."""
    sizes = {row["largest_bytes"] for history in histories for rows in history.latency_by_size.values() for row in rows}
    return sorted(sizes, key=lambda size: float("inf") if size is None else size)


def ends_at(size: int | None) -> str:
    """Return the label of a class of sizes on an axis, one word on each line."""
    return "more" if size is None else format_size(size).replace(".00", "").replace(".0", "").replace(" ", "\n")


def figure_of(cell: CellResult, history: series.History, kind: str, size: int | None, q: float) -> float | None:
    """Return the percentile ``q`` of a class of sizes, in ns minus the floor's median; None: no such operation."""
    for row in history.latency_by_size.get(kind, ()):
        if row["largest_bytes"] == size:
            floor: Mapping[str, float] = cell.proof.get("noise_floor_ns", {})
            return max(0.0, percentile(row["histogram"], q, row["maximum_ns"]) - floor.get("p50", 0.0))
    return None


def is_at_floor(cell: CellResult, history: series.History, kind: str, size: int | None, q: float, name: str) -> bool:
    """Return whether a figure exceeds the floor's same percentile by at most one step of the timer.

    Under arrivals, the null strategy is the floor.
    """
    value = figure_of(cell, history, kind, size, q)
    floor: Mapping[str, float] = cell.proof.get("noise_floor_ns", {})
    key = name.replace(".", "")
    if value is None or key not in floor:
        return False
    null = cell.proof.get("open_loop", {}).get("null_ns", {}).get(kind, {}).get(key, 0.0)
    least = max(floor[key] - floor["p50"], null)
    return is_within_a_step(value - least, cell.proof.get("timer_resolution_ns", 0.0))


def _scale(values: Sequence[float | None]) -> Any:  # noqa: ANN401  # matplotlib's
    from matplotlib.colors import LogNorm

    known = [max(value, _LEAST_NS) for value in values if value is not None]
    low, high = min(known, default=_LEAST_NS), max(known, default=_LEAST_NS)
    return LogNorm(low, max(high, 10 * low))


def _heat(axes: Axes, rows: Sequence[Sequence[float | None]], norm: Any, width: float | None = None) -> Any:  # noqa: ANN401
    """Draw one strip per row, one unit high and ``width`` units wide (one per column); return it for a colour bar."""
    import numpy as np

    values = np.array([[np.nan if value is None else max(value, _LEAST_NS) for value in row] for row in rows])
    columns = np.linspace(0, width or values.shape[1], values.shape[1] + 1)
    drawn = axes.pcolormesh(columns, np.arange(len(rows) + 1), values, norm=norm, cmap=palette.HEAT, rasterized=True)
    axes.hlines(range(1, len(rows)), columns[0], columns[-1], color="white", linewidth=1.5)
    return drawn


def _write_figures(
    axes: Axes,
    rows: Sequence[Sequence[float | None]],
    at_floor: Sequence[Sequence[bool]],
    norm: Any,  # noqa: ANN401
) -> None:
    light = 0.55
    for row, values in enumerate(rows):
        for column, value in enumerate(values):
            if value is not None:
                dark_ink = norm(max(value, _LEAST_NS)) > light
                ink = "black" if dark_ink else "white"
                text = ("~" if at_floor[row][column] else "") + _short(value)
                axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=7, color=ink)


def _short(ns: float) -> str:
    if ns < 999.5:
        return f"{ns:.0f}"
    return f"{ns / 1000:.1f}k" if ns < 99_950 else f"{ns / 1000:.0f}k"
