"""The metrics of objects. docs/metrics.md has the formulas."""

from __future__ import annotations

from memtool.kinds.metric import MetricInfo
from memtool.passes import Pass

PARTS = {
    "make_ns": "make: allocate and construct",
    "use_ns": "use",
    "end_ns": "end: destroy and free",
}
"""Metric -> the part of an object's life."""
STEPS = {
    "allocate_step_ns": "allocate, all objects before any is constructed",
    "construct_step_ns": "construct",
    "destroy_step_ns": "destroy",
    "deallocate_step_ns": "free, once all are destroyed",
}


PER_OBJECT = {
    "constructions_per_object": "constructions",
    "destructions_per_object": "destructions",
    "blocks_per_object": "blocks",
    "asked_per_object_bytes": "asked_bytes",
}
"""Metric -> what of a round is divided by the objects."""

METRICS = (
    *(
        MetricInfo(name, "ns", f"time to {meaning}, an object", measured_by=Pass.LATENCY)
        for name, meaning in (PARTS | STEPS).items()
    ),
    MetricInfo("constructions_per_object", "1", "constructors that run, an object", by_difference=True, scope="events"),
    MetricInfo(
        "destructions_per_object", "1", "destructors that run, an object", "higher", by_difference=True, scope="events"
    ),
    MetricInfo(
        "blocks_per_object",
        "1",
        "blocks that the allocator is asked for, an object",
        by_difference=True,
        scope="events",
    ),
    MetricInfo(
        "asked_per_object_bytes", "B", "bytes that it is asked for, an object", by_difference=True, scope="events"
    ),
)
