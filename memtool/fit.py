"""Fits a workload to a trace, and determines its distance from the trace and whether both rank allocators alike."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from memtool.engine.loading import EngineError
from memtool.errors import InputError
from memtool.model import Run
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.run import bench
from memtool.stats.agreement import Agreement, agreement
from memtool.worker.parent import Executor
from memtool.worker.schedule import Progress
from memtool.workload.fit.distances import Distance, distances
from memtool.workload.fit.model import fit as fit_sketch
from memtool.workload.fit.sketch import Sketch, sketch
from memtool.workload.importers.importer import name_of
from memtool.workload.language.schema import Workload
from memtool.workload.language.written import write_workload
from memtool.workload.sources import generated
from memtool.workload.sources.source import Ending, Source
from memtool.workload.trace import find_workload, open_source

ALLOCATORS = "glibc,jemalloc,mimalloc,tcmalloc,tlsf,segregated-fit"
BLOCKS = 6
"""The least number of blocks that distinguishes two allocators with 95 %."""
METRICS = ("time_per_op_ns", "peak_resident_bytes")
_ROUGH = (
    "A fitted workload is rough: it draws sizes and lifetimes anew, and has neither the order nor the neighbours that "
    "the program's objects had (Zorn and Grunwald, Evaluating models of memory allocation, 1994). "
    "Decide by the trace where you have it."
)


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted workload, with facts about it."""

    path: Path
    name: str
    source: str
    definition: dict[str, Any]
    distances: tuple[Distance, ...]
    notes: tuple[str, ...]
    """What the workload leaves out, and faults of the trace."""
    agreements: tuple[Agreement, ...] = ()
    """Agreement by each of METRICS; empty where nothing was ranked."""
    command: tuple[str, ...] = ()


def fit(
    trace: str,
    output: Path | None,
    ranking: BenchOptions | None,
    progress: Progress,
    executor: Executor | None = None,
    announce: Callable[[str], None] = lambda words: None,
) -> Fit:
    """Write a workload that represents a trace; ``ranking``: allocators with which both are replayed, or None.

    Raises InputError for a trace that cannot be read or a file that cannot be written, MemtoolError for limitations of
    this machine.
    """
    source_path = find_workload(trace)
    source = open_source(source_path)
    if source.definition is not None:
        raise InputError(f"{trace}: is already a workload; give a trace to fit")
    name = f"{source.name[:60]}-fit"
    path = output or Path(f"{name_of(Path(name + '.x'), 'trace-fit')}.yaml")
    if path.exists() and path.samefile(source_path):
        raise InputError(f"{path}: would be overwritten while it is read", field="output")
    ending = Ending()
    seen = _sketched(source, ending, trace)
    fitted_sketch = fit_sketch(seen, name, source.touch)
    workload = Workload.model_validate(fitted_sketch.definition)
    again = sketch(generated.generated(workload, workload.seed).events(Ending()))
    notes = (*source.notes, *ending.notes, *fitted_sketch.notes)
    fitted = Fit(path, name, trace, fitted_sketch.definition, tuple(distances(seen, again)), notes)
    _write(fitted)
    if ranking is None:
        return fitted
    with tempfile.TemporaryDirectory(prefix="memtool-fit-") as folder:
        options = replace(
            ranking,
            workloads=(trace, str(path)),
            passes=(Pass.THROUGHPUT, Pass.FOOTPRINT),
            output=Path(folder) / "run",
            draw_plots=False,
        )
        outcome = bench(options, progress, executor, announce)
    failures = (f"{of.cell.allocator} on {of.cell.workload}: {of.reason}" for of in outcome.run.cells if of.reason)
    fitted = replace(fitted, agreements=_agreements(outcome.run), notes=(*notes, *failures))
    _write(fitted)
    return fitted


def _sketched(source: Source, ending: Ending, trace: str) -> Sketch:
    try:
        trace_sketch = sketch(source.events(ending))
    except EngineError as problem:
        raise InputError(f"{trace}: {problem}") from None
    if not trace_sketch.seen.allocations:
        raise InputError(f"{trace}: allocates nothing, so there is nothing to fit")
    if not trace_sketch.seen.total_bytes:
        raise InputError(f"{trace}: asks for 0 bytes in all, so there is nothing to fit")
    return trace_sketch


def _agreements(run: Run) -> tuple[Agreement, ...]:
    first, second = (info.name for info in run.workloads)
    return tuple(agreement(run, metric, first, second) for metric in METRICS)


def _write(fitted: Fit) -> None:
    write_workload(fitted.path, fitted.definition, _comments(fitted))


def _comments(fitted: Fit) -> list[str]:
    """Return the comments of the file: its origin, its distance from the trace, and what it leaves out."""
    return [
        f"Fitted by memtool to {Path(fitted.source).name}.",
        _ROUGH,
        *(f"{'close' if distance.is_close else 'ROUGH'}: {in_words(distance)}" for distance in fitted.distances),
        *(f"note: {note}" for note in fitted.notes),
        *(f"ranking: {words}" for ranking in fitted.agreements for words in ranking_in_words(ranking)),
    ]


def in_words(distance: Distance) -> str:
    """Return a distance in the form for a sentence."""
    if distance.trace is None:
        return f"{distance.meaning}: {distance.value:.3f}"
    return f"{distance.meaning}: {distance.fit:,.0f} for {distance.trace:,.0f}, {distance.value:.3f} of it"


_MEASURES = {"time_per_op_ns": "time", "peak_resident_bytes": "peak resident memory"}


def ranking_in_words(ranking: Agreement) -> list[str]:
    """Return where the ranking by the fit differs from that by the trace, one sentence each."""
    measure = _MEASURES[ranking.metric]
    lines = [
        f"by {measure}, {ranking.pairs - len(ranking.swapped)} of {ranking.pairs} pairs of allocators keep their order."
    ]
    lines += [
        f"{less} needs less {measure} than {more} on the trace, and more on the fit." for less, more in ranking.swapped
    ]
    places = ("trace", "fit")
    lines += [
        f"{less} needs less {measure} than {more} on the {places[on]}; the {places[1 - on]} does not tell them apart."
        for less, more, on in ranking.unsettled
    ]
    lines += [f"{label} was not measured on both." for label in ranking.left_out]
    return lines
