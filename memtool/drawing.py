"""Draws pictures of comparisons, inspections and histories, and the page on stored runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memtool.kinds.work import Inspection
    from memtool.model import Report
    from memtool.stats.history import History


def draw_comparison(report: Report, path: Path) -> tuple[str, ...]:
    """Draw a report's changes with their intervals; return the reason in words if there is no picture."""
    from memtool.report.compared import forest
    from memtool.report.plots import pictures

    _, complaints = pictures.try_to_draw(lambda: [drawn] if (drawn := forest.draw(report, path)) else [])
    return complaints


def draw_history(history: History, path: Path) -> tuple[str, ...]:
    """Draw a history's series with their changes; return the reason in words if there is no picture."""
    from memtool.report.compared import history_picture as picture
    from memtool.report.plots import pictures

    _, complaints = pictures.try_to_draw(lambda: [picture.draw(history, path)])
    return complaints


def draw_inspection(inspection: Inspection, path: Path) -> None:
    """Draw the sizes, lifetimes and live bytes of a workload. Raises InputError, also for a kind without a picture."""
    from dataclasses import asdict

    from memtool.errors import InputError
    from memtool.kinds.work import work
    from memtool.report.plots import characteristics

    info = inspection.trace
    if not work(info.kind).has_picture:
        raise InputError(f"{info.source}: work of the kind {info.kind} has no picture", field="plot")
    characteristics.draw(path, info.name, asdict(inspection.characteristics), info.marks, inspection.symbols)


def report(
    runs: Sequence[Path],
    output: Path | None = None,
    *,
    allocators: Sequence[str] | None = None,
    reference: str | None = None,
) -> Path:
    """Write a self-contained page of HTML on stored runs, and return its file.

    Args:
        runs: folders of results, or files run.json; their common parts are compared with the first run.
        output: the file; by default report.html in the folder of the first run.
        allocators: only those whose labels match are included.
        reference: the allocator that the others are compared with; by default the run's own.

    Raises:
        InputError: a file is not a run, or a name is unknown.
    """
    from memtool.reported import write

    return write(runs, output, allocators, reference)
