"""Plots of a run, one set a workload: readable in grey print and by colour-blind readers.

Colours are Okabe and Ito's ("Color universal design", 2008); markers, hatches and line styles say the same again. An
allocator has the same ones in every plot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtool.model import CellResult, Mark, Metric, Run, TraceInfo
from memtool.report import fragmentation, heap_maps, latency_plots, marks, scaling
from memtool.stats.summary import pareto_front
from memtool.store import series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOLDER = "plots"
_DPI = 200
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D1F")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h", "p")
_LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
_HATCHES = ("", "///", "...", "\\\\\\", "xxx", "---")
_PERCENTILES = (
    ("p50", "50"),
    ("p90", "90"),
    ("p99", "99"),
    ("p999", "99.9"),
    ("p9999", "99.99"),
    ("max", "max"),
)
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Style:
    """How an allocator looks in every plot."""

    colour: str
    marker: str
    line: Any
    hatch: str


def draw_all(directory: Path, run: Run) -> list[Path]:
    """Draw every plot that the run has figures for into ``directory/plots`` and return the files."""
    import matplotlib

    matplotlib.use("Agg")
    folder = directory / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    drawn: list[Path] = []
    for info in run.workloads:
        cells = [cell for cell in run.cells if cell.cell.workload == info.name and cell.metrics]
        styles = _styles(cells)
        histories = {_label(cell): series.read(directory, cell) for cell in cells}
        labelled = [(_label(cell), cell, histories[_label(cell)]) for cell in cells]
        looks = {
            name: {"color": each.colour, "linestyle": each.line, "marker": each.marker} for name, each in styles.items()
        }
        figures = {
            "throughput": _throughput(cells, styles),
            "latency": _latency(cells, styles),
            "latency-by-size": latency_plots.by_size(labelled),
            "latency-over-time": latency_plots.over_time(labelled, info.marks),
            "footprint": _over_time(cells, styles, histories, info.marks),
            "fragmentation-over-time": fragmentation.over_time(list(histories.items()), looks, info.marks),
            "speed-memory": _speed_memory(cells, styles),
            "waterfall": _waterfall(cells, info),
            **_heap_maps(cells, histories),
        }
        for name, figure in figures.items():
            if figure is not None:
                drawn.append(_save(figure, folder / f"{_slug(info.name)}-{name}.png", run, info))
    for name, infos in scaling.swept(run).items():
        here = [cell for cell in run.cells if cell.cell.workload == infos[0].name and cell.metrics]
        looks = {name: {"color": each.colour, "marker": each.marker} for name, each in _styles(here).items()}
        figure = scaling.draw(run, infos, looks)
        if figure is not None:
            drawn.append(_save(figure, folder / f"{_slug(name)}-scaling.png", run, replace(infos[0], name=name)))
    return drawn


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name)


def _label(cell: CellResult) -> str:
    region = cell.cell.region
    interpreted = " (interpreted)" if cell.interpreted else ""
    return cell.cell.allocator + interpreted + ("" if region == "anonymous" else f" on {region}")


def _styles(cells: Sequence[CellResult]) -> dict[str, Style]:
    return {
        _label(cell): Style(
            _COLOURS[index % len(_COLOURS)],
            _MARKERS[index % len(_MARKERS)],
            _LINES[index % len(_LINES)],
            _HATCHES[index % len(_HATCHES)],
        )
        for index, cell in enumerate(cells)
    }


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    from matplotlib import pyplot

    with pyplot.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
    return figure, axes


def _save(figure: Figure, path: Path, run: Run, info: TraceInfo) -> Path:
    from matplotlib import pyplot

    title = figure.get_suptitle()
    figure.suptitle(
        f"{title}\n{info.name} · {run.machine.get('cpu', '')}, {run.machine.get('cores', '?')} cores"
        f" · {run.started[:10]}",
        fontsize=10,
    )
    figure.savefig(path, dpi=_DPI, metadata={"Software": f"memtool {run.memtool}"})
    pyplot.close(figure)
    return path


def _value(cell: CellResult, name: str) -> Metric | None:
    metric = cell.metrics.get(name)
    return metric if metric is not None and metric.value is not None else None


def _throughput(cells: Sequence[CellResult], styles: Mapping[str, Style]) -> Figure | None:
    """Bars of ns/op with 95 % intervals, the harness's own share marked."""
    known = [(cell, metric) for cell in cells if (metric := _value(cell, "time_per_op_ns"))]
    if not known:
        return None
    known.sort(key=lambda pair: pair[1].value or 0, reverse=True)
    figure, axes = _figure(7.5, 1.3 + 0.34 * len(known))
    for position, (cell, metric) in enumerate(known):
        style = styles[_label(cell)]
        value = metric.value or 0.0
        axes.barh(position, value, color=style.colour, alpha=0.85, hatch=style.hatch, edgecolor="white", linewidth=0)
        end = value
        if metric.low is not None and metric.high is not None:
            bounds = [[value - metric.low], [metric.high - value]]
            axes.errorbar(value, position, xerr=bounds, color="black", capsize=3, linewidth=1)
            end = metric.high
        axes.annotate(f"{value:.1f}", (end, position), xytext=(5, 0), textcoords="offset points", va="center")
    harness = [figure_ for cell, _ in known if (figure_ := cell.proof.get("harness_ns")) is not None]
    if harness:
        middle = sorted(harness)[len(harness) // 2]
        axes.axvline(middle, color="black", linestyle=":", linewidth=1.2)
        axes.annotate(
            f"harness {middle:.1f}",
            (middle, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, 2),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_yticks(range(len(known)), [_label(cell) for cell, _ in known])
    axes.set_xlabel("time an operation, gross (ns); whiskers: 95 % interval of the median")
    axes.margins(x=0.08)
    axes.set_xlim(left=0)
    figure.suptitle("Throughput (shorter is faster)")
    return figure


def _latency(cells: Sequence[CellResult], styles: Mapping[str, Style]) -> Figure | None:
    """Percentiles of allocate and deallocate on a log axis, the noise floor beneath them."""
    known = [cell for cell in cells if _value(cell, "allocate_p50_ns")]
    if not known:
        return None
    from matplotlib import pyplot

    with pyplot.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure, both = pyplot.subplots(1, 2, figsize=(10.5, 5.4), layout="constrained", sharey=True)
    positions = range(len(_PERCENTILES))
    bottom = _least_visible(known)
    for axes, kind in zip(both, ("allocate", "deallocate"), strict=True):
        for cell in known:
            style = styles[_label(cell)]
            metrics = [_value(cell, f"{kind}_{name}_ns") for name, _ in _PERCENTILES]
            points = [
                (position, max(metric.value or 0.0, bottom), metric.at_floor)
                for position, metric in zip(positions, metrics, strict=True)
                if metric is not None
            ]
            axes.plot(
                [x for x, _, _ in points],
                [y for _, y, _ in points],
                color=style.colour,
                linestyle=style.line,
                linewidth=1.3,
                label=_label(cell),
            )
            for hollow in (False, True):
                chosen = [(x, y) for x, y, at_floor in points if at_floor is hollow]
                if chosen:
                    axes.plot(
                        [x for x, _ in chosen],
                        [y for _, y in chosen],
                        linestyle="none",
                        marker=style.marker,
                        markersize=5,
                        color=style.colour,
                        markerfacecolor="white" if hollow else style.colour,
                    )
        floor = [max(figure_, bottom) for figure_ in _floor(known)]
        if floor:
            axes.fill_between(
                list(positions)[: len(floor)],
                bottom * 0.8,
                floor,
                color="0.85",
                zorder=0,
                label="noise floor",
            )
        axes.set_yscale("log")
        axes.set_xticks(list(positions), [name for _, name in _PERCENTILES])
        axes.set_xlabel("percentile of operations (%)")
        axes.set_title(kind, fontsize=9)
        axes.grid(axis="y", which="major", color="0.9")
    both[0].set_ylabel("latency less the floor's median (ns)")
    figure.legend(*both[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle(
        f"Latency (hollow: not told from the noise floor; {bottom:.2g} ns, half the timer's step, stands for less)"
    )
    return figure


def _floor(cells: Sequence[CellResult]) -> list[float]:
    """Return the noise floor's percentiles above its own median, in the middle of the cells."""
    floors = [cell.proof["noise_floor_ns"] for cell in cells if cell.proof.get("noise_floor_ns")]
    if not floors:
        return []
    names = [name for name, _ in _PERCENTILES if name in floors[0]]
    above = [[each[name] - each["p50"] for name in names] for each in floors]
    return [sorted(column)[len(column) // 2] for column in zip(*above, strict=True)]


def _least_visible(cells: Sequence[CellResult]) -> float:
    """Return half the timer's resolution in ns: less than that is drawn as that."""
    steps = [step for cell in cells if (step := cell.proof.get("timer_resolution_ns"))]
    return max(min(steps, default=1.0) / 2, 0.1)


def _over_time(
    cells: Sequence[CellResult],
    styles: Mapping[str, Style],
    histories: Mapping[str, series.History],
    marked: Sequence[Mark],
) -> Figure | None:
    """Footprint (or resident memory, for system allocators) and live bytes over the run."""
    known = [cell for cell in cells if histories[_label(cell)].footprint]
    if not known:
        return None
    figure, axes = _figure(9, 5)
    live = histories[_label(known[0])].footprint
    clock = [(each or 0) / 1000 for each in live["clock"]]
    axes.fill_between(
        clock, [(each or 0) / _MIB for each in live["live_bytes"]], color="0.85", label="live bytes", zorder=0
    )
    for cell in known:
        style = styles[_label(cell)]
        history = histories[_label(cell)].footprint
        own = [each for each in history["footprint_bytes"] if each is not None]
        column, what = ("footprint_bytes", "") if own else ("resident_bytes", " (resident)")
        # The kernel is not asked for resident memory at every checkpoint.
        points = [
            ((done or 0) / 1000, figure_ / _MIB)
            for done, figure_ in zip(history["clock"], history[column], strict=True)
            if figure_ is not None
        ]
        axes.plot(
            *zip(*points, strict=True),
            color=style.colour,
            linestyle=style.line,
            marker=style.marker,
            markevery=max(1, len(points) // 8),
            markersize=4,
            linewidth=1.2,
            label=_label(cell) + what,
        )
    ceiling = 3 * max((each or 0) / _MIB for each in live["live_bytes"])
    above = [_label(cell) for cell in known if _peak(histories[_label(cell)]) / _MIB > ceiling]
    if above:
        axes.set_ylim(0, ceiling)
        axes.annotate(
            f"leaves the picture: {', '.join(above)}",
            (0.99, 0.98),
            xycoords="axes fraction",
            ha="right",
            va="top",
            fontsize=8,
        )
    axes.set_xlabel("operations (thousands)")
    axes.set_ylabel("memory (MiB)")
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
    _draw_marks(axes, marked)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle("Footprint over time (system allocators: resident memory)")
    return figure


def _draw_marks(axes: Axes, marked: Sequence[Mark]) -> None:
    places = marks.over_operations(marked)
    marks.draw(axes, places)
    marks.write_names(axes, places, inches=6.5)


def _peak(history: series.History) -> int:
    return max((each or 0 for each in history.footprint["footprint_bytes"]), default=0)


def _speed_memory(cells: Sequence[CellResult], styles: Mapping[str, Style]) -> Figure | None:
    """Each allocator by time and peak resident memory; the Pareto front joins those that nothing beats in both.

    Without what is interpreted: its times are the interpreter's, and its objects are in its memory.
    """
    points = [
        (cell, time.value, memory.value / _MIB)
        for cell in cells
        if (time := _value(cell, "time_per_op_ns")) and (memory := _value(cell, "peak_resident_bytes"))
        if time.value is not None and memory.value is not None and not cell.interpreted
    ]
    if len(points) < 2:
        return None
    figure, axes = _figure(7.5, 5.2)
    places = [(x, y) for _, x, y in points]
    front = sorted(place for place, is_on_front in zip(places, pareto_front(places), strict=True) if is_on_front)
    # One allocator that never frees would press all others onto one line: it is drawn at the edge, with its figure.
    ceiling = _ceiling([y for _, _, y in points])
    shown = [(cell, x, min(y, ceiling)) for cell, x, y in points]
    names = [_label(cell) if y <= ceiling else f"{_label(cell)}, {y:.0f} MiB, above" for cell, _, y in points]
    inside = [(x, y) for x, y in front if y <= ceiling]
    axes.step(*zip(*inside, strict=True), where="post", color="0.6", linestyle="--", linewidth=1, zorder=0)
    for cell, x, y in shown:
        style = styles[_label(cell)]
        axes.plot(x, y, marker=style.marker, color=style.colour, markersize=8, linestyle="none")
    xs = [x for _, x, _ in shown]
    if min(xs) > 0 and max(xs) / min(xs) > 8:
        axes.set_xscale("log")
    axes.margins(0.12)
    _plain_ticks(axes)
    _label_points(figure, axes, [(name, x, y) for name, (_, x, y) in zip(names, shown, strict=True)])
    axes.set_xlabel("time an operation, gross (ns)")
    axes.set_ylabel("peak resident memory (MiB)")
    axes.grid(color="0.93")
    figure.suptitle("Memory against speed (lower left is better; dashed: the Pareto front)")
    return figure


_PARTS = (
    ("live", "peak_live_bytes", "#004C8C", ""),
    ("rounding", "rounding_bytes", "#56B4E9", "///"),
    ("free in the heap", "free_bytes", "#F5B83D", ""),
    ("metadata", "metadata_bytes", "#000000", ""),
    ("unaccounted", "unaccounted_bytes", "#B0557F", "xxx"),
)


def _waterfall(cells: Sequence[CellResult], info: TraceInfo) -> Figure | None:
    """Return bars of what a footprint is made of when live bytes peak, resident memory and the limits beside them."""
    known = [cell for cell in cells if _value(cell, "rounding_bytes") and _value(cell, "resident_at_peak_live_bytes")]
    if not known:
        return None
    totals = [_mebibytes(cell, "resident_at_peak_live_bytes") for cell in known]
    limit = 1.15 * _ceiling(totals)
    known = [cell for _, cell in sorted(zip(totals, known, strict=True), key=lambda pair: -pair[0])]
    figure, axes = _figure(9, 1.6 + 0.34 * len(known))
    for position, cell in enumerate(known):
        left = 0.0
        parts = [(colour, hatch, _mebibytes(cell, metric)) for _, metric, colour, hatch in _PARTS]
        resident = _mebibytes(cell, "resident_at_peak_live_bytes")
        if _value(cell, "free_bytes") is None:
            # Of a malloc nobody but itself knows what lies between live blocks and resident memory.
            parts.append(("#D9D9D9", "...", max(0.0, resident - sum(width for *_, width in parts))))
        for colour, hatch, width in parts:
            axes.barh(position, width, left=left, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
            left += width
        if resident <= limit:
            axes.plot(resident, position, marker="D", color="white", markeredgecolor="black", markersize=6)
        if left > limit:
            axes.annotate(
                f"{left:.0f} MiB, {resident:.0f} resident",
                (limit, position),
                xytext=(-3, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=8,
                bbox={"boxstyle": "square,pad=0.2", "facecolor": "white", "edgecolor": "none"},
            )
    _limits(axes, info)
    _waterfall_legend(figure)
    axes.set_yticks(range(len(known)), [_label(cell) for cell in known])
    axes.set_xlim(0, limit)
    axes.set_xlabel("MiB")
    figure.suptitle("Where memory is when live bytes peak")
    return figure


def _mebibytes(cell: CellResult, name: str) -> float:
    metric = _value(cell, name)
    return (metric.value or 0.0) / _MIB if metric else 0.0


def _limits(axes: Axes, info: TraceInfo) -> None:
    axes.axvline(info.peak_live_bytes / _MIB, color="black", linewidth=1, linestyle=":")
    if info.packing_bytes is not None:
        axes.axvline(info.packing_bytes / _MIB, color="black", linewidth=1, linestyle="--")


def _waterfall_legend(figure: Figure) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=name) for name, _, colour, hatch in _PARTS
    ]
    handles += [
        Patch(facecolor="#D9D9D9", hatch="...", edgecolor="white", label="held besides, of a malloc"),
        Line2D([], [], marker="D", color="white", markeredgecolor="black", linestyle="none", label="resident"),
        Line2D([], [], color="black", linestyle=":", label="load"),
        Line2D([], [], color="black", linestyle="--", label="best offline packing found"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=8)


def _heap_maps(cells: Sequence[CellResult], histories: Mapping[str, series.History]) -> dict[str, Figure]:
    """Return a picture of all heaps for each moment that was mapped: heap-peak, heap-end, and one of each mark."""
    moments: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for cell in cells:
        for found in histories[_label(cell)].heap_maps:
            if found["extents"]:
                moments.setdefault(found["moment"], []).append((_label(cell), found))
    titles = {"peak": "Heaps when live bytes peak", "end": "Heaps at the end, before everything is freed"}
    return {
        f"heap-{moment}": heap_maps.draw(panels, titles.get(moment, f"Heaps at the mark '{moment}'"))
        for moment, panels in moments.items()
    }


def _ceiling(values: Sequence[float]) -> float:
    """Return the largest value worth a place on the axis: an outlier beyond six times the median is not."""
    middle = sorted(values)[len(values) // 2]
    inside = max(value for value in values if value <= 3 * middle)
    return 1.25 * inside if max(values) > 6 * middle else max(values)


def _plain_ticks(axes: Axes) -> None:
    """Write 20 and 50 on a log axis, rather than powers of ten that few of our ranges span."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    if axes.get_xscale() == "log":
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())


def _label_points(figure: Figure, axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Write each name beside its point, at the first of several places where it covers no other name or point."""
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
    renderer: Callable[[], Any] = figure.canvas.get_renderer  # type: ignore[attr-defined]  # Agg's canvas has it
    for name, x, y in sorted(points, key=lambda point: -point[2]):
        for index, (dx, dy, side) in enumerate(places):
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
            if not covers or index == len(places) - 1:
                taken.append(box)
                break
            text.remove()


def _around(dot: Any) -> Any:  # noqa: ANN401  # matplotlib's arrays and boxes
    """Return the box that a marker covers, in pixels at the figure's own resolution."""
    from matplotlib.transforms import Bbox

    return Bbox.from_bounds(dot[0] - 6, dot[1] - 6, 12, 12)
