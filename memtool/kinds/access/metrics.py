"""The metrics of accesses, in addition to those of heap events."""

from __future__ import annotations

from memtool.kinds.metric import MetricInfo

METRICS = (
    MetricInfo(
        "padding_bytes",
        "B",
        "mean bytes that a block takes beyond the requested ones, metadata and free bytes",
        by_difference=True,
        scope="events",
        headline=True,
    ),
    MetricInfo(
        "alignment_padding_bytes",
        "B",
        "mean bytes that rounding a block up to its alignment takes: calculated, not measured",
        "neither",
        by_difference=True,
        gated=False,
        scope="events",
    ),
    MetricInfo(
        "across_lines_share",
        "1",
        "share of blocks that lie on more cache lines of 64 bytes than they need",
        by_difference=True,
        is_share=True,
        scope="events",
    ),
    MetricInfo(
        "neighbours_share",
        "1",
        "share of blocks on the same cache line of 64 bytes as the block allocated next",
        "neither",
        by_difference=True,
        gated=False,
        is_share=True,
        scope="events",
    ),
)
