"""The declaration of a sheet: a table of a workload with one row for each allocator (report/sheets.py fills it)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from memtool.model import CellResult

OWN = "own:"
"""Prefix for the names of figures that a malloc reports about itself; they are stored with the cell's proof."""


class Quantity(StrEnum):
    """Quantity of a figure, which determines its format."""

    BYTES = "bytes"
    TIME = "time"
    """Nanoseconds."""
    SHARE = "share"
    RATIO = "ratio"
    COUNT = "count"
    NUMBER = "number"
    MILLISECONDS = "milliseconds"
    """Times of whole programs; stored in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: a heading, the metric in it, and the format of its values."""

    heading: str
    metric: str
    quantity: Quantity
    digits: int = 2
    is_interval: bool = False
    """Shows the ends of the interval instead of the value."""


@dataclass(frozen=True, slots=True)
class SheetInfo:
    """The declaration of a sheet: one table of a workload, with one row for each allocator."""

    title: str
    """``{unit}`` stands for the unit of its bytes."""
    columns: tuple[Column, ...]
    compared: tuple[str, ...]
    """Metrics for the ratio to a reference: the first for which the reference has a value above 0 is used."""
    sign: str | None = None
    """Shown only if any cell has this metric."""
    ranked: bool = False
    with_calls: bool = False
    """Whether it states how the operations of each row are called."""
    of: Callable[[CellResult], bool] = lambda cell: True
    """Selects the cells that have a row."""
