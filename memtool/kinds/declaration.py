"""What is said of a kind of work, once, for all who store, summarise, judge and show what is found of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from memtool.kinds.metric import MetricInfo
from memtool.kinds.picture import BarsInfo
from memtool.kinds.sheet import SheetInfo
from memtool.model import CellResult, TraceInfo
from memtool.passes import Pass
from memtool.passes.declaration import Measure


class WhyNot(Protocol):
    """Says why a figure is missing."""

    def __call__(self, cell: CellResult, name: str, trace: TraceInfo, *, was_measured: bool) -> str | None:
        """Return why a cell has no figure of a metric: not measured, or not applicable; None: as of any kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What workers find of a kind of work, and how that is shown."""

    measures: Mapping[Pass, Measure]
    """The passes that it has, in their order, and what each measures."""
    metrics: tuple[MetricInfo, ...]
    """Those that no kind before it has."""
    sheets: tuple[SheetInfo, ...]
    """In the order in which they are shown."""
    heading: Callable[[TraceInfo], str]
    """What stands above the tables of a workload."""
    remarks: Callable[[Sequence[CellResult], TraceInfo], Iterable[str]] = lambda cells, trace: ()
    """What stands below them, a paragraph each; an empty one is left out."""
    pictures: tuple[BarsInfo, ...] = ()
    """What is drawn of it besides the pictures of any kind; of those with the same name in their place."""
    has_calls: bool = True
    """Whether an allocator's operations are called by the kernel, in the way that its plan says."""
    why_not: WhyNot = lambda cell, name, trace, *, was_measured: None
