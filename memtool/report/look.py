"""How allocators look everywhere: their names, the order of their rows, their colours and markers.

They are the same in every table and picture of a run, and on its page; colours and markers are those of palette.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from memtool.model import HARNESS, CellResult, Metric, Run, Status, TraceInfo
from memtool.report.palette import HATCHES, MARKERS, SERIES

NOISE_MARK = "!"
_SHADES = (1.0, 0.6, 1.5)
"""Factors on the lightness of the colours, if there are more allocators than colours: unchanged, darker, lighter."""
_LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
_ORDERED_BY = ("time_per_op_ns", "wall_time_ns", "instructions_per_op", "peak_resident_bytes", "peak_footprint_bytes")

TIMES = ("time_per_op_ns", "wall_time_ns")
"""The metrics by which allocators are ranked: for replayed events, and for whole programs."""


def time_of(cell: CellResult) -> Metric | None:
    """Return the figure by which a cell is ranked; None: it was not timed."""
    return next((metric for name in TIMES if (metric := cell.metrics.get(name)) is not None), None)


@dataclass(frozen=True, slots=True)
class Style:
    """The appearance of an allocator in pictures."""

    colour: str
    marker: str
    line: Any
    """A line style in matplotlib's form."""
    hatch: str

    @property
    def of_line(self) -> dict[str, Any]:
        """Return matplotlib's arguments for its line."""
        return {"color": self.colour, "linestyle": self.line, "marker": self.marker}


def name_of(allocator: str, region: str, mode: str = "serial") -> str:
    """Return an allocator with the unusual properties of its cell."""
    where = "" if region == "anonymous" else f" on {region}"
    return f"{allocator}{where}" + ("" if mode == "serial" else f", {mode}")


def label(cell: CellResult) -> str:
    """Return the name of a cell's row or line."""
    interpreted = " (interpreted)" if cell.interpreted else ""
    return name_of(cell.cell.allocator + interpreted, cell.cell.region)


def marked(cell: CellResult) -> str:
    """Return the label in a picture of times, with important remarks: a noisy machine, a failed cell."""
    noisy = f" {NOISE_MARK}" if cell.proof.get("noisy") else ""
    return label(cell) + noisy + failed(cell)


def failed(cell: CellResult) -> str:
    """Return the suffix for the label of a failed cell; if the harness failed, the cell was *not measured*."""
    if cell.fault is None:
        return ""
    return " (not measured)" if cell.fault == HARNESS else " (failed)"


def ordered(cells: Sequence[CellResult], reference: str | None = None) -> list[CellResult]:
    """Return the cells of one workload in the order of all its tables and pictures.

    The fastest is first. With a reference, the order is by the ratio to it on the same region. If nothing was timed,
    the first measured figure decides. Cells without figures come next, and failed cells last.
    """
    name = next((metric for metric in _ORDERED_BY if any(cell.value_of(metric) is not None for cell in cells)), None)
    if name is None:
        return sorted(cells, key=lambda cell: cell.status is Status.FAILED)
    bases = {cell.cell.region: cell.value_of(name) for cell in cells if cell.cell.allocator == reference}

    def place(cell: CellResult) -> tuple[bool, bool, float]:
        value = cell.value_of(name)
        base = bases.get(cell.cell.region) if bases else 1.0
        known = value is not None and bool(base)
        return cell.status is Status.FAILED, not known, (value or 0.0) / base if base else value or 0.0

    return sorted(cells, key=place)


def measured(run: Run, info: TraceInfo) -> list[CellResult]:
    """Return the cells of a workload that have figures, in order."""
    cells = [cell for cell in run.cells if cell.cell.workload == info.name and cell.metrics]
    return ordered(cells, run.reference)


def styles(run: Run) -> dict[str, Style]:
    """Return the style of each allocator of a run by its label; it is the same for all workloads."""
    return styles_of(label(cell) for cell in run.cells if cell.metrics)


def styles_of(labels: Iterable[str]) -> dict[str, Style]:
    """Return the style of each of these labels, in order."""
    return {
        name: Style(
            _colour(index),
            MARKERS[index % len(MARKERS)],
            _LINES[index % len(_LINES)],
            HATCHES[index % len(HATCHES)],
        )
        for index, name in enumerate(dict.fromkeys(labels))
    }


def _colour(index: int) -> str:
    """Return the colour of the allocator with this number; 24 are different."""
    from matplotlib.colors import to_hex, to_rgb

    turn, place = divmod(index, len(SERIES))
    shade = _SHADES[turn % len(_SHADES)]
    red, green, blue = (
        channel * shade if shade <= 1 else channel + (1 - channel) * (shade - 1) for channel in to_rgb(SERIES[place])
    )
    return to_hex((red, green, blue))
