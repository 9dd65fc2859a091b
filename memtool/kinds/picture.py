"""The declaration of a picture of a kind: bars of its metrics, one row for each allocator (report/plots/bars.py)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BarsInfo:
    """Bars of one metric, or of several that are stacked end to end."""

    name: str
    """Name of the picture, as ``--only`` takes it."""
    title: str
    axis: str
    """Label of the axis along the bars, with its unit."""
    parts: tuple[tuple[str, str], ...]
    """(label, metric) of each part, from the left; cells without the first metric are left out."""
    scale: float = 1.0
    """Divisor of the values."""
