"""A sheet as it is declared: one table of a workload, with a row for each allocator (report/sheets.py fills it)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from memtool.model import CellResult

OWN = "own:"
"""Before the name of a figure that a malloc gives of itself: it lies with the cell's proof."""


class Quantity(StrEnum):
    """What a figure is of, and so how it is written."""

    BYTES = "bytes"
    TIME = "time"
    """Nanoseconds."""
    SHARE = "share"
    RATIO = "ratio"
    COUNT = "count"
    NUMBER = "number"
    MILLISECONDS = "milliseconds"
    """Of whole programs; the figures are in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: a heading, the metric behind it, and how its figures are written."""

    heading: str
    metric: str
    quantity: Quantity
    digits: int = 2
    is_interval: bool = False
    """Shows the ends of the interval and not the value."""


@dataclass(frozen=True, slots=True)
class SheetInfo:
    """A sheet as it is declared: one table of a workload, with a row for each allocator."""

    title: str
    """``{unit}`` stands for that of its bytes."""
    columns: tuple[Column, ...]
    compared: tuple[str, ...]
    """The metric that the ratio to a reference is of: the first of which the reference has a figure above 0."""
    sign: str | None = None
    """Shown only where any cell has this metric."""
    ranked: bool = False
    with_calls: bool = False
    """Whether it says how the operations of each row are called."""
    of: Callable[[CellResult], bool] = lambda cell: True
    """Which cells have a row."""
