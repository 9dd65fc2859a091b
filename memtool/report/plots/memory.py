"""Memory over the run, after it, and its parts at the peak of live bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from memtool.model import CellResult, Mode, TraceInfo
from memtool.report import look, palette
from memtool.report.look import Style
from memtool.report.paper import canvas, marks
from memtool.report.paper.canvas import ceiling, metric_of
from memtool.report.plots import fragmentation
from memtool.store import series
from memtool.units import format_size, unit_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PEAK = "2"
"""A star of three rays, which is no allocator's marker."""
_DRAINED = ("before_idle", "after_drain_100ms", "after_drain_1s", "after_drain_5s")
"""Readings of the same process; another process's reading right after its drain would look like growth while idle."""


@dataclass(frozen=True, slots=True)
class Course:
    """The course of one allocator over the run: operations (thousands) and bytes, where they are known."""

    label: str
    clock: list[float]
    values: list[float]
    peak: tuple[float, float] | None = None
    """The peak, if it is between two checkpoints and above all of them: the next checkpoint's position, and bytes."""

    @property
    def most(self) -> float:
        """Return the largest value, in bytes."""
        return max(self.values) if self.peak is None else self.peak[1]


def over_time(
    cells: Sequence[CellResult],
    styles: Mapping[str, Style],
    histories: Mapping[str, series.History],
    info: TraceInfo,
) -> Figure | None:
    """Draw the footprint of strategies, the resident memory of all, and the memory that remains after the drain.

    A footprint is address space that a strategy took; resident memory is pages that the kernel supplied. On separate
    axes side by side they explain each other; on one axis readers would compare them.
    """
    known = [cell for cell in cells if histories[look.label(cell)].footprint]
    if not known:
        return None
    panels = [
        (title, courses)
        for title, column in (
            ("footprint (memtool's strategies; a malloc has none)", "footprint_bytes"),
            ("resident memory (all)", "resident_bytes"),
        )
        if (courses := courses_of(known, histories, column))
    ]
    drained = after_the_drain(known)
    figure, grid = canvas.subplots(
        len(panels),
        2 if drained else 1,
        10.5 if drained else 9,
        canvas.tall_enough(1.4 + 2.7 * len(panels), len(known)),
        is_open=True,
        sharey="row",
        squeeze=False,
        widths=(4, 1) if drained else None,
    )
    live = None if are_side_by_side(known) else live_of(histories[look.label(known[0])])
    unit = 1
    for (axes, *beside), (title, courses) in zip(grid, panels, strict=True):
        after = [value for values in drained.values() for value in values] if axes is grid[-1][0] else []
        unit = _panel(axes, title, courses, styles, live, info, after)
        for further in beside:
            further.set_visible(False)
    grid[-1][0].set_xlabel("operations (thousands)")
    _draw_marks(grid, info)
    if drained:
        _draw_drained(grid[-1][1], drained, styles, unit)
    drawn = {label: line for axes, *_ in grid for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    rows = [look.label(cell) for cell in known]  # in the order of the tables, after the rows that are no allocators
    lines = {label: drawn[label] for label in (*(name for name in drawn if name not in rows), *rows) if label in drawn}
    if any(course.peak is not None for _, courses in panels for course in courses) or (live and live.peak):
        lines["most between checkpoints"] = _peak_in_legend()
    figure.legend(lines.values(), lines.keys(), loc="outside right center", frameon=False, fontsize=8)
    apart = "" if live is not None else " (threads side by side: live bytes are each one's own, and not drawn)"
    figure.suptitle(f"Memory over time{apart}")
    return figure


def courses_of(cells: Sequence[CellResult], histories: Mapping[str, series.History], column: str) -> list[Course]:
    """Return the courses of the cells that know a figure; the kernel is not asked at every checkpoint."""
    courses = []
    for cell in cells:
        history = histories[look.label(cell)].footprint
        points = [
            ((clock or 0) / 1000, float(value))
            for clock, value in zip(history["clock"], history[column], strict=True)
            if value is not None
        ]
        if points:
            peak = _between(history, f"most_{column}", max(y for _, y in points))
            courses.append(Course(look.label(cell), [x for x, _ in points], [y for _, y in points], peak))
    return courses


def live_of(history: series.History) -> Course:
    """Return the live bytes over a run."""
    live = history.footprint
    values = [float(value or 0) for value in live["live_bytes"]]
    peak = _between(live, "most_live_bytes", max(values))
    return Course("live bytes", [(value or 0) / 1000 for value in live["clock"]], values, peak)


def _between(history: Mapping[str, Sequence[int | None]], column: str, most: float) -> tuple[float, float] | None:
    """Return where and how much a figure exceeded all checkpoints; series of earlier versions do not record this."""
    points = [
        ((clock or 0) / 1000, float(value))
        for clock, value in zip(history["clock"], history.get(column, ()), strict=False)
        if value is not None
    ]
    where, value = max(points, key=lambda point: point[1], default=(0.0, 0.0))
    return (where, value) if value > most else None


def _panel(
    axes: Axes,
    title: str,
    courses: Sequence[Course],
    styles: Mapping[str, Style],
    live: Course | None,
    info: TraceInfo,
    after: Sequence[float],
) -> int:
    """Draw one panel, and return the bytes of its axis's unit; ``after``: that of a panel with the same axis."""
    most_live = info.peak_live_bytes if live is None else max(live.most, info.peak_live_bytes)
    # A strategy that never frees would squeeze the others into one line: it leaves the picture, named with its figure.
    usual = max(1.5 * median(course.most for course in courses), 1.3 * most_live)
    peaks = [course.most for course in courses]
    top = 1.05 * max([most_live, *(value for value in (*peaks, *after) if value <= 1.6 * usual)])
    above = [course for course in courses if course.most > top]
    unit, name = unit_for(top)
    if live is not None:
        values = [value / unit for value in live.values]
        axes.fill_between(live.clock, values, color="0.85", label="live bytes", zorder=0)
        _draw_peak(axes, live, unit, {"color": "0.6"})
    for course in courses:
        axes.plot(
            course.clock,
            [value / unit for value in course.values],
            markevery=max(1, len(course.values) // 8),
            markersize=4,
            linewidth=1.2,
            label=course.label,
            **styles[course.label].of_line,
        )
        if course.most <= top:
            _draw_peak(axes, course, unit, {"color": styles[course.label].of_line["color"]})
    _draw_limit(axes, info, unit, top)
    if above:
        title += "\n" + fragmentation.leaving([f"{course.label} ({format_size(course.most)})" for course in above])
    axes.set_ylim(0, top / unit)
    axes.set_ylabel(name)
    axes.set_title(title, fontsize=9, loc="left")
    axes.grid(axis="y", color="0.93")
    axes.margins(x=0)
    return unit


def _draw_peak(axes: Axes, course: Course, unit: int, style: Mapping[str, Any]) -> None:
    """Draw the peak between two checkpoints, which the line does not reach."""
    if course.peak is not None:
        x, value = course.peak
        axes.plot([x], [value / unit], marker=_PEAK, markersize=7, linestyle="none", clip_on=False, **style)


def _draw_limit(axes: Axes, info: TraceInfo, unit: int, top: float) -> None:
    """Draw the workload's memory limit, if it is close enough to matter."""
    if info.memory_limit is not None and info.memory_limit <= top:
        axes.axhline(info.memory_limit / unit, color="black", linewidth=1.2, label="memory limit")


def _peak_in_legend() -> Any:  # noqa: ANN401  # a line of matplotlib
    from matplotlib.lines import Line2D

    return Line2D([], [], marker=_PEAK, markersize=7, linestyle="none", color="0.3")


def after_the_drain(cells: Sequence[CellResult]) -> dict[str, list[float]]:
    """Return resident bytes 0 s, 100 ms, 1 s and 5 s after everything was freed, for the cells that know them."""
    figures = {}
    for cell in cells:
        metrics = [metric_of(cell, f"resident_{when}_bytes") for when in _DRAINED]
        if metrics[0] is None:  # a run of an earlier version, which did not read it
            metrics[0] = metric_of(cell, "resident_after_drain_0ms_bytes")
        if all(metric is not None for metric in metrics):
            figures[look.label(cell)] = [metric.value or 0.0 for metric in metrics if metric is not None]
    return figures


def _draw_drained(axes: Axes, drained: Mapping[str, Sequence[float]], styles: Mapping[str, Style], unit: int) -> None:
    """Draw the memory that stays resident, on the scale of the panel to the left."""
    axes.set_visible(True)
    for label, values in drained.items():
        axes.plot(
            range(len(values)),
            [value / unit for value in values],
            linewidth=1.2,
            markersize=4,
            **styles[label].of_line,
        )
    axes.set_xticks(range(len(_DRAINED)), ["0", "0.1 s", "1 s", "5 s"], fontsize=8)
    axes.set_xlabel("after the drain", fontsize=9)
    axes.set_title("resident, all freed", fontsize=9, loc="left")
    axes.tick_params(axis="y", labelleft=False)
    axes.grid(axis="y", color="0.93")


def are_side_by_side(cells: Sequence[CellResult]) -> bool:
    """Return whether threads ran in parallel, so that the live bytes differ by allocator."""
    return any(cell.cell.mode == Mode.PARALLEL for cell in cells)


def _draw_marks(grid: Any, info: TraceInfo) -> None:  # noqa: ANN401  # an array of axes
    places = marks.over_operations(info.marks)
    for axes, *_ in grid:
        marks.draw(axes, places)
    marks.write_names(grid[0][0], places, inches=6.5)


PARTS = (
    ("live", "peak_live_bytes", palette.USED, ""),
    ("rounding", "rounding_bytes", palette.SKY, "///"),
    ("free in the heap", "free_bytes", palette.FREE, ""),
    ("metadata", "metadata_bytes", palette.METADATA, ""),
    ("unaccounted", "unaccounted_bytes", palette.UNACCOUNTED, "xxx"),
)


def waterfall(cells: Sequence[CellResult], info: TraceInfo) -> Figure | None:
    """Return bars of the parts of a footprint at the peak of live bytes, with resident memory and the bounds."""
    known = [
        cell for cell in cells if metric_of(cell, "rounding_bytes") and metric_of(cell, "resident_at_peak_live_bytes")
    ]
    if not known:
        return None
    totals = [_bytes(cell, "resident_at_peak_live_bytes") for cell in known]
    unit, unit_name = unit_for(ceiling(totals))
    limit = 1.15 * ceiling(totals) / unit
    known = known[::-1]  # the first row is the topmost bar
    figure, axes = canvas.single(9, 1.6 + 0.34 * len(known))
    for position, cell in enumerate(known):
        left = 0.0
        parts = [(colour, hatch, _bytes(cell, metric) / unit) for _, metric, colour, hatch in PARTS]
        resident = _bytes(cell, "resident_at_peak_live_bytes") / unit
        if metric_of(cell, "free_bytes") is None:
            # Only a malloc itself knows its memory between live blocks and resident memory.
            parts.append((palette.NOT_SAID, "...", max(0.0, resident - sum(width for *_, width in parts))))
        for colour, hatch, width in parts:
            axes.barh(position, width, left=left, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
            left += width
        if resident <= limit:
            axes.plot(resident, position, marker="D", color="white", markeredgecolor="black", markersize=6)
        if max(left, resident) > limit:
            # A bar beyond the edge gets a remark; other bars show their full length.
            beyond = f"{format_size(left * unit)}, " if left > limit else ""
            axes.annotate(
                f"{beyond}{format_size(resident * unit)} resident",
                (limit, position),
                xytext=(-3, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=8,
                bbox={"boxstyle": "square,pad=0.2", "facecolor": "white", "edgecolor": "none"},
            )
    beside = are_side_by_side(known)
    lines = [] if beside else _limits(axes, info, unit)
    if info.memory_limit is not None and info.memory_limit / unit <= limit:
        lines.append(axes.axvline(info.memory_limit / unit, color="black", linewidth=1.4, label="memory limit"))
    _waterfall_legend(figure, lines, of_system=any(metric_of(cell, "free_bytes") is None for cell in known))
    axes.set_yticks(range(len(known)), [look.label(cell) for cell in known])
    axes.set_xlim(0, limit)
    axes.set_ylim(-0.7, len(known) - 0.3)
    axes.set_xlabel(unit_name)
    figure.suptitle(
        "Where memory is when live bytes peak" + (" (threads side by side: at each one's own peak)" if beside else "")
    )
    return figure


def _bytes(cell: CellResult, name: str) -> float:
    metric = metric_of(cell, name)
    return (metric.value or 0.0) if metric else 0.0


def _limits(axes: Axes, info: TraceInfo, unit: int) -> list[Any]:
    """Draw the lower bound for all allocators, and the best packing if it is known; return both for the legend."""
    drawn = [axes.axvline(info.peak_live_bytes / unit, color="black", linewidth=1, linestyle=":", label="load")]
    if info.packing_bytes is not None:
        label = "best offline packing found"
        drawn.append(axes.axvline(info.packing_bytes / unit, color="black", linewidth=1, linestyle="--", label=label))
    return drawn


def _waterfall_legend(figure: Figure, lines: Sequence[Any], *, of_system: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=name) for name, _, colour, hatch in PARTS
    ]
    if of_system:
        label = "rest of resident memory (system allocators)"
        handles.append(Patch(facecolor=palette.NOT_SAID, hatch="...", edgecolor="white", label=label))
    resident = Line2D([], [], marker="D", color="white", markeredgecolor="black", linestyle="none", label="resident")
    handles += [resident, *lines]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
