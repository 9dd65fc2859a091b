"""Throughput by number of threads, of a workload that was measured with several numbers, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from memtool.model import Run, Status, TraceInfo
from memtool.report import look

HARNESS = "harness (null)"
"""The null strategy: the time of the replay itself, including the handing over of objects."""
_LEFT_OUT = "-"

Point = tuple[int, float, float | None, float | None]
"""(threads, million operations a second, lower and upper end of its interval)."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table and one line of the picture."""

    name: str
    points: tuple[Point, ...]
    """In ascending order of threads; empty where it was left out or failed."""
    lacks: tuple[int, ...] = ()
    """The numbers of threads without a point."""

    @property
    def label(self) -> str:
        """Return the name in the legend, which also says where the line ends early."""
        if not self.lacks:
            return self.name
        return f"{self.name} (not on {', '.join(map(str, self.lacks))})"


def swept(run: Run) -> dict[str, list[TraceInfo]]:
    """Return the workloads of a run with several numbers of threads, each with its traces in ascending order."""
    workloads: dict[str, list[TraceInfo]] = {}
    for info in run.workloads:
        workloads.setdefault(info.name.partition(":threads=")[0], []).append(info)
    return {name: sorted(infos, key=lambda info: info.threads) for name, infos in workloads.items() if len(infos) > 1}


def lines(run: Run, infos: Sequence[TraceInfo]) -> list[Line]:
    """Return the harness, then the allocators, the fastest on the most threads first, then those without that point.

    The harness is included if its time was recorded. Allocators without any point are left out.
    """
    threads = {info.name: info.threads for info in infos}
    curves: dict[str, list[Point]] = {}
    harness: dict[int, list[float]] = {}
    for cell in run.cells:
        metric = cell.metrics.get("time_per_op_ns")
        if cell.cell.workload not in threads or cell.status is not Status.OK or not metric or not metric.value:
            continue
        count = threads[cell.cell.workload]
        low = 1e3 / metric.high if metric.high else None
        high = 1e3 / metric.low if metric.low else None
        curves.setdefault(look.label(cell), []).append((count, 1e3 / metric.value, low, high))
        if cell.proof.get("harness_ns"):
            harness.setdefault(count, []).append(1e3 / cell.proof["harness_ns"])
    counts = sorted(threads.values())

    def line(name: str, points: Sequence[Point]) -> Line:
        has = {count for count, *_ in points}
        return Line(name, tuple(sorted(points)), tuple(count for count in counts if count not in has))

    of_null = [line(HARNESS, [(count, median(rates), None, None) for count, rates in harness.items()])]
    allocators = [line(name, points) for name, points in curves.items()]
    return [
        *(curve for curve in of_null if curve.points),
        *sorted(allocators, key=lambda curve: (counts[-1] in curve.lacks, -curve.points[-1][1])),
    ]


def table(run: Run, infos: Sequence[TraceInfo]) -> tuple[list[str], list[list[str]]]:
    """Return (headings, rows): million operations a second by number of threads, and the speedup at the most."""
    counts = [info.threads for info in infos]
    rows = []
    for line in lines(run, infos):
        rates = {count: rate for count, rate, *_ in line.points}
        first, last = rates.get(counts[0]), rates.get(counts[-1])
        grown = f"{last / first:.2f}" if first and last else _LEFT_OUT
        rows.append([line.name, *(f"{rates[count]:.2f}" if count in rates else _LEFT_OUT for count in counts), grown])
    headings = [f"{count} thread{'' if count == 1 else 's'}" for count in counts]
    return ["allocator", *headings, f"{counts[-1]} over {counts[0]}"], rows
