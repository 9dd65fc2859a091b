"""The metrics of graphs and collectors. docs/metrics.md has the formulas."""

from __future__ import annotations

from memtool.kinds.metric import MetricInfo
from memtool.passes import Pass

WINDOWS_NS = (*tuple(digit * 10**power for power in range(5, 10) for digit in (1, 2, 5)), 10**10)
"""Windows of the utilisation curve, in ns, as in kernel.hpp."""
_WRITTEN = {10**5: "100us", 2 * 10**5: "200us", 5 * 10**5: "500us"} | {
    digit * 10**power * 10**6: f"{digit * 10**power}ms" for power in range(3) for digit in (1, 2, 5)
}
UTILISATIONS = {f"mmu_{_WRITTEN[window]}": window for window in WINDOWS_NS if window in _WRITTEN}
"""Metric -> window in ns."""


def _pause(name: str, words: str, *, gated: bool = True) -> MetricInfo:
    return MetricInfo(name, "ns", words, gated=gated, measured_by=Pass.LATENCY)


def _part(name: str, words: str) -> MetricInfo:
    return MetricInfo(
        name, "ns", words, by_difference=True, may_be_negative=True, gated=False, measured_by=Pass.LATENCY
    )


METRICS = (
    MetricInfo("allocation_ns", "ns", "time of the fastest replay / objects allocated", measured_by=Pass.THROUGHPUT),
    _pause("pause_p50_ns", "half of all pauses take no longer"),
    _pause("pause_p99_ns", "99 % of all pauses take no longer"),
    _pause("pause_max_ns", "the longest pause", gated=False),
    MetricInfo("pause_share", "1", "time of all pauses / time of the replay", is_share=True, measured_by=Pass.LATENCY),
    *(
        MetricInfo(
            name,
            "1",
            f"the least share that the program had of any {_WRITTEN[window]} (minimum mutator utilisation)",
            "higher",
            by_difference=True,
            is_share=True,
            measured_by=Pass.LATENCY,
        )
        for name, window in UTILISATIONS.items()
    ),
    _part("mutator_ns_per_op", "processor time / operations, of a replay on objects whose places are known beforehand"),
    _part("allocator_ns_per_op", "remaining processor time / operations: finding memory, sweeping, frees"),
    _part("barrier_ns_per_op", "(processor time with barriers - without, on a heap that is never full) / operations"),
    _part("collector_ns_per_op", "processor time of all pauses / operations"),
    MetricInfo("pauses", "1", "number of times that the program was stopped", "neither", measured_by=Pass.LATENCY),
    MetricInfo(
        "overtaken_increments",
        "1",
        "collections by increments whose rest was done at once: the program allocated faster than was marked",
        by_difference=True,
        gated=False,
        measured_by=Pass.LATENCY,
    ),
    MetricInfo(
        "increment_work",
        "1",
        "the most references, objects and blocks that an increment processed between two readings of the clock",
        gated=False,
        scope="events",
    ),
    MetricInfo("heap_limit_bytes", "B", "bytes that the collector may use for objects", "neither", scope="events"),
    MetricInfo("collections", "1", "collections of the whole heap", by_difference=True, scope="events"),
    MetricInfo("minor_collections", "1", "collections of the nursery alone", by_difference=True, scope="events"),
    MetricInfo(
        "forced_collections",
        "1",
        "collections forced by lack of memory, where none should begin",
        by_difference=True,
        scope="events",
    ),
    MetricInfo("marked_bytes", "B", "bytes marked by all collections", by_difference=True, scope="events"),
    MetricInfo("copied_bytes", "B", "bytes moved by all collections", by_difference=True, scope="events"),
    MetricInfo("promoted_bytes", "B", "bytes moved from the nursery", by_difference=True, scope="events"),
    MetricInfo(
        "barrier_hits_per_op",
        "1",
        "barriers that had something to note / operations",
        by_difference=True,
        scope="events",
    ),
    MetricInfo(
        "floating_bytes",
        "B",
        "most unreachable bytes that a collection of the whole heap left",
        by_difference=True,
        scope="events",
        measured_by=Pass.CHECK,
    ),
    MetricInfo(
        "leaked_bytes",
        "B",
        "unreachable bytes left at the end, after a last collection",
        by_difference=True,
        scope="events",
        measured_by=Pass.CHECK,
    ),
)
