"""Makes a run: plan, replay, summarise, store. The stages are the functions below, in order."""

from __future__ import annotations

import datetime
import itertools
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from memtool import __version__, files
from memtool.cluster import spread
from memtool.engine.loading import source_hash
from memtool.errors import InputError, Interrupted, MemtoolError, option
from memtool.host import machine
from memtool.model import AllocatorPlan, Cell, Run, Status
from memtool.options import BenchOptions, with_programs
from memtool.plan import (
    Plan,
    make_plan,
    refuse_too_large,
    schedule_of_arrivals,
    too_few_to_compare,
)
from memtool.programs.executor import Executors, ProgramExecutor
from memtool.report.paper import canvas
from memtool.report.plots import pictures
from memtool.store import journal, run_file, series
from memtool.summarised import Packings, Watched, over_groups, summarise
from memtool.worker.evidence import digest_of
from memtool.worker.parent import Executor, WorkerExecutor
from memtool.worker.schedule import Progress, Schedule
from memtool.workload.trace import Trace

_LONG_WAIT = 60.0
"""Seconds of waiting for arrivals from which the user is told in advance."""
_RESULTS = Path("results")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run and its folder."""

    run: Run
    directory: Path
    plots: tuple[Path, ...] = field(default=())
    complaints: tuple[str, ...] = ()
    """Secondary failures, such as a plot that could not be drawn."""

    @property
    def failed(self) -> bool:
        """Return whether any cell failed, or nothing could be measured."""
        statuses = {cell.status for cell in self.run.cells}
        return Status.FAILED in statuses or Status.OK not in statuses


def bench(
    options: BenchOptions,
    progress: Progress,
    executor: Executor | None = None,
    announce: Callable[[str], None] = lambda words: None,
    seen: Callable[[Run], None] | None = None,
) -> Outcome:
    """Measure, store and draw the run that the options describe.

    ``announce`` is called with remarks for the user before it begins, ``seen`` with the run so far after each block.

    Every finished sample is on disk before the next is begun. Raises InputError for errors of the user and MemtoolError
    for limitations of this machine; a fault of a measured allocator affects only its own cell.
    """
    if options.cluster is not None:
        spread.refuse_what_stays_here(with_programs(options))
    with closing(make_plan(options)) as plan:
        if options.cluster is None:
            refuse_too_large(plan)
        waiting = schedule_of_arrivals(plan)
        if waiting is not None and plan.waiting_seconds >= _LONG_WAIT:
            announce(waiting)
        return _run(options, plan, progress, executor, announce, seen)


def _run(
    options: BenchOptions,
    plan: Plan,
    progress: Progress,
    executor: Executor | None,
    announce: Callable[[str], None],
    seen: Callable[[Run], None] | None,
) -> Outcome:
    started = datetime.datetime.now().astimezone()
    fingerprint = fingerprint_of(options, plan)
    directory = output_directory(options, started, fingerprint)
    with journal.open_journal(
        directory,
        fingerprint,
        started=started.isoformat(timespec="seconds"),
        resume=options.resume,
        adds_blocks=options.adds_blocks,
    ) as log:
        if log.blocks is not None and log.blocks != options.blocks:
            announce(f"{directory}: goes on with its own number of blocks, {log.blocks}; {option('blocks')} adds more")
            options, plan = replace(options, blocks=log.blocks), _with_blocks(options, plan, log.blocks)
        few = too_few_to_compare(plan)
        if few is not None:
            announce(few)
        failed_cleanups: list[str] = []
        packings = Packings(plan, options)
        importing = threading.Thread(target=canvas.prepare, daemon=True)

        def begin_beside() -> None:
            packings.start()
            if options.draw_plots:
                importing.start()

        try:
            if options.cluster is not None and executor is None:
                summarised = _elsewhere(options, plan, log, progress, announce, seen)
                begin_beside()
            else:
                summarised = _here(
                    options, plan, log, progress, seen, executor, directory, begin_beside, failed_cleanups
                )
        except KeyboardInterrupt:
            raise Interrupted("; ".join((what_is_left(directory, log.samples), *failed_cleanups))) from None
        except OSError as problem:  # too many open files or processes, which no sample has caused
            raise MemtoolError(cannot_go_on(problem, directory, log.samples)) from None
    run, histories = summarised(packings.of)
    try:
        run = replace(
            run, notes=(*run.notes, *failed_cleanups), cells=series.write_all(directory, run.cells, histories)
        )
        run_file.write(directory, run)
    except OSError as problem:
        raise MemtoolError(
            f"{files.refusal(problem, directory)}; every sample is in its journal, and the same command with "
            f"{option('resume')} stores the result"
        ) from None
    if not options.draw_plots:
        return Outcome(run, directory)
    if importing.ident is not None:
        importing.join()  # a process that is forked during the import of a module would wait for it forever
    at_once = machine.processes_at_once()
    drawn, complaints = pictures.try_to_draw(lambda: pictures.draw_all(directory, run, at_once=at_once))
    return Outcome(run, directory, drawn, complaints)


_Summarised = Callable[[Callable[[Trace], int | None]], tuple[Run, dict[Cell, series.History]]]
"""Maps a function that packs traces to the run and the series of its cells."""


def _here(
    options: BenchOptions,
    plan: Plan,
    log: journal.Journal,
    progress: Progress,
    seen: Callable[[Run], None] | None,
    executor: Executor | None,
    directory: Path,
    timing_is_over: Callable[[], None],
    failed_cleanups: list[str],
) -> _Summarised:
    """Take every sample on this machine, or with ``executor``. Failures after the last are added to the list."""
    executor, clean_up = (executor, None) if executor is not None else _executor(options, plan, directory)
    schedule = Schedule(
        executor,
        plan.settings,
        log.append if seen is None else Watched(options, plan, log.started, log.append, seen).record,
        finished=log.finished,
        progress=progress,
        timing_is_over=timing_is_over,
    )
    try:
        samples = schedule.run(plan.measurables)
    finally:
        if clean_up is not None:
            failed_cleanups += clean_up()
    return lambda pack: summarise(options, plan, samples, log.started, pack)


def _elsewhere(
    options: BenchOptions,
    plan: Plan,
    log: journal.Journal,
    progress: Progress,
    announce: Callable[[str], None],
    seen: Callable[[Run], None] | None,
) -> _Summarised:
    """Take every sample on the hosts of a cluster."""

    def show(measured: list[spread.Measured]) -> None:
        if seen is not None and measured:
            seen(over_groups(options, measured, log.started, lambda trace: None)[0])

    measured = spread.take(options, plan, log, progress, announce, show)
    if not measured:
        raise MemtoolError(f"{option('cluster')}: nothing was measured")
    return lambda pack: over_groups(options, measured, log.started, pack)


def _executor(
    options: BenchOptions, plan: Plan, directory: Path
) -> tuple[Executor, Callable[[], tuple[str, ...]] | None]:
    """Return the executor for the samples, and the cleanup to run after them, which returns what failed."""
    seed = plan.settings.seed + options.first_block
    workers = WorkerExecutor(seed, directory)
    if not plan.programs:
        return workers, None
    references = {
        ready.name: ready.cells.get(Cell(ready.name, options.reference or ""), next(iter(ready.cells.values())))
        for ready in plan.measurables
    }
    programs = ProgramExecutor({program.name: program for program in plan.programs}, references, directory, seed)
    return Executors(programs, workers), programs.close


def _with_blocks(options: BenchOptions, plan: Plan, blocks: int) -> Plan:
    settings = replace(plan.settings, blocks=blocks, footprint_repeats=options.footprint_repeats or blocks)
    return replace(plan, settings=settings)


def as_resumed(options: BenchOptions, plan: Plan) -> Plan:
    """Return the options of a resumed run: if the user named no number of blocks, the run keeps its own.

    Raises InputError where there is no run to resume.
    """
    if not (options.resume and options.keeps_blocks):
        return plan
    fingerprint = fingerprint_of(options, plan)
    directory = output_directory(options, datetime.datetime.now().astimezone(), fingerprint)
    return _with_blocks(options, plan, journal.own_blocks(directory, fingerprint))


def cannot_go_on(problem: OSError, directory: Path, samples: int) -> str:
    """Return in words that no worker can be started, and what remains."""
    return f"a worker cannot be started: {files.reason(problem)}; {what_is_left(directory, samples)}"


def what_is_left(directory: Path, samples: int) -> str:
    """Return what remains of an interrupted run, in words."""
    if samples == 0:
        return "no sample was finished"
    word = "sample is" if samples == 1 else "samples are"
    return f"{samples:,} finished {word} in {directory}; the same command with {option('resume')} goes on"


def output_directory(options: BenchOptions, started: datetime.datetime, fingerprint: Mapping[str, object]) -> Path:
    """Return the folder of this run: the named one, the newest one that can be resumed, or a new one."""
    if options.output is not None:
        return options.output
    if options.resume:
        return journal.newest(_RESULTS, fingerprint, adds_blocks=options.adds_blocks)
    return _new_folder(_RESULTS, started.strftime("%Y-%m-%d-%H%M%S"))


def _new_folder(root: Path, name: str) -> Path:
    """Make a folder of this name, followed by a number if another run began in the same second."""
    for number in itertools.count(1):
        folder = root / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as problem:
            raise InputError(files.refusal(problem, folder)) from None
        return folder
    raise AssertionError


_OF_NO_MATTER = ("name", "source", "notes", "workload_name", "packing_bytes")
"""Facts about a trace that do not influence measurements."""


def fingerprint_of(options: BenchOptions, plan: Plan) -> dict[str, object]:
    """Return everything that must be equal for a run to be resumed, so that different samples are not mixed."""
    elsewhere = options.cluster is not None  # its hosts may change: each group has its own samples
    return {
        "memtool": __version__,
        "engine": source_hash(),
        "machine": "cluster" if elsewhere else machine.fingerprint(),
        "workloads": {
            info.name: {key: value for key, value in asdict(info).items() if key not in _OF_NO_MATTER}
            for info in plan.infos
        },
        "code": {} if elsewhere else _contents(plan.plans.values()),
        "environment": {
            cell.allocator: dict(resolved.environment) for cell, resolved in plan.plans.items() if resolved.environment
        },
        "counter": "" if elsewhere else str(plan.settings.counter),
        "cells": sorted(
            f"{cell.workload}/{cell.allocator}/{cell.region}/{cell.mode}"
            for cell in (*plan.plans, *((result.cell for result in plan.excluded) if elsewhere else ()))
        ),
        "blocks": None if options.resume and options.keeps_blocks else options.blocks,
        "first_block": options.first_block,
        "passes": [str(run_pass) for run_pass in options.passes],
        "cold": options.cold,
        "counters": options.counters,
        "threads": list(options.threads),
        "as_malloc": options.as_malloc,
    }


def _contents(plans: Iterable[AllocatorPlan]) -> dict[str, str]:
    """Return digests of the files of allocators: libraries, and modules with all their imports."""
    return {name: digest_of(Path(name)) for name in sorted({name for plan in plans for name in plan.code})}
