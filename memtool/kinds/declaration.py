"""The declaration of a kind of work, shared by the code that stores, summarises, judges and shows its measurements."""

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
    """Explains why a figure is missing."""

    def __call__(self, cell: CellResult, name: str, trace: TraceInfo, *, was_measured: bool) -> str | None:
        """Return why a cell has no figure of a metric: not measured or not applicable; None: no reason of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The measurements that workers take of a kind of work, and their presentation."""

    measures: Mapping[Pass, Measure]
    """The passes of the kind, in their order, and what each of them measures."""
    metrics: tuple[MetricInfo, ...]
    """The metrics that no earlier kind has."""
    sheets: tuple[SheetInfo, ...]
    """The sheets, in the order in which they are shown."""
    heading: Callable[[TraceInfo], str]
    """Returns the text above the tables of a workload."""
    remarks: Callable[[Sequence[CellResult], TraceInfo], Iterable[str]] = lambda cells, trace: ()
    """Yields the text below the tables, one paragraph each; empty paragraphs are left out."""
    pictures: tuple[BarsInfo, ...] = ()
    """Pictures in addition to those of all kinds; they replace pictures of the same name."""
    has_calls: bool = True
    """Whether the kernel calls an allocator's operations, in the way that the allocator's plan states."""
    why_not: WhyNot = lambda cell, name, trace, *, was_measured: None
