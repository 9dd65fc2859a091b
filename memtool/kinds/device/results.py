"""The measurements of device memory: those of heap events, and the device's own proof."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memtool.kinds.declaration import Results
from memtool.kinds.heap.sheets import LATENCY, MEMORY, OVERHEAD, SPEED, WATERFALL, why_not
from memtool.kinds.heap.words import heading
from memtool.model import CellResult, TraceInfo
from memtool.passes import Pass, counters, footprint, latency, throughput
from memtool.passes.declaration import CellSamples, Figures, Measure, Summary, taken
from memtool.passes.layout import Layout, Text
from memtool.units import format_count


@dataclass(frozen=True, slots=True)
class Proof(Figures):
    """The device's proof of the blocks."""

    proved_blocks: int
    """Blocks that the device filled at their allocation and that still had this content when they were freed."""
    offsets: int
    """A hash of the offsets of all allocations in the buffer, in order; 0: there is no buffer."""
    device: str


def _summarise(samples: CellSamples) -> Summary:
    proofs = [sample.figures for sample in taken(samples.own, Proof)]
    if not proofs:
        return Summary()
    return Summary(
        proof={"device": proofs[0].device, "blocks_proved": proofs[0].proved_blocks, "offsets": proofs[0].offsets}
    )


def _remarks(cells: Sequence[CellResult], info: TraceInfo) -> Iterator[str]:
    """Yield which device proved how many blocks, and what the columns of memory refer to."""
    proved = [cell for cell in cells if cell.proof.get("blocks_proved")]
    if proved:
        devices = ", ".join(dict.fromkeys(cell.proof["device"] for cell in proved))
        least = min(cell.proof["blocks_proved"] for cell in proved)
        yield (
            f"Proved on {devices}: each of {format_count(least)} blocks, filled by the device when it was allocated "
            "and found as it was when it was freed."
        )
    yield (
        "Footprint is of the buffer; resident is host memory: of a buffer the metadata that the allocator keeps there, "
        "of a driver whatever it takes."
    )


RESULTS = Results(
    measures={
        Pass.CHECK: Measure(figures=Proof, layout=Layout.like(Proof, device=Text(256)), summarise=_summarise),
        Pass.THROUGHPUT: throughput.MEASURE,
        Pass.LATENCY: latency.MEASURE,
        Pass.FOOTPRINT: footprint.MEASURE,
        Pass.COUNTERS: counters.MEASURE,
    },
    metrics=(),
    sheets=(SPEED, LATENCY, MEMORY, WATERFALL, OVERHEAD),
    heading=heading,
    remarks=_remarks,
    why_not=why_not,
)
