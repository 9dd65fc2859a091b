"""The plot of a comparison: every interval beside the margin by which it is judged."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from memtool import groups
from memtool.errors import InputError
from memtool.model import Judgement, Report, Verdict
from memtool.report import look
from memtool.report.palette import VERDICTS
from memtool.report.paper import canvas
from memtool.stats.words import AS_MALLOC, MIXED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_ROWS = 60
_WIDEST = 0.6
"""Larger changes are drawn at the edge, with their figure: a change of +400 % would squeeze all others into a line."""


def draw(report: Report, path: Path) -> Path | None:
    """Draw the comparisons that are ratios, the worst first, and return the file; None where there is none."""
    rows = [
        judgement
        for judgement in report.judgements
        if judgement.comparison.is_ratio and judgement.comparison.change is not None
    ]
    if not rows:
        return None
    rows.sort(key=lambda judgement: judgement.comparison.change or 0.0)
    with canvas.own_style():
        figure = _figure(report, rows[-_MOST_ROWS:])
        try:
            # Only PNG has this field.
            metadata = {"Software": f"memtool {report.memtool}"} if path.suffix.lower() == ".png" else None
            canvas.save(figure, path, metadata)
        except OSError as problem:
            raise InputError(f"{path}: cannot be written: {problem.strerror}") from None
    return path


def _figure(report: Report, judgements: list[Judgement]) -> Figure:
    figure, axes = canvas.subplots(1, 1, 8.5, 1.6 + 0.27 * len(judgements), is_open=True)
    edge = 100 * min(_WIDEST, 1.15 * max(_reach(judgement) for judgement in judgements))
    for position, judgement in enumerate(judgements):
        _draw_row(axes, position, judgement, edge)
    axes.axvline(0, color="0.7", linewidth=0.8, zorder=0)
    axes.set_xlim(-edge * 1.02, edge * 1.02)
    axes.set_ylim(-0.7, len(judgements) - 0.3)
    axes.set_yticks(range(len(judgements)), [_name(judgement, report) for judgement in judgements])
    axes.set_xlabel("change (%); right of 0 is more")
    axes.grid(axis="x", color="0.93")
    for verdict in dict.fromkeys(judgement.verdict for judgement in judgements):
        colour, marker = VERDICTS[verdict]
        word = "not gated" if verdict is Verdict.SHOWN else str(verdict)
        axes.plot([], [], marker=marker, color=colour, linestyle="none", label=word)
    axes.plot([], [], marker="|", color="black", linestyle="none", label="limit")
    if any(100 * _reach(judgement) > edge for judgement in judgements):
        axes.plot([], [], marker=">", color="0.4", linestyle="none", label="goes on beyond the picture")
    figure.legend(loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    machine = groups.short(report.machine)
    when = f"; measured {report.started[:10]}" if report.started else ""
    for note in (MIXED, AS_MALLOC):
        if note in report.notes:
            canvas.write_below(figure, textwrap.fill(note, canvas.width_of_caption(figure)))
    figure.suptitle(f"{_title(judgements)}\n{machine}{when}; memtool {report.memtool}", fontsize=10)
    return figure


def _draw_row(axes: Axes, position: int, judged: Judgement, edge: float) -> None:
    """Draw one interval with its limit; ``edge`` is the limit of the axis, in percent."""
    comparison = judged.comparison
    colour, marker = VERDICTS[judged.verdict]
    change = 100 * (comparison.change or 0.0)
    inside = max(-edge, min(edge, change))
    if comparison.low is not None and comparison.high is not None:
        ends = [max(-edge, min(edge, 100 * bound)) for bound in (comparison.low, comparison.high)]
        axes.plot(ends, [position, position], color=colour, linewidth=1.6, solid_capstyle="butt")
        for end, bound in zip(ends, (comparison.low, comparison.high), strict=True):
            if end != 100 * bound:
                _draw_beyond(axes, end, position, colour, size=4)
    if judged.limit is not None:
        limit = 100 * judged.limit
        axes.plot([limit, limit], [position - 0.42, position + 0.42], color="black", linewidth=1)
    if inside == change:
        axes.plot(inside, position, marker=marker, color=colour, markersize=6, linestyle="none", clip_on=False)
    else:
        _draw_beyond(axes, inside, position, colour, size=8)
        is_more = change > 0
        axes.annotate(
            f"{change:+.0f} %",
            (inside, position),
            xytext=(-8 if is_more else 8, 0),
            textcoords="offset points",
            ha="right" if is_more else "left",
            va="center",
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"},
        )


def _draw_beyond(axes: Axes, end: float, position: int, colour: str, size: float) -> None:
    """Draw a mark at the edge for a value beyond it in this direction."""
    marker = ">" if end > 0 else "<"
    axes.plot(end, position, marker=marker, color=colour, markersize=size, linestyle="none", clip_on=False)


def _reach(judged: Judgement) -> float:
    comparison = judged.comparison
    ends = [comparison.change, comparison.low, comparison.high, judged.limit]
    return max((abs(end) for end in ends if end is not None), default=0.0) or 0.01


def _name(judged: Judgement, report: Report) -> str:
    comparison = judged.comparison
    parts = [look.name_of(comparison.head, comparison.region), comparison.metric]
    if len({judgement.comparison.workload for judgement in report.judgements}) > 1:
        parts.insert(0, comparison.workload)
    return " · ".join(parts)


def _title(rows: list[Judgement]) -> str:
    bases = {row.comparison.base for row in rows}
    if all(row.comparison.base == row.comparison.head for row in rows):
        against = "the first run"
    else:
        against = bases.pop() if len(bases) == 1 else "their bases"
    workloads = {row.comparison.workload for row in rows}
    where = f" on {workloads.pop()}" if len(workloads) == 1 else ""
    return f"Change against {against}{where}, 95 % intervals"
