"""The measurements of a count, and their presentation."""

from __future__ import annotations

from dataclasses import dataclass

from memtool.kinds.declaration import Results
from memtool.kinds.metric import MetricInfo
from memtool.kinds.sheet import Column, Quantity, SheetInfo
from memtool.model import TraceInfo
from memtool.passes import Pass, throughput
from memtool.passes.declaration import CellSamples, Figure, Figures, Measure, Summary, taken
from memtool.passes.layout import U64, Layout
from memtool.units import format_size


@dataclass(frozen=True, slots=True)
class Count(Figures):
    """Number of blocks that fit."""

    blocks: int


def _counted(samples: CellSamples) -> Summary:
    counts = [(sample.block, sample.figures.blocks) for sample in taken(samples.own, Count)]
    return Summary({"served_blocks": Figure(counts)} if counts else {})


def _heading(info: TraceInfo) -> str:
    size, limit = format_size(info.facts["size"]), format_size(info.memory_limit or 0)
    return f"{info.name}: blocks of {size} until {limit} are full\nevent hash {info.event_hash}"


RESULTS = Results(
    measures={
        Pass.THROUGHPUT: throughput.MEASURE,
        Pass.FOOTPRINT: Measure(figures=Count, layout=Layout.of(blocks=U64), summarise=_counted),
    },
    metrics=(
        MetricInfo(
            "served_blocks",
            "1",
            "blocks that a full region holds",
            "higher",
            scope="events",
            measured_by=Pass.FOOTPRINT,
            headline=True,
        ),
    ),
    sheets=(
        SheetInfo(
            "Blocks in a full region",
            (Column("blocks", "served_blocks", Quantity.COUNT), Column("ns/op", "time_per_op_ns", Quantity.TIME)),
            ("served_blocks",),
        ),
    ),
    heading=_heading,
)
