"""The forms that charts have. A value that is not applicable is None, and a chart says in its note what is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

Point = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a chart."""

    name: str
    """With its unit."""
    is_log: bool = False
    quantity: str = "number"
    """number | time (in ns, written with the unit that fits)."""
    categories: tuple[str, ...] = ()
    """In place of numbers: what stands at 0, 1, 2 and so on."""
    end: float | None = None
    """Where it ends though figures go on, which the chart's note names; None: behind the last one."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an allocator, or of something that all have in common."""

    label: str
    points: tuple[Point, ...]
    look: str = "allocator"
    """allocator (drawn as everywhere) | area (what is live) | floor (what nobody gets below)."""
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
    """(name, place on the axis x), of the moments that the workload names."""
    levels: tuple[tuple[str, float], ...] = ()
    """(name, place on the axis y)."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, of one part or of several that add up."""

    label: str
    values: tuple[float | None, ...]
    low: float | None = None
    high: float | None = None
    """The interval of the first value."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars from the left, one below the other."""

    form: ClassVar[str] = "bars"
    name: str
    title: str
    axis: Axis
    parts: tuple[str, ...]
    """What each value of a bar is called; one: bars have the colours of their allocators."""
    bars: tuple[Bar, ...]
    levels: tuple[tuple[str, float], ...] = ()
    note: str = ""


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
    """One figure against another, the Pareto front joined."""

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
    """Figures on a scale of colours, a row each."""

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
    rows_are_allocators: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class Strip:
    """One heap, in levels from the bottom, of which each goes from the lowest address to the highest."""

    label: str
    levels: tuple[str, ...]
    """What is there in runs, each a letter (``a`` is the first class) and how many columns: ``a12c3a1``."""


@dataclass(frozen=True, slots=True)
class Moment:
    """All heaps at one moment."""

    title: str
    strips: tuple[Strip, ...]
    unit: str
    end: float
    """What the last column ends at, in the unit."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Strips:
    """Heaps over their addresses, at several moments."""

    form: ClassVar[str] = "strips"
    name: str
    title: str
    classes: tuple[tuple[str, str], ...]
    """(what it is, its colour)."""
    columns: int
    moments: tuple[Moment, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One comparison: a change with its interval, and the limit that it is judged by; all in percent."""

    label: str
    what: str
    """Metric, and where it was measured."""
    change: float
    low: float | None
    high: float | None
    limit: float | None
    verdict: str
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
