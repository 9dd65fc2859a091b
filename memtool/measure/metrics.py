"""Every metric by its name in run.json, in the order of the kinds of work; and how surely resident memory is known."""

from __future__ import annotations

from dataclasses import dataclass

from memtool.kinds import KINDS, results
from memtool.kinds.metric import MetricInfo

__all__ = ["METRICS", "Error", "MetricInfo", "error_of"]

METRICS = {metric.name: metric for kind in KINDS for metric in results(kind).metrics}

_BASELINE_PAGES = 3
"""By which the growth of two processes that do the same differs: what a worker had touched before is not the same."""
_BATCH_PAGES = 32
_BATCH_PAGES_A_PROCESSOR = 2
"""By the larger of these the kernel's counters of a processor are behind at most; its high-water mark rests on them."""


@dataclass(frozen=True, slots=True)
class Error:
    """By how many bytes two figures of resident memory may differ though the allocators do the same; 0: they do not."""

    repeats: int = 0
    """Of the same allocator, measured twice."""
    within: int = 0
    """Of any two: the truth of each lies no further away."""


def error_of(name: str, *, threads: int = 1, processors: int = 1, page_bytes: int = 4096) -> Error:
    """Return the error of a metric's figures. ``threads`` that replay: each runs on a processor of its own."""
    if not ("resident" in name and name.endswith("_bytes")):
        return Error()
    is_mark = name in ("peak_resident_bytes", "tree_peak_resident_bytes")
    batch = max(_BATCH_PAGES, _BATCH_PAGES_A_PROCESSOR * processors) * threads if is_mark else 0
    return Error(_BASELINE_PAGES * page_bytes, (_BASELINE_PAGES + batch) * page_bytes)
