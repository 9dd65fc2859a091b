"""The source that generates the events of a workload file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from memtool.engine.generate import binding as generator_binding
from memtool.errors import InputError, option
from memtool.units import format_rate
from memtool.workload.language.arrivals import compile_arrivals
from memtool.workload.language.loader import load_workload
from memtool.workload.language.program import Program, compile_workload
from memtool.workload.language.schema import Workload
from memtool.workload.sources.source import Ending, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated(Source):
    """A workload with a seed, compiled."""

    program: Program

    def events(self, ending: Ending) -> Iterator[memoryview]:
        """Yield the events as they are generated. Raises EngineError."""
        ending.resizes_left_out = yield from generator_binding.generate(self.program.words)


def generated(workload: Workload, seed: int) -> Generated:
    """Return the events of a workload with this seed."""
    program, pattern = compile_workload(workload, seed), workload.pattern
    starts_threads = pattern is not None and (pattern.exchange is not None or pattern.false_sharing is not None)
    return Generated(
        name=workload.name,
        seed=seed,
        touch=workload.touch,
        threads=workload.threads,
        has_threads=workload.threads > 1 or workload.rounds > 1 or starts_threads,
        memory_limit=workload.memory_limit,
        allocations=program.allocations,
        expected_events=None if program.allocations is None else 2 * program.allocations,
        marks=program.marks,
        notes=program.notes,
        arrivals=None
        if workload.arrivals is None
        else compile_arrivals(workload.arrivals, seed, 0 if workload.frames is None else workload.frames.count),
        definition=workload.effective(),
        program=program,
    )


_FIELDS = {"rate": "rates", "threads": "threads"}
"""Key that a workload's name can contain -> field of the options that replaces it."""


def load(path: Path, seed: int | None, threads: int | None, rate: int | None) -> Generated:
    """Return the events of a workload file; arguments that are not None override it. Raises InputError."""
    workload = load_workload(path)
    if rate is not None:
        workload = _with_rate(workload, path, rate)
    if threads is not None:
        workload = _changed(workload, path, "threads", {"threads": threads}, str(threads))
    return generated(workload, workload.seed if seed is None else seed)


def rate_given(name: str) -> str:
    """Return the rate that a workload of this name was given, ``2M/s``; an empty text if none was given."""
    rate = name.partition(":rate=")[2].partition(":")[0]
    return f"{rate}/s" if rate else ""


def _with_rate(workload: Workload, path: Path, rate: int) -> Workload:
    written = format_rate(rate)
    arrivals = workload.effective().get("arrivals", {"poisson": {}})
    if "frames" in arrivals:
        words = "its frames arrive as a whole, and a rate is of single operations"
        raise InputError(f"{path}: with {option(_FIELDS['rate'])} {written}: {words}")
    paced = next(iter(arrivals.values()))
    paced.pop("every", None)
    paced["rate"] = written
    if workload.arrivals is not None and workload.arrivals.bursts is not None and workload.arrivals.bursts.every:
        paced.pop("rate")
        paced["every"] = f"{10**9 * workload.arrivals.bursts.size / rate:.3f}ns"
    return _changed(workload, path, "rate", {"arrivals": arrivals}, written)


def _changed(workload: Workload, path: Path, key: str, changes: dict[str, Any], written: str) -> Workload:
    """Return the workload with the overrides of a bench."""
    own = workload.name.partition(":")[0]
    try:
        changed = Workload.model_validate(workload.effective() | {"name": own} | changes)
    except ValidationError as problem:
        first = problem.errors()[0]
        raise InputError(f"{path}: with {option(_FIELDS[key])} {written}: {first['msg']}") from None
    return changed.model_copy(update={"name": f"{workload.name}:{key}={written.removesuffix('/s')}"})
