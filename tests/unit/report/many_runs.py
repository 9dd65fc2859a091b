"""A large run that was never measured: thirty allocators on ten workloads, with series as long as real ones."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from memtool.model import Cell, CellResult, Mark, Run, Status, TraceInfo
from memtool.store import run_file, series
from tests.unit.report.fake_run import fake_run, fake_run_with_series

ALLOCATORS, WORKLOADS = 30, 10
_CHECKPOINTS, _SLICES, _BUCKETS = 201, 400, 1500


def write_large_run(directory: Path, allocators: int = ALLOCATORS, workloads: int = WORKLOADS) -> Run:
    """Write a run of so many allocators and workloads into a folder, with its series, and return it."""
    source = fake_run_with_series(directory / "small")
    model = next(cell for cell in source.cells if cell.status is Status.OK)
    short = series.read(directory / "small", model)
    drawn = random.Random(42)
    cells: list[CellResult] = []
    infos: list[TraceInfo] = []
    histories = {}
    for number in range(workloads):
        marks = (Mark("drained", 300_000, 4_000_000, 0.75),)
        infos.append(replace(fake_run().workloads[0], name=f"workload {number}", marks=marks))
        for which in range(allocators):
            cell = Cell(f"workload {number}", f"allocator-{which}:spacing={which},chunk=65536")
            metrics = {
                name: replace(metric, value=None if metric.value is None else metric.value * (1 + which / 10))
                if not metric.samples
                else _scaled(metric, 1 + which / 10 + drawn.random() / 50)
                for name, metric in model.metrics.items()
            }
            cells.append(replace(model, cell=cell, metrics=metrics))
            histories[cell] = _history(drawn, short)
    run = replace(source, workloads=tuple(infos), cells=tuple(cells))
    run = replace(run, cells=series.write_all(directory, run.cells, histories))
    run_file.write(directory, run)
    return run


def _scaled(metric: Any, factor: float) -> Any:
    samples = tuple(sample * factor for sample in metric.samples)
    low, high = (None if bound is None else bound * factor for bound in (metric.low, metric.high))
    return replace(
        metric,
        samples=samples,
        value=sorted(samples)[len(samples) // 2]
        if len(samples) % 2
        else (sorted(samples)[len(samples) // 2 - 1] + sorted(samples)[len(samples) // 2]) / 2,
        low=low,
        high=high,
    )


def _walk(drawn: random.Random, length: int) -> list[int | None]:
    """Return live memory as programs have it: up and down by a little all the time."""
    value, course = 1_000_000, []
    for _ in range(length):
        value = max(0, value + drawn.randrange(-300_000, 330_000))
        course.append(value)
    return list(course)


def _history(drawn: random.Random, short: series.History) -> series.History:
    names = (
        "live_bytes",
        "footprint_bytes",
        "resident_bytes",
        "free_bytes",
        "largest_free",
        "free_blocks",
        "used_blocks",
    )
    footprint: dict[str, list[int | None]] = {
        "clock": [2_000 * step for step in range(_CHECKPOINTS)],
        **{name: _walk(drawn, _CHECKPOINTS) for name in names},
    }
    longest = [float(drawn.randrange(100, 100_000)) for _ in range(_SLICES)]
    strip = {"maximum_ns": longest, "slow": {str(ns): [0] * _SLICES for ns in (1_000, 10_000, 100_000)}}
    heaps = [_heap(drawn, moment, clock) for moment, clock in (("peak", 1), ("drained", 2), ("end", 3))]
    return replace(
        short, footprint=footprint, heap_maps=heaps, latency_over_time={"allocate": strip, "deallocate": strip}
    )


def _heap(drawn: random.Random, moment: str, clock: int) -> dict[str, Any]:
    """Return a fragmented heap: every bucket is used by a share of its own."""
    used = [drawn.randrange(4097) for _ in range(_BUCKETS)]
    return {
        "moment": moment,
        "clock": clock,
        "live_bytes": sum(used),
        "walked": True,
        "bucket_bytes": 4096,
        "left_out_bytes": 0,
        "extents": [{"address": 0, "bytes": 4096 * _BUCKETS, "first_bucket": 0}],
        "buckets": {
            "used": used,
            "free": [4096 - one for one in used],
            "metadata": [0] * _BUCKETS,
            "resident": [4096] * _BUCKETS,
            "before": [0] * _BUCKETS,
        },
        "own": dict.fromkeys(("in_use_bytes", "free_bytes", "metadata_bytes", "mapped_bytes")),
    }
