"""The counters pass: instructions of the throughput pass's replay, counted by the processor or by callgrind."""

from __future__ import annotations

from dataclasses import dataclass

from memtool.passes.declaration import (
    CellSamples,
    Declaration,
    Figures,
    Instrument,
    Measure,
    Phase,
    Summary,
    by_metric,
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
    if samples.trace.operations == 0:
        return Summary()
    return Summary(by_metric(counted, lambda of: {"instructions_per_op": of.instructions / samples.operations}))


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
