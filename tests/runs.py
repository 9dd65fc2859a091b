"""Runs that were never measured, for what compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from memtool.commands import spelling
from memtool.gate import NextStep
from memtool.measure.metrics import METRICS
from memtool.model import Cell, CellResult, Determinism, Metric, Run, Status, TraceInfo
from memtool.stats.summary import median_interval

MACHINE: Mapping[str, Any] = {
    "cpu": "Example Processor 9000",
    "architecture": "x86_64",
    "cores": 2,
    "page_bytes": 4096,
    "kernel": "6.8.0",
    "libc": "glibc 2.39",
    "transparent_huge_pages": "madvise",
    "governor": None,
}


def figure(
    name: str,
    *samples: float,
    blocks: Sequence[int] | None = None,
    at_floor: bool = False,
    hosts: Sequence[str] = (),
) -> Metric:
    """Return a metric of these samples; exact where it is of a strategy's books and two or more of them agree."""
    of_books = METRICS[name].scope != "job"
    determinism = Determinism.EXACT if of_books and len(samples) > 1 and len(set(samples)) == 1 else Determinism.SAMPLED
    value = median(samples) if samples else None
    places = tuple(blocks) if blocks is not None else tuple(range(len(samples)))
    return Metric(
        METRICS[name].unit, determinism, samples, places, value, *median_interval(samples), at_floor, tuple(hosts)
    )


def cell(
    allocator: str,
    metrics: Mapping[str, Metric] | None = None,
    workload: str = "web",
    region: str = "anonymous",
    failed: str | None = None,
) -> CellResult:
    """Return a cell with these metrics; ``failed``: the reason why it did."""
    status = Status.FAILED if failed else Status.OK
    return CellResult(Cell(workload, allocator, region), status, failed, {}, metrics or {}, {})


def typed(step: NextStep, renewal: str | None = None) -> str:
    """Return what to do next about the workload of web.yaml, as a command says it."""
    return spelling.next_step(step, run(traces=[trace()]), renewal)


def excluded(allocator: str, reason: str, workload: str = "web") -> CellResult:
    """Return a cell that was left out."""
    return CellResult(Cell(workload, allocator), Status.EXCLUDED, reason, {}, {}, {})


def trace(name: str = "web", event_hash: str = "0123456789abcdef" * 2, threads: int = 1) -> TraceInfo:
    """Return what is known of a workload."""
    return TraceInfo(
        name=name,
        source=f"{name}.yaml",
        seed=42,
        event_hash=event_hash,
        operations=1000,
        epilogue_operations=0,
        allocations=500,
        reallocations=0,
        slots=100,
        peak_live_bytes=1 << 20,
        peak_live_objects=100,
        total_bytes=1 << 22,
        smallest_size=16,
        largest_size=1024,
        largest_alignment=16,
        scopes=0,
        first_not_lifo=None,
        first_not_fifo=None,
        touch="first",
        threads=threads,
    )


def run(
    *cells: CellResult,
    machine: Mapping[str, Any] | None = None,
    traces: Sequence[TraceInfo] | None = None,
    started: str = "2026-01-02T03:04:05+00:00",
    reference: str | None = None,
) -> Run:
    """Return a run of these cells on the example machine, changed as asked."""
    names = dict.fromkeys(item.cell.workload for item in cells)
    return Run(
        memtool="0.1.0",
        started=started,
        command=("memtool", "bench"),
        machine={**MACHINE, **(machine or {})},
        workloads=tuple(traces) if traces is not None else tuple(trace(name) for name in names),
        cells=cells,
        blocks=max((len(metric.samples) for item in cells for metric in item.metrics.values()), default=0),
        reference=reference,
    )
