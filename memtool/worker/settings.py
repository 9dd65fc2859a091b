"""What is measured, how much of it, and the resulting number of samples."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memtool.host import counters
from memtool.kinds import FIRST, places_blocks, results
from memtool.model import AllocatorPlan, Cell
from memtool.passes import CHOSEN, PACE, Instrument, Pass, Phase
from memtool.passes.declaration import Measure
from memtool.worker.parent import RegionRequest
from memtool.worker.threads import ThreadPlan

NULL = "null"
"""The control strategy in every block: it shows the cost of the harness."""
LEAST_TIME_LIMIT = 30.0
"""Least time limit of a worker in seconds: an endless loop on a workload of some hundred operations costs no more."""
LEAST_FOOTPRINTS = 2
"""Fewer samples could not show that a figure repeats."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How much to measure."""

    blocks: int = 10
    first_block: int = 0
    footprint_repeats: int = LEAST_FOOTPRINTS
    """Footprint samples of each cell; two show that a figure is exact, and more are taken only where they differ."""
    passes: tuple[Pass, ...] = CHOSEN
    warmups: int = 1
    iterations: int = 3
    checkpoints: int = 200
    seed: int = 42
    use_counter: bool = True
    ns_per_tick: float = 1.0
    counter: counters.Counter = counters.Counter.NONE
    """The counter of instructions in the counters pass; none: there is no such pass."""
    counter_repeats: int = 1
    can_count_calls: bool = False
    """Whether the kernel permits counting system calls; if not, there is no calls pass."""
    drain_waits_ms: tuple[int, ...] = (0, 100, 1_000, 5_000)
    """When resident memory is read after the drain, ascending."""
    memory_bytes: int | None = None
    """Total memory of workers that run at the same time; None: no limit."""
    time_limit: float | None = None
    """Time limit of each worker in seconds; None: as ``Jobs.limit`` determines."""
    least_time_limit: float = LEAST_TIME_LIMIT
    """Least time limit from ``Jobs.limit``, in seconds."""

    def of(self, phase: Phase) -> tuple[Pass, ...]:
        """Return the passes of a phase that are wanted and can be taken here."""
        return tuple(
            run_pass for run_pass in self.passes if run_pass.declared.phase is phase and self._can_take(run_pass)
        )

    def _can_take(self, run_pass: Pass) -> bool:
        instrument = run_pass.declared.instrument
        if instrument is Instrument.INSTRUCTIONS:
            return self.counter is not counters.Counter.NONE
        return self.can_count_calls if instrument is Instrument.SYSTEM_CALLS else True

    def repeats(self, run_pass: Pass) -> int:
        """Return how often a pass is taken of each cell if no repeat differs."""
        if run_pass.declared.phase is Phase.TIMED:
            return self.blocks
        if run_pass.declared.phase is Phase.REPEATED:
            return min(self.footprint_repeats, self.blocks)
        return self.counter_repeats if run_pass.declared.counts_repeat else 1


@dataclass(frozen=True, slots=True)
class Measurable:
    """One workload, ready to be replayed, with its cells."""

    name: str
    image_fd: int
    image_bytes: int
    null_plan: AllocatorPlan | None
    """None: there is no control beside the cells."""
    cells: Mapping[Cell, AllocatorPlan]
    regions: Mapping[str, RegionRequest]
    threads: ThreadPlan | None = None
    """None: one thread replays everything."""
    arrivals: tuple[int, ...] | None = None
    """When the operations are due in the latency pass; None: closed loop."""
    arrivals_seconds: float = 0.0
    """Time until the last operation is due."""
    paced_seconds: float = 0.0
    """Duration of a replay at the recorded pace; 0: it does not wait."""
    marks: tuple[str, ...] = ()
    """Names of the image's marks, by their numbers."""
    operations: int = 0
    """Operations of one replay, before the epilogue."""
    total_bytes: int = 0
    """Sum of all requests in one replay: the memory of an allocator that never frees."""
    serial: tuple[int, int] | None = None
    """(descriptor, bytes) of the single-threaded image for a cell with several threads; None: none is needed."""
    kind: str = FIRST
    """Kind of work (memtool/kinds)."""
    kernel: str | None = None
    """Library with the kernel of its kind; None: the engine has it."""
    time_limit: float | None = None
    """Time limit of each sample in seconds; None: as ``Jobs.limit`` determines."""
    alone: bool = False
    """Whether its samples must run alone."""
    seconds: float = 0.0
    """Additional time limit in seconds for the first sample."""

    def measure(self, run_pass: Pass) -> Measure | None:
        """Return what a pass measures of it; None: nothing."""
        return results(self.kind).measures.get(run_pass)


def cells_of(workload: Measurable, run_pass: Pass) -> dict[Cell, AllocatorPlan]:
    """Return the cells of a pass: with a null cell for each region, or without; none if the kind lacks the pass."""
    if workload.measure(run_pass) is None:
        return {}
    cells = with_controls(workload) if run_pass.declared.with_null else dict(workload.cells)
    return {
        cell: plan
        for cell, plan in cells.items()
        if (run_pass.declared.with_null or not plan.is_control)
        and (run_pass.declared.interpreted or not plan.interpreted)
    }


def with_controls(workload: Measurable) -> dict[Cell, AllocatorPlan]:
    """Return the cells with one null cell for each region, if the workload has a null strategy."""
    cells = dict(workload.cells)
    if workload.null_plan is None or workload.measure(PACE) is None:
        return cells
    for cell in workload.cells:
        cells.setdefault(Cell(cell.workload, NULL, cell.region, cell.mode), workload.null_plan)
    return cells


def counts(settings: Settings, workloads: Sequence[Measurable]) -> Counter[Pass]:
    """Return the number of samples of each pass in a run in which no repeat differs and nothing fails."""
    expected: Counter[Pass] = Counter()
    for run_pass in itertools.chain.from_iterable(settings.of(phase) for phase in Phase):
        for workload in workloads:
            alone = places_blocks(workload.kind, (run_pass,)) and workload.serial is not None
            expected[run_pass] += (settings.repeats(run_pass) + alone) * len(cells_of(workload, run_pass))
    return expected


def seconds_waiting(settings: Settings, workloads: Sequence[Measurable]) -> float:
    """Return the seconds that a run's samples wait for arrivals or at the recorded pace, if nothing fails."""
    return sum(
        settings.repeats(run_pass) * seconds_of(settings, workload, plan, run_pass)
        for run_pass in itertools.chain.from_iterable(settings.of(phase) for phase in Phase)
        for workload in workloads
        for plan in cells_of(workload, run_pass).values()
    )


def seconds_of(settings: Settings, workload: Measurable, plan: AllocatorPlan, run_pass: Pass) -> float:
    """Return the seconds that one sample waits for arrivals or at the recorded pace."""
    arrivals = workload.arrivals_seconds if run_pass.declared.open_loop else 0.0
    paced = workload.paced_seconds if run_pass.declared.paced else 0.0
    return iterations_of(settings, workload, plan) * arrivals + paced


def iterations_of(settings: Settings, workload: Measurable, plan: AllocatorPlan) -> int:
    """Return the number of replays in a timed pass: one at the recorded pace, which takes as long as the recording."""
    return 1 if plan.interpreted or workload.paced_seconds else settings.iterations
