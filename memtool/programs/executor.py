"""Takes the samples of whole programs: preparation, the program itself, conclusion, and the proof."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from memtool import files
from memtool.allocators.environment import without_tuning
from memtool.host import noise
from memtool.model import AllocatorPlan, Cell, Status
from memtool.passes import Noise, Pass, Sample
from memtool.passes.program import ProgramRun
from memtool.preload import launch
from memtool.programs import outputs
from memtool.programs.program import Program
from memtool.programs.servers import Failed, ended_with, last_line, run_command, wait_until_ready
from memtool.programs.supervised import Ended, Refused, Supervised
from memtool.worker.evidence import digest_of
from memtool.worker.parent import Executor, Job

OUTPUTS = "outputs"
"""Folder of the expected outputs, inside the folder of the run."""
_LONGEST_PADDING = 4096
SECONDS_TO_END = 10.0
_SECONDS_TO_DIE = 1.0
"""Seconds after which a server whose load has failed counts as alive."""
_AS_ASKED = (0, -15, 143)
"""Statuses with which a server ends when it is asked to."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """One run: its figures, or the reason why it does not count."""

    ended: Ended
    problem: str | None
    wall_ns: int
    ready_ns: int | None
    reports: int
    """Number of processes whose heap has sent a report."""


class ProgramExecutor:
    """Takes each sample as one run of a program, alone, under an allocator."""

    def __init__(
        self, programs: Mapping[str, Program], references: Mapping[str, AllocatorPlan], directory: Path, seed: int
    ) -> None:
        """``programs`` by workload; the output under ``references`` is expected of all allocators."""
        self._programs, self._references = programs, references
        self._directory = directory
        self._random = random.Random(seed)
        self._environment = without_tuning(os.environ)
        self._set_up: dict[str, Failed | None] = {}
        """Programs whose setup has run, and why it failed: none of their cells can be measured then."""
        self._warm: set[Cell] = set()
        self._seen: set[Cell] = set()
        self._digests: dict[Path, str] = {}

    def execute(self, job: Job) -> Sample:
        """Run a program once and return its sample; a failure affects only this sample."""
        program = self._programs[job.cell.workload]
        before = noise.read()
        try:
            self._prepare_cell(program, job)
            taken = self._run(program, job.plan, job)
            if self._is_served(program, job.plan, taken):
                self._seen.add(job.cell)
        except (Failed, Refused, OSError) as problem:
            words = _in_words(problem) if isinstance(problem, OSError) else str(problem)
            return Sample(job.cell, job.block, job.run_pass, Status.FAILED, words, of_harness=True)
        problem_of = taken.problem or self._why_not_served(taken, job)
        proof = self._proof(program, job.plan, taken)
        if problem_of is not None:
            failed = Sample(job.cell, job.block, job.run_pass, Status.FAILED, problem_of, proof=proof)
            return replace(failed, timed_out=taken.ended.figures.get("timed_out", 0) != 0)
        return Sample(
            job.cell, job.block, job.run_pass, Status.OK, None, _figures(taken), proof, _noise(before, noise.read())
        )

    def overlap(self, jobs: Sequence[Job], at_once: int, waiting: Sequence[Job] = ()) -> Generator[Sample, None, None]:
        """Take samples one after the other: nothing runs beside a program."""
        for job in (*waiting, *jobs):
            yield self.execute(job)

    def close(self) -> tuple[str, ...]:
        """Clean up after every program that was set up. Return the failures in words; they affect no sample."""
        failures = []
        for name in self._set_up:
            program = self._programs[name]
            if program.cleanup is not None:
                try:
                    self._beside("cleanup", program.cleanup, program, None)
                except Failed as problem:
                    failures.append(f"{name}: {problem}")
        return tuple(failures)

    def _prepare_cell(self, program: Program, job: Job) -> None:
        """Do what is done once: for a workload its setup and the expected output, for a cell its warm-ups."""
        if program.name not in self._set_up:
            self._set_up[program.name] = self._why_not_set_up(program)
        if (failed := self._set_up[program.name]) is not None:
            raise Failed(str(failed))
        if program.expects_same_output and not self._expected(program).exists():
            reference = self._references[program.name]
            taken = self._run(program, reference, job)
            if taken.problem is not None:
                raise Failed(f"no output to compare with: under {reference.spec.label} it {taken.problem}")
        if job.cell not in self._warm:
            self._warm.add(job.cell)
            for _ in range(program.warmup):
                self._run(program, job.plan, job)

    def _why_not_set_up(self, program: Program) -> Failed | None:
        if program.setup is not None:
            try:
                self._beside("setup", program.setup, program, None)
            except Failed as problem:
                return problem
        return None

    def _expected(self, program: Program) -> Path:
        return self._directory / OUTPUTS / files.safe_name(program.name)

    def _beside(self, step: str, command: str, program: Program, job: Job | None) -> None:
        environment = self._environment | ({} if job is None else _variables(job))
        run_command(step, command, program.shell, environment, program.time_limit)

    def _run(self, program: Program, plan: AllocatorPlan, job: Job) -> _Taken:
        """Run a program once, with the commands before and after it. Raises Failed, Refused, OSError."""
        if program.prepare is not None:
            self._beside("prepare", program.prepare, program, job)
        try:
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="memtool-")))
                output, errors = ((stack.enter_context((folder / name).open("w+b"))) for name in ("output", "errors"))
                return self._started(program, plan, job, folder, output, errors, stack)
        finally:
            if program.conclude is not None:
                self._beside("conclude", program.conclude, program, job)

    def _started(
        self,
        program: Program,
        plan: AllocatorPlan,
        job: Job,
        folder: Path,
        output: IO[bytes],
        errors: IO[bytes],
        stack: ExitStack,
    ) -> _Taken:
        own = self._environment | _variables(job)
        padding = {"MEMTOOL_PADDING": "x" * self._random.randrange(_LONGEST_PADDING)}
        report = folder / "report"
        sink = _sink(program, output, stack)
        with Supervised(
            _path_of(program),
            program.arguments,
            launch.environment(plan, own | padding, report),
            wanted=wanted_by(plan),
            stdin=_source(program, stack),
            stdout=subprocess.DEVNULL if program.is_server else sink,
            stderr=errors.fileno(),
        ) as running:
            ready, wall, ended = None, None, None
            if program.is_server:
                ready, wall, ended = _serve(program, running, own, sink)
            else:
                ended = running.wait(job.time_limit)
        if ended is None:
            words = f"had not ended after {job.time_limit:.0f} s: killed (--time-limit SECONDS allows more)"
            if program.is_server:
                words = f"did not end when it was asked to: killed after {SECONDS_TO_END:.0f} s"
            return _Taken(Ended({"is_served": 1, "is_bare": 0, "timed_out": 1}, ()), words, 0, None, 0)
        heaps = launch.read_reports(report)
        problem = _why_failed(program, ended, errors)
        problem = problem or next((heap.finding for heap in heaps if heap.finding), None)
        if program.is_server and wall is None:
            problem = problem or "ended before its load did"
        if problem is None and program.expects_same_output:
            problem = self._why_other_output(program, plan, output)
        return _Taken(ended, problem, ended.figures["wall_ns"] if wall is None else wall, ready, len(heaps))

    def _why_other_output(self, program: Program, plan: AllocatorPlan, output: IO[bytes]) -> str | None:
        """Return how an output differs from the expected one; the reference's first output becomes the expected one."""
        path = self._expected(program)
        reference = self._references[program.name]
        if not path.exists():
            outputs.keep(output, path)
            return None
        with path.open("rb") as expected:
            difference = outputs.first_difference(expected, output)
        if difference is None:
            return None
        whose = "its own before" if plan == reference else f"that under {reference.spec.label}"
        return f"its output differs from {whose} {difference}"

    def _is_served(self, program: Program, plan: AllocatorPlan, taken: _Taken) -> bool:
        """Return whether a run had the allocator: it was seen, has sent a report, or the dynamic linker lists it.

        The linker is asked about runs too short to be seen: it then lists what it would load, without running the
        program.
        """
        if taken.ended.figures["is_served"] or taken.reports:
            return True
        if taken.problem is not None or taken.ended.figures["is_bare"]:
            return False
        environment = launch.environment(plan, self._environment) | {"LD_TRACE_LOADED_OBJECTS": "1"}
        with tempfile.TemporaryFile() as listed:
            with Supervised(_path_of(program), program.arguments, environment, stdout=listed.fileno()) as running:
                running.wait(SECONDS_TO_END)
            listed.seek(0)
            return wanted_by(plan).encode() in listed.read()

    def _why_not_served(self, taken: _Taken, job: Job) -> str | None:
        """Return that the program ran without the allocator, in words; None: the allocator was seen in it."""
        library = wanted_by(job.plan)
        if taken.ended.figures["is_bare"]:
            return f"{library} was not loaded: the program is linked statically, or changes its own environment"
        if job.cell in self._seen:
            return None
        return f"{library} was not seen in it, and the dynamic linker does not list it among what it loads"

    def _proof(self, program: Program, plan: AllocatorPlan, taken: _Taken) -> dict[str, object]:
        path = _path_of(program)
        seen = taken.ended.figures.get("served_processes", 0)
        return {
            "malloc_owner": wanted_by(plan),
            "program": str(path),
            "served": f"{wanted_by(plan)} seen in the maps of {seen} processes, {taken.reports} reported",
            "without_it": list(taken.ended.bare),
            "code": {
                str(file): self._digests.setdefault(file, digest_of(file)) for file in (path, *map(Path, plan.preload))
            },
        }


def _path_of(program: Program) -> Path:
    word = program.arguments[0]
    return Path(shutil.which(word) or word)


def wanted_by(plan: AllocatorPlan) -> str:
    """Return the part of a file name that every process of a program must have mapped."""
    if plan.preload:
        return Path(plan.preload[-1]).resolve().name
    return launch.preloaded_library(plan).name if plan.expected_owner is None else plan.expected_owner


def _serve(
    program: Program, running: Supervised, environment: Mapping[str, str], sink: int | None
) -> tuple[int | None, int | None, Ended | None]:
    """Return (ns until ready, ns of the load, outcome of the server); the load is None if the server died.

    Raises Failed if the load fails although the server is alive.
    """
    assert program.load is not None
    ready, wall = None, None
    try:
        ready = wait_until_ready(running, program.ready, program.shell, environment, program.time_limit)
        load = run_command("load", program.load, program.shell, environment, program.time_limit, sink)
        wall = load.figures["wall_ns"]
    except Failed:
        ended = running.wait(_SECONDS_TO_DIE)
        if ended is None:
            raise
        return ready, None, ended
    running.ask_to_end()
    return ready, wall, running.wait(SECONDS_TO_END)


def _variables(job: Job) -> dict[str, str]:
    """Return the environment variables that describe a run to commands and programs."""
    return {"MEMTOOL_ALLOCATOR": job.cell.allocator, "MEMTOOL_BLOCK": str(job.block)}


def _in_words(problem: OSError) -> str:
    """Return which file was the problem, and why."""
    reason = files.reason(problem)
    return reason if problem.filename is None else f"{problem.filename}: {reason}"


def _source(program: Program, stack: ExitStack) -> int:
    """Return the source of standard input."""
    if program.input is None:
        return subprocess.DEVNULL
    return stack.enter_context(files.open_input(Path(program.input))).fileno()


def _sink(program: Program, output: IO[bytes], stack: ExitStack) -> int | None:
    """Return the destination of an output."""
    if program.expects_same_output:
        return output.fileno()
    if program.output == "null":
        return subprocess.DEVNULL
    if program.output == "inherit":
        return None
    if program.output == "pipe":
        reader, writer = os.pipe()
        stack.callback(os.close, writer)
        threading.Thread(target=_drain, args=(reader,), daemon=True).start()
        return writer
    return stack.enter_context(Path(program.output).open("wb")).fileno()


def _drain(reader: int) -> None:
    with os.fdopen(reader, "rb", 0) as pipe:
        while pipe.read(1 << 16):
            pass


def _why_failed(program: Program, ended: Ended, errors: IO[bytes]) -> str | None:
    """Return how a program failed, with its last line on standard error; None if it did not fail."""
    status = ended.status
    ignored = program.ignored_statuses
    if status == 0 or (program.is_server and status in _AS_ASKED):
        return None
    if status > 0 and (ignored is None or status in ignored):
        return None
    last = last_line(errors.fileno())
    return ended_with(status) + (f": {last}" if last else "")


def _figures(taken: _Taken) -> ProgramRun:
    own: dict[str, Any] = {
        name: taken.ended.figures[name] for name in ProgramRun.__dataclass_fields__ if name in taken.ended.figures
    }
    return ProgramRun(**{**own, "wall_ns": taken.wall_ns, "ready_ns": taken.ready_ns})


def _noise(before: Mapping[str, int], after: Mapping[str, int]) -> Noise:
    """Return the time that the host took meanwhile; a program's preemptions are figures of their own."""
    names = ("elapsed_ns", "machine_ticks", "steal_ticks")
    return Noise(**{name: after[name] - before[name] for name in names})


class Executors:
    """Takes samples of programs with one executor, and all others with another."""

    def __init__(self, programs: ProgramExecutor, workers: Executor) -> None:
        """``programs`` takes samples of programs, ``workers`` all others."""
        self._programs, self._workers = programs, workers

    def execute(self, job: Job) -> Sample:
        """Take a sample."""
        return (self._programs if job.run_pass is Pass.PROGRAM else self._workers).execute(job)

    def overlap(self, jobs: Sequence[Job], at_once: int, waiting: Sequence[Job] = ()) -> Generator[Sample, None, None]:
        """Take samples of passes without timing, which programs do not have."""
        yield from self._workers.overlap(jobs, at_once, waiting)
