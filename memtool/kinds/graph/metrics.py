"""The metrics of graphs and collectors. docs/metrics.md has the formulas."""

from __future__ import annotations

from functools import partial

from memtool.kinds.metric import MetricInfo, percentiles
from memtool.passes import Pass

WINDOWS_NS = (*tuple(digit * 10**power for power in range(5, 10) for digit in (1, 2, 5)), 10**10)
"""Windows of the utilisation curve, in ns, as in kernel.hpp."""
_WRITTEN = {10**5: "100us", 2 * 10**5: "200us", 5 * 10**5: "500us"} | {
    digit * 10**power * 10**6: f"{digit * 10**power}ms" for power in range(3) for digit in (1, 2, 5)
}
UTILISATIONS = {f"mmu_{_WRITTEN[window]}": window for window in WINDOWS_NS if window in _WRITTEN}
"""Metric -> window in ns."""
_PARTS = {
    "mutator_ns_per_op": "processor time / operations, of a replay on objects whose places are known beforehand",
    "allocator_ns_per_op": "remaining processor time / operations: finding memory, sweeping, frees",
    "barrier_ns_per_op": "(processor time with barriers - without, on a heap that is never full) / operations",
    "collector_ns_per_op": "processor time of all pauses / operations",
}
"""Parts of the processor time."""
_counted = partial(MetricInfo, by_difference=True, scope="events")
_timed = partial(MetricInfo, measured_by=Pass.LATENCY)

METRICS = (
    MetricInfo("allocation_ns", "ns", "time of the fastest replay / objects allocated", measured_by=Pass.THROUGHPUT),
    *percentiles("pause", ("p50", "p99"), "pauses take no longer"),
    _timed("pause_max_ns", "ns", "the longest pause", gated=False),
    _timed("pause_share", "1", "time of all pauses / time of the replay", is_share=True),
    *(
        _timed(
            name,
            "1",
            f"the least share that the program had of any {_WRITTEN[window]} (minimum mutator utilisation)",
            "higher",
            by_difference=True,
            is_share=True,
        )
        for name, window in UTILISATIONS.items()
    ),
    *(
        _timed(name, "ns", words, by_difference=True, may_be_negative=True, gated=False)
        for name, words in _PARTS.items()
    ),
    _timed("pauses", "1", "number of times that the program was stopped", "neither"),
    _timed(
        "overtaken_increments",
        "1",
        "collections by increments whose rest was done at once: the program allocated faster than was marked",
        by_difference=True,
        gated=False,
    ),
    MetricInfo(
        "increment_work",
        "1",
        "the most references, objects and blocks that an increment processed between two readings of the clock",
        gated=False,
        scope="events",
    ),
    MetricInfo("heap_limit_bytes", "B", "bytes that the collector may use for objects", "neither", scope="events"),
    _counted("collections", "1", "collections of the whole heap"),
    _counted("minor_collections", "1", "collections of the nursery alone"),
    _counted("forced_collections", "1", "collections forced by lack of memory, where none should begin"),
    _counted("marked_bytes", "B", "bytes marked by all collections"),
    _counted("copied_bytes", "B", "bytes moved by all collections"),
    _counted("promoted_bytes", "B", "bytes moved from the nursery"),
    _counted("barrier_hits_per_op", "1", "barriers that had something to note / operations"),
    _counted(
        "floating_bytes", "B", "most unreachable bytes that a collection of the whole heap left", measured_by=Pass.CHECK
    ),
    _counted("leaked_bytes", "B", "unreachable bytes left at the end, after a last collection", measured_by=Pass.CHECK),
)
