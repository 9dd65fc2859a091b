"""Plots of a run, one set a workload: readable in grey print and by colour-blind readers (report/look.py)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtool import files
from memtool.errors import InputError, did_you_mean
from memtool.model import CellResult, Mark, Metric, Mode, Run, TraceInfo
from memtool.report import canvas, fragmentation, heap_maps, latency_plots, look, marks, scaling
from memtool.report.look import Style
from memtool.stats.summary import pareto_front
from memtool.store import series
from memtool.units import format_size, unit_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOLDER = "plots"
_PERCENTILES = (
    ("p50", "50"),
    ("p90", "90"),
    ("p99", "99"),
    ("p999", "99.9"),
    ("p9999", "99.99"),
    ("max", "max"),
)
_LONGEST_SLUG = 80
_LEGEND_ROW = 0.17
"""Inches of a name in a legend."""


def draw_all(
    directory: Path,
    run: Run,
    folder: Path | None = None,
    *,
    only: Sequence[str] | None = None,
    suffix: str = "png",
) -> list[Path]:
    """Draw the plots that the run has figures for into ``folder`` (``directory/plots``) and return the files.

    ``directory`` has the run's series; ``only`` names the pictures that are drawn, all unless given. Raises InputError
    for one that there is not.
    """
    with canvas.own_style():
        return _draw_all(directory, run, folder or directory / FOLDER, only, suffix)


def try_to_draw(draw: Callable[[], Sequence[Path]]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Return the pictures, and in words why there are none: figures that are stored are not lost for a picture."""
    try:
        return tuple(draw()), ()
    except Exception as problem:
        return (), (f"nothing was drawn: {type(problem).__name__}: {problem}",)


def _draw_all(directory: Path, run: Run, folder: Path, only: Sequence[str] | None, suffix: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [(name, draw, info) for info, drawers in _pictures(directory, run) for name, draw in drawers.items()]
    _refuse_unknown(only, [name for name, *_ in pictures])
    drawn: list[Path] = []
    for name, draw, info in pictures:
        figure = draw() if only is None or name in only else None
        if figure is None:
            continue
        path = folder / f"{_slug(info.name)}-{_slug(name)}.{suffix}"
        if path in drawn:
            path = folder / f"{files.safe_name(info.name)}-{files.safe_name(name)}.{suffix}"
        drawn.append(_save(figure, path, run, info))
    return drawn


def _refuse_unknown(only: Sequence[str] | None, known: Sequence[str]) -> None:
    for name in only or ():
        if name not in known:
            names = ", ".join(dict.fromkeys(known))
            raise InputError(f"--only: the run has no picture '{name}'{did_you_mean(name, known)}; it has {names}")


Drawers = dict[str, "Callable[[], Figure | None]"]
"""By the names of pictures, what draws them; None where the run has no figures for one."""


def _pictures(directory: Path, run: Run) -> Iterator[tuple[TraceInfo, Drawers]]:
    """Yield what can be drawn of each workload, and of each that was measured on several numbers of threads."""
    styles = look.styles(run)
    lines = {name: style.of_line for name, style in styles.items()}
    for info in run.workloads:
        cells = look.ordered([cell for cell in run.cells if cell.cell.workload == info.name and cell.metrics])
        histories = {look.label(cell): series.read(directory, cell) for cell in cells}
        labelled = [(look.label(cell), cell, histories[look.label(cell)]) for cell in cells]
        yield (
            info,
            {
                "throughput": partial(_throughput, cells, styles),
                "latency": partial(_latency, cells, styles),
                "latency-by-size": partial(latency_plots.by_size, labelled),
                "latency-over-time": partial(latency_plots.over_time, labelled, info.marks),
                "footprint": partial(_over_time, cells, styles, histories, info.marks),
                "fragmentation-over-time": partial(fragmentation.over_time, list(histories.items()), lines, info.marks),
                "speed-memory": partial(_speed_memory, cells, styles),
                "waterfall": partial(_waterfall, cells, info),
                **_heap_maps(cells, histories),
            },
        )
    for name, infos in scaling.swept(run).items():
        yield replace(infos[0], name=name), {"scaling": partial(scaling.draw, run, infos, lines)}


def _slug(name: str) -> str:
    """Return a name for files, as readable as can be."""
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", name)
    return readable if len(readable) == len(name) and len(name) <= _LONGEST_SLUG else files.safe_name(name)


def _tall_enough(height: float, names: int) -> float:
    """Return the height of a figure whose legend beside the axes names so many."""
    return max(height, 1.2 + _LEGEND_ROW * names)


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    return canvas.subplots(1, 1, width, height, is_open=True)


def _save(figure: Figure, path: Path, run: Run, info: TraceInfo) -> Path:
    title = figure.get_suptitle()
    figure.suptitle(
        f"{title}\n{info.name} · {run.machine.get('cpu', '')}, {run.machine.get('cores', '?')} cores"
        f" · {run.started[:10]}",
        fontsize=10,
    )
    author = "Software" if path.suffix == ".png" else "Creator"
    canvas.save(figure, path, {author: f"memtool {run.memtool}"})
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
        style = styles[look.label(cell)]
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
        axes.axvline(middle, color="black", linestyle=":", linewidth=1.2, zorder=3)
        axes.annotate(
            f"harness {middle:.1f}",
            (middle, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, 2),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_yticks(range(len(known)), [look.label(cell) for cell, _ in known])
    axes.set_xlabel("time an operation, gross (ns); whiskers: 95 % interval of the median")
    axes.margins(x=0.08)
    axes.set_xlim(left=0)
    figure.suptitle("Throughput (shorter is faster)")
    return figure


def _latency(cells: Sequence[CellResult], styles: Mapping[str, Style]) -> Figure | None:
    """Percentiles of each kind of operation on a log axis, the noise floor beneath them."""
    kinds = [
        kind
        for kind in ("allocate", "deallocate", "reallocate")
        if any(_value(cell, f"{kind}_p50_ns") for cell in cells)
    ]
    known = [cell for cell in cells if any(_value(cell, f"{kind}_p50_ns") for kind in kinds)]
    if not known:
        return None
    width, height = 2.5 + 4 * len(kinds), _tall_enough(5.4, len(known))
    figure, (panels,) = canvas.subplots(1, len(kinds), width, height, is_open=True, sharey=True, squeeze=False)
    positions = range(len(_PERCENTILES))
    bottom = _least_visible(known)
    for axes, kind in zip(panels, kinds, strict=True):
        for cell in known:
            style = styles[look.label(cell)]
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
                label=look.label(cell),
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
        floor = [max(figure_, bottom) for figure_ in _floor(known, kind)]
        if floor:
            axes.fill_between(
                list(positions)[: len(floor)],
                bottom * 0.8,
                floor,
                color="0.85",
                zorder=0,
                label="null strategy,\nsame arrivals" if _under_arrivals(known) else "noise floor",
            )
        axes.set_yscale("log")
        axes.set_xticks(list(positions), [name for _, name in _PERCENTILES])
        axes.set_xlabel("percentile of operations (%)")
        axes.set_title(kind, fontsize=9)
        axes.grid(axis="y", which="major", color="0.9")
    panels[0].set_ylabel("latency less the floor's median (ns)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle(
        f"Latency (hollow: not told from the noise floor; {bottom:.2g} ns, half the timer's step, stands for less)"
    )
    return figure


def _under_arrivals(cells: Sequence[CellResult]) -> list[dict[str, dict[str, float]]]:
    """Return what the null strategy shows under the same arrivals; nothing of a closed loop."""
    return [found for cell in cells if (found := cell.proof.get("open_loop", {}).get("null_ns"))]


def _floor(cells: Sequence[CellResult], kind: str) -> list[float]:
    """Return the noise floor's percentiles above its own median, in the middle of the cells.

    Under arrivals the null strategy's.
    """
    null = [found[kind] for found in _under_arrivals(cells) if kind in found]
    if null:
        return [null[0][name] for name, _ in _PERCENTILES]
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
    known = [cell for cell in cells if histories[look.label(cell)].footprint]
    if not known:
        return None
    figure, axes = _figure(9, _tall_enough(5, len(known)))
    live = histories[look.label(known[0])].footprint
    most_live = max((each or 0) for cell in known for each in histories[look.label(cell)].footprint["live_bytes"])
    most = max(*(_peak(histories[look.label(cell)]) for cell in known), most_live)
    unit, name = unit_for(min(most, 3 * most_live) if most_live else most)
    clock = [(each or 0) / 1000 for each in live["clock"]]
    beside = _are_side_by_side(known)
    if not beside:
        axes.fill_between(
            clock, [(each or 0) / unit for each in live["live_bytes"]], color="0.85", label="live bytes", zorder=0
        )
    for cell in known:
        style = styles[look.label(cell)]
        history = histories[look.label(cell)].footprint
        own = [each for each in history["footprint_bytes"] if each is not None]
        column, what = ("footprint_bytes", "") if own else ("resident_bytes", " (resident)")
        # The kernel is not asked for resident memory at every checkpoint.
        points = [
            ((done or 0) / 1000, figure_ / unit)
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
            label=look.label(cell) + what,
        )
    above = [look.label(cell) for cell in known if _peak(histories[look.label(cell)]) > 3 * most_live]
    if above and most_live:
        axes.set_ylim(0, 3 * most_live / unit)
        figure.supxlabel(fragmentation.leaving(above), fontsize=8)
    axes.set_xlabel("operations (thousands)")
    axes.set_ylabel(f"memory ({name})")
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
    _draw_marks(axes, marked)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    live_too = "; live bytes are each one's own, and not drawn" if beside else ""
    figure.suptitle(f"Footprint over time (system allocators: resident memory{live_too})")
    return figure


def _are_side_by_side(cells: Sequence[CellResult]) -> bool:
    """Return whether threads ran side by side, so that each allocator has live bytes of its own."""
    return any(cell.cell.mode == Mode.PARALLEL for cell in cells)


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
        (cell, time.value, memory.value)
        for cell in cells
        if (time := _value(cell, "time_per_op_ns")) and (memory := _value(cell, "peak_resident_bytes"))
        if time.value is not None and memory.value is not None and not cell.interpreted
    ]
    if len(points) < 2:
        return None
    unit, unit_name = unit_for(_ceiling([y for *_, y in points]))
    points = [(cell, x, y / unit) for cell, x, y in points]
    figure, axes = _figure(7.5, 5.2)
    places = [(x, y) for _, x, y in points]
    front = sorted(place for place, is_on_front in zip(places, pareto_front(places), strict=True) if is_on_front)
    # One allocator that never frees would press all others onto one line: it is drawn at the edge, with its figure.
    ceiling = _ceiling([y for _, _, y in points])
    shown = [(cell, x, min(y, ceiling)) for cell, x, y in points]
    names = [
        look.label(cell) if y <= ceiling else f"{look.label(cell)}, {format_size(y * unit)}, above"
        for cell, _, y in points
    ]
    inside = [(x, y) for x, y in front if y <= ceiling]
    axes.step(*zip(*inside, strict=True), where="post", color="0.6", linestyle="--", linewidth=1, zorder=0)
    for cell, x, y in shown:
        style = styles[look.label(cell)]
        axes.plot(x, y, marker=style.marker, color=style.colour, markersize=8, linestyle="none")
    xs = [x for _, x, _ in shown]
    if min(xs) > 0 and max(xs) / min(xs) > 8:
        axes.set_xscale("log")
    axes.margins(0.12)
    _plain_ticks(axes)
    _label_points(figure, axes, [(name, x, y) for name, (_, x, y) in zip(names, shown, strict=True)])
    axes.set_xlabel("time an operation, gross (ns)")
    axes.set_ylabel(f"peak resident memory ({unit_name})")
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
    totals = [_bytes(cell, "resident_at_peak_live_bytes") for cell in known]
    unit, unit_name = unit_for(_ceiling(totals))
    limit = 1.15 * _ceiling(totals) / unit
    known = [cell for _, cell in sorted(zip(totals, known, strict=True), key=lambda pair: -pair[0])]
    figure, axes = _figure(9, 1.6 + 0.34 * len(known))
    for position, cell in enumerate(known):
        left = 0.0
        parts = [(colour, hatch, _bytes(cell, metric) / unit) for _, metric, colour, hatch in _PARTS]
        resident = _bytes(cell, "resident_at_peak_live_bytes") / unit
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
                f"{format_size(left * unit)}, {format_size(resident * unit)} resident",
                (limit, position),
                xytext=(-3, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=8,
                bbox={"boxstyle": "square,pad=0.2", "facecolor": "white", "edgecolor": "none"},
            )
    beside = _are_side_by_side(known)
    lines = [] if beside else _limits(axes, info, unit)
    _waterfall_legend(figure, lines, of_system=any(_value(cell, "free_bytes") is None for cell in known))
    axes.set_yticks(range(len(known)), [look.label(cell) for cell in known])
    axes.set_xlim(0, limit)
    axes.set_ylim(-0.7, len(known) - 0.3)
    axes.set_xlabel(unit_name)
    figure.suptitle(
        "Where memory is when live bytes peak" + (" (threads side by side: at each one's own peak)" if beside else "")
    )
    return figure


def _bytes(cell: CellResult, name: str) -> float:
    metric = _value(cell, name)
    return (metric.value or 0.0) if metric else 0.0


def _limits(axes: Axes, info: TraceInfo, unit: int) -> list[Any]:
    """Draw what no allocator can beat, and the best packing where there is one; returns them for the legend."""
    drawn = [axes.axvline(info.peak_live_bytes / unit, color="black", linewidth=1, linestyle=":", label="load")]
    if info.packing_bytes is not None:
        label = "best offline packing found"
        drawn.append(axes.axvline(info.packing_bytes / unit, color="black", linewidth=1, linestyle="--", label=label))
    return drawn


def _waterfall_legend(figure: Figure, lines: Sequence[Any], *, of_system: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=name) for name, _, colour, hatch in _PARTS
    ]
    if of_system:
        label = "rest of resident memory (system allocators)"
        handles.append(Patch(facecolor="#D9D9D9", hatch="...", edgecolor="white", label=label))
    resident = Line2D([], [], marker="D", color="white", markeredgecolor="black", linestyle="none", label="resident")
    handles += [resident, *lines]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=8)


def _heap_maps(cells: Sequence[CellResult], histories: Mapping[str, series.History]) -> Drawers:
    """Return what draws all heaps at each moment that was mapped: heap-peak, heap-end, and one of each mark."""
    moments: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for cell in cells:
        for found in histories[look.label(cell)].heap_maps:
            if found["extents"]:
                moments.setdefault(found["moment"], []).append((look.label(cell), found))
    titles = {"peak": "Heaps when live bytes peak", "end": "Heaps at the end, before everything is freed"}
    return {
        f"heap-{moment}": partial(heap_maps.draw, panels, titles.get(moment, f"Heaps at the mark '{moment}'"))
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
