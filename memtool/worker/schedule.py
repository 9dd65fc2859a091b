"""The order in which samples are taken: blocks, each with every cell once, in an order drawn anew.

What is compared is measured next to each other in time, so that a machine that speeds up or slows down moves all of it
alike; see docs/measurement.md. Each finished sample is handed on before the next is begun.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from memtool.errors import MemtoolError
from memtool.host import machine
from memtool.kinds import places_blocks
from memtool.model import AllocatorPlan, Cell, Mode, Status
from memtool.passes import PACE, Figures, Pass, Phase, Sample
from memtool.worker.estimate import Estimate
from memtool.worker.evidence import Evidence
from memtool.worker.jobs import Jobs, sharing
from memtool.worker.parent import Executor
from memtool.worker.settings import NULL, Measurable, Settings, cells_of, counts, with_controls

_PILOT_TIME_LIMIT = 600.0
_MOST_AT_ONCE = 24
"""Heap passes wait for seconds and time nothing, so as many as memory holds wait together (docs/adr/0007)."""
_WORKER_BYTES = 32 << 20
_UNKNOWN_SHARE = 4

Progress = Callable[[str, int, int, float | None], None]
"""Called before each sample with what it is, how many are done and how many there are, and the seconds left, where they
can be told."""
Key = tuple[Cell, int, Pass]
Wanted = tuple[Measurable, Cell, AllocatorPlan, int, Pass]
"""A sample to be taken: of what, and in which block and pass."""


@dataclass(slots=True)
class Schedule:
    """Takes all samples of a run through an executor."""

    executor: Executor
    settings: Settings
    record: Callable[[Sample], None]
    """Called with every new sample, before the next is begun."""
    finished: Mapping[Key, Sample] = field(default_factory=dict)
    """Samples of an interrupted run: not taken again."""
    progress: Progress = lambda what, done, total, seconds_left: None
    """Footprint repeats beyond those asked for, which only measurements that vary need, are counted as they come."""
    timing_is_over: Callable[[], None] = lambda: None
    """Called once nothing more will be timed: what else a run needs may share the processors from then on."""
    _evidence: Evidence = field(default_factory=Evidence)
    _samples: list[Sample] = field(default_factory=list)
    _failed: set[Cell] = field(default_factory=set)
    _jobs: Jobs = field(init=False)
    _estimate: Estimate = field(default_factory=Estimate)
    _done: int = 0
    _total: int = 0

    def __post_init__(self) -> None:
        self._jobs = Jobs(self.settings)

    def run(self, workloads: Sequence[Measurable]) -> list[Sample]:
        """Return every sample, in the order taken. A failed sample takes its cell out of what follows."""
        expected = counts(self.settings, workloads)
        self._total = expected.total()
        self._estimate.expect(expected)
        for workload in workloads:
            self._pilot(workload)
        for run_pass in self.settings.of(Phase.PROOF):
            self._take_together(_wanted(workloads, run_pass))
        timed = self.settings.of(Phase.TIMED)
        if timed and workloads:
            for block in self._blocks():
                self._block(workloads, block, timed)
        self.timing_is_over()
        self._take_untimed(workloads)
        return self._samples

    def _block(self, workloads: Sequence[Measurable], block: int, timed: Sequence[Pass]) -> None:
        draw = random.Random(f"{self.settings.seed}:{block}")
        turn = block % len(workloads)
        for workload in (*workloads[turn:], *workloads[:turn]):
            order = list(with_controls(workload).items())
            draw.shuffle(order)
            for cell, plan in order:
                for run_pass in timed:
                    if cell in cells_of(workload, run_pass):
                        self._take(workload, cell, plan, block, run_pass)

    def _take_untimed(self, workloads: Sequence[Measurable]) -> None:
        """Repeat, count and wait, all at the same time once the first repeat has shown what memory a cell takes.

        What threads replay is repeated alone.
        """
        passes, turns = self.settings.of(Phase.REPEATED), range(len(self._blocks()))
        asked = turns[: self.settings.footprint_repeats]
        alone = asked if any(workload.threads is not None for workload in workloads) else asked[:1]
        for turn in alone:
            for run_pass in passes:
                self._take_together(self._repeats(workloads, run_pass, turn))
        again = [
            wish
            for turn in asked[len(alone) :]
            for run_pass in passes
            for wish in self._repeats(workloads, run_pass, turn)
        ]
        self._count_and_wait(workloads, again)
        for run_pass in passes:
            for turn in turns[len(asked) :]:
                more = self._repeats(workloads, run_pass, turn)
                self._total += len(more)
                self._estimate.expect({run_pass: len(more)})
                self._take_together(more)
            self._alone([each for each in workloads if places_blocks(each.kind, (run_pass,))], run_pass)

    def _repeats(self, workloads: Sequence[Measurable], run_pass: Pass, turn: int) -> list[Wanted]:
        """Return the samples of a turn: of every cell twice, or as often as asked, then only where figures differ."""
        wanted = [wish for wish in _wanted(workloads, run_pass, self._blocks()[turn]) if wish[1] not in self._failed]
        if turn < self.settings.footprint_repeats:
            return wanted
        taken: dict[Cell, list[Figures]] = {}
        for sample in self._samples:
            if sample.run_pass is run_pass and sample.payload is not None:
                taken.setdefault(sample.cell, []).append(sample.payload)
        return [
            wish
            for wish in wanted
            if len(taken[wish[1]]) == turn
            if (measure := wish[0].measure(run_pass)) is not None and measure.differ(taken[wish[1]])
        ]

    def _alone(self, workloads: Sequence[Measurable], run_pass: Pass) -> None:
        """Measure once what one thread takes for what several replay; that it cannot costs the cell nothing else."""
        wanted: list[Wanted] = []
        for workload, cell, plan, block, _ in _wanted(workloads, run_pass):
            if workload.serial is None or cell in self._failed:
                continue
            image_fd, image_bytes = workload.serial
            alone = replace(workload, image_fd=image_fd, image_bytes=image_bytes, threads=None)
            wanted.append((alone, replace(cell, mode=str(Mode.SERIAL)), plan, block, run_pass))
        self._take_together(wanted)

    def _take_together(self, wanted: Sequence[Wanted]) -> None:
        """Take samples of what times nothing, one of a cell at the most.

        As many workers at a time as there are processors, while memory holds the most that any of them can take.
        Threads have the processors to themselves: in whose company they run decides in which order they meet.
        """
        wanted = [wish for wish in wanted if wish[1] not in self._failed]
        alone = any(workload.threads is not None for workload, *_ in wanted)
        at_once = 1 if alone else self._most_at_once([workload for workload, *_ in wanted])
        for sample in self._overlapping(wanted, at_once):
            self._finish(sample)

    def _overlapping(self, wanted: Sequence[Wanted], at_once: int, waiting: Sequence[Wanted] = ()) -> list[Sample]:
        """Return samples, those of ``waiting`` first, each in the order given; what is there already is not taken.

        So many of ``wanted`` are taken at a time, and beside them all of ``waiting``.
        """
        keys = [(cell, block, run_pass) for _, cell, _, block, run_pass in (*waiting, *wanted)]
        taken = {key: self._evidence.hold(self.finished[key]) for key in keys if key in self.finished}
        beside, jobs = (
            [self._jobs.job(*wish) for wish in group if (wish[1], wish[3], wish[4]) not in taken]
            for group in (waiting, wanted)
        )
        for _, _, run_pass in taken:
            self._estimate.skip(run_pass)
        beside, jobs = sharing(beside, len(beside)), sharing(jobs, at_once)
        done = self._done + len(taken)
        with closing(self.executor.overlap(jobs, at_once, beside)) as samples:
            for job in (*beside, *jobs):
                self._say(job.cell, job.run_pass, done)
                sample = self._recorded(next(samples))
                taken[sample.cell, sample.block, sample.run_pass] = sample
                done += 1
        return [taken[key] for key in keys]

    def _say(self, cell: Cell, run_pass: Pass, done: int) -> None:
        self._estimate.begin(run_pass)
        left = self._estimate.seconds_left()
        self.progress(f"{cell.workload} · {cell.allocator} · {run_pass}", done, self._total, left)

    def _most_at_once(self, workloads: Sequence[Measurable]) -> int:
        """Return how many workers may run at a time, each of which takes all that its workload ever asks for."""
        processors = machine.processes_at_once()
        if self.settings.memory_bytes is None:
            return processors
        most = max((workload.total_bytes for workload in workloads), default=0) + _WORKER_BYTES
        return max(1, min(processors, self.settings.memory_bytes // most))

    def _count_and_wait(self, workloads: Sequence[Measurable], again: Sequence[Wanted]) -> None:
        """Take what is repeated, count, and take the passes that mostly wait beside both, where memory holds them all.

        A count does not mind company, and one that fails costs itself only.
        """
        wanted = [*again, *self._counts(workloads)]
        batches = self._batches(workloads)
        at_once = self._most_at_once(workloads)
        fits = bool(batches) and self._holds([cell for _, cell, *_ in (*batches[0], *wanted[:at_once])])
        for sample in self._overlapping(wanted, at_once, batches.pop(0) if fits else ()):
            if sample.run_pass.declared.phase is Phase.COUNTED:
                self._samples.append(sample)
                self._done += 1
            else:
                self._finish(sample)
        for batch in batches:
            for sample in self._overlapping((), 1, batch):
                self._finish(sample)

    def _counts(self, workloads: Sequence[Measurable]) -> list[Wanted]:
        """Return the counts that are wanted, those of a cell after each other."""
        return [
            (workload, cell, plan, block, run_pass)
            for workload in workloads
            for run_pass in self.settings.of(Phase.COUNTED)
            for cell, plan in cells_of(workload, run_pass).items()
            if cell not in self._failed
            for block in range(self.settings.repeats(run_pass))
        ]

    def _batches(self, workloads: Sequence[Measurable]) -> list[list[Wanted]]:
        """Return the samples that mostly wait, as many in a batch as memory holds."""
        batches: list[list[Wanted]] = []
        for wanted in (wish for run_pass in self.settings.of(Phase.WAITING) for wish in _wanted(workloads, run_pass)):
            if wanted[1] in self._failed:
                continue
            together = [] if not batches else [wish[1] for wish in batches[-1]]
            if not batches or len(together) == _MOST_AT_ONCE or not self._holds([*together, wanted[1]]):
                batches.append([])
            batches[-1].append(wanted)
        return batches

    def _holds(self, cells: Sequence[Cell]) -> bool:
        """Return whether memory holds a worker of each of these at the same time."""
        limit = self.settings.memory_bytes
        return limit is None or sum(self._memory_of(cell) for cell in cells) <= limit

    def _memory_of(self, cell: Cell) -> int:
        """Return the bytes that a replay of a cell takes, as a pass has found, or a cautious guess."""
        peaks = [
            known
            for sample in self._samples
            if sample.cell == cell and sample.payload and (known := sample.payload.memory_bytes) is not None
        ]
        known = max(peaks) if peaks else (self.settings.memory_bytes or 0) // _UNKNOWN_SHARE
        return known + _WORKER_BYTES

    def _blocks(self) -> range:
        return range(self.settings.first_block, self.settings.first_block + self.settings.blocks)

    def _pilot(self, workload: Measurable) -> None:
        """Replay the null strategy once, so that the time limit of everything else is known.

        Raises MemtoolError where its worker dies: it allocates nothing, so no allocator could be blamed for another.
        """
        has_limit = self.settings.time_limit is not None or workload.time_limit is not None
        if has_limit or workload.measure(PACE) is None:
            return
        cell = next(iter(with_controls(workload)))
        null_cell = Cell(workload.name, NULL, cell.region, cell.mode)
        job = self._jobs.job(workload, null_cell, workload.null_plan, 0, PACE)
        pilot = self.executor.execute(replace(job, time_limit=_PILOT_TIME_LIMIT))
        if pilot.died:
            raise MemtoolError(f"a worker that replays {workload.name} on no allocator at all fails: {pilot.reason}")
        self._jobs.pilot(workload, pilot)

    def _take(self, workload: Measurable, cell: Cell, plan: AllocatorPlan, block: int, run_pass: Pass) -> Sample | None:
        """Take one sample, or the one that an interrupted run has taken; None: the cell has failed, now or before."""
        if cell in self._failed:
            return None
        sample = self.finished.get((cell, block, run_pass))
        if sample is not None:
            self._estimate.skip(run_pass)
            return self._finish(self._evidence.hold(sample))
        self._say(cell, run_pass, self._done)
        return self._finish(
            self._recorded(self.executor.execute(self._jobs.job(workload, cell, plan, block, run_pass)))
        )

    def _recorded(self, sample: Sample) -> Sample:
        """Return a new sample, once it is on disk; failed, where it measured something else than those before."""
        sample = self._evidence.hold(sample)
        self.record(sample)
        return sample

    def _finish(self, sample: Sample) -> Sample | None:
        self._done += 1
        self._samples.append(sample)
        if sample.status is not Status.OK:
            self._failed.add(sample.cell)
            return None
        self._jobs.learn(sample)
        return sample


def _wanted(workloads: Sequence[Measurable], run_pass: Pass, block: int = 0) -> list[Wanted]:
    """Return the samples of a pass in one block, of every cell that it is taken of."""
    return [
        (workload, cell, plan, block, run_pass)
        for workload in workloads
        for cell, plan in cells_of(workload, run_pass).items()
    ]
