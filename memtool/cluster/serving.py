"""The process that measures on a host: it plans once, and then takes one requested unit of the plan at a time.

Its parent is a Dask worker, which sends requests on standard input and reads results on standard output, one per line:
``ready`` with the plan, each sample in the form of the journal, ``ended`` or ``error``. Each sample is written to the
spool before it is sent, so that a finished one survives the end of the Dask worker.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from memtool.cluster import machine as own_machine
from memtool.cluster.orders import Part, Unit, key_from, options_in
from memtool.engine.loading import EngineError, compiler
from memtool.errors import MemtoolError
from memtool.host import machine
from memtool.model import Cell
from memtool.passes import Sample
from memtool.passes.records import plain
from memtool.plan import Plan, make_plan, refuse_too_large
from memtool.store import journal
from memtool.worker.evidence import digest_of
from memtool.worker.parent import Executor, Job, WorkerExecutor
from memtool.worker.schedule import Schedule
from memtool.worker.settings import Measurable

_WANTED_SECONDS = 300.0
"""Seconds for which a unit continues although nobody asks about it: a network may stall for a minute or two."""
_IDLE_SECONDS = 900.0


class _Abandoned(Exception):
    """Nobody waits for the current measurement any more."""


class _Requests:
    """Requests of the parent, read during the measurement: the parent may cancel it."""

    def __init__(self) -> None:
        self.lines: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self.wanted_at = time.monotonic()
        self.current = ""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            request = json.loads(line)
            self.wanted_at = time.monotonic()
            if "wanted" in request:
                continue
            self.current = request.get("name", "")
            self.lines.put(request)
        os._exit(0)  # the parent is gone; the workers die with this process

    def is_wanted(self, name: str) -> bool:
        """Return whether the parent still waits for a unit."""
        return self.current == name and time.monotonic() - self.wanted_at < _WANTED_SECONDS


class _AbandonableExecutor:
    """Takes samples as long as somebody waits for their unit."""

    def __init__(self, executor: Executor, requests: _Requests) -> None:
        self._executor, self._requests, self.name = executor, requests, ""

    def execute(self, job: Job) -> Sample:
        """Take a sample."""
        self._refuse_abandoned()
        return self._executor.execute(job)

    def overlap(self, jobs: Sequence[Job], at_once: int, waiting: Sequence[Job] = ()) -> Generator[Sample, None, None]:
        """Take samples at the same time."""
        self._refuse_abandoned()
        yield from self._executor.overlap(jobs, at_once, waiting)

    def _refuse_abandoned(self) -> None:
        if not self._requests.is_wanted(self.name):
            raise _Abandoned


class _Output:
    """Destination of samples: the spool, then the parent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None
        self._has_complained = False
        self._descriptor = os.dup(1)
        os.dup2(2, 1)  # other output must not become part of an answer

    def line(self, data: bytes) -> None:
        """Send the parent a line."""
        while data:
            data = data[os.write(self._descriptor, data) :]

    def say(self, **words: object) -> None:
        """Send the parent a line that is not a sample."""
        self.line(json.dumps(words, default=plain).encode() + b"\n")

    def begin(self, name: str) -> list[bytes]:
        """Open the spool of a unit, and return the samples in it."""
        self.end()
        lines: list[bytes] = []
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = self._folder / name
            if file.exists():
                lines = [line for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
            self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            os.write(self._file, b"".join(lines))
        except OSError as problem:
            self._give_up(problem)
        return lines

    def end(self) -> None:
        """Close the spool."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def sample(self, sample: Sample) -> None:
        """Store a sample and send it."""
        line = journal.line_of(sample)
        if self._file is not None:
            try:
                journal.write(self._file, line)
            except OSError as problem:
                self._give_up(problem)
        self.line(line)

    def _give_up(self, problem: OSError) -> None:
        """Continue without a spool, and report it once: samples are still sent as they are taken."""
        self.end()
        if self._has_complained:
            return
        self._has_complained = True
        self.say(note=f"{self._folder}: cannot keep samples: {problem.strerror}; what is finished is sent all the same")


class _Host:
    """A plan, and the schedule that takes parts of it."""

    def __init__(self, order: Mapping[str, Any], requests: _Requests, output: _Output, folder: Path) -> None:
        options = options_in(order, folder)
        self.plan = make_plan(options)
        self._output = output
        self._finished: dict[journal.Key, Sample] = {}
        self._elsewhere: set[journal.Key] = set()
        self._executor = _AbandonableExecutor(
            WorkerExecutor(self.plan.settings.seed + options.first_block, folder), requests
        )
        self._schedule = Schedule(
            self._executor, self.plan.settings, output.sample, finished=self._finished, elsewhere=self._elsewhere
        )

    def close(self) -> None:
        """Release the images."""
        self.plan.close()

    def take(self, request: Mapping[str, Any]) -> None:
        """Take one unit; some of its samples may exist already."""
        unit = Unit(request["workload"], Part(request["part"]), request["block"])
        self._executor.name = request["name"]
        kinds = {info.name: info.kind for info in self.plan.infos}
        for line in self._output.begin(unit.name):
            with suppress(ValueError, KeyError, TypeError):
                sample = journal.sample_of(line, kinds)
                self._finished[sample.cell, sample.block, sample.run_pass] = sample
                self._output.line(line)
        self._elsewhere.update(key for key in map(key_from, request["done"]) if key not in self._finished)
        take_unit(self._schedule, self.plan.measurables, request)
        self._output.end()


def take_unit(schedule: Schedule, measurables: Sequence[Measurable], request: Mapping[str, Any]) -> None:
    """Take the samples of one unit, which is described by ``Ledger.request``."""
    schedule.take_out(Cell(**cell) for cell in request["failed"])
    chosen = [ready for ready in measurables if ready.name == request["workload"]]
    schedule.pace(chosen)
    if request["part"] == Part.PROOF:
        schedule.prove(chosen)
    elif request["part"] == Part.BLOCK:
        schedule.take_block(chosen, request["block"])
        schedule.repeat(chosen, request["block"])
    else:
        schedule.conclude(chosen, {Cell(**cell) for cell in request["differing"]})


def described(plan: Plan) -> dict[str, Any]:
    """Return the facts about the plan and the machine; machines with equal facts belong to one group."""
    settings = plan.settings
    libraries = {name for resolved in plan.plans.values() for name in resolved.code}
    return {
        "facts": {**machine.fingerprint(), "compiler": compiler()},
        "libraries": {Path(name).name: digest_of(Path(name)) for name in sorted({*libraries, *_c_library()})},
        "settings": {
            "ns_per_tick": settings.ns_per_tick,
            "use_counter": settings.use_counter,
            "counter": str(settings.counter),
            "can_count_calls": settings.can_count_calls,
            "passes": [str(run_pass) for run_pass in settings.passes],
        },
        "events": {info.name: info.event_hash for info in plan.infos},
        "plans": [(asdict(cell), asdict(resolved)) for cell, resolved in plan.plans.items()],
        "excluded": [asdict(result) for result in plan.excluded],
        "notes": list(plan.notes),
        "samples": plan.samples,
    }


def _c_library() -> set[str]:
    """Return the file of the C library, whose malloc is also measured."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    paths = {line.split(maxsplit=5)[5] for line in maps.splitlines() if line.count(" /")}
    return {path for path in paths if Path(path).name.startswith(("libc.so", "libc-2"))}


def main() -> int:
    """Make the requested plan, and take units until the parent is gone."""
    requests = _Requests()
    order = requests.lines.get()
    output = _Output(own_machine.spool(order["run"]))
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="memtool-host-"))
            with own_machine.alone():
                host = stack.enter_context(closing(_Host(order, requests, output, Path(folder))))
                refuse_too_large(host.plan)
            output.say(ready=described(host.plan))
        except (MemtoolError, EngineError, OSError) as problem:
            output.say(error=_in_words(problem))
            return 1
        return _serve(host, requests, output)


def _in_words(problem: Exception) -> str:
    """Return a failure in one line; for a file, with its name."""
    if isinstance(problem, OSError) and problem.filename is not None:
        return f"{problem.filename}: {problem.strerror}"
    return str(problem)


def _serve(host: _Host, requests: _Requests, output: _Output) -> int:
    while True:
        try:
            unit = requests.lines.get(timeout=_IDLE_SECONDS)
        except Empty:
            return 0
        try:
            with own_machine.alone():
                if requests.is_wanted(unit["name"]):
                    host.take(unit)
            output.say(ended=unit["name"])
        except _Abandoned:
            output.say(ended=unit["name"], dropped=True)
        except (MemtoolError, EngineError, OSError) as problem:
            output.say(error=_in_words(problem), unit=unit["name"])


if __name__ == "__main__":
    sys.exit(main())
