"""The metrics of accesses, in addition to those of heap events."""

from __future__ import annotations

from functools import partial

from memtool.kinds.metric import MetricInfo

_place = partial(MetricInfo, by_difference=True, scope="events")

METRICS = (
    _place(
        "padding_bytes",
        "B",
        "mean bytes that a block takes beyond the requested ones, metadata and free bytes",
        headline=True,
    ),
    _place(
        "alignment_padding_bytes",
        "B",
        "mean bytes that rounding a block up to its alignment takes: calculated, not measured",
        "neither",
        gated=False,
    ),
    _place(
        "across_lines_share",
        "1",
        "share of blocks that lie on more cache lines of 64 bytes than they need",
        is_share=True,
    ),
    _place(
        "neighbours_share",
        "1",
        "share of blocks on the same cache line of 64 bytes as the block allocated next",
        "neither",
        gated=False,
        is_share=True,
    ),
)
