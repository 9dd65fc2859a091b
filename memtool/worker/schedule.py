"""The order in which samples are taken: blocks, each with every cell once, in an order drawn anew.

What is compared is measured next to each other in time, so that a machine that speeds up or slows down moves all of it
alike; see docs/measurement.md. Each finished sample is handed on before the next is begun.
"""

from __future__ import annotations

import math
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace

from memtool.errors import MemtoolError
from memtool.host import counters, machine
from memtool.model import AllocatorPlan, Cell, Mode, Pass, Sample, Status
from memtool.worker.estimate import Estimate
from memtool.worker.evidence import Evidence
from memtool.worker.parent import Executor, Interrupted, Job, RegionRequest
from memtool.worker.threads import Threads

NULL = "null"
"""The control strategy that every block replays besides: what the harness itself costs."""
LEAST_TIME_LIMIT = 30.0
"""Seconds that every worker is given: a loop without end on a workload of some hundred operations costs no more."""
_TIME_LIMIT_FACTOR = 20
_PILOT_TIME_LIMIT = 600.0
_SLOWER = {Pass.CHECK: 10, Pass.COUNTERS: 50, Pass.CALLS: 50}
"""Filling and reading back every block, or counting every instruction or system call, takes longer than the replay
that the time limit is derived from."""
_INTERPRETED_FACTOR = 100
_INTERPRETED_SECONDS = 0.0005
"""An allocator in Python is about a hundred times slower than one in C++, and one that searches a list of its free
blocks may take this long for an operation."""
_COUNTING_SECONDS = 0.0003
"""An operation's time under valgrind, for an allocator that searches some thousand free blocks."""
LEAST_FOOTPRINTS = 2
"""Fewer could not show that a figure repeats."""
_MOST_AT_ONCE = 24
"""Heap passes wait for seconds and time nothing, so as many as memory holds wait together (docs/adr/0007)."""
_WORKER_BYTES = 32 << 20
_UNKNOWN_SHARE = 4
_SAME_RESIDENT = 0.01
"""Resident sets this near to each other (and 64 KiB) are taken as the same: no further repeats."""
_SAME_RESIDENT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """How much to measure."""

    blocks: int = 10
    first_block: int = 0
    footprint_repeats: int = LEAST_FOOTPRINTS
    """Footprint samples of each cell; more are taken only where they differ. Two show what is exact."""
    passes: tuple[Pass, ...] = tuple(Pass)
    warmups: int = 1
    iterations: int = 3
    checkpoints: int = 200
    seed: int = 42
    use_counter: bool = True
    ns_per_tick: float = 1.0
    counter: counters.Counter = counters.Counter.NONE
    """What counts instructions in the counters pass; none: there is no such pass."""
    counter_repeats: int = 1
    can_count_calls: bool = False
    """Whether the kernel lets system calls be counted; where it does not there is no calls pass."""
    drain_waits_ms: tuple[int, ...] = (0, 100, 1_000, 5_000)
    """When resident memory is read after the drain, ascending."""
    memory_bytes: int | None = None
    """What workers that run at the same time may take together; None: no limit."""
    time_limit: float | None = None
    """Seconds for each worker; None: as ``Schedule.limit`` has it."""
    least_time_limit: float = LEAST_TIME_LIMIT
    """Seconds that ``Schedule.limit`` gives a worker in any case."""

    @property
    def counts(self) -> bool:
        """Return whether there is a counters pass."""
        return Pass.COUNTERS in self.passes and self.counter is not counters.Counter.NONE

    @property
    def counts_calls(self) -> bool:
        """Return whether there is a calls pass."""
        return Pass.CALLS in self.passes and self.can_count_calls


@dataclass(frozen=True, slots=True)
class Measurable:
    """One workload, ready to be replayed, with the cells that it is to be replayed in."""

    name: str
    image_fd: int
    image_bytes: int
    null_plan: AllocatorPlan
    cells: Mapping[Cell, AllocatorPlan]
    regions: Mapping[str, RegionRequest]
    threads: Threads | None = None
    """None: one thread replays everything."""
    arrivals: tuple[int, ...] | None = None
    """When the operations arrive in the latency pass (workload/arrivals.py); None: closed loop."""
    arrivals_seconds: float = 0.0
    """How long it takes until the last has arrived."""
    marks: tuple[str, ...] = ()
    """Names of the image's marks, by their numbers."""
    operations: int = 0
    """Of one replay, before the epilogue."""
    total_bytes: int = 0
    """All bytes ever asked for in one replay: what an allocator holds that never gives any back."""
    serial: tuple[int, int] | None = None
    """(descriptor, bytes) of the image for one thread, of what threads replay; None: none is needed."""


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
    _evidence: Evidence = field(default_factory=Evidence)
    _samples: list[Sample] = field(default_factory=list)
    _failed: set[Cell] = field(default_factory=set)
    _null_seconds: dict[str, float] = field(default_factory=dict)
    """Workload -> what all null replays of a worker take, as the pilot found; 0 where it failed."""
    _own_seconds: dict[Cell, float] = field(default_factory=dict)
    """What all replays of a throughput sample take, of the cells that have one."""
    _estimate: Estimate = field(default_factory=Estimate)
    _done: int = 0
    _total: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    """Heap passes wait beside what is counted."""

    def run(self, workloads: Sequence[Measurable]) -> list[Sample]:
        """Return every sample, in the order taken. A failed sample takes its cell out of what follows."""
        counts = self.counts(self.settings, workloads)
        self._total = counts.total()
        self._estimate.expect(counts)
        for workload in workloads:
            self._pilot(workload)
        if Pass.CHECK in self.settings.passes:
            self._take_together([(*each, 0, Pass.CHECK) for each in _measured(workloads)])
        timed = [each for each in (Pass.THROUGHPUT, Pass.LATENCY) if each in self.settings.passes]
        if timed and workloads:
            for block in self._blocks():
                self._block(workloads, block, timed)
        if Pass.FOOTPRINT in self.settings.passes:
            self._footprints(workloads)
            self._footprints_alone(workloads)
        self._count_and_wait(workloads)
        return self._samples

    def _block(self, workloads: Sequence[Measurable], block: int, timed: Sequence[Pass]) -> None:
        draw = random.Random(f"{self.settings.seed}:{block}")
        turn = block % len(workloads)
        for workload in (*workloads[turn:], *workloads[:turn]):
            order = list(_with_controls(workload).items())
            draw.shuffle(order)
            for cell, plan in order:
                for run_pass in timed:
                    self._take(workload, cell, plan, block, run_pass)

    def _footprints(self, workloads: Sequence[Measurable]) -> None:
        """Measure every cell twice, or as often as asked, and more only those whose figures differ; block by block."""
        taken: dict[Cell, list[Sample]] = {}
        for turn, block in enumerate(self._blocks()):
            wanted: list[Wanted] = []
            for workload, cell, plan in _measured(workloads):
                own = taken.setdefault(cell, [])
                if turn < self.settings.footprint_repeats or (len(own) == turn and _differ(own)):
                    wanted.append((workload, cell, plan, block, Pass.FOOTPRINT))
            if turn >= self.settings.footprint_repeats:
                self._total += len(wanted)
                self._estimate.expect({Pass.FOOTPRINT: len(wanted)})
            for sample in self._take_together(wanted):
                taken[sample.cell].append(sample)

    def _take_together(self, wanted: Sequence[Wanted]) -> list[Sample]:
        """Take samples of what times nothing, one of a cell at the most, and return those that are sound.

        As many workers at a time as there are processors, while memory holds the most that any of them can take.
        Threads have the processors to themselves: in whose company they run decides in which order they meet.
        """
        wanted = [each for each in wanted if each[1] not in self._failed]
        alone = any(workload.threads is not None for workload, *_ in wanted)
        at_once = 1 if alone else self._most_at_once([workload for workload, *_ in wanted])
        finished = [self._finish(sample) for sample in self._overlapping(wanted, at_once)]
        return [sample for sample in finished if sample is not None]

    def _overlapping(self, wanted: Sequence[Wanted], at_once: int) -> list[Sample]:
        """Return samples in the order wanted, those that are not there yet taken so many at a time."""
        keys = [(cell, block, run_pass) for _, cell, _, block, run_pass in wanted]
        taken = {key: self._evidence.hold(self.finished[key]) for key in keys if key in self.finished}
        jobs = [self._job(*each) for each, key in zip(wanted, keys, strict=True) if key not in taken]
        if not jobs:
            return [taken[key] for key in keys]
        for _, _, run_pass in taken:
            self._estimate.skip(run_pass)
        done = self._done + len(taken)
        with closing(self.executor.overlap(_sharing(jobs, at_once), at_once)) as samples:
            for job in jobs:
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
        processors = machine.usable_cores()
        if self.settings.memory_bytes is None:
            return processors
        most = max((each.total_bytes for each in workloads), default=0) + _WORKER_BYTES
        return max(1, min(processors, self.settings.memory_bytes // most))

    def _footprints_alone(self, workloads: Sequence[Measurable]) -> None:
        """Measure once what one thread takes for what several replay; that it cannot costs the cell nothing else."""
        wanted: list[Wanted] = []
        for workload, cell, plan in _measured(workloads):
            if workload.serial is None or cell in self._failed:
                continue
            image_fd, image_bytes = workload.serial
            alone = replace(workload, image_fd=image_fd, image_bytes=image_bytes, threads=None)
            wanted.append((alone, replace(cell, mode=str(Mode.SERIAL)), plan, 0, Pass.FOOTPRINT))
        self._take_together(wanted)

    def _count_and_wait(self, workloads: Sequence[Measurable]) -> None:
        """Count, and take the heap passes: these mostly wait, so counting goes on beside them where memory holds both.

        A count does not mind company.
        """
        counts = self._counts(workloads)
        batches = self._heap_batches(workloads)
        processors = machine.usable_cores()
        if not batches or not counts or not self._holds([cell for _, cell, *_ in (*batches[0], *counts[:processors])]):
            self._samples += self._counted(counts, processors)
            for batch in batches:
                self._wait_together(batch)
            return
        with ThreadPoolExecutor(1) as beside:
            waiting = beside.submit(self._wait_together, batches[0])
            try:
                counted = self._counted(counts, processors)
            except Interrupted:
                waiting.result()  # what ended the counts: it says why
                raise
            waiting.result()
        self._samples += counted
        for batch in batches[1:]:
            self._wait_together(batch)

    def _counts(self, workloads: Sequence[Measurable]) -> list[Wanted]:
        """Return the counts of instructions and system calls that are wanted."""
        wanted: list[Wanted] = []
        for workload in workloads:
            if self.settings.counts:
                for cell, plan in _counted(workload).items():
                    wanted += [
                        (workload, cell, plan, block, Pass.COUNTERS) for block in range(self.settings.counter_repeats)
                    ]
            if self.settings.counts_calls:
                wanted += [(workload, cell, plan, 0, Pass.CALLS) for cell, plan in _calling(workload).items()]
        return [each for each in wanted if each[1] not in self._failed]

    def _counted(self, wanted: Sequence[Wanted], at_once: int) -> list[Sample]:
        """Return the counts; one that fails costs itself only."""
        counted = self._overlapping(wanted, at_once)
        with self._lock:
            self._done += len(counted)
        return counted

    def _heap_batches(self, workloads: Sequence[Measurable]) -> list[list[Wanted]]:
        """Return the heap passes that are wanted, as many in a batch as memory holds."""
        if Pass.HEAP not in self.settings.passes:
            return []
        batches: list[list[Wanted]] = []
        for workload, cell, plan in _measured(workloads):
            if cell in self._failed:
                continue
            wanted = (workload, cell, plan, 0, Pass.HEAP)
            together = [] if not batches else [each[1] for each in batches[-1]]
            if not batches or len(together) == _MOST_AT_ONCE or not self._holds([*together, cell]):
                batches.append([])
            batches[-1].append(wanted)
        return batches

    def _holds(self, cells: Sequence[Cell]) -> bool:
        """Return whether memory holds a worker of each of these at the same time."""
        limit = self.settings.memory_bytes
        return limit is None or sum(self._memory_of(cell) for cell in cells) <= limit

    def _wait_together(self, wanted: Sequence[Wanted]) -> None:
        for sample in self._overlapping(wanted, len(wanted)):
            self._finish(sample)

    def _memory_of(self, cell: Cell) -> int:
        """Return the bytes that a replay of a cell takes, as its footprint pass found, or a cautious guess."""
        found = [
            int(sample.payload["peak_resident_bytes"])
            for sample in self._samples
            if sample.cell == cell and sample.run_pass is Pass.FOOTPRINT and sample.status is Status.OK
        ]
        known = max(found) if found else (self.settings.memory_bytes or 0) // _UNKNOWN_SHARE
        return known + _WORKER_BYTES

    def _blocks(self) -> range:
        return range(self.settings.first_block, self.settings.first_block + self.settings.blocks)

    @staticmethod
    def count(settings: Settings, workloads: Sequence[Measurable]) -> int:
        """Return how many samples a run takes when no repeat differs and nothing fails."""
        return Schedule.counts(settings, workloads).total()

    @staticmethod
    def counts(settings: Settings, workloads: Sequence[Measurable]) -> Counter[Pass]:
        """Return how many samples of each pass a run takes when no repeat differs and nothing fails."""
        counts: Counter[Pass] = Counter()
        for workload in workloads:
            measured = sum(not plan.is_control for plan in workload.cells.values())
            footprints = min(settings.footprint_repeats, settings.blocks) + (workload.serial is not None)
            timed = settings.blocks * len(_with_controls(workload))
            wanted = {
                Pass.CHECK: measured,
                Pass.THROUGHPUT: timed,
                Pass.LATENCY: timed,
                Pass.FOOTPRINT: footprints * measured,
                Pass.COUNTERS: settings.counter_repeats * len(_counted(workload)) if settings.counts else 0,
                Pass.CALLS: len(_calling(workload)) if settings.counts_calls else 0,
                Pass.HEAP: measured,
            }
            counts.update({each: count for each, count in wanted.items() if each in settings.passes})
        return counts

    @staticmethod
    def waiting(settings: Settings, workloads: Sequence[Measurable]) -> float:
        """Return the seconds that a run's latency samples wait for arrivals, when nothing fails."""
        if Pass.LATENCY not in settings.passes:
            return 0.0
        return settings.blocks * sum(
            workload.arrivals_seconds * (1 if plan.interpreted else settings.iterations)
            for workload in workloads
            for plan in _with_controls(workload).values()
        )

    def _pilot(self, workload: Measurable) -> None:
        """Replay the null strategy once, so that the time limit of everything else is known.

        Raises MemtoolError where its worker dies: it allocates nothing, so no allocator could be blamed for another.
        """
        if self.settings.time_limit is not None:
            return
        cell = next(iter(_with_controls(workload)))
        null_cell = Cell(workload.name, NULL, cell.region, cell.mode)
        job = self._job(workload, null_cell, workload.null_plan, 0, Pass.THROUGHPUT)
        pilot = self.executor.execute(replace(job, time_limit=_PILOT_TIME_LIMIT))
        if pilot.payload.get("died"):
            raise MemtoolError(f"a worker that replays {workload.name} on no allocator at all fails: {pilot.reason}")
        self._null_seconds[workload.name] = self._seconds(pilot) if pilot.status is Status.OK else 0.0

    def _seconds(self, sample: Sample) -> float:
        """Return what the replays of a throughput sample take together, warm-ups included."""
        replays = self.settings.warmups + self.settings.iterations
        return float(min(sample.payload["body_ticks"])) * self.settings.ns_per_tick * 1e-9 * replays

    def limit(self, workload: Measurable, cell: Cell, plan: AllocatorPlan, run_pass: Pass) -> float:
        """Return the seconds after which a worker is killed, without what it waits for arrivals.

        20 times the null replay of the same events, as often as the pass or an interpreter is slower, and at least
        ``least_time_limit``. What has been seen to end may be slow: passes after throughput have twice its own time,
        as often.
        """
        if self.settings.time_limit is not None:
            return self.settings.time_limit
        slower = _SLOWER.get(run_pass, 1)
        null = slower * _TIME_LIMIT_FACTOR * self._null_seconds.get(workload.name, 0.0)
        own = 2 * slower * self._own_seconds.get(cell, 0.0)
        if run_pass is Pass.COUNTERS and self.settings.counter is counters.Counter.CALLGRIND:
            null = max(null, _COUNTING_SECONDS * workload.operations)
        if plan.interpreted:
            null = max(_INTERPRETED_FACTOR * null, _INTERPRETED_SECONDS * workload.operations)
        return max(self.settings.least_time_limit, null, own)

    def _job(self, workload: Measurable, cell: Cell, plan: AllocatorPlan, block: int, run_pass: Pass) -> Job:
        iterations = 1 if plan.interpreted else self.settings.iterations
        waiting = iterations * workload.arrivals_seconds if run_pass is Pass.LATENCY else 0.0
        return Job(
            cell=cell,
            block=block,
            run_pass=run_pass,
            plan=plan,
            image_fd=workload.image_fd,
            image_bytes=workload.image_bytes,
            region=workload.regions[cell.region],
            warmups=0 if plan.interpreted else self.settings.warmups,
            iterations=iterations,
            checkpoints=self.settings.checkpoints,
            drain_waits_ms=self.settings.drain_waits_ms,
            use_counter=self.settings.use_counter,
            ns_per_tick=self.settings.ns_per_tick,
            arrivals=workload.arrivals if run_pass is Pass.LATENCY else None,
            marks=workload.marks if run_pass in (Pass.HEAP, Pass.FOOTPRINT) else (),
            time_limit=waiting + self.limit(workload, cell, plan, run_pass),
            counter=self.settings.counter if run_pass is Pass.COUNTERS else counters.Counter.NONE,
            threads=_unpinned(workload.threads) if run_pass in (Pass.COUNTERS, Pass.HEAP) else workload.threads,
        )

    def _take(self, workload: Measurable, cell: Cell, plan: AllocatorPlan, block: int, run_pass: Pass) -> Sample | None:
        """Take one sample, or the one that an interrupted run has taken; None: the cell has failed, now or before."""
        if cell in self._failed:
            return None
        sample = self.finished.get((cell, block, run_pass))
        if sample is not None:
            self._estimate.skip(run_pass)
            return self._finish(self._evidence.hold(sample))
        self._say(cell, run_pass, self._done)
        return self._finish(self._recorded(self.executor.execute(self._job(workload, cell, plan, block, run_pass))))

    def _recorded(self, sample: Sample) -> Sample:
        """Return a new sample, once it is on disk; failed, where it measured something else than those before."""
        with self._lock:
            sample = self._evidence.hold(sample)
            self.record(sample)
        return sample

    def _finish(self, sample: Sample) -> Sample | None:
        with self._lock:
            self._done += 1
        self._samples.append(sample)
        if sample.status is not Status.OK:
            self._failed.add(sample.cell)
            return None
        if sample.run_pass is Pass.THROUGHPUT:
            self._own_seconds[sample.cell] = self._seconds(sample)
        return sample


def _measured(workloads: Sequence[Measurable]) -> list[tuple[Measurable, Cell, AllocatorPlan]]:
    """Return the cells that are measured for themselves, not as controls."""
    return [
        (workload, cell, plan) for workload in workloads for cell, plan in workload.cells.items() if not plan.is_control
    ]


def _unpinned(threads: Threads | None) -> Threads | None:
    """Return the threads of what is not timed and has company: they offer their processor sooner while they wait."""
    return None if threads is None else replace(threads, processors=0)


def _sharing(jobs: Sequence[Job], at_once: int) -> list[Job]:
    """Return the jobs with the time that each needs when so many of them share the processors, and when it waits."""
    turns = math.ceil(min(at_once, len(jobs)) / machine.usable_cores())
    return [replace(job, time_limit=turns * job.time_limit + _waits(job)) for job in jobs]


def _waits(job: Job) -> float:
    """Return the seconds that the heap pass waits after the drain."""
    return max(job.drain_waits_ms, default=0) / 1000 if job.run_pass is Pass.HEAP else 0.0


def _with_controls(workload: Measurable) -> dict[Cell, AllocatorPlan]:
    """Return the cells with one null cell for each region."""
    cells = dict(workload.cells)
    for cell in workload.cells:
        cells.setdefault(Cell(cell.workload, NULL, cell.region, cell.mode), workload.null_plan)
    return cells


def _counted(workload: Measurable) -> dict[Cell, AllocatorPlan]:
    """Return what instructions are counted of: what is interpreted would count the interpreter's."""
    return {cell: plan for cell, plan in _with_controls(workload).items() if not plan.interpreted}


def _calling(workload: Measurable) -> dict[Cell, AllocatorPlan]:
    """Return what system calls are counted of."""
    return {cell: plan for cell, plan in workload.cells.items() if not (plan.interpreted or plan.is_control)}


def _differ(samples: Sequence[Sample]) -> bool:
    """Return whether repeats of the footprint pass disagree in a figure that matters."""
    residents = [sample.payload["peak_resident_bytes"] for sample in samples]
    spread = max(residents) - min(residents)
    if spread > max(_SAME_RESIDENT * max(residents), _SAME_RESIDENT_BYTES):
        return True
    figures = ("peak_granted_bytes", "peak_footprint_bytes", "ratio_sum")
    return any(len({sample.payload[name] for sample in samples}) > 1 for name in figures)


def passes_from(names: Iterator[str]) -> tuple[Pass, ...]:
    """Return the passes of these names, in the order in which they run. Raises ValueError for an unknown one."""
    wanted = {Pass(name) for name in names}
    return tuple(each for each in Pass if each in wanted)
