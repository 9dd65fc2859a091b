"""Every metric by its name in run.json, in the order of the kinds of work; and the error of resident memory."""

from __future__ import annotations

from dataclasses import dataclass

from memtool.kinds import KINDS, results
from memtool.kinds.metric import MetricInfo

__all__ = ["METRICS", "Error", "MetricInfo", "error_of"]

METRICS = {metric.name: metric for kind in KINDS for metric in results(kind).metrics}

_BASELINE_PAGES = 3
"""Pages by which the growth of two equal processes differs, because workers touch different pages before."""
_BATCH_PAGES = 32
_BATCH_PAGES_A_PROCESSOR = 2
"""Pages for each processor: the kernel's counters, and so its high-water mark, lag by at most the larger of these."""


@dataclass(frozen=True, slots=True)
class Error:
    """Bytes by which two figures of resident memory may differ although the allocators do the same; 0: they do not."""

    repeats: int = 0
    """Difference of two measurements of the same allocator."""
    within: int = 0
    """Largest distance of any figure from the true value."""


def error_of(name: str, *, threads: int = 1, processors: int = 1, page_bytes: int = 4096) -> Error:
    """Return the error of a metric's figures. Each of the replaying ``threads`` runs on its own processor."""
    if not ("resident" in name and name.endswith("_bytes")):
        return Error()
    is_mark = name in ("peak_resident_bytes", "tree_peak_resident_bytes")
    batch = max(_BATCH_PAGES, _BATCH_PAGES_A_PROCESSOR * processors) * threads if is_mark else 0
    return Error(_BASELINE_PAGES * page_bytes, (_BASELINE_PAGES + batch) * page_bytes)
