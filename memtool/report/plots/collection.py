"""The cost of collection: time by size of the heap, and the time that pauses leave to the program."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memtool.kinds.graph.metrics import UTILISATIONS
from memtool.kinds.graph.results import CAUSES
from memtool.model import CellResult, TraceInfo
from memtool.report import look
from memtool.report.look import Style
from memtool.report.palette import MARKERS, SERIES
from memtool.report.paper import canvas
from memtool.report.paper.canvas import metric_of
from memtool.store import series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_HEAP = re.compile(r"(?<=[:,])heap=[^,+@]+,?")


def without_heap(label: str) -> str:
    """Return a row's label without its heap, which is the same for all rows that differ only in the heap."""
    return _HEAP.sub("", label).rstrip(":,")


def by_heap(cells: Sequence[CellResult], info: TraceInfo) -> Figure | None:
    """Draw processor time over the heap's size, with a line for each collector and a level for each allocator.

    Returns None without a sweep. Processor time is used because it does not include waiting for a busy processor.
    """
    live = info.facts.get("peak_live_with_header")
    lines: dict[str, list[tuple[float, float, float, float]]] = {}
    levels: list[tuple[str, float]] = []
    for cell in cells:
        time, limit = metric_of(cell, "cpu_ns_per_op"), metric_of(cell, "heap_limit_bytes")
        if time is None or time.value is None:
            continue
        if limit is None or limit.value is None:
            if cell.call is not None and cell.call.free == "collected":
                continue  # a collector whose memory was not measured
            levels.append((look.label(cell), time.value))
        elif live:
            low, high = (time.value if end is None else end for end in (time.low, time.high))
            lines.setdefault(without_heap(look.label(cell)), []).append((limit.value / live, time.value, low, high))
    swept = {name: sorted(points) for name, points in lines.items() if len(points) > 1}
    if not swept:
        return None
    figure, axes = canvas.single(8.5, 5.2)
    for number, (name, points) in enumerate(swept.items()):
        drawn: Mapping[str, Any] = {
            "color": SERIES[number % len(SERIES)],
            "marker": MARKERS[number % len(MARKERS)],
        }
        places = [x for x, *_ in points]
        axes.plot(places, [value for _, value, *_ in points], label=name, linewidth=1.4, markersize=5, **drawn)
        axes.vlines(places, [low for *_, low, _ in points], [high for *_, high in points], colors=drawn["color"], lw=1)
    for number, (name, value) in enumerate(levels):
        dashes = ((0, (6, 2)), (0, (2, 2)), (0, (6, 2, 1, 2)), (0, (1, 1)))[number % 4]
        axes.axhline(value, color="black", linestyle=dashes, linewidth=1.1, label=name)
    axes.set_xlabel("heap, as a multiple of what is reachable at most")
    axes.set_ylabel("processor time per operation, in ns")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="0.9")
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle("Time against the size of the heap (lower is faster); explicit allocators as levels")
    return figure


def curves_of(cells: Sequence[CellResult]) -> dict[str, list[tuple[int, float]]]:
    """Return (window in ns, the program's least share of it), by the labels of rows with pauses."""
    curves = {
        look.label(cell): [
            (window, metric.value)
            for name, window in UTILISATIONS.items()
            if (metric := metric_of(cell, name)) is not None and metric.value is not None
        ]
        for cell in cells
        if metric_of(cell, "pause_max_ns") is not None
    }
    return {name: points for name, points in curves.items() if len(points) > 1}


def utilisation(cells: Sequence[CellResult], styles: Mapping[str, Style]) -> Figure | None:
    """Draw the program's least share of time windows, over their length; return None if there were no pauses."""
    curves = curves_of(cells)
    if not curves:
        return None
    figure, axes = canvas.single(8.5, 5.2)
    for number, (name, points) in enumerate(curves.items()):
        look_of = styles[name].of_line if name in styles else {}
        drawn: dict[str, Any] = {"marker": MARKERS[number % len(MARKERS)], **look_of}
        axes.plot([x for x, _ in points], [y for _, y in points], label=name, linewidth=1.4, markersize=4, **drawn)
    _draw_windows(axes)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle("Minimum mutator utilisation (higher is better)")
    return figure


def pauses_over_time(labelled: Sequence[tuple[str, series.History]]) -> Figure | None:
    """Draw each pause at its start, with its length as height, one panel for each row; return None without pauses."""
    known = [(label, history.pauses) for label, history in labelled if history.pauses]
    if not known:
        return None
    figure, grid = canvas.subplots(
        len(known), 1, 9.0, 1.5 + 0.95 * len(known), font=8, is_open=True, sharex=True, sharey=True, squeeze=False
    )
    causes = [cause for cause in CAUSES if any(pause[2] == cause for _, pauses in known for pause in pauses)]
    for (axes,), (label, pauses) in zip(grid, known, strict=True):
        for cause in causes:
            looks = CAUSES.index(cause)
            places = [(begin / 1e6, ticks) for begin, ticks, why, _ in pauses if why == cause]
            axes.plot(
                [x for x, _ in places], [y for _, y in places],
                linestyle="none", marker=MARKERS[looks], markersize=3.5, color=SERIES[looks],
            )  # fmt: skip
        axes.set_yscale("log")
        axes.margins(y=0.12)
        axes.yaxis.set_major_formatter(canvas.times)
        axes.grid(axis="y", color="0.9")
        axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
    grid[-1][0].set_xlabel("time since the replay began (ms)")
    handles = [_dot(CAUSES.index(cause)) for cause in causes]
    figure.legend(handles, causes, loc="outside lower center", ncols=len(causes), frameon=False, fontsize=8)
    figure.suptitle("When the program stood still, and how long")
    return figure


def _dot(number: int) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none", marker=MARKERS[number], markersize=5, color=SERIES[number])


def _draw_windows(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(canvas.times)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("window of time")
    axes.set_ylabel("least share of any window that the program had")
    axes.grid(color="0.9")
