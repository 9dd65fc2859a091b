"""The passes: what a worker process measures, a file each. ``Pass`` is THE list, in the order of a run."""

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
    """One kind of worker process; each sample is of one pass."""

    declared: Declaration

    def __new__(cls, declared: Declaration | str) -> Pass:
        """Make the member of a declaration, equal to its name; a name gives the member that has it."""
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
"""The pass whose time limits, and the order of cells within a block, are known from."""
CHOSEN = tuple(run_pass for run_pass in Pass if run_pass.declared.is_chosen)
"""Those that users choose from, in the order in which they run."""


def passes_from(names: tuple[str, ...]) -> tuple[Pass, ...]:
    """Return the passes of these names, in the order in which they run. Raises ValueError for an unknown one."""
    chosen = {Pass(name) for name in names}
    return tuple(run_pass for run_pass in Pass if run_pass in chosen)
