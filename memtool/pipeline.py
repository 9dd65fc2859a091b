"""How a run comes about: load, plan, replay, summarise, store. The stages are the functions below, in order."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from memtool import __version__, files
from memtool.allocators import pairing, regions, registry
from memtool.allocators.environment import ignored_note
from memtool.allocators.spec import parse_allocators
from memtool.engine import binding, packing_binding
from memtool.errors import InputError, Interrupted, MemtoolError
from memtool.host import counters, machine
from memtool.host.counters import Counter
from memtool.model import AllocatorPlan, AllocatorSpec, Cell, CellResult, Mode, Pass, Run, Sample, Status, TraceInfo
from memtool.report.plots import pictures
from memtool.stats.compare import NAMED
from memtool.stats.summarise import Clock, noise_floor, summarise_cell
from memtool.store import journal, run_file, series
from memtool.units import format_count, format_duration, format_size
from memtool.worker.evidence import digest_of
from memtool.worker.parent import Executor, RegionRequest, WorkerExecutor
from memtool.worker.schedule import LEAST_TIME_LIMIT, NULL, Measurable, Progress, Schedule, Settings
from memtool.worker.threads import Threads
from memtool.workload.trace import Trace, load_trace

RESERVED_BYTES = 64 << 30
"""Address space reserved for a region where the workload sets no limit; taken as it is used."""
_CALIBRATION_MS = 50
_LONG_WAIT = 60.0
"""Seconds of waiting for arrivals that are worth a word beforehand."""
_BENCH_DEFAULT_WORKLOAD = "quickstart"
_RESULTS = Path("results")


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What the user asked ``memtool bench`` for."""

    workloads: tuple[str, ...] = ()
    allocators: str | None = None
    specs: tuple[AllocatorSpec, ...] = ()
    """In place of ``allocators``, where a command has made them."""
    regions: tuple[str, ...] = ("anonymous",)
    blocks: int = 10
    first_block: int = 0
    """Blocks count on from here: those of a second look are not the first ones again."""
    footprint_repeats: int | None = None
    """Footprint samples of each cell, more only where they differ; None: one in every block. Resident memory never
    repeats to the byte, and a verdict on it needs as many pairs as one on time."""
    passes: tuple[Pass, ...] = tuple(Pass)
    mode: Mode = Mode.SERIAL
    as_malloc: bool = False
    """Every row on the footing of a malloc: one indirect call, a bare pointer at the free, safe on threads."""
    threads: tuple[int, ...] = ()
    """Each workload on these numbers of threads, in place of its own."""
    rates: tuple[int, ...] = ()
    """Operations a second: each workload with arrivals at these rates, in place of its own."""
    seed: int | None = None
    output: Path | None = None
    resume: bool = False
    adds_blocks: bool = False
    """A run that is resumed may be given more blocks. A check may not: who looks and then adds decides by chance."""
    cold: bool = False
    counters: str = "auto"
    """auto | perf | callgrind | none"""
    counter_repeats: int | None = None
    """None: one count is what ``auto`` takes time for; a counter that is asked for by name is also seen to repeat."""
    reference: str | None = None
    draw_plots: bool = True
    time_limit: float | None = None
    least_time_limit: float = LEAST_TIME_LIMIT
    """Seconds that every worker has before it is killed."""
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be measured, and what will not, with the reason."""

    traces: tuple[Trace, ...]
    measurables: tuple[Measurable, ...]
    excluded: tuple[CellResult, ...]
    plans: dict[Cell, AllocatorPlan]
    settings: Settings
    notes: tuple[str, ...] = ()
    serial: tuple[Trace, ...] = ()
    """What threads replay, for one: how much more memory threads take is held against that."""


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
    plan = make_plan(options)
    try:
        refuse_too_large(plan)
        waiting = schedule_of_arrivals(plan)
        if waiting is not None and Schedule.waiting(plan.settings, plan.measurables) >= _LONG_WAIT:
            announce(waiting)
        return _run(options, plan, progress, executor)
    finally:
        close(plan)


def schedule_of_arrivals(plan: Plan) -> str | None:
    """Return how long the latency pass waits for arrivals, in words; None where no workload has any."""
    whole = Schedule.waiting(plan.settings, plan.measurables)
    if whole == 0:
        return None
    longest = max(plan.measurables, key=lambda each: each.arrivals_seconds)
    return (
        f"{longest.name}: its operations arrive over {format_duration(longest.arrivals_seconds)} in each replay; "
        f"the latency pass takes {format_duration(whole)} at least"
    )


def close(plan: Plan) -> None:
    """Give back the event images of a plan."""
    for trace in (*plan.traces, *plan.serial):
        trace.close()


def make_plan(options: BenchOptions) -> Plan:
    """Load the workloads, resolve the allocators, and say which pairs cannot be measured, and why."""
    binding.refuse_stale()
    known = registry.Registry()
    specs = _specs(options, known)
    for spec in specs:
        _refuse_unknown(known, spec)
    fingerprint = machine.fingerprint()
    counter = fingerprint.get("clocksource") in ("tsc", "arch_sys_counter")
    counts_by, no_counts = counters.choose(options.counters)
    no_calls = binding.system_calls_refusal()
    settings = Settings(
        blocks=options.blocks,
        first_block=options.first_block,
        footprint_repeats=options.footprint_repeats or options.blocks,
        passes=_passes(options, counts_by),
        warmups=0 if options.cold else 1,
        iterations=1 if options.cold else 3,
        seed=options.seed if options.seed is not None else 42,
        use_counter=counter,
        ns_per_tick=binding.calibrate_counter(_CALIBRATION_MS) if counter else 1.0,
        time_limit=options.time_limit,
        least_time_limit=options.least_time_limit,
        counter=counts_by,
        can_count_calls=no_calls is None,
        counter_repeats=options.counter_repeats or (1 if options.counters == "auto" else 2),
        memory_bytes=machine.available_memory() // 2,
    )
    traces = tuple(
        load_trace(path, seed=options.seed, threads=threads, rate=rate, mode=options.mode)
        for path in options.workloads or (_BENCH_DEFAULT_WORKLOAD,)
        for rate in options.rates or (None,)
        for threads in options.threads or (None,)
    )
    _refuse_duplicate_names(traces)
    serial = _on_one_thread(options, traces)
    null_plan = known.resolve(AllocatorSpec(NULL), as_malloc=options.as_malloc)
    plans: dict[Cell, AllocatorPlan] = {}
    excluded: list[CellResult] = []
    measurables: list[Measurable] = []
    roundings: list[str | None] = []
    for trace in traces:
        cells: dict[Cell, AllocatorPlan] = {}
        requests = {name: region_request(name, trace) for name in options.regions}
        for region in options.regions:
            for spec in specs:
                cell = Cell(trace.info.name, spec.label, region, str(options.mode))
                reason, resolved = _resolve(known, spec, region, trace, options)
                if reason is not None or resolved is None:
                    proof = {"interpreted": True} if resolved is not None and resolved.interpreted else {}
                    excluded.append(CellResult(cell, Status.EXCLUDED, reason, proof, {}, {}))
                else:
                    cells[cell] = resolved
        plans |= cells
        if cells:
            roundings.append(pairing.rounding(tuple(cells.values()), trace.info))
            threads = threads_of(trace, options.mode)
            measurables.append(_measurable(trace, null_plan, cells, requests, threads, serial.get(trace.info.name)))
    notes = tuple(
        f"{what} were not counted: {reason}."
        for what, run_pass, reason in (
            ("Instructions", Pass.COUNTERS, no_counts),
            ("System calls", Pass.CALLS, no_calls),
        )
        if reason and run_pass in options.passes
    )
    notes += tuple(filter(None, roundings))
    ignored = ignored_note(plans.values())
    notes = notes if ignored is None else (*notes, ignored)
    return Plan(traces, tuple(measurables), tuple(excluded), plans, settings, notes, tuple(serial.values()))


def _on_one_thread(options: BenchOptions, traces: Sequence[Trace]) -> dict[str, Trace]:
    """Return the serial form of each trace that threads replay, where the footprint is measured."""
    if Pass.FOOTPRINT not in options.passes:
        return {}
    return {
        trace.info.name: load_trace(
            trace.info.source,
            seed=options.seed,
            threads=trace.info.threads if trace.info.name != trace.info.workload_name else None,
        )
        for trace in traces
        if threads_of(trace, options.mode) is not None
    }


def _passes(options: BenchOptions, counter: Counter) -> tuple[Pass, ...]:
    """Return what is measured: counts of instructions only where something counts."""
    return tuple(each for each in options.passes if each is not Pass.COUNTERS or counter is not Counter.NONE)


def _measurable(
    trace: Trace,
    null_plan: AllocatorPlan,
    cells: dict[Cell, AllocatorPlan],
    requests: dict[str, RegionRequest],
    threads: Threads | None,
    serial: Trace | None,
) -> Measurable:
    arrivals, info = (trace.arrivals if threads is None else None), trace.info
    return Measurable(
        info.name,
        trace.image_fd,
        trace.image_bytes,
        null_plan,
        cells,
        requests,
        threads,
        None if arrivals is None else arrivals.words,
        0.0 if arrivals is None else arrivals.seconds(info.operations),
        tuple(mark.name for mark in info.marks),
        info.operations,
        info.total_bytes,
        None if serial is None else (serial.image_fd, serial.image_bytes),
    )


def _specs(options: BenchOptions, known: registry.Registry) -> tuple[AllocatorSpec, ...]:
    if options.specs:
        specs = options.specs
    elif options.allocators is None:
        specs = known.default_allocators()
    else:
        specs = parse_allocators(options.allocators, known.groups)
    if options.reference is None:
        return specs
    reference = parse_allocators(options.reference, known.groups)
    if len(reference) != 1:
        raise InputError(f"--reference: must name one allocator, is '{options.reference}'")
    return specs if reference[0] in specs else (*specs, *reference)


def _refuse_unknown(known: registry.Registry, spec: AllocatorSpec) -> None:
    """Complain of a name or parameter before any workload is generated."""
    try:
        known.resolve(spec)
    except registry.Unavailable:
        return


def _resolve(
    known: registry.Registry, spec: AllocatorSpec, region: str, trace: Trace, options: BenchOptions
) -> tuple[str | None, AllocatorPlan | None]:
    """Return (reason, plan): the reason why this pairing cannot be measured; the plan where the allocator is there."""
    try:
        resolved = known.resolve(spec, as_malloc=options.as_malloc)
    except registry.Unavailable as problem:
        return str(problem), None
    reason = (
        pairing.why_not_on_threads(resolved, trace.info, options.mode)
        or regions.why_not(region, resolved.uses_region, trace.info.peak_live_bytes)
        or pairing.why_not(resolved, trace.info, available=machine.available_memory())
    )
    return reason, resolved


def threads_of(trace: Trace, mode: Mode) -> Threads | None:
    """Return how a trace's threads are replayed; None where one thread does it all."""
    info = trace.info
    if mode is Mode.SERIAL or info.lanes == 1:
        return None
    cores = machine.usable_cores()
    return Threads(mode, info.lanes, info.threads, info.threads if info.threads <= cores else 0)


def region_request(name: str, trace: Trace) -> RegionRequest:
    """Return how a worker maps the region of this name for this trace.

    Raises MemtoolError where this process may not reserve so much: no worker could.
    """
    region = regions.REGIONS[name]
    size = trace.info.memory_limit or RESERVED_BYTES
    refused = regions.why_no_addresses(size)
    if refused is not None:
        raise MemtoolError(f"{trace.info.name}: {refused}")
    return RegionRequest(
        size,
        region.alignment,
        region.advice,
        regions.populated(region, trace.info.peak_live_bytes, size),
        region.backing,
        region.shared,
        region.locked,
    )


def _refuse_duplicate_names(traces: Sequence[Trace]) -> None:
    seen: dict[str, str] = {}
    for trace in traces:
        if trace.info.name in seen:
            raise InputError(
                f"{trace.info.source}: name: '{trace.info.name}' is also the name of {seen[trace.info.name]}"
            )
        seen[trace.info.name] = trace.info.source


def _run(options: BenchOptions, plan: Plan, progress: Progress, executor: Executor | None) -> Outcome:
    started = datetime.datetime.now().astimezone()
    fingerprint = _fingerprint(options, plan)
    directory = output_directory(options, started, fingerprint)
    with journal.open_journal(
        directory,
        fingerprint,
        started=started.isoformat(timespec="seconds"),
        resume=options.resume,
        adds_blocks=options.adds_blocks,
    ) as log:
        executor = executor or WorkerExecutor(plan.settings.seed + options.first_block, directory)
        schedule = Schedule(executor, plan.settings, log.append, finished=log.finished, progress=progress)
        try:
            samples = schedule.run(plan.measurables)
        except KeyboardInterrupt:
            raise Interrupted(_left(directory, log.samples)) from None
    run, histories = summarise(options, plan, samples, log.started)
    try:
        run = replace(run, cells=series.write_all(directory, run.cells, histories))
        run_file.write(directory, run)
    except OSError as problem:
        raise MemtoolError(
            f"{files.refusal(problem, directory)}; every sample is in its journal, and the same command with --resume "
            "stores what came of them"
        ) from None
    if not options.draw_plots:
        return Outcome(run, directory)
    drawn, complaints = pictures.try_to_draw(lambda: pictures.draw_all(directory, run))
    return Outcome(run, directory, drawn, complaints)


def _left(directory: Path, samples: int) -> str:
    if samples == 0:
        return "no sample was finished"
    word = "sample is" if samples == 1 else "samples are"
    return f"{samples:,} finished {word} in {directory}; the same command with --resume goes on"


def output_directory(options: BenchOptions, started: datetime.datetime, fingerprint: Mapping[str, object]) -> Path:
    """Return the folder of this run: the one named, the newest one that --resume can go on with, or a new one."""
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


def _fingerprint(options: BenchOptions, plan: Plan) -> dict[str, object]:
    """Return what must be the same for a run to be resumed: it would otherwise mix samples of different things."""
    return {
        "memtool": __version__,
        "engine": binding.source_hash(),
        "machine": machine.fingerprint(),
        "workloads": {
            trace.info.name: {key: each for key, each in asdict(trace.info).items() if key not in _OF_NO_MATTER}
            for trace in plan.traces
        },
        "code": _contents(plan.plans.values()),
        "environment": {
            cell.allocator: dict(each.environment) for cell, each in plan.plans.items() if each.environment
        },
        "counter": str(plan.settings.counter),
        "cells": sorted(f"{cell.workload}/{cell.allocator}/{cell.region}/{cell.mode}" for cell in plan.plans),
        "blocks": options.blocks,
        "first_block": options.first_block,
        "passes": [str(each) for each in options.passes],
        "cold": options.cold,
        "counters": options.counters,
        "threads": list(options.threads),
        "as_malloc": options.as_malloc,
    }


def _contents(plans: Iterable[AllocatorPlan]) -> dict[str, str]:
    """Return digests of the files that allocators come from: libraries, and modules with all that they import."""
    return {name: digest_of(Path(name)) for name in sorted({name for each in plans for name in each.code})}


def summarise(
    options: BenchOptions, plan: Plan, samples: Sequence[Sample], started: str
) -> tuple[Run, dict[Cell, series.History]]:
    """Return the run, and the series of each cell that was measured."""
    clock = Clock(plan.settings.ns_per_tick, "counter" if plan.settings.use_counter else "clock_gettime")
    by_cell: dict[Cell, list[Sample]] = {}
    for sample in samples:
        by_cell.setdefault(sample.cell, []).append(sample)
    facts = machine.fingerprint()
    fingerprint = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()
    infos = {
        trace.info.name: _packed(trace, plan.settings.passes, options.mode, _placements(trace.info.name, plan, samples))
        for trace in plan.traces
    }
    results: list[CellResult] = []
    histories: dict[Cell, series.History] = {}
    for cell, resolved in plan.plans.items():
        taken = by_cell.get(cell, [])
        null = by_cell.get(replace(cell, allocator=NULL), [])
        # In parallel the order in which threads get at a heap is another each time.
        exact = resolved.exact and resolved.uses_region and options.mode is not Mode.PARALLEL
        alone = by_cell.get(replace(cell, mode=str(Mode.SERIAL)), []) if options.mode is not Mode.SERIAL else []
        result = summarise_cell(cell, taken, null, infos[cell.workload], clock, exact_expected=exact, serial=alone)
        harness = summarise_cell(cell, null, null, infos[cell.workload], clock, exact_expected=False)
        proof = {
            **result.proof,
            **noise_floor(taken, clock),
            "event_hash": infos[cell.workload].event_hash,
            "seed": infos[cell.workload].seed,
            "machine": fingerprint,
            "order": _order(cell, samples),
            "harness_ns": _value(harness, "time_per_op_ns"),
            "harness_instructions": _value(harness, "instructions_per_op"),
            "preload": list(resolved.preload),
            "environment": dict(resolved.environment),
            **({NAMED: f"{resolved.spec.title}={resolved.spec.written}"} if resolved.spec.title else {}),
            "call": asdict(resolved.call),
        }
        if resolved.interpreted:
            proof["interpreted"] = True  # also where the worker died before it could say so
        results.append(replace(result, proof=proof))
        histories[cell] = series.History.of(taken, clock.ns_per_tick)
    run = Run(
        memtool=__version__,
        started=started,
        command=options.command,
        machine={
            **facts,
            "fingerprint": fingerprint,
            "compiler": binding.compiler(),
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


def _order(cell: Cell, samples: Sequence[Sample]) -> dict[str, list[Any]]:
    """Return in what order a cell's passes ran, and its place among the throughput samples of each block."""
    passes = list(dict.fromkeys(str(sample.run_pass) for sample in samples if sample.cell == cell))
    places: dict[tuple[str, int], int] = {}
    own = []
    for sample in samples:
        if sample.run_pass is Pass.THROUGHPUT:
            block = (sample.cell.workload, sample.block)
            places[block] = places.get(block, 0) + 1
            if sample.cell == cell:
                own.append(places[block])
    return {"passes": passes, "places": own}


def _placements(workload: str, plan: Plan, samples: Sequence[Sample]) -> dict[str, int]:
    """Return allocator -> the least footprint in bytes that it served a workload in, of those on a region.

    Each has placed every block in it, so each is a packing, headers and rounding included.
    """
    least: dict[str, int] = {}
    for sample in samples:
        cell, resolved = sample.cell, plan.plans.get(sample.cell)
        if cell.workload != workload or sample.run_pass is not Pass.FOOTPRINT or sample.status is not Status.OK:
            continue
        # The null strategy serves nothing: its blocks lie upon each other.
        if resolved is None or not resolved.uses_region or cell.allocator.partition("+")[0] == NULL:
            continue
        footprint = int(sample.payload["peak_footprint_bytes"])
        least[cell.allocator] = min(footprint, least.get(cell.allocator, footprint))
    return least


def _packed(trace: Trace, passes: Sequence[Pass], mode: Mode, placements: Mapping[str, int]) -> TraceInfo:
    """Return what is known of a trace, with the best packing of its blocks where footprints are held against it.

    It is the better one of what the packer finds and of ``placements``, what allocators of this run did.
    """
    if Pass.FOOTPRINT not in passes:
        return trace.info
    if threads_of(trace, mode) is not None:
        note = "not packed offline, packing_ratio is n/a: only what is replayed on one thread is (--mode serial)"
        return replace(trace.info, notes=(*trace.info.notes, note))
    found = packing_binding.pack_image(trace.image_fd, trace.image_bytes)
    if found is None:
        note = f"not packed offline, packing_ratio is n/a: more than {format_count(packing_binding.MOST_BLOCKS)} blocks"
        return replace(trace.info, notes=(*trace.info.notes, note))
    best = min(placements, key=lambda name: placements[name], default=None)
    if best is not None and placements[best] < found:
        return replace(trace.info, packing_bytes=placements[best], packing_by=best)
    return replace(trace.info, packing_bytes=found)


def _value(result: CellResult, metric: str) -> float | None:
    found = result.metrics.get(metric)
    return found.value if found else None


def refuse_too_large(plan: Plan) -> None:
    """Say before it starts that a workload does not fit into this machine's memory. Raises MemtoolError."""
    available = machine.available_memory()
    for trace in plan.traces:
        need = trace.info.peak_live_bytes + trace.info.slots * 8
        if need > available:
            raise MemtoolError(
                f"{trace.info.source}: needs at least {format_size(need)} (its peak of live bytes), "
                f"and {format_size(available)} are available"
            )


def terminal() -> bool:
    """Return whether progress can be shown: standard error is a terminal."""
    return os.isatty(2)
