"""The passes, each measured by a worker process, one file each. ``Pass`` is the one list, in the order of a run."""

from __future__ import annotations

from enum import StrEnum

from memtool.passes import calls, check, counters, footprint, heap, latency, program, throughput
from memtool.passes.declaration import Clock, Declaration, Figures, Instrument, Noise, Phase, Sample

__all__ = [
    "CHOSEN",
    "PACE",
    "Clock",
    "Declaration",
    "Figures",
    "Instrument",
    "Noise",
    "Pass",
    "Phase",
    "Sample",
    "passes_from",
]


class Pass(StrEnum):
    """A pass of a worker process; each sample belongs to one."""

    declared: Declaration

    def __new__(cls, declared: Declaration | str) -> Pass:
        """Make the member of a declaration, which equals its name; a name returns its member."""
        assert isinstance(declared, Declaration)
        member = str.__new__(cls, declared.name)
        member._value_ = declared.name
        member.declared = declared
        return member

    CHECK = check.PASS
    THROUGHPUT = throughput.PASS
    LATENCY = latency.PASS
    FOOTPRINT = footprint.PASS
    COUNTERS = counters.PASS
    HEAP = heap.PASS
    CALLS = calls.PASS
    PROGRAM = program.PASS


PACE = next(run_pass for run_pass in Pass if run_pass.declared.sets_pace)
"""The pass that determines time limits and the order of cells within a block."""
CHOSEN = tuple(run_pass for run_pass in Pass if run_pass.declared.is_chosen)
"""The passes that users choose from, in the order in which they run."""


def passes_from(names: tuple[str, ...]) -> tuple[Pass, ...]:
    """Return the passes with these names, in the order in which they run. Raises ValueError for an unknown name."""
    chosen = {Pass(name) for name in names}
    return tuple(run_pass for run_pass in Pass if run_pass in chosen)
