"""A picture as a kind declares it: bars of its metrics, a row for each allocator (report/plots/bars.py draws it)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BarsInfo:
    """Bars of one metric, or of several that add up, one after the other."""

    name: str
    """Of the picture, as ``--only`` has it."""
    title: str
    axis: str
    """What is along the bars, with its unit."""
    parts: tuple[tuple[str, str], ...]
    """(what it is called, metric), from the left; drawn of the cells that have the first."""
    scale: float = 1.0
    """By which figures are divided."""
