"""Starts one worker process for one sample, and turns whatever becomes of it into a Sample."""

from __future__ import annotations

import ctypes
import marshal
import os
import platform
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from memtool.allocators.regions import Backing
from memtool.engine.instruments.binding import COUNTERS_OF, count_system_calls
from memtool.engine.library import engine_path, lean_path, package_folder
from memtool.engine.replay.binding import REGION_LOCKED, REGION_SHARED
from memtool.host.counters import Counter
from memtool.measure.histogram import SLOW_NS
from memtool.model import HARNESS, AllocatorPlan, Cell, Pass, Sample, Status
from memtool.worker import protocol
from memtool.worker.answer import TOKEN_BYTES, Foreign, TimedOut, read_answer
from memtool.worker.evidence import Contents
from memtool.worker.offspring import VARIABLE, adopt_orphans, end_worker, kill_session
from memtool.worker.threads import Threads, read_places, told

_MOST_UNDER_VALGRIND = 32 << 30
"""Bytes of a region: valgrind (3.19) refuses a mapping of 64 GiB."""


_IN_LEAN_WORKER = (Pass.FOOTPRINT, Pass.HEAP)
"""Passes in which memory is measured, of a process that must not have used the malloc under test."""


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
    """Whether what is written goes to the file, and is not a copy of the worker's own."""
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
    """What counts instructions; of the counters pass."""
    drain_waits_ms: tuple[int, ...] = (0, 0, 0, 0)
    """When the heap pass reads resident memory after the drain: four times in milliseconds, ascending."""
    ns_per_tick: float = 1.0
    """Length of a tick of the worker's clock."""
    arrivals: tuple[int, ...] | None = None
    """When the operations arrive in the latency pass (workload/arrivals.py); None: closed loop."""
    threads: Threads | None = None
    """None: one thread replays everything, in the recorded order."""
    marks: tuple[str, ...] = ()
    """Names of the image's marks, by their numbers; of the footprint and heap passes."""


class Interrupted(Exception):
    """A worker was ended because memtool stops: it has no sample."""


class Executor(Protocol):
    """Takes samples: the real one starts processes; tests of what comes after have a fake one."""

    def execute(self, job: Job) -> Sample:
        """Return the sample; never raises for what the measured allocator does."""
        ...

    def overlap(self, jobs: Sequence[Job], at_once: int) -> Generator[Sample, None, None]:
        """Yield the samples of jobs of which so many may run at the same time, in the order in which they end.

        Of what times nothing. When it is closed, or interrupted, what is still running is ended.
        """
        ...


@dataclass(slots=True)
class _Worker:
    """A process that takes one sample."""

    job: Job
    process: subprocess.Popen[bytes]
    answers: int
    token: bytes
    errors: int
    deadline: float
    count: Callable[[subprocess.Popen[bytes]], dict[str, Any]]
    """What to add to a sound answer, once the process ends (of the passes that count from without)."""
    places: int | None
    """Memory file in which its threads say what they are at; None: it has but one."""

    def sample(self) -> Sample:
        """Wait for the answer, the death or the time limit of the process; it is gone when this returns."""
        answer: dict[str, Any] | None
        try:
            answer = read_answer(self.answers, self.process.pid, self.token, self.deadline)
            if answer is not None and answer["status"] == protocol.DONE:
                answer |= self.count(self.process)
        except TimedOut:
            answer = {"timed_out": True}
        except (Foreign, OSError, subprocess.TimeoutExpired) as problem:
            status = protocol.BAD_REQUEST if isinstance(problem, OSError) else protocol.WRONG
            answer = {"status": status, "message": f"the worker {_fault(problem)}"}
        end_worker(self.process, self.token.hex())
        if answer is not None and "timed_out" in answer and self.places is not None and self.job.threads is not None:
            answer["places"] = told(read_places(os.pread(self.places, self.job.threads.places_bytes, 0)))
        return _sample(self.job, answer, self.process.returncode, _last_line(self.errors))


class WorkerExecutor:
    """Takes each sample in a fresh process."""

    def __init__(self, seed: int, scratch: Path | None = None) -> None:
        """Take ``seed`` for the sizes of the workers' environments, ``scratch`` for the files of file regions.

        Such a file has no name from the start, so that none is left behind. None: the system's place for those.
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
        folder = Path(package_folder())
        self._child = str(folder / "worker" / "start.py")

    def execute(self, job: Job) -> Sample:
        """Start a worker, wait for its answer or its time limit, and return the sample.

        Raises Interrupted where memtool itself has ended the worker: that is no failure of the allocator.
        """
        return self._execute(job, self._stops)

    def _execute(self, job: Job, stops: int) -> Sample:
        """Take a sample that is wanted for as long as memtool has been stopped so many times and no more."""
        with self._worker(job, stops) as worker:
            sample = worker.sample()
            if worker.process in self._killed:
                raise Interrupted
        code = sample.payload.get("proof", {}).get("code", {})
        for path, identity in code.items():
            code[path] = self._contents.digest(path, identity)
        return sample

    def overlap(self, jobs: Sequence[Job], at_once: int) -> Generator[Sample, None, None]:
        """Take samples at the same time, each watched by a thread of its own, so that none waits for another."""
        stops = self._stops
        with ThreadPoolExecutor(max(1, min(at_once, len(jobs)))) as pool:
            futures = [pool.submit(self._execute, job, stops) for job in jobs]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BaseException:
                # Closed when the last sample has been taken: what runs beside these goes on.
                if all(future.done() for future in futures):
                    raise
                pool.shutdown(wait=False, cancel_futures=True)
                with self._lock:
                    # A worker that is being started, here or beside, sees this when it is entered among the live.
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
            _pipe() as (answers, child_end),
            _memory_file("stderr") as errors,
            _memory_file("request") as asked,
            self.backing(job.region) as region_file,
            _counted(job) as (prefix, count, calls),
            _places(job.threads) as places,
        ):
            token = os.urandom(TOKEN_BYTES)
            request = self._request(job, child_end.fileno(), region_file, calls, places)
            # A file: a pipe would keep us where a library does not let the worker come to reading it.
            os.write(asked, marshal.dumps({**request, "token": token}))
            os.lseek(asked, 0, os.SEEK_SET)
            passed = (job.image_fd, child_end.fileno(), region_file, calls, places)
            process = subprocess.Popen(
                [*prefix, sys.executable, "-I", "-S", self._child],
                stdin=asked,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=tuple(each for each in passed if each is not None and each >= 0),
                env={**self._environment(job), VARIABLE: token.hex()},
                start_new_session=True,
            )
            try:
                with self._lock:
                    self._live.add(process)
                    if self._stops != stops:
                        self._kill(process)
                child_end.close()  # so that the pipe ends when the worker does
                deadline = time.monotonic() + job.time_limit
                yield _Worker(job, process, answers.fileno(), token, errors, deadline, count, places)
            finally:
                # Whatever happens here, an interrupt included, no worker is left behind.
                with self._lock:
                    self._live.discard(process)
                    self._killed.discard(process)
                end_worker(process, token.hex())

    @contextmanager
    def backing(self, region: RegionRequest) -> Iterator[int | None]:
        """Yield the descriptor of a fresh file as long as the region, its pages not there yet; None: it needs none."""
        if region.backing is Backing.NONE:
            yield None
        elif region.backing is Backing.MEMORY:
            with _memory_file("memtool-region") as descriptor:
                os.ftruncate(descriptor, region.size)
                yield descriptor
        else:
            with tempfile.TemporaryFile(dir=self._scratch) as file:
                file.truncate(region.size)
                yield file.fileno()

    def _request(
        self, job: Job, result: int, region_file: int | None, calls: int, places: int | None
    ) -> dict[str, object]:
        region = job.region
        size = min(region.size, _MOST_UNDER_VALGRIND) if job.counter is Counter.CALLGRIND else region.size
        flags = region.shared * REGION_SHARED | region.locked * REGION_LOCKED
        return {
            "parent": os.getpid(),
            "library": self._library,
            "run_pass": protocol.PASSES.index(job.run_pass),
            "image": (job.image_fd, job.image_bytes),
            "strategy": job.plan.strategy,
            "parameters": job.plan.engine_parameters,
            "region": (size, region.alignment, region.advice, region.populate, flags, region_file),
            "warmups": job.warmups,
            "iterations": job.iterations,
            "checkpoints": job.checkpoints,
            "drain_waits_ms": job.drain_waits_ms,
            "use_counter": int(job.use_counter),
            "ns_per_tick": job.ns_per_tick,
            "slow_ticks": tuple(round(each / job.ns_per_tick) for each in SLOW_NS),
            "arrivals": job.arrivals,
            "marks": job.marks,
            "system_calls_socket": calls,
            "counter": COUNTERS_OF.index(job.counter),
            "result": result,
            "version": job.plan.version_call,
            "threads": None
            if job.threads is None
            else (protocol.MODES.index(job.threads.mode), job.threads.lanes, job.threads.processors, places),
            "adopted": job.plan.adopted,
            "lean": self._lean if job.run_pass in _IN_LEAN_WORKER and not job.plan.interpreted else None,
            "path": tuple(sys.path) if job.plan.interpreted else (),
        }

    def _environment(self, job: Job) -> dict[str, str]:
        """Return a bare environment of a size drawn anew: a stack that starts elsewhere aligns data elsewhere.

        Mytkowicz et al., "Producing wrong data without doing anything obviously wrong!", ASPLOS 2009. Where
        instructions are counted it is always the same, so that the counts are.
        """
        environment = {"PATH": os.defpath, "LC_ALL": "C"}
        if job.run_pass is not Pass.COUNTERS:
            environment["MEMTOOL_PADDING"] = "x" * self._random.randrange(4096)
        if job.plan.preload:
            environment["LD_PRELOAD"] = ":".join(job.plan.preload)
        environment.update(job.plan.environment)
        return environment


Count = Callable[[subprocess.Popen[bytes]], dict[str, Any]]


@contextmanager
def _counted(job: Job) -> Iterator[tuple[list[str], Count, int]]:
    """Yield (what the worker's command begins with, what returns the counts, a descriptor for the worker or -1)."""
    if job.counter is Counter.CALLGRIND:
        with _instructions_counted(job) as (prefix, count):
            yield prefix, count, -1
    elif job.run_pass is Pass.CALLS:
        with _calls_counted(job) as (count, descriptor):
            yield [], count, descriptor
    else:
        yield [], lambda _: {}, -1


@contextmanager
def _instructions_counted(job: Job) -> Iterator[tuple[list[str], Count]]:
    """Yield (what the worker's command begins with, what returns the count that callgrind has left behind).

    callgrind counts nothing until the worker tells it to, and writes its count when the worker ends.
    """
    with tempfile.TemporaryDirectory(prefix="memtool-") as folder:
        counts = Path(folder) / "callgrind.out"

        def read(process: subprocess.Popen[bytes]) -> dict[str, Any]:
            process.wait(job.time_limit)
            totals = re.search(r"^totals: (\d+)$", counts.read_text(encoding="ascii"), re.MULTILINE)
            return {"instructions": int(totals[1])} if totals else {}

        without_randomisation = [shutil.which("setarch") or "setarch", platform.machine(), "-R"]
        options = ["-q", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={counts}"]
        if job.threads is not None:
            # Each thread says for itself when it counts; none starves another that waits.
            options += ["--collect-atstart=no", "--fair-sched=try"]
        # By its path: the worker's environment has the system's PATH alone, and valgrind may lie elsewhere.
        yield [*without_randomisation, shutil.which("valgrind") or "valgrind", *options], read


@contextmanager
def _calls_counted(job: Job) -> Iterator[tuple[Count, int]]:
    """Yield (what returns the counts of system calls, the socket over which the worker sends its listener).

    From the moment that a worker has installed its filter, it stands still in every counted call until the thread here
    lets it go on (engine/instruments/system_calls.hpp).
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.settimeout(job.time_limit)
    ended = ctypes.c_uint32(0)

    def serve() -> dict[str, int]:
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        if not descriptors:
            return {}
        try:
            return count_system_calls(descriptors[0], ended)
        finally:
            os.close(descriptors[0])

    with ours, theirs, ThreadPoolExecutor(1) as pool:
        counted = pool.submit(serve)

        def read(process: subprocess.Popen[bytes]) -> dict[str, Any]:
            process.kill()
            return {"system_calls": counted.result()}

        try:
            yield read, theirs.fileno()
        finally:
            ended.value = 1
            with suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)


@contextmanager
def _pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb", 0) as reader, os.fdopen(write_end, "wb", 0) as writer:
        yield reader, writer


@contextmanager
def _memory_file(name: str) -> Iterator[int]:
    descriptor = os.memfd_create(name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _places(threads: Threads | None) -> Iterator[int | None]:
    """Yield the memory file in which the worker's threads say what they are at; None where it has but one."""
    if threads is None:
        yield None
        return
    with _memory_file("memtool-places") as descriptor:
        os.ftruncate(descriptor, threads.places_bytes)
        yield descriptor


def _fault(problem: Exception) -> str:
    if isinstance(problem, subprocess.TimeoutExpired):
        return "answered, and did not end"
    return str(problem) if isinstance(problem, Foreign) else f"could not be counted: {problem}"


def _last_line(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, 4096, max(0, size - 4096)).decode(errors="replace").strip()
    return tail.splitlines()[-1].strip() if tail else ""


_UNDER_VALGRIND = (
    "under valgrind a process has less address space than the system gives it, and a library that reserves 64 GiB or "
    "more cannot run there (--counters none leaves the pass out)"
)


def _sample(job: Job, answer: Mapping[str, Any] | None, returncode: int, complaint: str) -> Sample:
    status, reason = _judge(job, answer, returncode, complaint)
    payload = dict(answer) if answer and status is Status.OK else {}
    if answer is None or answer.get("timed_out"):
        payload["died" if answer is None else "timed_out"] = True
    if status is Status.FAILED and _is_of_the_harness(job, answer, returncode):
        payload[HARNESS] = True
    if answer is None and job.counter is Counter.CALLGRIND and job.plan.preload:
        # It has run in the passes before this one, so that it is a matter of the two of them.
        payload["under"] = "valgrind"
        reason = f"{reason}; {_UNDER_VALGRIND}"
    if answer and "proof" in answer:
        payload["proof"] = answer["proof"]
    return Sample(job.cell, job.block, job.run_pass, status, reason, payload)


def _is_of_the_harness(job: Job, answer: Mapping[str, Any] | None, returncode: int) -> bool:
    """Return whether a failed sample says nothing of its allocator.

    The worker could not begin or could not count, something else than the allocator was measured, or the worker has
    ended by an exit of the interpreter's own, with no code in it but memtool's and the C library's.
    """
    if answer is None:
        return returncode > 0 and not job.plan.code
    return not answer.get("timed_out") and answer["status"] in (protocol.DONE, protocol.BAD_REQUEST)


def _judge(job: Job, answer: Mapping[str, Any] | None, returncode: int, complaint: str) -> tuple[Status, str | None]:
    if answer is None:
        return Status.FAILED, _death(returncode, complaint)
    if answer.get("timed_out"):
        because = answer.get("places") or "a loop without end, or too slow: --time-limit waits longer"
        return Status.FAILED, f"no answer within {job.time_limit:.0f} s: killed ({because})"
    if answer["status"] != protocol.DONE:
        return Status.FAILED, str(answer["message"])
    status, reason = _judge_proof(job.plan, answer["proof"])
    return (status, reason) if reason else _judge_region(job, answer)


def _judge_proof(plan: AllocatorPlan, proof: Mapping[str, Any]) -> tuple[Status, str | None]:
    """Fail a sample in which another library than the one named served malloc: it measured something else."""
    owner = proof["malloc_owner"] or "nothing"
    if plan.expected_owner is not None and plan.expected_owner not in Path(owner).name:
        return Status.FAILED, f"malloc was served by {owner}, not by {plan.expected_owner}"
    return Status.OK, None


def _judge_region(job: Job, answer: Mapping[str, Any]) -> tuple[Status, str | None]:
    """Fail a footprint sample whose region was not, by the kernel's own account, what it is called."""
    if job.run_pass is not Pass.FOOTPRINT or not job.plan.uses_region:
        return Status.OK, None
    region, found = job.region, answer["region"]
    locked = found["locked_bytes"]
    if region.locked and locked < region.populate:
        return Status.FAILED, f"the kernel has {locked} bytes of the region locked, not {region.populate}"
    permissions, _, backing = found["mapping"].partition(" ")
    is_file = backing != "anonymous"
    if permissions[-1:] != ("s" if region.shared else "p") or is_file != (region.backing is not Backing.NONE):
        return Status.FAILED, f"the kernel has the region as '{found['mapping']}', which is not what was asked for"
    return Status.OK, None


def _death(returncode: int, complaint: str) -> str:
    because = f": {complaint}" if complaint else ""
    if returncode < 0:
        try:
            name = signal.Signals(-returncode).name
        except ValueError:
            name = f"signal {-returncode}"
        return f"the worker was killed by {name}{because}"
    return f"the worker ended with status {returncode} and no answer{because}"
