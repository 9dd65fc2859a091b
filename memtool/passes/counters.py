"""The counters pass: instructions of the throughput pass's replay, counted by the processor or by callgrind."""

from __future__ import annotations

from dataclasses import dataclass

from memtool.passes.declaration import (
    CellSamples,
    Declaration,
    Figure,
    Figures,
    Instrument,
    Measure,
    Phase,
    Summary,
    taken,
)
from memtool.passes.layout import U64, Given, Layout


@dataclass(frozen=True, slots=True)
class Instructions(Figures):
    """User instructions of the replay before the epilogue."""

    instructions: int


def summarise(samples: CellSamples) -> Summary:
    """Return the instructions for each operation, harness included."""
    counted = taken(samples.own, Instructions)
    if not counted or samples.trace.operations == 0:
        return Summary()
    pairs = [(sample.block, sample.figures.instructions / samples.operations) for sample in counted]
    return Summary({"instructions_per_op": Figure(pairs)})


PASS = Declaration(
    name="counters",
    phase=Phase.COUNTED,
    usual=4.0,
    slower=50,
    with_null=True,
    interpreted=False,  # the instructions would be mostly the interpreter's
    instrument=Instrument.INSTRUCTIONS,
    counts_repeat=True,
    pinned=False,
)
MEASURE = Measure(
    figures=Instructions,
    layout=Layout.of(counter=U64, instructions=U64),
    given=lambda asked: Given({"counter": asked.counter}),
    unpack=lambda held, parts, asked: {"instructions": held["instructions"]},
    summarise=summarise,
)
