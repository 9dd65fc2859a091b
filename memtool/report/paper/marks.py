"""Marks in pictures: a line at each named moment of a workload, with its name above the axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from memtool.model import Mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 8
_INCHES_A_LETTER = 0.6 * _POINTS / 72
Places = Sequence[tuple[str, float]]
"""(name, position on the axis of time), ascending."""


def over_operations(marks: Sequence[Mark]) -> Places:
    """Return the positions of marks on an axis of thousands of operations."""
    return [(mark.name, mark.operation / 1000) for mark in marks]


def over_events(marks: Sequence[Mark]) -> Places:
    """Return the positions of marks on an axis of percent of the run's events."""
    return [(mark.name, mark.progress * 100) for mark in marks]


def draw(axes: Axes, places: Places, colour: str = "0.35") -> None:
    """Draw a line at each place."""
    for _, place in places:
        axes.axvline(place, color=colour, linewidth=0.9, linestyle=(0, (4, 3)))


def write_names(axes: Axes, places: Places, inches: float) -> None:
    """Write the names above axes of about this width, after their limits are set; as ticks, they get room."""
    if not places:
        return
    low, high = axes.get_xlim()
    laid = _lay_out([(name, (place - low) / (high - low) * inches) for name, place in places], inches)
    top = axes.secondary_xaxis("top")
    labels = [name + "\n" * row for (name, _), (row, _) in zip(places, laid, strict=True)]
    top.set_xticks([place for _, place in places], labels, fontsize=_POINTS)
    top.tick_params(length=0, pad=1)
    for label, (_, side) in zip(top.get_xticklabels(), laid, strict=True):
        label.set_horizontalalignment(side)
    top.spines["top"].set_visible(False)


def _lay_out(places: Places, inches: float) -> list[tuple[int, Literal["left", "right"]]]:
    """Return (row, side of the name at its position), in inches, so that no names overlap or leave the axes.

    Row 0 is the lowest.
    """
    ends: list[float] = []
    laid: list[tuple[int, Literal["left", "right"]]] = []
    for name, place in places:
        width = _INCHES_A_LETTER * (len(name) + 1)
        side: Literal["left", "right"] = "left" if place + width <= inches else "right"
        begin = place if side == "left" else place - width
        row = next((row for row, end in enumerate(ends) if end < begin), len(ends))
        ends[row : row + 1] = [begin + width]
        laid.append((row, side))
    return laid
