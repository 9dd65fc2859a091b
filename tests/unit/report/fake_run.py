"""A run that was never measured: ten allocators, one that fails, one left out, one with a long name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from memtool.measure.metrics import METRICS
from memtool.model import Cell, CellResult, Determinism, Metric, Run, Status, TraceInfo
from memtool.store import series

WORKLOAD = "web requests"
LONG_NAME = "segregated-pool:spacing=3,chunk=1048576"
_MIB = 2**20
_OFFSETS = (0.0, -0.5, 0.25, -0.25, 0.5, 0.0, -0.75, 0.75, 1.0, -1.0)
"""What each of ten blocks differs from the median: the 95 % interval is from -0.75 to 0.75."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one allocator, in the order of the tables."""

    time: float
    allocate: tuple[float, float, float, float]
    """p50, p99, p99.99, max in ns; p90 is p50, and p99.9 is p99."""
    deallocate: tuple[float, float, float, float]
    resident: float
    """MiB."""
    footprint: float | None = None
    """MiB; None: takes its memory from the system."""
    internal: float = 0.0625
    external: float | None = None
    faults: int = 2_100


# Invented, but of the size that such figures have: live bytes peak at 8 MiB, the harness is 4 ns.
_MEASURED: Mapping[str, Figures] = {
    "glibc": Figures(21.5, (12.5, 60, 1_850, 48_000), (9, 41, 900, 31_000), 9.75),
    "jemalloc": Figures(14.25, (7, 35, 2_400, 52_000), (6, 22, 1_700, 40_000), 11.5, internal=0.09),
    "mimalloc": Figures(11.5, (4.5, 20, 1_200, 45_000), (3, 12, 750, 28_000), 12.25, internal=0.085),
    "tcmalloc": Figures(11.75, (5, 24, 1_950, 61_000), (4, 15, 820, 33_000), 10.5, internal=0.11),
    LONG_NAME: Figures(9.5, (2.5, 14, 640, 39_000), (0.5, 9, 410, 27_000), 13, 14.0, 0.04, 0.92, 3_310),
    "slab": Figures(12.5, (6, 19, 700, 41_000), (4, 16, 520, 29_000), 10.25, 10.75, 0.09, 0.55, 2_640),
    "first-fit": Figures(85.5, (58, 210, 1_450, 44_000), (35, 160, 1_300, 42_000), 9.25, 9.5, 0.03, 0.71, 2_390),
    "tlsf:subdivisions=16": Figures(17.75, (10, 30, 690, 40_000), (11, 33, 680, 38_000), 9.5, 9.75, 0.035, 0.64, 2_450),
}
_CURVE = (0.0, 0.3, 0.55, 0.8, 0.7, 1.0, 0.85, 0.6)
"""Live bytes over the run as a share of their peak."""


def _metric(name: str, samples: tuple[float, ...], value: float, at_floor: bool = False) -> Metric:
    low, high = (None, None) if len(samples) < 6 else (value - 0.75, value + 0.75)
    is_exact = len(samples) == 2 and METRICS[name].scope != "job"
    determinism = Determinism.EXACT if is_exact else Determinism.SAMPLED
    return Metric(METRICS[name].unit, determinism, samples, tuple(range(len(samples))), value, low, high, at_floor)


def _timed(name: str, value: float, blocks: int = 10, at_floor: bool = False) -> Metric:
    return _metric(name, tuple(max(0.0, value + offset) for offset in _OFFSETS[:blocks]), float(value), at_floor)


def _repeated(name: str, value: float | None) -> Metric:
    if value is None:
        return Metric(METRICS[name].unit, Determinism.SAMPLED, (), (), None)
    return _metric(name, (float(value), float(value)), float(value))


def _metrics(figures: Figures) -> dict[str, Metric]:
    metrics = {
        "time_per_op_ns": _timed("time_per_op_ns", figures.time),
        "net_time_per_op_ns": _timed("net_time_per_op_ns", figures.time - 4),
    }
    for kind, (p50, p99, p9999, most) in (("allocate", figures.allocate), ("deallocate", figures.deallocate)):
        for share, value in (("p50", p50), ("p90", p50), ("p99", p99), ("p999", p99), ("p9999", p9999), ("max", most)):
            name = f"{kind}_{share}_ns"
            metrics[name] = _timed(name, value, at_floor=value < 1 or share == "max")
    footprint = None if figures.footprint is None else figures.footprint * _MIB
    repeated: dict[str, float | None] = {
        "peak_live_bytes": 8 * _MIB,
        "peak_footprint_bytes": footprint,
        "peak_resident_bytes": figures.resident * _MIB,
        "end_resident_bytes": (figures.resident - 1) * _MIB,
        "footprint_mean_ratio": None if footprint is None else 1.5 * footprint / (8 * _MIB),
        "footprint_at_peak_live_ratio": None if footprint is None else 0.9 * footprint / (8 * _MIB),
        "footprint_at_peak_ratio": None if footprint is None else 2 * footprint / (8 * _MIB),
        "packing_ratio": None if footprint is None else footprint / (8.5 * _MIB),
        "rounding_bytes": figures.internal * 8 * _MIB,
        "free_bytes": None if footprint is None else footprint / 16,
        "metadata_bytes": None if footprint is None else footprint / 64,
        "unaccounted_bytes": None if footprint is None else 0,
        "resident_at_peak_live_bytes": (figures.resident - 0.25) * _MIB,
        "holes_ratio": None if footprint is None else 0.375,
        "internal_fragmentation": figures.internal,
        "external_fragmentation": figures.external,
        "footprint_peak_ratio": None if footprint is None else footprint / (8 * _MIB),
        "resident_after_drain_0ms_bytes": 0.5 * _MIB,
        "resident_after_drain_100ms_bytes": 0.375 * _MIB,
        "resident_after_drain_1s_bytes": 0.25 * _MIB,
        "resident_after_drain_5s_bytes": 0.125 * _MIB,
        "unaccounted_after_drain_bytes": None if footprint is None else 0,
        "minor_faults": figures.faults,
        "major_faults": 0,
    }
    return metrics | {name: _repeated(name, value) for name, value in repeated.items()}


_OWN = {
    "in_use_bytes": 8 * _MIB,
    "free_bytes": 3 * _MIB,
    "metadata_bytes": 2 * _MIB,
    "mapped_bytes": 20 * _MIB,
}


def _proof(name: str) -> dict[str, Any]:
    library = name if name in ("jemalloc", "mimalloc", "tcmalloc") else "c"
    floor = {"p50": 13.5, "p90": 14.5, "p99": 15.5, "p999": 24.5, "p9999": 610.0, "max": 38_500.0}
    is_strategy = name in ("slab", "first-fit") or name.startswith(("tlsf", "segregated-pool"))
    route, free, threads = ("inlined", "sized", "one") if is_strategy else ("linker", "bare", "any")
    return {
        "malloc_owner": f"/usr/lib/lib{library}.so.2",
        "call": {"route": route, "free": free, "threads": threads, "as_malloc": False},
        "noise_floor_ns": floor,
        "timer_resolution_ns": 1.0,
        "harness_ns": 4.0,
        **({"own_statistics": {"peak": _OWN}} if name == "jemalloc" else {}),
    }


def _cells() -> tuple[CellResult, ...]:
    cells = [
        CellResult(Cell(WORKLOAD, name), Status.OK, None, _proof(name), _metrics(figures), {})
        for name, figures in _MEASURED.items()
    ]
    cells.append(
        CellResult(
            Cell(WORKLOAD, "buddy"),
            Status.FAILED,
            "latency pass, block 2: the worker was killed by SIGSEGV",
            {"malloc_owner": "/usr/lib/libc.so.2", "harness_ns": 4.0},
            {
                "time_per_op_ns": _timed("time_per_op_ns", 16.5, 3),
                "net_time_per_op_ns": _timed("net_time_per_op_ns", 12.5, 3),
            },
            {},
        )
    )
    cells.append(
        CellResult(
            Cell(WORKLOAD, "pool"),
            Status.EXCLUDED,
            "serves requests of up to 64 B; the workload asks for up to 16.0 KiB",
            {},
            {},
            {},
        )
    )
    return tuple(cells)


def fake_run(reference: str | None = None) -> Run:
    """Return the run, without series; the same one at every call."""
    return Run(
        memtool="0.1.0",
        started="2026-01-02T03:04:05+00:00",
        command=("memtool", "bench", "web-requests.yaml"),
        machine={
            "cpu": "Example Processor 9000",
            "cores": 8,
            "kernel": "6.8.0",
            "libc": "glibc 2.39",
            "clock": "counter",
        },
        workloads=(
            TraceInfo(
                name=WORKLOAD,
                source="web-requests.yaml",
                seed=42,
                event_hash="0123456789abcdef" * 2,
                operations=400_000,
                threads=1,
                epilogue_operations=2_000,
                allocations=201_000,
                reallocations=0,
                slots=60_000,
                peak_live_bytes=8 * _MIB,
                peak_live_objects=60_000,
                total_bytes=30_000_000,
                smallest_size=16,
                largest_size=16_384,
                largest_alignment=16,
                scopes=0,
                first_not_lifo=2,
                first_not_fifo=3,
                touch="first",
                packing_bytes=8_912_896,
            ),
        ),
        cells=_cells(),
        blocks=10,
        reference=reference,
    )


def _history(cell: CellResult) -> series.History:
    figures = _MEASURED[cell.cell.allocator]
    steps = range(len(_CURVE))

    def curve(peak: float) -> list[int | None]:
        # A heap does not shrink: the most that was alive until then.
        return [int(max(_CURVE[: step + 1]) * peak * _MIB) for step in steps]

    own: list[int | None] = [None] * len(_CURVE) if figures.footprint is None else curve(figures.footprint)
    footprint: dict[str, list[int | None]] = {
        "clock": [50_000 * step for step in steps],
        "live_bytes": [int(share * 8 * _MIB) for share in _CURVE],
        "footprint_bytes": own,
        "resident_bytes": curve(figures.resident),
        # A quarter of the footprint is free, in four pieces for each block in use, of which one is half of it.
        "free_bytes": [None if item is None else item // 4 for item in own],
        "largest_free": [None if item is None else item // 8 for item in own],
        "free_blocks": [None if item is None else 40_000 for item in own],
        "used_blocks": [None if item is None else 0 if step == 0 else 10_000 for step, item in enumerate(own)],
    }
    histograms = {"allocate": [(4.0, 4.5, 150_000), (12.0, 12.5, 51_000)]}
    by_size, over_time = _latency_series(figures)
    return series.History(footprint, histograms, [_heap_map(figures)], by_size, over_time)


def _latency_series(figures: Figures) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return latencies of two classes of sizes, and over 400 slices of which the last 100 allocate nothing."""
    p50, p99, p9999, most = figures.allocate
    floor = 13.5
    bands = [(item + floor, item + floor, count) for item, count in ((p50, 989), (p99, 10), (p9999, 1))]
    large = [(2 * low, 2 * high, count) for low, high, count in bands]
    rows = [
        {"largest_bytes": 64, "operations": 1000, "maximum_ns": most, "histogram": bands},
        {"largest_bytes": None, "operations": 1000, "maximum_ns": most, "histogram": large},
    ]
    longest = [None if slice_ >= 300 else most if slice_ % 50 == 49 else p9999 for slice_ in range(400)]
    slow = {str(ns): [0] * 400 for ns in (1_000, 10_000, 100_000)}
    strip = {"maximum_ns": longest, "slow": slow}
    return {"allocate": rows, "deallocate": rows[:1]}, {"allocate": strip, "deallocate": strip}


def _heap_map(figures: Figures) -> dict[str, Any]:
    """Return a heap of eight buckets of 1 MiB and a half: used from the bottom, free at the top."""
    walked = figures.footprint is not None
    free = [0, 0, 0, 0, 0, _MIB // 2, _MIB, _MIB, _MIB // 2]
    lengths = [_MIB] * 8 + [_MIB // 2]
    return {
        "moment": "peak",
        "clock": 200_000,
        "live_bytes": 6 * _MIB,
        "walked": walked,
        "bucket_bytes": _MIB,
        "left_out_bytes": 0,
        "extents": [{"address": 0, "bytes": 8 * _MIB + _MIB // 2, "first_bucket": 0}],
        "buckets": {
            "used": [length - item for length, item in zip(lengths, free, strict=True)],
            "free": free if walked else [0] * 9,
            "metadata": [0] * 9,
            "resident": [_MIB] * 7 + [_MIB // 4, 0],
            "before": [0] * 9,
        },
        "own": dict.fromkeys(("in_use_bytes", "free_bytes", "metadata_bytes", "mapped_bytes")),
    }


def fake_run_with_series(directory: Path, reference: str | None = None) -> Run:
    """Return the run with its series written into a folder."""
    run = fake_run(reference)
    histories = {cell.cell: _history(cell) for cell in run.cells if cell.status is Status.OK}
    cells = series.write_all(directory, run.cells, histories)
    return replace(run, cells=cells)
