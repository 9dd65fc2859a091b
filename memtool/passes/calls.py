"""The calls pass: system calls that manage memory, of one cold replay, counted by the parent."""

from __future__ import annotations

from collections.abc import Mapping
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
class Calls(Figures):
    """Calls of all threads before the epilogue."""

    system_calls: Mapping[str, int]
    """Name of a call -> number of its calls."""


def summarise(samples: CellSamples) -> Summary:
    """Return the total number of calls, and for the proof the number of each."""
    counted = taken(samples.own, Calls)
    if not counted:
        return Summary()
    pairs = [(sample.block, float(sum(sample.figures.system_calls.values()))) for sample in counted]
    return Summary({"system_calls": Figure(pairs)}, proof={"system_calls": dict(counted[0].figures.system_calls)})


PASS = Declaration(
    name="calls",
    phase=Phase.COUNTED,
    usual=1.0,
    slower=50,
    interpreted=False,
    instrument=Instrument.SYSTEM_CALLS,
)
MEASURE = Measure(
    figures=Calls,
    layout=Layout.of(socket=U64),
    given=lambda asked: Given({"socket": asked.socket}),
    unpack=lambda held, parts, asked: {},  # the parent has counted
    summarise=summarise,
)
