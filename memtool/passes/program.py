"""The program pass: a whole real program is run once, and the costs of it and all its descendants are totalled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from memtool.passes.declaration import CellSamples, Declaration, Figure, Figures, Measure, Phase, Summary, taken
from memtool.passes.layout import Layout


@dataclass(frozen=True, slots=True)
class ProgramRun(Figures):
    """One run of the program and all its descendants; the wall time is that of the program alone."""

    wall_ns: int
    """Time until the program itself has ended; for a server, until its load has."""
    user_ns: int
    system_ns: int
    tree_peak_bytes: int
    """Most resident memory of all living processes together, each page counted once, as far as it was sampled."""
    largest_process_bytes: int
    """The kernel's own high-water mark of the process with the highest one."""
    minor_faults: int
    major_faults: int
    voluntary_switches: int
    involuntary_switches: int
    exit_status: int
    most_processes: int
    looks: int
    """Number of times that the processes were sampled."""
    left_processes: int
    """Processes still alive when the program itself had ended."""
    ready_ns: int | None
    """Time from the start of a server until it was ready."""


_FIGURES: dict[str, Callable[[ProgramRun], float | None]] = {
    "wall_time_ns": lambda run: run.wall_ns,
    "cpu_time_ns": lambda run: run.user_ns + run.system_ns,
    "user_time_ns": lambda run: run.user_ns,
    "system_time_ns": lambda run: run.system_ns,
    "tree_peak_resident_bytes": lambda run: run.tree_peak_bytes,
    "largest_process_resident_bytes": lambda run: run.largest_process_bytes,
    "tree_minor_faults": lambda run: run.minor_faults,
    "tree_major_faults": lambda run: run.major_faults,
    "tree_voluntary_switches": lambda run: run.voluntary_switches,
    "tree_involuntary_switches": lambda run: run.involuntary_switches,
    "tree_processes": lambda run: max(run.most_processes, 1),
    "exit_status": lambda run: run.exit_status,
    "ready_time_ns": lambda run: run.ready_ns,
}


def summarise(samples: CellSamples) -> Summary:
    """Return the costs of the runs, and a note if processes had to be killed."""
    runs = taken(samples.own, ProgramRun)
    if not runs:
        return Summary()
    figures = {
        name: Figure([(run.block, value) for run in runs if (value := of(run.figures)) is not None])
        for name, of in _FIGURES.items()
    }
    left = max(run.figures.left_processes for run in runs)
    notes = [f"left processes behind, which were killed: up to {left}"] if left else []
    return Summary({name: figure for name, figure in figures.items() if figure.by_block}, notes)


PASS = Declaration(
    name="program",
    phase=Phase.TIMED,
    usual=1.0,
    interpreted=False,
    is_chosen=False,
)
MEASURE = Measure(
    figures=ProgramRun,
    layout=Layout(()),  # no worker of the engine takes it
    summarise=summarise,
)
