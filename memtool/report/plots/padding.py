"""The memory cost of alignment: one line for each allocator, and the arithmetic bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from memtool.model import CellResult
from memtool.report import look
from memtool.report.look import Style
from memtool.report.paper import canvas
from memtool.report.paper.canvas import metric_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WAY = "align-"


def courses(cells: Sequence[CellResult]) -> tuple[dict[str, list[tuple[int, float]]], dict[int, float]]:
    """Return (allocator -> (alignment, mean padding in bytes), alignment -> the padding of rounding up to it)."""
    lines: dict[str, list[tuple[int, float]]] = {}
    theory: dict[int, float] = {}
    for cell in cells:
        name, alignment = _aligned(cell)
        padding, rounded = metric_of(cell, "padding_bytes"), metric_of(cell, "alignment_padding_bytes")
        if alignment is None or padding is None or rounded is None:
            continue
        lines.setdefault(name, []).append((alignment, padding.value or 0.0))
        theory[alignment] = rounded.value or 0.0
    return lines, theory


def _aligned(cell: CellResult) -> tuple[str, int | None]:
    name, _, way = cell.cell.allocator.partition("@")
    return name, int(way.removeprefix(_WAY).split()[0]) if way.startswith(_WAY) else None


def draw(cells: Sequence[CellResult], styles: Mapping[str, Style]) -> Figure | None:
    """Draw the mean padding of a block over its alignment; None if fewer than two alignments were measured."""
    lines, theory = courses(cells)
    drawn_as: dict[str, Style] = {}
    for cell in cells:
        drawn_as.setdefault(_aligned(cell)[0], styles[look.label(cell)])
    if len(theory) < 2:
        return None
    figure, axes = canvas.single(7.5, canvas.tall_enough(4.8, len(lines)))
    rounded_up = list(zip(*sorted(theory.items()), strict=True))
    axes.plot(*rounded_up, color="black", linestyle=":", linewidth=1.6, label="rounded up")
    for name, points in lines.items():
        style = drawn_as[name].of_line | {"linestyle": "-"}
        axes.plot(*zip(*sorted(points), strict=True), label=name, markersize=5, linewidth=1.2, alpha=0.85, **style)
    axes.set_xscale("log", base=2)
    axes.set_yscale("symlog", linthresh=1)
    most = max(padding for points in lines.values() for _, padding in points)
    axes.set_ylim(0, 1.5 * max(most, *theory.values()))
    axes.set_xticks(sorted(theory), [f"{alignment:,}" for alignment in sorted(theory)])
    axes.set_xlabel("alignment of each block, bytes")
    axes.set_ylabel("padding of a block, mean, bytes")
    axes.grid(color="0.93")
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle("Padding by alignment (dotted: each block rounded up to it)")
    return figure
