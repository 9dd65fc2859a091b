"""The measurements of heap events, and their presentation."""

from __future__ import annotations

from memtool.kinds.declaration import Results
from memtool.kinds.heap.metrics import METRICS
from memtool.kinds.heap.sheets import SHEETS, why_not
from memtool.kinds.heap.words import heading, remarks
from memtool.passes import Pass, calls, check, counters, footprint, heap, latency, throughput

RESULTS = Results(
    measures={
        Pass.CHECK: check.MEASURE,
        Pass.THROUGHPUT: throughput.MEASURE,
        Pass.LATENCY: latency.MEASURE,
        Pass.FOOTPRINT: footprint.MEASURE,
        Pass.COUNTERS: counters.MEASURE,
        Pass.HEAP: heap.MEASURE,
        Pass.CALLS: calls.MEASURE,
    },
    metrics=METRICS,
    sheets=SHEETS,
    heading=heading,
    remarks=remarks,
    why_not=why_not,
)
