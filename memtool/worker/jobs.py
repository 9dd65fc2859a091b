"""Makes jobs from samples: the instructions for a worker, and its time limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from memtool.host import machine
from memtool.host.counters import Counter
from memtool.model import AllocatorPlan, Cell
from memtool.passes import PACE, Pass, Phase, Sample
from memtool.worker.parent import Job
from memtool.worker.settings import Measurable, Settings, iterations_of, seconds_of

_TIME_LIMIT_FACTOR = 20
_INTERPRETED_FACTOR = 100
_INTERPRETED_SECONDS = 0.0005
"""Seconds an operation: an allocator in Python is about a hundred times slower than one in C++, and one that searches a
list of its free blocks may take this long."""
_COUNTING_SECONDS = 0.0003
"""Seconds an operation under valgrind, for an allocator that searches some thousand free blocks."""


@dataclass(slots=True)
class Jobs:
    """Makes the jobs of a run, and derives time limits from its samples."""

    settings: Settings
    _null_seconds: dict[str, float] = field(default_factory=dict)
    """Workload -> seconds of all null replays of a worker, from the pilot; 0 where it failed."""
    _own_seconds: dict[Cell, float] = field(default_factory=dict)
    """Seconds of all replays of a sample, for the cells that have been timed."""

    def pilot(self, workload: Measurable, sample: Sample) -> None:
        """Learn from the null replay of a workload."""
        self._null_seconds[workload.name] = self._seconds(sample)

    def learn(self, sample: Sample) -> None:
        """Learn from a sound sample."""
        if sample.run_pass is PACE:
            self._own_seconds[sample.cell] = self._seconds(sample)

    def _seconds(self, sample: Sample) -> float:
        """Return the total seconds of the replays of a timed sample, warm-ups included; 0 where it failed."""
        replays = self.settings.warmups + self.settings.iterations
        ticks = 0 if sample.payload is None else sample.payload.replay_ticks
        return ticks * self.settings.ns_per_tick * 1e-9 * replays

    def limit(self, workload: Measurable, cell: Cell, plan: AllocatorPlan, run_pass: Pass) -> float:
        """Return the seconds after which a worker is killed, without the time that it waits for arrivals.

        They are 20 times the null replay of the same events, multiplied by the slowness of the pass or of an
        interpreter, and at least ``least_time_limit`` and the time that the kind of work demands. Cells that are known
        to end may be slow: passes after throughput get twice the cell's own time, with the same factor.
        """
        limit = self.settings.time_limit if workload.time_limit is None else workload.time_limit
        if limit is not None:
            return limit
        slower = run_pass.declared.slower
        null = slower * _TIME_LIMIT_FACTOR * self._null_seconds.get(workload.name, 0.0)
        own = 2 * slower * self._own_seconds.get(cell, 0.0)
        if run_pass.declared.counts_repeat and self.settings.counter is Counter.CALLGRIND:
            null = max(null, _COUNTING_SECONDS * workload.operations)
        if plan.interpreted:
            null = max(_INTERPRETED_FACTOR * null, _INTERPRETED_SECONDS * workload.operations)
        return max(self.settings.least_time_limit, workload.seconds, null, own)

    def job(self, workload: Measurable, cell: Cell, plan: AllocatorPlan, block: int, run_pass: Pass) -> Job:
        """Return the job of a sample."""
        declared, threads = run_pass.declared, workload.threads
        waiting = seconds_of(self.settings, workload, plan, run_pass)
        return Job(
            cell=cell,
            block=block,
            run_pass=run_pass,
            kind=workload.kind,
            kernel=workload.kernel,
            plan=plan,
            image_fd=workload.image_fd,
            image_bytes=workload.image_bytes,
            region=workload.regions[cell.region],
            warmups=0 if plan.interpreted else self.settings.warmups,
            iterations=iterations_of(self.settings, workload, plan),
            is_paced=declared.paced and workload.paced_seconds > 0,
            checkpoints=self.settings.checkpoints,
            drain_waits_ms=self.settings.drain_waits_ms,
            use_counter=self.settings.use_counter,
            ns_per_tick=self.settings.ns_per_tick,
            arrivals=workload.arrivals if declared.open_loop else None,
            marks=workload.marks,
            time_limit=waiting + self.limit(workload, cell, plan, run_pass),
            counter=self.settings.counter if declared.counts_repeat else Counter.NONE,
            threads=threads if declared.pinned or threads is None else replace(threads, processors=0),
        )


def sharing(jobs: Sequence[Job], at_once: int) -> list[Job]:
    """Return the jobs with their time limits if this many of them share the processors, and with their waits."""
    turns = math.ceil(min(at_once, len(jobs)) / machine.processes_at_once())
    return [replace(job, time_limit=turns * job.time_limit + _waits(job)) for job in jobs]


def _waits(job: Job) -> float:
    """Return the seconds that a job waits after the drain."""
    waits = job.run_pass.declared.phase is Phase.WAITING
    return max(job.drain_waits_ms, default=0) / 1000 if waits else 0.0
