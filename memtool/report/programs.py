"""What tables say of whole programs: what was run, and several of them side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from memtool.model import CellResult, Run, TraceInfo
from memtool.report import look

_AROUND = {
    "input": "standard input from",
    "output": "standard output to",
    "setup": "once before",
    "prepare": "before each run",
    "conclude": "after each run",
    "cleanup": "once after",
    "ready": "ready when",
    "load": "timed: its load",
}


def heading(info: TraceInfo) -> str:
    """Return what was run, and what around it."""
    said: Mapping[str, Any] = info.program or {}
    by = f" (by {said['run_by']})" if "run_by" in said else ""
    lines = [f"{info.name}: the whole program, one run a sample{by}: {said.get('command', '?')}"]
    around = [f"{words} {said[key]}" for key, words in _AROUND.items() if said.get(key)]
    if said.get("warmup"):
        around.append(f"{said['warmup']} runs of each allocator before, not measured")
    if said.get("expects_same_output"):
        around.append("output expected to be the same under every allocator")
    return "\n".join([*lines, *(["; ".join(around)] if around else [])])


def memory_in_words(info: TraceInfo, cells: Sequence[CellResult]) -> str:
    """Return how surely the peak of several processes is known; nothing of one process, of which it is exact."""
    most = max((metric.value or 0 for cell in cells if (metric := cell.metrics.get("tree_processes"))), default=0)
    if info.program is None or most <= 1:
        return ""
    return (
        "Peak of several processes: the most that looks at the whole tree saw (each page once, by proportional set "
        "sizes), and at least the kernel's own mark of the largest process. A peak between two looks is not seen."
    )


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
