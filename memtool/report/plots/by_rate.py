"""Latency by rate of arrivals: one picture for each swept workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memtool.model import Run, TraceInfo
from memtool.report import rates
from memtool.report.paper import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OF_HARNESS: Mapping[str, Any] = {"color": "black", "linestyle": ":", "marker": "."}


def draw(run: Run, infos: Sequence[TraceInfo], style: Mapping[str, Mapping[str, Any]]) -> Figure | None:
    """Draw three percentiles of each kind of operation over the rate; None where no latency was measured."""
    curves = {
        (kind, title): rates.lines(run, infos, kind, share) for kind in rates.KINDS for share, title in rates.SHARES
    }
    kinds = [kind for kind in rates.KINDS if any(curves[kind, title] for _, title in rates.SHARES)]
    if not kinds:
        return None
    names = dict.fromkeys(line.name for lines in curves.values() for line in lines)
    figure, grid = canvas.subplots(
        len(kinds),
        len(rates.SHARES),
        12,
        canvas.tall_enough(1.4 + 2.6 * len(kinds), len(names)),
        is_open=True,
        sharex=True,
        sharey="row",
        squeeze=False,
    )
    offered = [rates.rate_of(info) for info in infos]
    for row, kind in zip(grid, kinds, strict=True):
        for axes, (_, title) in zip(row, rates.SHARES, strict=True):
            for line in curves[kind, title]:
                _draw_line(axes, line, _OF_HARNESS if line.name == rates.HARNESS else style.get(line.name, {}))
            _draw_axes(axes, f"{kind} {title}", offered, rates.too_fast(run, infos))
        row[0].set_ylabel("latency from the intended start")
    for axes in grid[-1]:
        axes.set_xlabel("rate of arrivals (operations/s)")
    handles = {label: line for axes in grid.flat for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    labels = [name for name in names if name in handles]
    figure.legend([handles[name] for name in labels], labels, loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle("Latency by rate of arrivals (hollow: did not keep up; grey: nor did the null strategy)")
    return figure


def _draw_line(axes: Axes, line: rates.Line, look: Mapping[str, Any]) -> None:
    drawn: dict[str, Any] = {"marker": "o", **look}
    # A log axis has no 0, so times below the timer's resolution are drawn as one nanosecond.
    places = [(point.rate, max(point.value, 1.0), point.is_late) for point in line.points]
    axes.plot([x for x, *_ in places], [y for _, y, _ in places], label=line.name, linewidth=1.3, markersize=4, **drawn)
    late = [(x, y) for x, y, is_late in places if is_late]
    if late:
        hollow = drawn | {"linestyle": "none", "markerfacecolor": "white"}
        axes.plot([x for x, _ in late], [y for _, y in late], markersize=6, **hollow)


def _draw_axes(axes: Axes, title: str, offered: Sequence[float], too_fast: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(offered, [rates.written_rate(rate) for rate in offered], rotation=45, ha="right")
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(canvas.times)
    if too_fast:
        slower = [rate for rate in offered if rate < too_fast[0]]
        begin = (slower[-1] * too_fast[0]) ** 0.5 if slower else offered[0]
        axes.axvspan(begin, offered[-1], color="0.93", zorder=0, linewidth=0)
    axes.grid(axis="y", which="major", color="0.9")
    axes.set_title(title, fontsize=9)
