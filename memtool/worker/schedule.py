"""The order of samples: blocks, each of which has every cell once, in a new random order.

Compared samples are measured next to each other in time, so that a machine that speeds up or slows down affects all of
them alike; see docs/measurement.md. Each finished sample is handed on before the next is begun.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
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
"""Heap passes wait for seconds and time nothing, so as many as fit into memory wait together (docs/adr/0007)."""
_WORKER_BYTES = 32 << 20
_UNKNOWN_SHARE = 4

Progress = Callable[[str, int, int, float | None], None]
"""Called before each sample with its description, the numbers of finished and of all samples, and the remaining
seconds, where they can be estimated."""
Key = tuple[Cell, int, Pass]
Task = tuple[Measurable, Cell, AllocatorPlan, int, Pass]
"""A sample to take: of which workload and cell, in which block and pass."""


@dataclass(slots=True)
class Schedule:
    """Takes all samples of a run through an executor."""

    executor: Executor
    settings: Settings
    record: Callable[[Sample], None]
    """Called with every new sample, before the next is begun."""
    finished: Mapping[Key, Sample] = field(default_factory=dict)
    """Samples of an interrupted run, which are not taken again."""
    progress: Progress = lambda what, done, total, seconds_left: None
    """Additional footprint repeats, which only measurements that vary need, are counted as they come."""
    timing_is_over: Callable[[], None] = lambda: None
    """Called once nothing more will be timed, so that other work may share the processors."""
    elsewhere: Container[Key] = frozenset()
    """Samples taken on another machine, which are neither taken here nor compared with those that are."""
    _evidence: Evidence = field(default_factory=Evidence)
    _samples: list[Sample] = field(default_factory=list)
    _failed: set[Cell] = field(default_factory=set)
    _jobs: Jobs = field(init=False)
    _estimate: Estimate = field(default_factory=Estimate)
    _paced: set[str] = field(default_factory=set)
    """Workloads with known time limits."""
    _done: int = 0
    _total: int = 0

    def __post_init__(self) -> None:
        self._jobs = Jobs(self.settings)

    def run(self, workloads: Sequence[Measurable]) -> list[Sample]:
        """Return every sample, in the order in which they are taken. A failed sample excludes its cell."""
        expected = counts(self.settings, workloads)
        self._total = expected.total()
        self._estimate.expect(expected)
        self.prove(workloads)
        if workloads:
            for block in self._blocks():
                self.take_block(workloads, block)
        self.timing_is_over()
        self._take_untimed(workloads)
        return self._samples

    def prove(self, workloads: Sequence[Measurable]) -> None:
        """Determine how long replays may take, and check each cell."""
        self.pace(workloads)
        for run_pass in self.settings.of(Phase.PROOF):
            self._take_together(_tasks_of(workloads, run_pass))

    def pace(self, workloads: Sequence[Measurable]) -> None:
        """Determine how long replays of these workloads may take, unless that is known."""
        for workload in workloads:
            if workload.name not in self._paced:
                self._paced.add(workload.name)
                self._pilot(workload)

    def take_out(self, cells: Iterable[Cell]) -> None:
        """Exclude these cells from the rest: they have failed elsewhere."""
        self._failed.update(cells)

    def take_block(self, workloads: Sequence[Measurable], block: int) -> None:
        """Take the timed passes of one block, cell by cell."""
        timed = self.settings.of(Phase.TIMED)
        draw = random.Random(f"{self.settings.seed}:{block}")
        turn = block % len(workloads)
        for workload in (*workloads[turn:], *workloads[:turn]):
            order = list(with_controls(workload).items())
            draw.shuffle(order)
            for cell, plan in order:
                for run_pass in timed:
                    if cell in cells_of(workload, run_pass):
                        self._take(workload, cell, plan, block, run_pass)

    def repeat(self, workloads: Sequence[Measurable], block: int) -> None:
        """Take the repeated passes in one block, if as many repeats were requested."""
        turn = self._blocks().index(block)
        if turn < self.settings.footprint_repeats:
            for run_pass in self.settings.of(Phase.REPEATED):
                self._take_together(self._repeats(workloads, run_pass, turn))

    def conclude(self, workloads: Sequence[Measurable], differing: Container[Cell]) -> None:
        """Take the passes outside of blocks: counts, passes that wait, and further repeats where figures differ."""
        self._count_and_wait(workloads, ())
        for run_pass in self.settings.of(Phase.REPEATED):
            for turn in self._further_turns():
                tasks = _tasks_of(workloads, run_pass, self._blocks()[turn])
                self._take_together([task for task in tasks if task[1] in differing])
            self._alone(workloads, run_pass)

    def _take_untimed(self, workloads: Sequence[Measurable]) -> None:
        """Repeat, count and wait, all at the same time once the first repeat has shown how much memory a cell takes.

        Cells with several threads are repeated alone.
        """
        passes, turns = self.settings.of(Phase.REPEATED), range(len(self._blocks()))
        repeats = turns[: self.settings.footprint_repeats]
        alone = repeats if any(workload.threads is not None for workload in workloads) else repeats[:1]
        for turn in alone:
            for run_pass in passes:
                self._take_together(self._repeats(workloads, run_pass, turn))
        again = [
            task
            for turn in repeats[len(alone) :]
            for run_pass in passes
            for task in self._repeats(workloads, run_pass, turn)
        ]
        self._count_and_wait(workloads, again)
        for run_pass in passes:
            for turn in self._further_turns():
                more = self._repeats(workloads, run_pass, turn)
                self._total += len(more)
                self._estimate.expect({run_pass: len(more)})
                self._take_together(more)
            self._alone(workloads, run_pass)

    def _further_turns(self) -> range:
        """Return the turns beyond the requested ones, which are needed only for figures that differ."""
        return range(len(self._blocks()))[self.settings.footprint_repeats :]

    def _repeats(self, workloads: Sequence[Measurable], run_pass: Pass, turn: int) -> list[Task]:
        """Return the samples of a turn: all cells in the requested repeats, then those whose figures differ."""
        tasks = [task for task in _tasks_of(workloads, run_pass, self._blocks()[turn]) if task[1] not in self._failed]
        if turn < self.settings.footprint_repeats:
            return tasks
        taken: dict[Cell, list[Figures]] = {}
        for sample in self._samples:
            if sample.run_pass is run_pass and sample.payload is not None:
                taken.setdefault(sample.cell, []).append(sample.payload)
        return [
            task
            for task in tasks
            if len(taken[task[1]]) == turn
            if (measure := task[0].measure(run_pass)) is not None and measure.differ(taken[task[1]])
        ]

    def _alone(self, workloads: Sequence[Measurable], run_pass: Pass) -> None:
        """Measure once the single-threaded replay for cells with several threads; a failure does not affect them."""
        tasks: list[Task] = []
        for workload, cell, plan, block, _ in _tasks_of(workloads, run_pass):
            if workload.serial is None or not places_blocks(workload.kind, (run_pass,)) or cell in self._failed:
                continue
            image_fd, image_bytes = workload.serial
            alone = replace(workload, image_fd=image_fd, image_bytes=image_bytes, threads=None)
            tasks.append((alone, replace(cell, mode=str(Mode.SERIAL)), plan, block, run_pass))
        self._take_together(tasks)

    def _take_together(self, tasks: Sequence[Task]) -> None:
        """Take samples of passes without timing, at most one of each cell.

        As many workers run at a time as there are processors, while their largest possible sizes fit into memory.
        Threads have the processors to themselves, because other processes would influence their interleaving.
        """
        tasks = [task for task in tasks if self._is_open(task)]
        alone = any(workload.threads is not None for workload, *_ in tasks)
        at_once = 1 if alone else self._most_at_once([workload for workload, *_ in tasks])
        for sample in self._overlapping(tasks, at_once):
            self._finish(sample)

    def _overlapping(self, tasks: Sequence[Task], at_once: int, waiting: Sequence[Task] = ()) -> list[Sample]:
        """Return samples, those of ``waiting`` first, each in the given order; existing ones are not taken again.

        ``at_once`` of ``tasks`` are taken at a time, and beside them all of ``waiting``.
        """
        keys = [(cell, block, run_pass) for _, cell, _, block, run_pass in (*waiting, *tasks)]
        taken = {key: self._evidence.hold(self.finished[key]) for key in keys if key in self.finished}
        beside, jobs = (
            [self._jobs.job(*task) for task in group if (task[1], task[3], task[4]) not in taken]
            for group in (waiting, tasks)
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
        """Return how many workers may run at a time if each takes as much memory as its workload ever requests."""
        if any(workload.alone for workload in workloads):
            return 1
        processors = machine.processes_at_once()
        if self.settings.memory_bytes is None:
            return processors
        most = max((workload.total_bytes for workload in workloads), default=0) + _WORKER_BYTES
        return max(1, min(processors, self.settings.memory_bytes // most))

    def _count_and_wait(self, workloads: Sequence[Measurable], again: Sequence[Task]) -> None:
        """Take repeats and counts, and beside them the passes that mostly wait, if all of them fit into memory.

        A count is not disturbed by other processes, and a failed one affects only itself.
        """
        tasks = [*again, *self._counts(workloads)]
        tasks = [task for task in tasks if self._is_open(task)]
        batches = self._batches(workloads)
        at_once = self._most_at_once(workloads)
        together = not any(workload.alone for workload in workloads)
        fits = together and bool(batches) and self._holds([cell for _, cell, *_ in (*batches[0], *tasks[:at_once])])
        for sample in self._overlapping(tasks, at_once, batches.pop(0) if fits else ()):
            if sample.run_pass.declared.phase is Phase.COUNTED:
                self._samples.append(sample)
                self._done += 1
            else:
                self._finish(sample)
        for batch in batches:
            for sample in self._overlapping((), 1, batch):
                self._finish(sample)

    def _counts(self, workloads: Sequence[Measurable]) -> list[Task]:
        """Return the counts that are wanted, grouped by cell."""
        return [
            (workload, cell, plan, block, run_pass)
            for workload in workloads
            for run_pass in self.settings.of(Phase.COUNTED)
            for cell, plan in cells_of(workload, run_pass).items()
            if cell not in self._failed
            for block in range(self.settings.repeats(run_pass))
        ]

    def _batches(self, workloads: Sequence[Measurable]) -> list[list[Task]]:
        """Return the samples that mostly wait, as many in a batch as fit into memory."""
        batches: list[list[Task]] = []
        for task in (task for run_pass in self.settings.of(Phase.WAITING) for task in _tasks_of(workloads, run_pass)):
            if not self._is_open(task):
                continue
            together = [] if not batches else [task[1] for task in batches[-1]]
            if not batches or len(together) == _MOST_AT_ONCE or not self._holds([*together, task[1]]):
                batches.append([])
            batches[-1].append(task)
        return batches

    def _holds(self, cells: Sequence[Cell]) -> bool:
        """Return whether workers for all of these fit into memory at the same time."""
        limit = self.settings.memory_bytes
        return limit is None or sum(self._memory_of(cell) for cell in cells) <= limit

    def _memory_of(self, cell: Cell) -> int:
        """Return the bytes that a replay of a cell takes, from a pass, or a cautious estimate."""
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
        """Replay the null strategy once, from which all other time limits are derived.

        Raises MemtoolError where its worker dies: it allocates nothing, so no allocator can be the cause.
        """
        has_limit = self.settings.time_limit is not None or workload.time_limit is not None
        if has_limit or workload.null_plan is None or workload.measure(PACE) is None:
            return
        cell = next(iter(with_controls(workload)))
        null_cell = Cell(workload.name, NULL, cell.region, cell.mode)
        job = self._jobs.job(workload, null_cell, workload.null_plan, 0, PACE)
        pilot = self.executor.execute(replace(job, time_limit=_PILOT_TIME_LIMIT))
        if pilot.died:
            raise MemtoolError(f"a worker that replays {workload.name} on no allocator at all fails: {pilot.reason}")
        self._jobs.pilot(workload, pilot)

    def _is_open(self, task: Task) -> bool:
        """Return whether a sample must be taken here: its cell has not failed, and no other machine has it."""
        _, cell, _, block, run_pass = task
        return cell not in self._failed and (cell, block, run_pass) not in self.elsewhere

    def _take(self, workload: Measurable, cell: Cell, plan: AllocatorPlan, block: int, run_pass: Pass) -> Sample | None:
        """Take one sample, or return that of an interrupted run; None: the cell has failed, now or before."""
        if not self._is_open((workload, cell, plan, block, run_pass)):
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
        """Return a new sample, once it is on disk; failed, if it measured other code than those before it."""
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


def _tasks_of(workloads: Sequence[Measurable], run_pass: Pass, block: int = 0) -> list[Task]:
    """Return the samples of a pass in one block, of every cell for which it is taken."""
    return [
        (workload, cell, plan, block, run_pass)
        for workload in workloads
        for cell, plan in cells_of(workload, run_pass).items()
    ]
