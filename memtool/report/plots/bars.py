"""Bars that a kind of work declares, of one metric or of several that are stacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memtool.kinds.picture import BarsInfo
from memtool.model import CellResult
from memtool.report import look
from memtool.report.palette import PARTS
from memtool.report.paper import canvas
from memtool.report.paper.canvas import metric_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(cells: Sequence[CellResult], info: BarsInfo) -> Figure | None:
    """Draw bars with the parts of each cell, from the left, and write the total at their end.

    A part that is a negative difference has no bar but counts in the total.
    """
    known = [cell for cell in cells if metric_of(cell, info.parts[0][1])][::-1]
    if not known:
        return None
    figure, axes = canvas.single(7.5, 1.3 + 0.34 * len(known))
    ends, sums = [0.0] * len(known), [0.0] * len(known)
    for (label, name), (colour, hatch) in zip(info.parts, PARTS[: len(info.parts)], strict=True):
        metrics = [metric_of(cell, name) for cell in known]
        widths = [((metric.value or 0.0) / info.scale if metric else 0.0) for metric in metrics]
        axes.barh(
            range(len(known)),
            [max(width, 0.0) for width in widths],
            left=ends,
            label=label,
            color=colour,
            hatch=hatch,
            edgecolor="black",
            lw=0.4,
        )
        sums = [whole + width for whole, width in zip(sums, widths, strict=True)]
        ends = [end + max(width, 0.0) for end, width in zip(ends, widths, strict=True)]
    for position, (end, whole) in enumerate(zip(ends, sums, strict=True)):
        axes.annotate(
            f"{whole:,.4g}", (end, position), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.set_yticks(range(len(known)), [look.marked(cell) for cell in known])
    axes.set_xlim(0, 1.12 * max(ends) or 1.0)
    axes.set_xlabel(info.axis)
    if len(info.parts) > 1:
        figure.legend(loc="outside lower center", ncols=len(info.parts), frameon=False, fontsize=8)
    figure.suptitle(info.title)
    return figure
