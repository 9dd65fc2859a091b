"""Time and memory of a whole program under each allocator, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memtool.model import CellResult, Metric
from memtool.report import look
from memtool.report.look import Style
from memtool.report.paper import canvas
from memtool.report.paper.canvas import metric_of
from memtool.units import format_size, unit_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MS = 1e6


def draw(cells: Sequence[CellResult], styles: Mapping[str, Style]) -> Figure | None:
    """Draw bars of processor time, marks of wall time, and bars of peak memory; whiskers are 95 % intervals."""
    known = [cell for cell in cells if metric_of(cell, "wall_time_ns") and metric_of(cell, "cpu_time_ns")][::-1]
    if not known:
        return None
    figure, (times, memory) = canvas.subplots(1, 2, 9.0, 1.7 + 0.36 * len(known), is_open=True, sharey=True)
    peaks = [metric_of(cell, "tree_peak_resident_bytes") for cell in known]
    unit, name = unit_for(max((peak.value or 0.0 for peak in peaks if peak), default=0.0))
    for position, (cell, peak) in enumerate(zip(known, peaks, strict=True)):
        style = styles[look.label(cell)]
        _bar(times, position, cell.metrics["cpu_time_ns"], _MS, style)
        _mark(times, position, cell.metrics["wall_time_ns"])
        if peak is not None:
            _bar(memory, position, peak, unit, style)
            text = format_size(peak.value or 0.0)
            end = (peak.high or peak.value or 0.0) / unit
            memory.annotate(text, (end, position), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)
    times.set_yticks(range(len(known)), [look.marked(cell) for cell in known])
    noise = f"; {look.NOISE_MARK} noisy machine" if any(cell.proof.get("noisy") for cell in known) else ""
    times.set_xlabel(f"ms: bar, processor time; diamond, wall time{noise}")
    memory.set_xlabel(f"peak resident memory of all processes ({name})")
    for axes in (times, memory):
        axes.set_xlim(left=0)
        axes.margins(x=0.15)
    whiskers = canvas.whiskers(cell.metrics["wall_time_ns"] for cell in known)
    figure.suptitle(f"Whole program (shorter is better; {whiskers})")
    return figure


def _bar(axes: Any, position: int, metric: Metric, unit: float, style: Style) -> None:  # noqa: ANN401  # of matplotlib
    value = (metric.value or 0.0) / unit
    axes.barh(position, value, color=style.colour, alpha=0.85, hatch=style.hatch, edgecolor="white", lw=0)
    canvas.draw_whiskers(axes, position, metric, unit)


def _mark(axes: Any, position: int, metric: Metric) -> None:  # noqa: ANN401  # of matplotlib
    axes.plot((metric.value or 0.0) / _MS, position, marker="D", color="black", markersize=4, linestyle="none")
    canvas.draw_whiskers(axes, position, metric, _MS)
