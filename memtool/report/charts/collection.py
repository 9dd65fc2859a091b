"""Charts of collection: the time that pauses leave to the program, and the times of the pauses."""

from __future__ import annotations

from collections.abc import Sequence

from memtool.model import CellResult
from memtool.report.charts.record import Axis, Heat, Line, Lines
from memtool.report.plots import collection
from memtool.store import series
from memtool.units import format_ns

_SLICES = 100


def utilisation(cells: Sequence[CellResult]) -> Lines | None:
    """Return the program's least share of time windows, over their length; None if there were no pauses."""
    curves = collection.curves_of(cells)
    if not curves:
        return None
    windows = sorted({window for points in curves.values() for window, _ in points})
    return Lines(
        "utilisation",
        "Minimum mutator utilisation (higher is better)",
        Axis("window of time", categories=tuple(format_ns(window) for window in windows)),
        Axis("least share of any window that the program had", end=1.0),
        tuple(
            Line(name, tuple((windows.index(window), share) for window, share in points))
            for name, points in curves.items()
        ),
    )


def pauses_over_time(labelled: Sequence[tuple[str, CellResult, series.History]]) -> Heat | None:
    """Return the longest pause in each hundredth of the replay, one row for each paused cell; None if there is none."""
    known = [(label, history.pauses) for label, _, history in labelled if history.pauses]
    if not known:
        return None
    end = max(begin + ticks for _, pauses in known for begin, ticks, *_ in pauses)
    rows = []
    for _, pauses in known:
        row: list[float | None] = [None] * _SLICES
        for begin, ticks, *_ in pauses:
            place = min(int(begin / end * _SLICES), _SLICES - 1)
            row[place] = max(row[place] or 0.0, ticks)
        rows.append(tuple(row))
    width = end / _SLICES
    return Heat(
        "pauses-over-time",
        "When the program stood still: the longest pause of each slice of the replay",
        Axis("time since the replay began", categories=tuple(format_ns(width * (at + 1)) for at in range(_SLICES))),
        Axis("", categories=tuple(label for label, _ in known)),
        tuple(rows),
        Axis("longest pause", is_log=True, quantity="time"),
    )
