"""The metrics of files, in addition to those of heap events. docs/metrics.md has the formulas."""

from __future__ import annotations

from functools import partial

from memtool.kinds.metric import MetricInfo, percentiles
from memtool.passes import Pass

SHARES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}
TIMED = {
    "access": "accesses, from the call or the first byte until all bytes are used (of a ring: from its handing over)",
    "sync": "calls of msync, fsync or fdatasync",
}
_advice = partial(MetricInfo, by_difference=True, gated=False)
METRICS = (
    MetricInfo(
        "bytes_per_ns",
        "1",
        "bytes of an access / its time in the throughput pass: 10^9 bytes a second",
        "higher",
        measured_by=Pass.THROUGHPUT,
    ),
    *(
        info
        for kind, accesses in TIMED.items()
        for info in percentiles(kind, SHARES, f"{accesses} take no longer; less the floor's median")
    ),
    *(
        MetricInfo(f"{kind}_max_ns", "ns", f"longest of all {accesses}", gated=False, measured_by=Pass.LATENCY)
        for kind, accesses in TIMED.items()
    ),
    *(
        _advice(name, "1", f"share of the file in the page cache {when} (mincore)", "neither", is_share=True)
        for name, when in (
            ("cached_before_share", "when the round begins"),
            ("cached_after_share", "after the last access"),
        )
    ),
    _advice("mapped_resident_bytes", "B", "bytes of the mapping in this process's page tables after the last access"),
    _advice("mapped_huge_bytes", "B", "part of these bytes in huge pages", "neither"),
    _advice(
        "dirty_bytes",
        "B",
        "bytes of the file in the page cache and not yet on the device after the last access (cachestat)",
    ),
    _advice("device_read_bytes", "B", "bytes that the device had to read for the round"),
    _advice(
        "tlb_shootdowns",
        "1",
        "interrupts that invalidated address translations on other processors, by all programs of the machine",
    ),
)
