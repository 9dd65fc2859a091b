"""The properties of a metric. Each kind of work has its own metrics; docs/metrics.md has the formulas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from memtool.passes import Pass
from memtool.passes.latency import PERCENTILES

Direction = Literal["lower", "higher", "neither"]
Scope = Literal["events", "code", "job"]


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """The properties of a metric that do not depend on its value."""

    name: str
    unit: str
    """``ns``, ``B``, or ``1`` for a plain number."""
    meaning: str
    direction: Direction = "lower"
    by_difference: bool = False
    """Compared by difference and never by ratio, because it can be 0."""
    gated: bool = True
    """Whether it may decide between pass and regression; net time, which can be negative, may not."""
    may_be_negative: bool = False
    is_share: bool = False
    """A fraction of a whole: a limit of 2 % on it means two percentage points, not a fiftieth of the value."""
    scope: Scope = "job"
    """What two values must have in common to be comparable.

    ``events``: the same events, page size and architecture; for a strategy's own accounts, exact if repeats agree.
    ``code``: in addition the same compiler and C library; for instruction counts.
    ``job``: measurement side by side; for times and everything that the kernel counts.
    """
    measured_by: Pass = Pass.FOOTPRINT
    is_cause: bool = False
    """Explains a footprint but is no cost itself: it is gated only where the user names it."""
    in_milliseconds: bool = False
    """Nanoseconds in the order of millions, which verdicts write as milliseconds."""
    headline: bool = False
    """Compared by default; each further compared metric reduces the statistical power for all others."""

    @property
    def written_unit(self) -> str:
        """Return the unit to write after a value; empty for a plain number."""
        return "" if self.unit == "1" else self.unit


def percentiles(of: str, names: Iterable[str], meaning: str) -> Iterator[MetricInfo]:
    """Yield the metrics ``{of}_{name}_ns`` for these names of percentiles; ``meaning``: which take no longer."""
    for name in names:
        share = "half" if name == "p50" else f"{PERCENTILES[name]:g} %"
        yield MetricInfo(f"{of}_{name}_ns", "ns", f"{share} of all {meaning}", measured_by=Pass.LATENCY)
