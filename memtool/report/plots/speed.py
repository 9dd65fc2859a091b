"""The speed of allocators, and its cost in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from memtool.model import CellResult, TraceInfo
from memtool.report import look
from memtool.report.look import Style
from memtool.report.paper import canvas
from memtool.report.paper.canvas import ceiling, metric_of
from memtool.stats.summary import pareto_front
from memtool.units import format_size, unit_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FLATTENS = 8
"""Multiple of the median from which a bar makes the axis logarithmic, because it would hide the other bars."""


def throughput(cells: Sequence[CellResult], styles: Mapping[str, Style]) -> Figure | None:
    """Draw bars of ns/op with 95 % intervals, with the harness's own share marked."""
    known = [(cell, metric) for cell in cells if (metric := metric_of(cell, "time_per_op_ns"))][::-1]
    if not known:
        return None
    figure, axes = canvas.single(7.5, 1.3 + 0.34 * len(known))
    times = [metric.value or 0.0 for _, metric in known]
    is_log = min(times) > 0 and max(times) > _FLATTENS * median(times)
    harness = [own for cell, _ in known if (own := cell.proof.get("harness_ns"))]
    left = min([*times, *harness]) / 2 if is_log else 0.0
    for position, (cell, metric) in enumerate(known):
        style = styles[look.label(cell)]
        value = metric.value or 0.0
        width = value - left
        axes.barh(
            position, width, left=left, color=style.colour, alpha=0.85, hatch=style.hatch, edgecolor="white", lw=0
        )
        canvas.draw_whiskers(axes, position, metric)
        end = value if metric.low is None or metric.high is None else metric.high
        axes.annotate(
            f"{value:.1f}" if value >= 1 else f"{value:.2g}",
            (end, position),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
        )
    if harness:
        middle = sorted(harness)[len(harness) // 2]
        axes.axvline(middle, color="black", linestyle=":", linewidth=1.2, zorder=3)
        axes.annotate(
            f"harness {middle:.1f}",
            (middle, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, 2),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_yticks(range(len(known)), [look.marked(cell) for cell, _ in known])
    noise = f"; {look.NOISE_MARK} noisy machine" if any(cell.proof.get("noisy") for cell, _ in known) else ""
    axes.set_xlabel(f"time an operation, gross (ns); {canvas.whiskers(metric for _, metric in known)}{noise}")
    axes.margins(x=0.08)
    if is_log:
        axes.set_xscale("log")
        _plain_ticks(axes)
        axes.set_xlim(left, max(times) * 2)
    else:
        axes.set_xlim(left=0)
    figure.suptitle("Throughput (shorter is faster" + ("; log axis)" if is_log else ")"))
    return figure


@dataclass(frozen=True, slots=True)
class _Point:
    cell: CellResult
    x: float
    y: float
    """In the unit of the axis; values beyond the axis are drawn at its edge."""
    name: str
    is_inside: bool


def against_memory(cells: Sequence[CellResult], styles: Mapping[str, Style], info: TraceInfo) -> Figure | None:
    """Draw each allocator by time and peak resident memory; the Pareto front connects those that none beats in both.

    Interpreted allocators are left out: their times and their memory are mostly the interpreter's.
    """
    measured = [
        (cell, time.value, memory.value)
        for cell in cells
        if (time := metric_of(cell, "time_per_op_ns")) and (memory := metric_of(cell, "peak_resident_bytes"))
        if time.value is not None and memory.value is not None and not cell.interpreted
    ]
    if len(measured) < 2:
        return None
    highest = ceiling([y for *_, y in measured])
    unit, unit_name = unit_for(highest)
    points = [_point(cell, x, y, highest, unit) for cell, x, y in measured]
    figure, axes = canvas.single(7.5, canvas.tall_enough(5.2, len(points)))
    places = [(x, y / unit) for _, x, y in measured]
    front = sorted(place for place, is_on_front in zip(places, pareto_front(places), strict=True) if is_on_front)
    inside = [(x, y) for x, y in front if y <= highest / unit]
    axes.step(*zip(*inside, strict=True), where="post", color="0.6", linestyle="--", linewidth=1, zorder=0)
    for point in points:
        style = styles[look.label(point.cell)]
        _whiskers(axes, point, unit, style.colour)
        # Above the background of names, which would hide a part of it.
        axes.plot(
            point.x,
            point.y,
            marker=style.marker,
            color=style.colour,
            markersize=8,
            linestyle="none",
            label=point.name,
            zorder=4,
        )
    xs = [point.x for point in points]
    if min(xs) > 0 and max(xs) / min(xs) > 8:
        axes.set_xscale("log")
    axes.margins(0.12)
    if info.memory_limit is not None and info.memory_limit <= highest:
        axes.axhline(info.memory_limit / unit, color="black", linewidth=1.2)
        axes.annotate("memory limit", (0.01, info.memory_limit / unit), xycoords=("axes fraction", "data"), fontsize=8)
    _plain_ticks(axes)
    if not _label_points(figure, axes, [(point.name, point.x, point.y) for point in points]):
        figure.legend(loc="outside right center", frameon=False, fontsize=8, title="fastest first", title_fontsize=8)
    noise = f"; {look.NOISE_MARK} noisy machine" if any(cell.proof.get("noisy") for cell, *_ in measured) else ""
    whiskers = canvas.whiskers(cell.metrics["time_per_op_ns"] for cell, *_ in measured)
    axes.set_xlabel(f"time an operation, gross (ns); {whiskers}{noise}")
    axes.set_ylabel(f"peak resident memory ({unit_name})")
    axes.grid(color="0.93")
    figure.suptitle("Memory against speed (lower left is better; dashed: the Pareto front)")
    return figure


def _point(cell: CellResult, x: float, y: float, highest: float, unit: int) -> _Point:
    """Return the position of an allocator.

    One that never frees would squeeze the others into one line: it is drawn at the edge, with its figure.
    """
    is_inside = y <= highest
    name = look.marked(cell) if is_inside else f"{look.marked(cell)}, {format_size(y)}, above"
    return _Point(cell, x, min(y, highest) / unit, name, is_inside)


def _whiskers(axes: Axes, point: _Point, unit: int, colour: str) -> None:
    """Draw the 95 % intervals that a point has."""
    times, memory = point.cell.metrics["time_per_op_ns"], point.cell.metrics["peak_resident_bytes"]
    if times.low is not None and times.high is not None:
        bounds = [[point.x - times.low], [times.high - point.x]]
        axes.errorbar(point.x, point.y, xerr=bounds, color=colour, linewidth=0.9, zorder=1)
    if point.is_inside and memory.low is not None and memory.high is not None:
        bounds = [[point.y - memory.low / unit], [memory.high / unit - point.y]]
        axes.errorbar(point.x, point.y, yerr=bounds, color=colour, linewidth=0.9, zorder=1)


def _plain_ticks(axes: Axes) -> None:
    """Write 20 and 50 on a log axis, because few of the ranges span powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    if axes.get_xscale() == "log":
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())


def _label_points(figure: Figure, axes: Axes, points: Sequence[tuple[str, float, float]]) -> bool:
    """Write each name beside its point, at the first of several positions where it covers no other name or point.

    If a name has no such position, no name is written, and False is returned.
    """
    figure.canvas.draw()
    places: Sequence[tuple[float, float, str]] = (
        (7, 0, "left"),
        (-7, 0, "right"),
        (0, 9, "center"),
        (0, -9, "center"),
        (7, 10, "left"),
        (7, -10, "left"),
        (-7, 10, "right"),
        (-7, -10, "right"),
        (9, 20, "left"),
        (9, -20, "left"),
        (-9, 20, "right"),
        (-9, -20, "right"),
    )
    dots = [axes.transData.transform((x, y)) for _, x, y in points]
    frame = axes.get_window_extent()
    taken: list[Any] = []
    written: list[Any] = []
    renderer: Callable[[], Any] = figure.canvas.get_renderer  # type: ignore[attr-defined]  # Agg's canvas has it
    for name, x, y in sorted(points, key=lambda point: -point[2]):
        for dx, dy, side in places:
            far = abs(dy) > 15
            text = axes.annotate(
                name,
                (x, y),
                xytext=(dx, dy),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=8,
                bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
                arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.7} if far else None,
            )
            box = text.get_window_extent(renderer())
            outside = box.x0 < frame.x0 or box.x1 > figure.bbox.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
            own = axes.transData.transform((x, y))
            covers = (
                outside
                or any(box.overlaps(other) for other in taken)
                or any(box.overlaps(_around(dot)) for dot in dots if tuple(dot) != tuple(own))
            )
            if not covers:
                taken.append(box)
                written.append(text)
                break
            text.remove()
        else:
            for text in written:
                text.remove()
            return False
    return True


def _around(dot: Any) -> Any:  # noqa: ANN401  # matplotlib's arrays and boxes
    """Return the box that a marker covers, in pixels at the figure's own resolution."""
    from matplotlib.transforms import Bbox

    return Bbox.from_bounds(dot[0] - 6, dot[1] - 6, 12, 12)
