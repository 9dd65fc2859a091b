"""The measurements of accesses, and their presentation."""

from __future__ import annotations

from dataclasses import dataclass

from memtool.kinds.access.metrics import METRICS
from memtool.kinds.access.words import heading, remarks, why_not
from memtool.kinds.declaration import Results
from memtool.kinds.sheet import Column, Quantity, SheetInfo
from memtool.passes import Pass, check, counters, throughput
from memtool.passes.declaration import CellSamples, Figures, Measure, Summary, by_metric, taken
from memtool.passes.layout import Layout


@dataclass(frozen=True, slots=True)
class Memory(Figures):
    """Memory that the blocks take, and their positions. All zeroes for a way that takes no memory from an allocator."""

    blocks: int
    asked_bytes: int
    aligned_bytes: int
    footprint_bytes: int | None
    """None: the heap is not on a region."""
    free_bytes: int
    metadata_bytes: int
    across_lines: int
    neighbours: int
    minor_faults: int


def _padding(memory: Memory) -> float | None:
    """Return the bytes that a block takes beyond the request; None where the footprint is unknown."""
    if memory.footprint_bytes is None:
        return None
    taken_bytes = memory.footprint_bytes - memory.free_bytes - memory.metadata_bytes
    return (taken_bytes - memory.asked_bytes) / memory.blocks


def summarise(samples: CellSamples) -> Summary:
    """Return the padding, and the positions of blocks on cache lines."""
    memories = [sample for sample in taken(samples.own, Memory) if sample.figures.blocks]

    def metrics(memory: Memory) -> dict[str, float | None]:
        return {
            "padding_bytes": _padding(memory),
            "alignment_padding_bytes": (memory.aligned_bytes - memory.asked_bytes) / memory.blocks,
            "across_lines_share": memory.across_lines / memory.blocks,
            "neighbours_share": memory.neighbours / max(memory.blocks - 1, 1),
            "minor_faults": memory.minor_faults,
        }

    return Summary(by_metric(memories, metrics))


_TIMES = SheetInfo(
    "Time of an access, in ns; of align-N, of an allocation",
    (
        Column("ns", "time_per_op_ns", Quantity.TIME),
        Column("95 % interval", "time_per_op_ns", Quantity.TIME, is_interval=True),
        Column("instructions", "instructions_per_op", Quantity.NUMBER, 1),
    ),
    ("time_per_op_ns", "instructions_per_op"),
    ranked=True,
    with_calls=True,
)
_PLACES = SheetInfo(
    "How the blocks lie",
    (
        Column("padding of a\nblock, B", "padding_bytes", Quantity.NUMBER, 2),
        Column("of that, by\nalignment", "alignment_padding_bytes", Quantity.NUMBER, 2),
        Column("across\nlines", "across_lines_share", Quantity.SHARE),
        Column("line shared\nwith next", "neighbours_share", Quantity.SHARE),
        Column("minor\nfaults", "minor_faults", Quantity.COUNT),
    ),
    ("padding_bytes", "minor_faults"),
)
RESULTS = Results(
    measures={
        Pass.CHECK: check.MEASURE,
        Pass.THROUGHPUT: throughput.MEASURE,
        Pass.FOOTPRINT: Measure(
            figures=Memory,
            layout=Layout.like(Memory),
            summarise=summarise,
        ),
        Pass.COUNTERS: counters.MEASURE,
    },
    metrics=METRICS,
    sheets=(_TIMES, _PLACES),
    heading=heading,
    remarks=remarks,
    why_not=why_not,
)
