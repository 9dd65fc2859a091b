"""The inside of each heap over the run: its free bytes, and the pieces in which they are."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memtool.model import Mark
from memtool.report.paper import canvas, marks
from memtool.store import series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LETTERS_IN_LINE = 110
_MOST_NAMED = 6
_TITLE: Mapping[str, Any] = {"fontsize": 9, "loc": "left"}
_MOSTLY = 0.75
"""Share of the checkpoints whose figures the axis must contain. Values that are far larger for a short while, as after
a drain, may leave the picture; values that last for a third of the run may not."""
Course = Sequence[float | None]
"""A figure at each checkpoint; None: not applicable."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One metric of the inside of a heap over time."""

    title: str
    unit: str
    figures: Callable[[series.History], Course]
    linear_to: float | None = None
    """Value beyond which the axis is logarithmic; None: it is linear, and ends before figures far beyond the others."""


def _scaled(column: str, unit: int) -> Callable[[series.History], Course]:
    def figures(history: series.History) -> Course:
        return [None if value is None else value / unit for value in history.footprint.get(column, ())]

    return figures


def _holes(history: series.History) -> Course:
    blocks = (history.footprint.get(column, ()) for column in ("free_blocks", "used_blocks"))
    return [None if free is None or not used else free / used for free, used in zip(*blocks, strict=True)]


PANELS = (
    Panel("free bytes", "MiB", _scaled("free_bytes", 2**20)),
    Panel("largest free block", "KiB", _scaled("largest_free", 2**10), linear_to=1),
    Panel("holes: free blocks / used blocks", "ratio", _holes, linear_to=0.1),
)


def over_time(
    cells: Sequence[tuple[str, series.History]], looks: Mapping[str, Mapping[str, Any]], marked: Sequence[Mark]
) -> Figure | None:
    """Return free bytes, largest free block and holes over the operations, for the cells that know them.

    ``looks`` maps each label to the style of its line. A cell that does not know a figure is named as n/a.
    """
    courses = {panel.title: _courses(panel, cells) for panel in PANELS}
    known = [label for label, _ in cells if any(label in drawn for drawn in courses.values())]
    if not known:
        return None
    height = max(8.0, 1.2 + 0.17 * len(known))
    figure, grid = canvas.subplots(len(PANELS), 1, 9, height, is_open=True, sharex=True)
    lines: dict[str, Any] = {}
    for axes, panel in zip(grid, PANELS, strict=True):
        drawn = courses[panel.title]
        lines |= {label: _line(axes, drawn[label], looks[label]) for label in known if label in drawn}
        title = f"{panel.title} (n/a: {', '.join(missing)})" if (missing := _without(known, drawn)) else panel.title
        axes.set_title(title, **_TITLE)
        axes.set_ylabel(panel.unit)
        axes.grid(axis="y", color="0.93")
        if panel.linear_to is not None:
            axes.set_yscale("symlog", linthresh=panel.linear_to)
            axes.yaxis.set_major_formatter("{x:,g}")
        else:
            axes.set_title(title + _cut(axes, {label: course for label, (_, course) in drawn.items()}), **_TITLE)
        axes.set_ylim(bottom=0)
        axes.margins(x=0)
        marks.draw(axes, marks.over_operations(marked))
    marks.write_names(grid[0], marks.over_operations(marked), inches=6.5)
    grid[-1].set_xlabel("operations (thousands)")
    silent = _without([label for label, history in cells if history.footprint], known)
    if silent:
        figure.supxlabel(_wrapped(f"n/a, do not say what is free in them: {', '.join(silent)}"), fontsize=8)
    handles = [lines[label] for label in known]
    figure.legend(handles, known, loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle("Inside of the heap over time")
    return figure


def _courses(panel: Panel, cells: Sequence[tuple[str, series.History]]) -> dict[str, tuple[Course, Course]]:
    """Return (clock, figures) for cells that know the figure at any time."""
    histories = (
        (label, history.footprint["clock"], panel.figures(history)) for label, history in cells if history.footprint
    )
    return {
        label: (clock, course) for label, clock, course in histories if any(figure is not None for figure in course)
    }


def _without(labels: Sequence[str], others: Sequence[str] | Mapping[str, Any]) -> list[str]:
    return [label for label in labels if label not in others]


def _line(axes: Axes, course: tuple[Course, Course], look: Mapping[str, Any]) -> Any:  # noqa: ANN401  # matplotlib's
    clock, values = course
    every = max(1, len(clock) // 8)
    nan = float("nan")
    (line,) = axes.plot(
        [(time or 0) / 1000 for time in clock],
        [nan if value is None else value for value in values],
        markevery=every,
        markersize=4,
        linewidth=1.2,
        **look,
    )
    return line


def _wrapped(text: str) -> str:
    """Return text in lines that break only at spaces, so that names of allocators stay whole."""
    return textwrap.fill(text, _LETTERS_IN_LINE, break_long_words=False, break_on_hyphens=False)


def leaving(labels: Sequence[str]) -> str:
    """Return a caption that names the cells whose lines leave the picture; of many, the first few."""
    more = f" and {len(labels) - _MOST_NAMED} more" if len(labels) > _MOST_NAMED else ""
    return _wrapped(f"leaves the picture: {', '.join(labels[:_MOST_NAMED])}{more}")


def _cut(axes: Axes, courses: Mapping[str, Course]) -> str:
    """Cut the axis before figures far beyond most of every course, and return a remark about it for the title."""
    known = {label: sorted(figure for figure in course if figure is not None) for label, course in courses.items()}
    ceiling = 3 * max((course[int(_MOSTLY * (len(course) - 1))] for course in known.values()), default=0)
    above = [label for label, course in known.items() if course[-1] > ceiling]
    if not ceiling or not above:
        return ""
    axes.set_ylim(0, ceiling)
    return f"\n{leaving(above)}"
