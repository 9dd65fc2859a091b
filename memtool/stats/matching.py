"""The common parts of two runs, and the parts that only one of them has, in words."""

from __future__ import annotations

from memtool.model import Run, Status
from memtool.stats.proof import NAMED
from memtool.units import format_count


def unmatched(base: Run, head: Run) -> list[str]:
    """Return the parts that only one of two runs has, in words."""
    first = {result.cell for result in base.cells}
    second = {result.cell for result in head.cells if result.status is not Status.EXCLUDED}
    replayed = {info.name for info in head.workloads}
    notes = []
    for reason, cells in (
        ("only in the first", [cell for cell in first - second if cell.workload in replayed]),
        ("not in the first", second - first),
    ):
        if cells:
            names = sorted(f"{cell.workload}/{cell.allocator}" for cell in cells)
            listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            notes.append(f"{reason}, so not compared: {listed}")
    return notes


def gone(base: Run, head: Run) -> list[str]:
    """Return the parts that the first of two runs measured and the second lacks, in words."""
    second = {result.cell for result in head.cells}
    return [
        f"{result.cell.workload} · {result.cell.allocator}: the second run does not have it"
        for result in base.cells
        if result.cell not in second and result.status is Status.OK
    ]


def not_in(base: Run, head: Run, path: str) -> list[str]:
    """Return measured parts that have no counterpart in a baseline, in words."""
    known = {result.cell for result in base.cells}
    lines = []
    for result in head.cells:
        if result.cell not in known and result.status is not Status.EXCLUDED:
            others = dict.fromkeys(cell.allocator for cell in known if cell.workload == result.cell.workload)
            has = f"it has {', '.join(sorted(others)[:5])}" if others else "it has not this workload at all"
            lines.append(f"{result.cell.workload} · {result.cell.allocator}: not in {path}; {has}")
    return lines


def some_cells(run: Run) -> str:
    """Return the first cells of a run, for a message."""
    cells = [f"{result.cell.workload}/{result.cell.allocator}" for result in run.cells] or ["no cell at all"]
    return ", ".join(cells[:3]) + (f" and {format_count(len(cells) - 3)} more" if len(cells) > 3 else "")


def named_in(run: Run) -> dict[str, str]:
    """Return the meaning of a name that the user gave an allocator: ``mine`` -> ``mine=./libmine.so``."""
    return {result.cell.allocator: str(result.proof[NAMED]) for result in run.cells if NAMED in result.proof}
