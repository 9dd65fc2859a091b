"""A table that compares whole programs."""

from __future__ import annotations

from memtool.model import Run
from memtool.report import look


def table(run: Run) -> tuple[list[str], list[list[str]]]:
    """Return (headings, rows) of the wall times of several programs; no rows where there are fewer than two."""
    infos = [info for info in run.workloads if info.program is not None]
    times = {
        (cell.cell.workload, look.label(cell)): metric.value
        for cell in run.cells
        if (metric := cell.metrics.get("wall_time_ns")) and metric.value is not None
    }
    labels = list(dict.fromkeys(label for _, label in times))
    if len(infos) < 2:
        return [], []
    return ["allocator", *(info.name for info in infos)], [
        [
            label,
            *(f"{value / 1e6:,.2f}" if (value := times.get((info.name, label))) is not None else "-" for info in infos),
        ]
        for label in labels
    ]
