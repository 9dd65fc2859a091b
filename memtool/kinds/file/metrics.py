"""The metrics of files, in addition to those of heap events. docs/metrics.md has the formulas."""

from __future__ import annotations

from memtool.kinds.metric import MetricInfo
from memtool.passes import Pass

SHARES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}
_WORDS = {"p50": "half", "p90": "90 %", "p99": "99 %", "p999": "99.9 %"}
TIMED = {
    "access": "accesses, from the call or the first byte until all bytes are used (of a ring: from its handing over)",
    "sync": "calls of msync, fsync or fdatasync",
}

METRICS = (
    MetricInfo(
        "bytes_per_ns",
        "1",
        "bytes of an access / its time in the throughput pass: 10^9 bytes a second",
        "higher",
        measured_by=Pass.THROUGHPUT,
    ),
    *(
        MetricInfo(
            f"{kind}_{name}_ns",
            "ns",
            f"{share} of all {accesses} take no longer; less the floor's median",
            measured_by=Pass.LATENCY,
        )
        for kind, accesses in TIMED.items()
        for name, share in _WORDS.items()
    ),
    *(
        MetricInfo(f"{kind}_max_ns", "ns", f"longest of all {accesses}", gated=False, measured_by=Pass.LATENCY)
        for kind, accesses in TIMED.items()
    ),
    MetricInfo(
        "cached_before_share",
        "1",
        "share of the file in the page cache when the round begins (mincore)",
        "neither",
        by_difference=True,
        gated=False,
        is_share=True,
    ),
    MetricInfo(
        "cached_after_share",
        "1",
        "share of the file in the page cache after the last access (mincore)",
        "neither",
        by_difference=True,
        gated=False,
        is_share=True,
    ),
    MetricInfo(
        "mapped_resident_bytes",
        "B",
        "bytes of the mapping in this process's page tables after the last access",
        by_difference=True,
        gated=False,
    ),
    MetricInfo(
        "mapped_huge_bytes", "B", "part of these bytes in huge pages", "neither", by_difference=True, gated=False
    ),
    MetricInfo(
        "dirty_bytes",
        "B",
        "bytes of the file in the page cache and not yet on the device after the last access (cachestat)",
        by_difference=True,
        gated=False,
    ),
    MetricInfo(
        "device_read_bytes", "B", "bytes that the device had to read for the round", by_difference=True, gated=False
    ),
    MetricInfo(
        "tlb_shootdowns",
        "1",
        "interrupts that invalidated address translations on other processors, by all programs of the machine",
        by_difference=True,
        gated=False,
    ),
)
