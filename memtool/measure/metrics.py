"""Every metric: its name in run.json, unit, meaning and direction. docs/metrics.md has the formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["lower", "higher", "neither"]


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What is known of a metric whatever its figure is."""

    name: str
    unit: str
    meaning: str
    direction: Direction = "lower"
    by_difference: bool = False
    """Compared by difference, never by ratio: it can be 0."""
    gated: bool = True
    """Whether it may decide over pass or regression; net time, which can be negative, may not."""


def _latencies() -> list[MetricInfo]:
    shares = {"p50": "half", "p90": "90 %", "p99": "99 %", "p999": "99.9 %", "p9999": "99.99 %"}
    found = []
    for kind in ("allocate", "deallocate", "reallocate"):
        for name, share in shares.items():
            found.append(
                MetricInfo(
                    f"{kind}_{name}_ns",
                    "ns",
                    f"{share} of all {kind} calls take no longer; less the floor's median",
                )
            )
        found.append(MetricInfo(f"{kind}_max_ns", "ns", f"longest {kind} call; less the floor's median", gated=False))
    return found


_ALL = [
    MetricInfo("time_per_op_ns", "ns", "time of the whole replay / operations, harness included (gross)"),
    MetricInfo(
        "net_time_per_op_ns",
        "ns",
        "gross time less the null strategy's in the same block",
        by_difference=True,
        gated=False,
    ),
    MetricInfo("instructions_per_op", "", "user instructions of the whole replay / operations, harness included"),
    *_latencies(),
    MetricInfo(
        "first_touch_ns",
        "ns",
        "median of the first write to a fresh block; less the floor's median",
        by_difference=True,
    ),
    MetricInfo(
        "peak_live_bytes",
        "B",
        "most bytes alive at once, as asked for (a property of the workload)",
        "neither",
    ),
    MetricInfo("peak_granted_bytes", "B", "most usable bytes of live blocks"),
    MetricInfo("peak_footprint_bytes", "B", "most bytes that the strategy took from its region"),
    MetricInfo("peak_resident_bytes", "B", "most anonymous resident bytes seen, less the worker's own"),
    MetricInfo(
        "end_resident_bytes",
        "B",
        "resident bytes after the last event before the epilogue",
        by_difference=True,
    ),
    MetricInfo("internal_fragmentation", "", "1 - live / granted, when live bytes peak", by_difference=True),
    MetricInfo(
        "external_fragmentation",
        "",
        "1 - largest free block / free bytes, when live bytes peak",
        by_difference=True,
    ),
    MetricInfo("footprint_mean_ratio", "", "mean of footprint / live over all allocations with at least 64 KiB alive"),
    MetricInfo("footprint_at_peak_live_ratio", "", "footprint / live, when live bytes peak"),
    MetricInfo("footprint_at_peak_ratio", "", "footprint / live, when the footprint peaks"),
    MetricInfo("footprint_peak_ratio", "", "peak footprint / peak live"),
    MetricInfo("load_ratio", "", "peak footprint / load; load is the peak of live bytes, which no allocator can beat"),
    MetricInfo(
        "packing_ratio",
        "",
        "peak footprint / best offline packing found, by one who knows all life spans beforehand",
    ),
    MetricInfo("rounding_bytes", "B", "granted - live, when live bytes peak", by_difference=True),
    MetricInfo("free_bytes", "B", "free blocks inside the footprint, when live bytes peak", by_difference=True),
    MetricInfo("metadata_bytes", "B", "headers, bitmaps and tables, when live bytes peak", by_difference=True),
    MetricInfo(
        "unaccounted_bytes",
        "B",
        "footprint that is neither granted, free nor metadata, when live bytes peak: padding, and leaks",
        by_difference=True,
    ),
    MetricInfo("resident_at_peak_live_bytes", "B", "resident bytes, when live bytes peak"),
    MetricInfo("holes_ratio", "", "free blocks / used blocks, when live bytes peak", by_difference=True),
    *(
        MetricInfo(f"resident_after_drain_{wait}_bytes", "B", f"resident bytes {when}", by_difference=True)
        for wait, when in (
            ("0ms", "at once after everything was freed"),
            ("100ms", "100 ms after everything was freed, the program idle"),
            ("1s", "1 s after everything was freed, the program idle"),
            ("5s", "5 s after everything was freed, the program idle"),
        )
    ),
    MetricInfo(
        "unaccounted_after_drain_bytes",
        "B",
        "footprint that is neither free nor metadata after everything was freed: leaked, or padding",
        by_difference=True,
    ),
    MetricInfo("minor_faults", "", "page faults served without reading, from first event to last", by_difference=True),
    MetricInfo("major_faults", "", "page faults that had to read", by_difference=True),
]
METRICS = {metric.name: metric for metric in _ALL}
