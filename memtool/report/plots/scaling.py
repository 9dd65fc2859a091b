"""Throughput of each allocator by number of threads: one picture for each swept workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memtool import groups
from memtool.model import Mode, Run, TraceInfo
from memtool.report.scaling import HARNESS, lines, swept

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw", "swept"]

_OF_HARNESS: Mapping[str, Any] = {"color": "black", "linestyle": ":", "marker": "."}


def draw(run: Run, infos: Sequence[TraceInfo], style: Mapping[str, Mapping[str, Any]]) -> Figure | None:
    """Draw throughput over threads, with a line for each allocator and the harness; None where there is no sweep."""
    from matplotlib.figure import Figure

    curves = lines(run, infos)
    if not any(len(curve.points) > 1 for curve in curves):
        return None
    figure = Figure(figsize=(8, max(4.8, 1.2 + 0.19 * len(curves))), layout="constrained")
    axes = figure.subplots()
    for curve in curves:
        counts, rates = [point[0] for point in curve.points], [point[1] for point in curve.points]
        look = _OF_HARNESS if curve.name == HARNESS else style.get(curve.name, {})
        drawn: dict[str, Any] = {"marker": "o", "markersize": 5, **look}
        line = axes.plot(counts, rates, label=curve.label, linewidth=1.8, **drawn)
        color = line[0].get_color()
        known = [
            (count, rate, low, high) for count, rate, low, high in curve.points if low is not None and high is not None
        ]
        if known:
            axes.errorbar(
                [count for count, *_ in known],
                [rate for _, rate, *_ in known],
                yerr=[[rate - low for _, rate, low, _ in known], [high - rate for _, rate, _, high in known]],
                fmt="none",
                ecolor=color,
                elinewidth=0.8,
                capsize=3,
            )
    processors = int(groups.facts_of(run.machine, infos[0].name).get("cores", 0))
    counts = sorted({info.threads for info in infos})
    most = counts[-1]
    beyond = next((count for count in counts if count > processors), None)
    margin = 0.05 * (most - counts[0])
    axes.set_xlim(counts[0] - margin, most + margin)
    if processors > 0 and beyond is not None:
        begin = (processors + beyond) / 2
        axes.axvspan(begin, most + margin, color="0.93", zorder=0, linewidth=0)
        words = f"more threads than the {processors} processors "
        axes.text(most + margin, 0.99, words, va="top", ha="right", fontsize=8, transform=axes.get_xaxis_transform())
    axes.set_ylim(bottom=0)
    axes.set_xticks(counts)
    has_intervals = any(low is not None for curve in curves for _, _, low, _ in curve.points)
    whiskers = "whiskers: 95 % interval of the median" if has_intervals else "no intervals: fewer than 6 blocks"
    axes.set_xlabel(f"threads ({whiskers})")
    axes.set_ylabel("million operations a second, all threads together")
    axes.grid(visible=True, axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), title=f"fastest first, at {most} threads")
    mode = next((cell.cell.mode for cell in run.cells), Mode.SERIAL)
    figure.suptitle(f"Throughput by number of threads (mode {mode})")
    return figure
