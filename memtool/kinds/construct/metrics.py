"""The metrics of objects. docs/metrics.md has the formulas."""

from __future__ import annotations

from memtool.kinds.metric import MetricInfo
from memtool.passes import Pass

PARTS = {
    "make_ns": "make an object: allocate and construct it",
    "use_ns": "use an object",
    "end_ns": "end an object: destroy and free it",
}
"""Metric -> part of an object's life."""
STEPS = {
    "allocate_step_ns": "allocate an object, all of them before any is constructed",
    "construct_step_ns": "construct an object",
    "destroy_step_ns": "destroy an object",
    "deallocate_step_ns": "free an object, once all are destroyed",
}


PER_OBJECT = {
    "constructions_per_object": "constructions",
    "destructions_per_object": "destructions",
    "blocks_per_object": "blocks",
    "asked_per_object_bytes": "asked_bytes",
}
"""Metric -> the count of a round that is divided by the number of objects."""

METRICS = (
    *(
        MetricInfo(name, "ns", f"time to {meaning}", measured_by=Pass.LATENCY)
        for name, meaning in (PARTS | STEPS).items()
    ),
    MetricInfo("constructions_per_object", "1", "constructors run per object", by_difference=True, scope="events"),
    MetricInfo(
        "destructions_per_object", "1", "destructors run per object", "higher", by_difference=True, scope="events"
    ),
    MetricInfo(
        "blocks_per_object",
        "1",
        "blocks requested per object",
        by_difference=True,
        scope="events",
    ),
    MetricInfo("asked_per_object_bytes", "B", "bytes requested per object", by_difference=True, scope="events"),
)
