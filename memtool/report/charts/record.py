"""The forms of charts. A value that is not applicable is None; a chart's note names what is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memtool.report.palette import HEAT_STEPS

Point = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a chart."""

    name: str
    """Name of the axis, with its unit."""
    is_log: bool = False
    quantity: str = "number"
    """number | time (in ns, written with a suitable unit)."""
    categories: tuple[str, ...] = ()
    """Labels for 0, 1, 2 and so on, instead of numbers."""
    end: float | None = None
    """End of the axis where values go beyond it, which the chart's note names; None: behind the last value."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an allocator, or of a quantity that all of them share."""

    label: str
    points: tuple[Point, ...]
    look: str = "allocator"
    """allocator (in its usual style) | area (live bytes) | floor (a lower bound for all)."""
    hollow: tuple[int, ...] = ()
    """Indices of points that are indistinguishable from noise."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines over a common axis."""

    form: ClassVar[str] = "lines"
    name: str
    title: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    marks: tuple[tuple[str, float], ...] = ()
    """(name, position on the axis x) of the moments that the workload names."""
    levels: tuple[tuple[str, float], ...] = ()
    """(name, position on the axis y)."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, of one part or of several that are stacked."""

    label: str
    values: tuple[float | None, ...]
    low: float | None = None
    high: float | None = None
    """Upper end of the interval of the first value."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars from the left, one below the other."""

    form: ClassVar[str] = "bars"
    name: str
    title: str
    axis: Axis
    parts: tuple[str, ...]
    """Names of the values of a bar; with one part, bars have the colours of their allocators."""
    bars: tuple[Bar, ...]
    levels: tuple[tuple[str, float], ...] = ()
    note: str = ""
    colours: tuple[str, ...] = ()
    """Of the parts, where there are several."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One allocator in two dimensions, with its intervals (low, high) where it has them."""

    label: str
    x: float
    y: float
    x_interval: tuple[float, float] | None = None
    y_interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Spots:
    """One figure against another, with the Pareto front as a line."""

    form: ClassVar[str] = "spots"
    name: str
    title: str
    x: Axis
    y: Axis
    spots: tuple[Spot, ...]
    front: tuple[Point, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Heat:
    """Figures on a scale of colours, one row each."""

    form: ClassVar[str] = "heat"
    name: str
    title: str
    x: Axis
    y: Axis
    values: tuple[tuple[float | None, ...], ...]
    """``values[row][column]``."""
    scale: Axis
    hollow: tuple[tuple[int, int], ...] = ()
    """(row, column) of figures that are indistinguishable from noise."""
    colours: tuple[str, ...] = HEAT_STEPS
    """Of the scale, at equal distances."""
    rows_are_allocators: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class Strip:
    """One heap, in levels from the bottom; each level runs from the lowest address to the highest."""

    label: str
    levels: tuple[str, ...]
    """Runs of classes, each as a letter (``a`` is the first class) and a number of columns: ``a12c3a1``."""


@dataclass(frozen=True, slots=True)
class Moment:
    """All heaps at one moment."""

    title: str
    strips: tuple[Strip, ...]
    unit: str
    end: float
    """Position of the end of the last column, in the unit."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Strips:
    """Heaps over their addresses, at several moments."""

    form: ClassVar[str] = "strips"
    name: str
    title: str
    classes: tuple[tuple[str, str], ...]
    """(name of the class, its colour)."""
    columns: int
    moments: tuple[Moment, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One comparison: a change with its interval, and the limit by which it is judged; all in percent."""

    label: str
    what: str
    """Metric, and the cell in which it was measured."""
    change: float
    low: float | None
    high: float | None
    limit: float | None
    verdict: str
    colour: str
    """Of the verdict."""
    words: str


@dataclass(frozen=True, slots=True)
class Changes:
    """Comparisons around the margin."""

    form: ClassVar[str] = "changes"
    name: str
    title: str
    changes: tuple[Change, ...]
    note: str = ""


Chart = Lines | Bars | Spots | Heat | Strips | Changes
