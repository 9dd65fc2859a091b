"""Finds by bisection the least memory limit with which an allocator serves a workload, for several seeds.

The first replay has all the memory there is, and shows the footprint. The bisection is between the peak of live bytes,
below which no allocator can serve the workload, and that footprint. Success need not be monotone in the capacity of the
region: a heap that begins elsewhere, or grows by other steps, may fail with more and succeed with less. A replay with
the found limit succeeds; one with ``STEP`` bytes less fails, or has less than the live bytes. A smaller limit may still
succeed.

Every replay is written to a journal before the next begins. Each step of a search follows from the steps before it, so
a resumed search requests the same replays in the same order, and finds those that were taken before.
"""

from __future__ import annotations

import collections
import datetime
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from memtool import __version__, files
from memtool.errors import InputError, Interrupted, MemtoolError, option
from memtool.host import machine
from memtool.host.counters import Counter
from memtool.kinds import places_blocks
from memtool.model import AllocatorPlan, Cell, Mode, Status, TraceInfo
from memtool.options import BenchOptions
from memtool.passes import Pass, Sample
from memtool.passes.footprint import Footprint
from memtool.plan import RESERVED_BYTES, Plan, make_plan, refuse_too_large
from memtool.run import cannot_go_on, fingerprint_of, output_directory, what_is_left
from memtool.stats.limits import Events, LeastLimit, LimitRow, Limits, Searched
from memtool.store import limits_file
from memtool.store.journal import Journal, open_journal
from memtool.worker.evidence import Evidence
from memtool.worker.parent import Executor, Job, WorkerExecutor
from memtool.worker.schedule import Progress
from memtool.worker.settings import Measurable

STEP = 16
"""Bytes: limits are multiples of it; it is the alignment of malloc."""
_CHECKPOINTS = 1
_OUT_OF_MEMORY = "out of memory at event "
_FROM_THE_SYSTEM = "takes its memory from the system, not from a region: no limit holds it"
_SERVES_NOTHING = "serves nothing: its blocks lie upon each other"

Search = Generator[int, Sample, int]
"""Yields the capacity of the next replay, receives its sample, and returns the least limit, all in bytes."""


class CannotServeError(Exception):
    """The search is given up: no limit would be sufficient, or the failure was not about memory."""


@dataclass(frozen=True, slots=True)
class FoundLimits:
    """A finished search, and the file in which it is stored."""

    limits: Limits
    file: Path


def find_limits(options: BenchOptions, seeds: int, progress: Progress, executor: Executor | None = None) -> FoundLimits:
    """Find and store the least limits of every allocator that uses a region.

    They are found for ``seeds`` seeds of each workload, beginning with its own.

    Raises InputError for errors of the user and MemtoolError for limitations of this machine; a fault of an allocator
    affects only its own row.
    """
    if options.mode is not Mode.SERIAL:
        raise InputError(f"limits are found on one thread: must be serial, is '{options.mode}'", field="mode")
    options = replace(
        options, passes=(Pass.FOOTPRINT,), counters=str(Counter.NONE), adds_blocks=False, keeps_blocks=False
    )
    started = datetime.datetime.now().astimezone()
    with closing(make_plan(options)) as plan:
        for info in (trace.info for trace in plan.traces):
            if not places_blocks(info.kind, options.passes):
                raise InputError(f"{info.source}: is work of the kind {info.kind}, which has no footprint to limit")
        if plan.programs:
            raise InputError(f"{plan.programs[0].name}: limits are of regions, and a whole program has none")
        fingerprint = {**fingerprint_of(options, plan), "search": f"least limits in steps of {STEP} bytes"}
        directory = output_directory(options, started, fingerprint)
        begun = started.isoformat(timespec="seconds")
        with open_journal(directory, fingerprint, started=begun, resume=options.resume) as log:
            hunt = _Hunt(executor or WorkerExecutor(options.seed or 0, directory), log, options, seeds, progress)
            try:
                hunt.run(plan)
            except KeyboardInterrupt:
                raise Interrupted(what_is_left(directory, log.samples)) from None
            except OSError as problem:
                raise MemtoolError(cannot_go_on(problem, directory, log.samples)) from None
            limits = hunt.result()
    try:
        return FoundLimits(limits, limits_file.write(directory, limits))
    except OSError as problem:
        raise MemtoolError(
            f"{files.refusal(problem, directory)}; every replay is in its journal, and the same command with "
            f"{option('resume')} stores the result"
        ) from None


def search(peak_live_bytes: int) -> Search:
    """Search for the least limit of one allocator with the events of one seed.

    Raises CannotServeError where it fails with all the memory there is, or fails for another reason.
    """
    low, high = bounds(peak_live_bytes, _footprint((yield RESERVED_BYTES)))
    while high < RESERVED_BYTES and not _survives(high, (yield high)):
        low, high = high, min(2 * high, RESERVED_BYTES)
    while high - low > STEP:
        middle = low + (high - low) // 2 // STEP * STEP
        if _survives(middle, (yield middle)):
            high = middle
        else:
            low = middle
    return high


def bounds(peak_live_bytes: int, footprint_bytes: int) -> tuple[int, int]:
    """Return (one step less than the least possible limit for these bytes, a sufficient one), multiples of ``STEP``."""
    least = max(_rounded_up(peak_live_bytes), STEP)
    return least - STEP, min(max(_rounded_up(footprint_bytes), least), RESERVED_BYTES)


def _rounded_up(size: int) -> int:
    return -(-size // STEP) * STEP


def _footprint(sample: Sample) -> int:
    if sample.status is not Status.OK:
        raise CannotServeError(_why(sample))
    return sample.of(Footprint).peak_footprint_bytes


def _survives(limit: int, sample: Sample) -> bool:
    if sample.status is Status.OK:
        return True
    if _OUT_OF_MEMORY in (sample.reason or ""):
        return False
    raise CannotServeError(f"with a limit of {limit:,} bytes: {_why(sample)}")


def _why(sample: Sample) -> str:
    return f"{sample.reason} (no fault of the allocator)" if sample.of_harness else str(sample.reason)


@dataclass(slots=True)
class _Hunt:
    """Searches for all allocators at once, one seed after the other, and stores the results."""

    executor: Executor
    log: Journal
    options: BenchOptions
    seeds: int
    progress: Progress
    infos: dict[str, list[TraceInfo]] = field(default_factory=dict)
    rows: dict[Cell, LimitRow] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    _done: int = 0
    _taken: collections.Counter[Cell] = field(default_factory=collections.Counter)
    """Number of replays of each allocator, including those of an interrupted search."""
    _evidence: Evidence = field(default_factory=Evidence)

    def run(self, plan: Plan) -> None:
        """Search with the seeds of a plan, and with those that follow."""
        self.search(plan)
        sources = {trace.info.source: trace.info.seed for trace in plan.traces}
        for source, seed in sources.items():
            for number in range(1, self.seeds):
                options = replace(self.options, workloads=(source,), seed=seed + number)
                with closing(make_plan(options)) as another:
                    self.search(another)

    def search(self, plan: Plan) -> None:
        """Search with these events, unless an earlier seed had the same."""
        refuse_too_large(plan)
        new: dict[str, TraceInfo] = {}
        for trace in plan.traces:
            known = self.infos.setdefault(trace.info.name, [])
            if trace.info.event_hash not in {info.event_hash for info in known}:
                known.append(trace.info)
                new[trace.info.name] = trace.info
        self.notes = tuple(dict.fromkeys((*self.notes, *plan.notes)))
        for excluded in plan.excluded:
            self._leave_out(excluded.cell, Status.EXCLUDED, excluded.reason or "", new.get(excluded.cell.workload))
        searched: dict[Cell, _Pending] = {}
        for measurable in plan.measurables:
            for cell, resolved in measurable.cells.items():
                info = new.get(measurable.name)
                if not resolved.uses_region:
                    self._leave_out(cell, Status.EXCLUDED, _FROM_THE_SYSTEM, info)
                elif resolved.is_control:
                    self._leave_out(cell, Status.EXCLUDED, _SERVES_NOTHING, info)
                elif info is not None and self._row(cell).status is Status.OK:
                    searched[cell] = _Pending(measurable, resolved, info)
        self._replay(searched, plan)

    def _replay(self, pending: dict[Cell, _Pending], plan: Plan) -> None:
        """Take the next replay of every search at the same time, until all searches have ended."""
        while pending:
            jobs = [self._job(cell, waiting) for cell, waiting in pending.items()]
            first = next(iter(pending.values()))
            self.progress(f"{first.info.name}, seed {first.info.seed}", self._done, self._total(pending), None)
            for sample in self._samples(jobs, _at_once(jobs, pending, plan.settings.memory_bytes)):
                waiting = pending[sample.cell]
                try:
                    waiting.size = waiting.search.send(sample)
                    continue
                except StopIteration as end:
                    least = LeastLimit(waiting.info.seed, waiting.info.peak_live_bytes, end.value)
                    row = self._row(sample.cell)
                    self.rows[sample.cell] = replace(row, limits=(*row.limits, least))
                except CannotServeError as problem:
                    self._leave_out(sample.cell, Status.FAILED, str(problem), waiting.info)
                self._done += 1
                del pending[sample.cell]

    def _samples(self, jobs: Sequence[Job], at_once: int) -> Iterator[Sample]:
        """Yield the samples of an interrupted search, and take those that it lacks."""
        missing = [job for job in jobs if (job.cell, job.block, job.run_pass) not in self.log.finished]
        for job in jobs:
            if job not in missing:
                yield self._evidence.hold(self.log.finished[job.cell, job.block, job.run_pass])
        if not missing:
            return
        with closing(self.executor.overlap(missing, at_once)) as samples:
            for taken in samples:
                sample = self._evidence.hold(taken)
                self.log.append(sample)
                yield sample

    def _total(self, pending: Mapping[Cell, _Pending]) -> int:
        """Return the number of searches, as far as it is known, assuming that further seeds have as many."""
        return max(self.seeds * len(self.rows), self._done + len(pending))

    def _row(self, cell: Cell) -> LimitRow:
        return self.rows.setdefault(cell, LimitRow(cell, Status.OK))

    def _leave_out(self, cell: Cell, status: Status, reason: str, info: TraceInfo | None) -> None:
        """Record the first reason why an allocator has no limit; with the seed, if it had one for earlier seeds."""
        row = self._row(cell)
        if row.reason is None:
            words = f"seed {info.seed}: {reason}" if row.limits and info is not None else reason
            self.rows[cell] = replace(row, status=status, reason=words)

    def _job(self, cell: Cell, pending: _Pending) -> Job:
        measurable = pending.measurable
        region = measurable.regions[cell.region]
        self._taken[cell] += 1
        return Job(
            cell=cell,
            block=self._taken[cell] - 1,
            run_pass=Pass.FOOTPRINT,
            plan=pending.plan,
            image_fd=measurable.image_fd,
            image_bytes=measurable.image_bytes,
            region=replace(region, size=pending.size, populate=min(region.populate, pending.size)),
            warmups=0,
            iterations=1,
            checkpoints=_CHECKPOINTS,
            use_counter=False,
            time_limit=self.options.least_time_limit,
            marks=measurable.marks,
        )

    def result(self) -> Limits:
        """Return the results, with rows in the order of the workloads."""
        notes = list(self.notes)
        notes += [
            f"{name}: seeds that give the same events as one before are left out."
            for name, infos in self.infos.items()
            if len(infos) < self.seeds
        ]
        return Limits(
            memtool=__version__,
            workloads=tuple(
                Searched(name, tuple(Events(info.seed, info.event_hash, info.peak_live_bytes) for info in infos))
                for name, infos in self.infos.items()
            ),
            rows=tuple(row for name in self.infos for cell, row in self.rows.items() if cell.workload == name),
            step_bytes=STEP,
            notes=tuple(notes),
            started=self.log.started,
            command=self.options.command,
            machine=machine.fingerprint(),
        )


@dataclass(slots=True)
class _Pending:
    """A search in progress."""

    measurable: Measurable
    plan: AllocatorPlan
    info: TraceInfo
    search: Search = field(init=False)
    size: int = field(init=False)
    """Capacity of the next replay, bytes."""

    def __post_init__(self) -> None:
        self.search = search(self.info.peak_live_bytes)
        self.size = next(self.search)


def _at_once(jobs: list[Job], pending: Mapping[Cell, _Pending], memory_bytes: int | None) -> int:
    """Return how many replays may run at the same time: one on each processor, if all fit into memory."""
    most = machine.processes_at_once()
    if memory_bytes is None:
        return most
    needed = max(min(job.region.size, 2 * pending[job.cell].measurable.total_bytes) for job in jobs)
    return max(1, min(most, memory_bytes // max(needed, 1)))
