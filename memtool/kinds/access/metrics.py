"""The metrics that accesses have besides those of heap events."""

from __future__ import annotations

from memtool.kinds.metric import MetricInfo

METRICS = (
    MetricInfo(
        "padding_bytes",
        "B",
        "of a block in the mean: what it takes beyond what was asked for, and beyond metadata and free bytes",
        by_difference=True,
        scope="events",
        headline=True,
    ),
    MetricInfo(
        "alignment_padding_bytes",
        "B",
        "what rounding each block up to its alignment takes, in the mean: by arithmetic, not measured",
        "neither",
        by_difference=True,
        gated=False,
        scope="events",
    ),
    MetricInfo(
        "across_lines_share",
        "1",
        "blocks that lie on more cache lines of 64 bytes than they need, of all",
        by_difference=True,
        is_share=True,
        scope="events",
    ),
    MetricInfo(
        "neighbours_share",
        "1",
        "blocks that share a cache line of 64 bytes with the one that was allocated next",
        "neither",
        by_difference=True,
        gated=False,
        is_share=True,
        scope="events",
    ),
)
