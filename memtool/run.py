"""How a run comes about: plan, replay, summarise, store. The stages are the functions below, in order."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from memtool import __version__, files
from memtool.engine.loading import compiler, source_hash
from memtool.errors import InputError, Interrupted, MemtoolError, option
from memtool.host import machine
from memtool.kinds import places_blocks
from memtool.kinds.work import work
from memtool.model import AllocatorPlan, Cell, CellResult, Mode, Run, Status, TraceInfo
from memtool.passes import Clock, Pass, Sample
from memtool.plan import (
    BenchOptions,
    Plan,
    make_plan,
    refuse_too_large,
    schedule_of_arrivals,
    threads_of,
    too_few_to_compare,
)
from memtool.programs.executor import Executors, ProgramExecutor
from memtool.report.plots import canvas, pictures
from memtool.stats import proof
from memtool.stats.summarise import summarise_cell
from memtool.store import journal, run_file, series
from memtool.worker.evidence import digest_of
from memtool.worker.parent import Executor, WorkerExecutor
from memtool.worker.schedule import Progress, Schedule
from memtool.worker.settings import NULL
from memtool.workload.trace import Trace

_LONG_WAIT = 60.0
"""Seconds of waiting for arrivals that are worth a word beforehand."""
_RESULTS = Path("results")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run and where it lies."""

    run: Run
    directory: Path
    plots: tuple[Path, ...] = field(default=())
    complaints: tuple[str, ...] = ()
    """What could not be done besides, such as a plot that could not be drawn."""

    @property
    def failed(self) -> bool:
        """Return whether any cell failed, or nothing could be measured at all."""
        statuses = {cell.status for cell in self.run.cells}
        return Status.FAILED in statuses or Status.OK not in statuses


def bench(
    options: BenchOptions,
    progress: Progress,
    executor: Executor | None = None,
    announce: Callable[[str], None] = lambda words: None,
) -> Outcome:
    """Measure, store and draw what the options ask for.

    ``announce`` is called with what the user should know before it begins.

    Every finished sample is on disk before the next is begun. Raises InputError for what the user got wrong and
    MemtoolError for what this machine cannot do; a fault of a measured allocator costs its own cell only.
    """
    with closing(make_plan(options)) as plan:
        refuse_too_large(plan)
        waiting = schedule_of_arrivals(plan)
        if waiting is not None and plan.waiting_seconds >= _LONG_WAIT:
            announce(waiting)
        return _run(options, plan, progress, executor, announce)


def _run(
    options: BenchOptions,
    plan: Plan,
    progress: Progress,
    executor: Executor | None,
    announce: Callable[[str], None],
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
        executor, clean_up = (executor, None) if executor is not None else _executor(options, plan, directory)
        packings = _Packings(plan, options)
        importing = threading.Thread(target=canvas.prepare, daemon=True)

        def begin_beside() -> None:
            packings.start()
            if options.draw_plots:
                importing.start()

        schedule = Schedule(
            executor,
            plan.settings,
            log.append,
            finished=log.finished,
            progress=progress,
            timing_is_over=begin_beside,
        )
        try:
            samples = schedule.run(plan.measurables)
        except KeyboardInterrupt:
            raise Interrupted(what_is_left(directory, log.samples)) from None
        except OSError as problem:  # too many open files or processes: of no sample's making
            raise MemtoolError(cannot_go_on(problem, directory, log.samples)) from None
        finally:
            if clean_up is not None:
                clean_up()
    run, histories = summarise(options, plan, samples, log.started, packings.of)
    try:
        run = replace(run, cells=series.write_all(directory, run.cells, histories))
        run_file.write(directory, run)
    except OSError as problem:
        raise MemtoolError(
            f"{files.refusal(problem, directory)}; every sample is in its journal, and the same command with "
            f"{option('resume')} stores what came of them"
        ) from None
    if not options.draw_plots:
        return Outcome(run, directory)
    if importing.ident is not None:
        importing.join()  # a process that is forked while a module is being imported waits for it for ever
    at_once = machine.processes_at_once()
    drawn, complaints = pictures.try_to_draw(lambda: pictures.draw_all(directory, run, at_once=at_once))
    return Outcome(run, directory, drawn, complaints)


def _executor(options: BenchOptions, plan: Plan, directory: Path) -> tuple[Executor, Callable[[], None] | None]:
    """Return what takes the samples, and what is to be done once they are taken."""
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
    """Return what a run that is gone on with measures: as many blocks as it has, where the user names no number.

    Raises InputError where there is none to go on with.
    """
    if not (options.resume and options.keeps_blocks):
        return plan
    fingerprint = fingerprint_of(options, plan)
    directory = output_directory(options, datetime.datetime.now().astimezone(), fingerprint)
    return _with_blocks(options, plan, journal.own_blocks(directory, fingerprint))


def cannot_go_on(problem: OSError, directory: Path, samples: int) -> str:
    """Return in words that no worker can be started, and what is left."""
    return f"a worker cannot be started: {problem.strerror or problem}; {what_is_left(directory, samples)}"


def what_is_left(directory: Path, samples: int) -> str:
    """Return what an interrupted run leaves behind, in words."""
    if samples == 0:
        return "no sample was finished"
    word = "sample is" if samples == 1 else "samples are"
    return f"{samples:,} finished {word} in {directory}; the same command with {option('resume')} goes on"


def output_directory(options: BenchOptions, started: datetime.datetime, fingerprint: Mapping[str, object]) -> Path:
    """Return the folder of this run: the one named, the newest one that can be resumed, or a new one."""
    if options.output is not None:
        return options.output
    if options.resume:
        return journal.newest(_RESULTS, fingerprint, adds_blocks=options.adds_blocks)
    return _new_folder(_RESULTS, started.strftime("%Y-%m-%d-%H%M%S"))


def _new_folder(root: Path, name: str) -> Path:
    """Make a folder of this name, with a number after it where another run began in the same second."""
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
"""What is known of a trace, and changes nothing that is measured."""


def fingerprint_of(options: BenchOptions, plan: Plan) -> dict[str, object]:
    """Return what must be the same for a run to be resumed: it would otherwise mix samples of different things."""
    return {
        "memtool": __version__,
        "engine": source_hash(),
        "machine": machine.fingerprint(),
        "workloads": {
            info.name: {key: value for key, value in asdict(info).items() if key not in _OF_NO_MATTER}
            for info in plan.infos
        },
        "code": _contents(plan.plans.values()),
        "environment": {
            cell.allocator: dict(resolved.environment) for cell, resolved in plan.plans.items() if resolved.environment
        },
        "counter": str(plan.settings.counter),
        "cells": sorted(f"{cell.workload}/{cell.allocator}/{cell.region}/{cell.mode}" for cell in plan.plans),
        "blocks": None if options.resume and options.keeps_blocks else options.blocks,
        "first_block": options.first_block,
        "passes": [str(run_pass) for run_pass in options.passes],
        "cold": options.cold,
        "counters": options.counters,
        "threads": list(options.threads),
        "as_malloc": options.as_malloc,
    }


def _contents(plans: Iterable[AllocatorPlan]) -> dict[str, str]:
    """Return digests of the files that allocators come from: libraries, and modules with all that they import."""
    return {name: digest_of(Path(name)) for name in sorted({name for plan in plans for name in plan.code})}


def summarise(
    options: BenchOptions, plan: Plan, samples: Sequence[Sample], started: str, pack: Callable[[Trace], int | None]
) -> tuple[Run, dict[Cell, series.History]]:
    """Return the run, and the series of each cell that was measured."""
    clock = Clock(plan.settings.ns_per_tick, "counter" if plan.settings.use_counter else "clock_gettime")
    by_cell: dict[Cell, list[Sample]] = {}
    for sample in samples:
        by_cell.setdefault(sample.cell, []).append(sample)
    facts = machine.fingerprint()
    fingerprint = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()
    infos = {
        trace.info.name: _packed(
            trace, plan.settings.passes, options.mode, _placements(trace.info.name, plan, samples), pack
        )
        if options.packs
        else trace.info
        for trace in plan.traces
    } | {program.name: program.info for program in plan.programs}
    results: list[CellResult] = []
    histories: dict[Cell, series.History] = {}
    harnesses: dict[Cell, CellResult] = {}
    for cell, resolved in plan.plans.items():
        info, taken = infos[cell.workload], by_cell.get(cell, [])
        null_cell = replace(cell, allocator=NULL)
        null = by_cell.get(null_cell, [])
        if null_cell not in harnesses:
            harnesses[null_cell] = summarise_cell(null_cell, null, null, info, clock, exact_expected=False)
        # In parallel the order in which threads get at a heap is another each time.
        exact = resolved.exact and resolved.uses_region and options.mode is not Mode.PARALLEL
        alone = by_cell.get(replace(cell, mode=str(Mode.SERIAL)), []) if options.mode is not Mode.SERIAL else []
        result = summarise_cell(cell, taken, null, info, clock, exact_expected=exact, serial=alone)
        evidence = proof.of_cell(result, harnesses[null_cell], resolved, info, fingerprint, samples)
        results.append(replace(result, proof=evidence))
        histories[cell] = series.History.of(taken, clock.ns_per_tick)
    run = Run(
        memtool=__version__,
        started=started,
        command=options.command,
        machine={
            **facts,
            "fingerprint": fingerprint,
            "compiler": compiler(),
            "clock": clock.name,
            "ns_per_tick": clock.ns_per_tick,
            "instruction_counter": str(plan.settings.counter),
            "warmups": plan.settings.warmups,
            "iterations": plan.settings.iterations,
        },
        workloads=tuple(infos.values()),
        cells=tuple(results) + plan.excluded,
        blocks=options.blocks,
        reference=options.reference,
        notes=plan.notes,
    )
    return run, histories


class _Packings:
    """Of the traces that one thread replays: made beside samples that time nothing, for the engine needs no lock."""

    def __init__(self, plan: Plan, options: BenchOptions) -> None:
        self._traces = [
            trace
            for trace in plan.traces
            if options.packs and places_blocks(trace.info.kind, plan.settings.passes)
            if threads_of(trace, options.mode) is None
        ]
        self._packings: dict[str, Future[int | None]] = {trace.info.name: Future() for trace in self._traces}

    def start(self) -> None:
        """Begin, in a thread that nobody waits for where memtool is interrupted."""
        threading.Thread(target=self._pack_all, daemon=True).start()

    def of(self, trace: Trace) -> int | None:
        """Return the bytes of a trace's best packing, once it is there; None: it has too many blocks."""
        return self._packings[trace.info.name].result()

    def _pack_all(self) -> None:
        for trace in self._traces:
            try:
                self._packings[trace.info.name].set_result(work(trace.info.kind).pack(trace))
            except Exception as problem:  # for who asks for it
                self._packings[trace.info.name].set_exception(problem)


def _placements(workload: str, plan: Plan, samples: Sequence[Sample]) -> dict[str, int]:
    """Return allocator -> the least footprint in bytes that it served a workload in, of those on a region.

    Each has placed every block in it, so each is a packing, headers and rounding included.
    """
    least: dict[str, int] = {}
    for sample in samples:
        cell, resolved = sample.cell, plan.plans.get(sample.cell)
        footprint = None if sample.payload is None else sample.payload.placed_in_bytes
        if cell.workload != workload or footprint is None:
            continue
        # The null strategy serves nothing: its blocks lie upon each other.
        if resolved is None or not resolved.uses_region or cell.allocator.partition("+")[0] == NULL:
            continue
        least[cell.allocator] = min(footprint, least.get(cell.allocator, footprint))
    return least


def _packed(
    trace: Trace,
    passes: Sequence[Pass],
    mode: Mode,
    placements: Mapping[str, int],
    pack: Callable[[Trace], int | None] = lambda trace: work(trace.info.kind).pack(trace),
) -> TraceInfo:
    """Return what is known of a trace, with the best packing of its blocks where footprints are held against it.

    It is the better one of what the packer finds and of ``placements``, what allocators of this run did.
    """
    if not places_blocks(trace.info.kind, passes):
        return trace.info
    if trace.info.begins is not None:
        return trace.info  # its blocks are those of the whole run
    if threads_of(trace, mode) is not None:
        note = "not packed offline, packing_ratio is n/a: only what is replayed on one thread is (--mode serial)"
        return replace(trace.info, notes=(*trace.info.notes, note))
    packed_bytes = pack(trace)
    if packed_bytes is None:
        note = f"not packed offline, packing_ratio is n/a: {work(trace.info.kind).why_unpacked()}"
        return replace(trace.info, notes=(*trace.info.notes, note))
    best = min(placements, key=lambda name: placements[name], default=None)
    if best is not None and placements[best] < packed_bytes:
        return replace(trace.info, packing_bytes=placements[best], packing_by=best)
    return replace(trace.info, packing_bytes=packed_bytes)
