"""Marks in pictures: a line at each named moment of a workload, with its name above the axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memtool.model import Mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 8
_INCHES_A_LETTER = 0.6 * _POINTS / 72
Places = Sequence[tuple[str, float]]
"""(name, place on the axis of time), ascending."""


def over_operations(marks: Sequence[Mark]) -> Places:
    """Return where marks are on an axis of thousands of operations."""
    return [(mark.name, mark.operation / 1000) for mark in marks]


def over_events(marks: Sequence[Mark]) -> Places:
    """Return where marks are on an axis of percent of the run's events."""
    return [(mark.name, mark.progress * 100) for mark in marks]


def draw(axes: Axes, places: Places, colour: str = "0.35") -> None:
    """Draw a line at each place."""
    for _, place in places:
        axes.axvline(place, color=colour, linewidth=0.9, linestyle=(0, (4, 3)))


def write_names(axes: Axes, places: Places, inches: float) -> None:
    """Write the names above axes that have their limits and are about so wide: as ticks, so the layout makes room."""
    if not places:
        return
    low, high = axes.get_xlim()
    rows = _rows([(name, (place - low) / (high - low) * inches) for name, place in places])
    top = axes.secondary_xaxis("top")
    labels = [name + "\n" * row for (name, _), row in zip(places, rows, strict=True)]
    top.set_xticks([place for _, place in places], labels, fontsize=_POINTS)
    top.tick_params(length=0, pad=1)
    for label in top.get_xticklabels():
        label.set_horizontalalignment("left")
    top.spines["top"].set_visible(False)


def _rows(places: Places) -> list[int]:
    """Return the row of each name, 0 the lowest, so that none overlaps another; places in inches."""
    ends: list[float] = []
    rows = []
    for name, place in places:
        row = next((row for row, end in enumerate(ends) if end < place), len(ends))
        ends[row : row + 1] = [place + _INCHES_A_LETTER * (len(name) + 1)]
        rows.append(row)
    return rows
