"""The metrics of containers. docs/metrics.md has the formulas."""

from __future__ import annotations

from memtool.kinds.metric import MetricInfo
from memtool.passes import Pass

TIMES = {
    "push": ("push_ns", "time of the pushes / elements pushed"),
    "pop": ("pop_ns", "time of the pops / pops"),
    "insert": ("insert_ns", "time of the insertions / insertions"),
    "find": ("find_ns", "time of the look-ups / look-ups"),
    "erase": ("erase_ns", "time of the erasures / erasures"),
    "churn": ("churn_ns", "time of the churn / elements replaced"),
    "traverse": ("traverse_ns", "time of the traversals before anything was taken away / elements read"),
    "churned": ("traverse_churned_ns", "time of the traversals after something was taken away / elements read"),
    "copy": ("copy_ns", "time of the copies, destroyed again / elements copied"),
    "clear": ("clear_ns", "time of the clears / elements destroyed"),
    "open": ("heap_open_ns", "time until all heaps and empty containers are there / heaps"),
    "close": ("destroy_ns", "time to destroy the containers at the end / elements in them"),
}
"""Group of an image's steps -> metric and its meaning."""


def _locality(name: str, when: str) -> list[MetricInfo]:
    last = f"in the last traversal {when} / elements"
    return [
        MetricInfo(f"lines_per_element{name}", "1", f"cache lines of 64 B that are read {last}", scope="code"),
        MetricInfo(
            f"jumps_per_element{name}",
            "1",
            f"reads of a line that is neither the one before nor the next, {last}",
            by_difference=True,
            scope="code",
        ),
    ]


METRICS = (
    *(
        MetricInfo(
            name,
            "ns",
            f"{meaning}; of the fastest replay",
            measured_by=Pass.THROUGHPUT,
            headline=name in ("traverse_ns", "traverse_churned_ns"),
        )
        for name, meaning in TIMES.values()
    ),
    MetricInfo("allocations_per_op", "1", "blocks that the containers request / operations", scope="code"),
    MetricInfo("asked_bytes", "B", "all bytes that the containers request, freed or not", "neither", scope="code"),
    *_locality("", "before anything was taken away"),
    *_locality("_churned", "after something was taken away"),
)
