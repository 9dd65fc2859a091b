"""Starts one worker process for one sample, and turns every outcome into a Sample."""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from memtool.allocators.regions import Backing
from memtool.engine.instruments.binding import COUNTERS_OF
from memtool.engine.loading import engine_path, lean_path
from memtool.engine.replay.binding import REGION_LOCKED, REGION_SHARED
from memtool.files import memory_file
from memtool.host.counters import Counter
from memtool.host.waiting import completed
from memtool.kinds import FIRST, results
from memtool.model import AllocatorPlan, Cell
from memtool.passes import Noise, Pass, Sample
from memtool.passes.declaration import Measure
from memtool.passes.histogram import SLOW_NS
from memtool.passes.layout import Asked
from memtool.passes.records import record_from
from memtool.worker import protocol
from memtool.worker.answer import TOKEN_BYTES, Foreign, TimedOut
from memtool.worker.evidence import Contents
from memtool.worker.figures import head_bytes, initial_memory, read
from memtool.worker.instruments import counted
from memtool.worker.interpreted_job import InterpretedJob
from memtool.worker.judge import Answer, sample_of
from memtool.worker.lean_job import LeanJob
from memtool.worker.offspring import VARIABLE, adopt_orphans, end_worker, kill_session
from memtool.worker.threads import ThreadPlan, places_in_words, read_places
from memtool.workload.image_files import is_in_memory

IMAGE_WINDOW = 32 << 20
"""Resident bytes of an image on a disk at any time."""
_MOST_UNDER_VALGRIND = 32 << 30
"""Bytes of a region: valgrind (3.19) refuses a mapping of 64 GiB."""


@dataclass(frozen=True, slots=True)
class RegionRequest:
    """How the worker maps the region: bytes and madvise numbers (allocators/regions.py)."""

    size: int
    alignment: int
    advice: tuple[int, ...] = ()
    populate: int = 0
    """Bytes at the head of the region to fault in before the replay."""
    backing: Backing = Backing.NONE
    shared: bool = False
    """Whether writes go to the file and not to a private copy."""
    locked: bool = False
    """Whether the populated head is locked into memory."""


@dataclass(frozen=True, slots=True)
class Job:
    """One sample to take."""

    cell: Cell
    block: int
    run_pass: Pass
    plan: AllocatorPlan
    image_fd: int
    image_bytes: int
    region: RegionRequest
    warmups: int
    iterations: int
    checkpoints: int
    use_counter: bool
    time_limit: float
    """Seconds after which the worker is killed."""
    counter: Counter = Counter.NONE
    """Counter of instructions, for the counters pass."""
    drain_waits_ms: tuple[int, ...] = (0, 0, 0, 0)
    """When the heap pass reads resident memory after the drain: four times in milliseconds, ascending."""
    ns_per_tick: float = 1.0
    """Length of a tick of the worker's clock."""
    arrivals: tuple[int, ...] | None = None
    """When the operations are due in the latency pass; None: closed loop."""
    threads: ThreadPlan | None = None
    """None: one thread replays everything, in the recorded order."""
    is_paced: bool = False
    """Whether the replay waits for the recorded times in the image."""
    marks: tuple[str, ...] = ()
    """Names of the image's marks, by their numbers; for the footprint and heap passes."""
    kind: str = FIRST
    """Kind of work (memtool/kinds)."""
    kernel: str | None = None
    """Library with the kernel of this kind; None: the engine has it."""

    @property
    def measure(self) -> Measure:
        """Return what the pass measures of this kind of work."""
        return results(self.kind).measures[self.run_pass]


class Interrupted(Exception):
    """A worker was killed because memtool stops: it has no sample."""


class Executor(Protocol):
    """Takes samples: the real one starts processes; tests of later stages use a fake one."""

    def execute(self, job: Job) -> Sample:
        """Return the sample; never raises for a fault of the measured allocator."""
        ...

    def overlap(self, jobs: Sequence[Job], at_once: int, waiting: Sequence[Job] = ()) -> Generator[Sample, None, None]:
        """Yield the samples of jobs in the order in which they end; ``at_once`` run at the same time.

        All that are ``waiting`` most of the time run beside them. Only for passes without timing. When the iterator is
        closed or interrupted, the running jobs are killed.
        """
        ...


@dataclass(slots=True)
class _Worker:
    """A process that takes one sample."""

    job: Job
    worker_job: LeanJob | InterpretedJob
    process: subprocess.Popen[bytes]
    word: str
    """Value of its environment variable (offspring.py)."""
    errors: int
    deadline: float
    count: Callable[[subprocess.Popen[bytes]], dict[str, Any]]
    """Returns additions to a sound answer, once the process ends (for the passes that count outside of it)."""
    places: int | None
    """Memory file in which its threads report their state; None: it has a single thread."""

    def sample(self) -> Sample:
        """Wait for the answer, the death or the time limit of the process, which is gone when this returns."""
        answer: Answer | None = None
        try:
            data = self.worker_job.answer(self.process.pid, self.deadline)
            if data is not None:
                answer = self._read(data)
        except TimedOut:
            answer = Answer(protocol.WRONG, "", timed_out=True)
        except (Foreign, OSError, subprocess.TimeoutExpired) as problem:
            status = protocol.BAD_REQUEST if isinstance(problem, OSError) else protocol.WRONG
            answer = Answer(status, f"the worker {_fault(problem)}")
        end_worker(self.process, self.word)
        if answer is not None and answer.timed_out and self.places is not None and self.job.threads is not None:
            places = read_places(os.pread(self.places, self.job.threads.places_bytes, 0))
            answer = replace(answer, message=places_in_words(places))
        return sample_of(self.job, answer, self.process.returncode, _last_line(self.errors))

    def _read(self, data: dict[str, Any]) -> Answer:
        """Return a worker's answer, with the counts of its instruments. Raises Foreign for an invalid answer."""
        try:
            answer = Answer(data["status"], data["message"], data["proof"], record_from(Noise, data["noise"]))
            if answer.status != protocol.DONE:
                return answer
            counts = self.count(self.process)
            return replace(answer, figures=read(self.job.measure, _asked_of(self.job), data["figures"], counts))
        except (KeyError, TypeError, ValueError) as problem:
            raise Foreign(f"answered what is no {self.job.run_pass} sample: {problem}") from None


class WorkerExecutor:
    """Takes each sample in a fresh process."""

    def __init__(self, seed: int, scratch: Path | None = None) -> None:
        """``seed`` is for the sizes of the workers' environments, ``scratch`` the folder for the files of file regions.

        Such a file never has a name, so that none is left behind. None: the system's folder for temporary files.
        """
        self._scratch = scratch
        self._random = random.Random(seed)
        self._contents = Contents()
        self._live: set[subprocess.Popen[bytes]] = set()
        self._killed: set[subprocess.Popen[bytes]] = set()
        self._stops = 0
        self._lock = threading.Lock()
        adopt_orphans()
        self._library = engine_path()
        self._lean = lean_path()

    def execute(self, job: Job) -> Sample:
        """Start a worker, wait for its answer or its time limit, and return the sample.

        Raises Interrupted if memtool itself has killed the worker, which is not a failure of the allocator.
        """
        return self._execute(job, self._stops)

    def _execute(self, job: Job, stops: int) -> Sample:
        """Take a sample unless memtool has been stopped again since ``stops`` was read."""
        with self._worker(job, stops) as worker:
            sample = worker.sample()
            if worker.process in self._killed:
                raise Interrupted
        code = sample.proof.get("code", {})
        for path, identity in code.items():
            code[path] = self._contents.digest(path, identity)
        return sample

    def overlap(self, jobs: Sequence[Job], at_once: int, waiting: Sequence[Job] = ()) -> Generator[Sample, None, None]:
        """Take samples at the same time, each watched by its own thread, so that none waits for another."""
        stops = self._stops
        with ThreadPoolExecutor(max(1, len(waiting))) as beside, ThreadPoolExecutor(max(1, at_once)) as pool:
            futures: list[Future[Sample]] = []
            try:
                # Workers begin while others are submitted: an interrupt in between must kill them too.
                futures += (beside.submit(self._execute, job, stops) for job in waiting)
                futures += (pool.submit(self._execute, job, stops) for job in jobs)
                for future in completed(futures):
                    yield future.result()
            except BaseException:
                # Closed when the last sample has been taken: the jobs beside these continue.
                if len(futures) == len(waiting) + len(jobs) and all(future.done() for future in futures):
                    raise
                for executor in (beside, pool):
                    executor.shutdown(wait=False, cancel_futures=True)
                with self._lock:
                    # A worker that is being started, here or beside, checks this when it is added to the live ones.
                    self._stops += 1
                    for process in self._live:
                        self._kill(process)
                raise

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        self._killed.add(process)
        kill_session(process)

    @contextmanager
    def _worker(self, job: Job, stops: int) -> Iterator[_Worker]:
        with (
            memory_file("stderr") as errors,
            self.backing(job.region) as region_file,
            counted(job) as (under, count, calls),
            _places(job.threads) as places,
            closing(self._worker_job(job, region_file, calls, places, under)) as worker_job,
        ):
            word = os.urandom(TOKEN_BYTES).hex()
            passed = (job.image_fd, region_file, calls, places, *worker_job.descriptors)
            process = subprocess.Popen(
                worker_job.command,
                stdin=subprocess.DEVNULL if worker_job.input is None else worker_job.input,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=tuple(number for number in passed if number is not None and number >= 0),
                env={**worker_job.environment, VARIABLE: word},
                start_new_session=True,
            )
            try:
                with self._lock:
                    self._live.add(process)
                    if self._stops != stops:
                        self._kill(process)
                worker_job.started()
                yield _Worker(job, worker_job, process, word, errors, time.monotonic() + job.time_limit, count, places)
            finally:
                # Whatever happens here, including an interrupt, no worker is left behind.
                with self._lock:
                    self._live.discard(process)
                    self._killed.discard(process)
                end_worker(process, word)

    @contextmanager
    def backing(self, region: RegionRequest) -> Iterator[int | None]:
        """Yield the descriptor of a new sparse file of the region's length; None if the region needs no file."""
        if region.backing is Backing.NONE:
            yield None
        elif region.backing is Backing.MEMORY:
            with memory_file("memtool-region") as descriptor:
                os.ftruncate(descriptor, region.size)
                yield descriptor
        else:
            with tempfile.TemporaryFile(dir=self._scratch) as file:
                file.truncate(region.size)
                yield file.fileno()

    def _worker_job(
        self, job: Job, region_file: int | None, calls: int, places: int | None, under: list[str]
    ) -> LeanJob | InterpretedJob:
        """Return a job in the form for its worker; only an allocator written in Python needs an interpreter."""
        region = job.region
        size = min(region.size, _MOST_UNDER_VALGRIND) if job.counter is Counter.CALLGRIND else region.size
        flags = region.shared * REGION_SHARED | region.locked * REGION_LOCKED
        declared = job.run_pass.declared
        request = {
            "parent": os.getpid(),
            "library": self._library,
            "environment": self._environment(job),
            "kind": job.kind,
            "way": job.plan.spec.way,
            "kernel": job.kernel,
            "figures": (
                str(job.run_pass),
                head_bytes(job.measure),
                *initial_memory(job.measure, _asked_of(job, calls)),
            ),
            "image": (job.image_fd, job.image_bytes),
            "strategy": job.plan.strategy,
            "parameters": job.plan.engine_parameters,
            "region": (size, region.alignment, region.advice, region.populate, flags, region_file),
            "warmups": job.warmups,
            "iterations": job.iterations,
            "use_counter": int(job.use_counter),
            "is_paced": int(job.is_paced),
            "image_window": 0 if is_in_memory(job.image_fd) else IMAGE_WINDOW,
            "ns_per_tick": job.ns_per_tick,
            "version": job.plan.version_call,
            "threads": None
            if job.threads is None
            else (protocol.MODES.index(job.threads.mode), job.threads.lanes, job.threads.processors, places),
            "adopted": job.plan.adopted,
            "one_processor": int(declared.one_processor and job.threads is None),
            "resident": int(declared.resident),
        }
        if job.plan.interpreted:
            return InterpretedJob(request, os.urandom(TOKEN_BYTES))
        return LeanJob(request, (*under, self._lean), self._library)

    def _environment(self, job: Job) -> dict[str, str]:
        """Return a minimal environment of random size: a stack that starts elsewhere aligns data differently.

        Mytkowicz et al., "Producing wrong data without doing anything obviously wrong!", ASPLOS 2009. If instructions
        are counted, the size is constant, so that the counts are reproducible.
        """
        environment = {"PATH": os.defpath, "LC_ALL": "C"}
        if not job.run_pass.declared.counts_repeat:
            environment["MEMTOOL_PADDING"] = "x" * self._random.randrange(4096)
        if job.plan.preload:
            environment["LD_PRELOAD"] = ":".join(job.plan.preload)
        environment.update(job.plan.environment)
        return environment


@contextmanager
def _places(threads: ThreadPlan | None) -> Iterator[int | None]:
    """Yield the memory file in which the worker's threads report their state; None for a single thread."""
    if threads is None:
        yield None
        return
    with memory_file("memtool-places") as descriptor:
        os.ftruncate(descriptor, threads.places_bytes)
        yield descriptor


def _asked_of(job: Job, socket: int = 0) -> Asked:
    return Asked(
        checkpoints=job.checkpoints,
        lanes=0 if job.threads is None else job.threads.lanes,
        drain_waits_ms=job.drain_waits_ms,
        slow_ticks=tuple(round(nanoseconds / job.ns_per_tick) for nanoseconds in SLOW_NS),
        arrivals=job.arrivals,
        marks=job.marks,
        counter=COUNTERS_OF.index(job.counter),
        socket=socket,
    )


def _fault(problem: Exception) -> str:
    if isinstance(problem, subprocess.TimeoutExpired):
        return "answered, and did not end"
    return str(problem) if isinstance(problem, Foreign) else f"could not be counted: {problem}"


def _last_line(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, 4096, max(0, size - 4096)).decode(errors="replace").strip()
    return tail.splitlines()[-1].strip() if tail else ""
