"""What is known of a metric. Each kind of work has its own; docs/metrics.md has the formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from memtool.passes import Pass

Direction = Literal["lower", "higher", "neither"]
Scope = Literal["events", "code", "job"]


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What is known of a metric whatever its figure is."""

    name: str
    unit: str
    """``ns``, ``B``, or ``1`` for a plain number."""
    meaning: str
    direction: Direction = "lower"
    by_difference: bool = False
    """Compared by difference, never by ratio: it can be 0."""
    gated: bool = True
    """Whether it may decide over pass or regression; net time, which can be negative, may not."""
    may_be_negative: bool = False
    is_share: bool = False
    """A part of a whole: a limit of 2 % on it is two points, not a fiftieth of the figure."""
    scope: Scope = "job"
    """What two figures must have in common to be comparable.

    ``events``: the same events, page size and architecture; what a strategy's own books say, exact where repeats agree.
    ``code``: these, and the compiler and the C library; instruction counts.
    ``job``: measured side by side; times, and whatever the kernel counts.
    """
    measured_by: Pass = Pass.FOOTPRINT
    is_cause: bool = False
    """Says why a footprint is what it is, and costs nothing by itself: gated only where the user names it."""
    in_milliseconds: bool = False
    """Nanoseconds by the million, which verdicts write as milliseconds."""
    headline: bool = False
    """Compared unless the user names others: each further one costs every other some power."""

    @property
    def written_unit(self) -> str:
        """Return what stands behind a figure in text: nothing behind a plain number."""
        return "" if self.unit == "1" else self.unit
