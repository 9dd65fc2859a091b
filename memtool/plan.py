"""Plans a run: the options of a bench are resolved into traces, cells, settings and exclusions."""

from __future__ import annotations

import collections
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from memtool import gate
from memtool.allocators import pairing, regions, registry
from memtool.allocators.environment import ignored_note
from memtool.allocators.spec import parse_allocators
from memtool.engine.instruments.binding import calibrate_counter, system_calls_refusal
from memtool.engine.loading import refuse_stale
from memtool.errors import InputError, MemtoolError, option
from memtool.host import counters, machine
from memtool.host.counters import Counter
from memtool.kinds import metrics_of, results, ways
from memtool.kinds.work import load_trace, ways_alone, work
from memtool.model import AllocatorPlan, AllocatorSpec, Cell, CellResult, Mode, Status, TraceInfo
from memtool.options import BenchOptions, refuse_invalid, refuse_what_programs_lack, with_programs
from memtool.passes import Instrument, Pass
from memtool.programs import planning
from memtool.programs.program import Program
from memtool.stats import proof
from memtool.units import format_duration, format_size
from memtool.worker.parent import RegionRequest
from memtool.worker.settings import NULL, Measurable, Settings, counts, seconds_waiting
from memtool.worker.threads import ThreadPlan
from memtool.workload.sources.staged import Stages
from memtool.workload.trace import Trace

RESERVED_BYTES = 64 << 30
"""Address space that is reserved for a region where the workload sets no limit; pages are used on demand."""
_CALIBRATION_MS = 50
_LEAST_PACED = 1e-3
_BENCH_DEFAULT_WORKLOAD = "quickstart"


@dataclass(frozen=True, slots=True)
class Plan:
    """The planned cells, and the exclusions with their reasons."""

    traces: tuple[Trace, ...]
    measurables: tuple[Measurable, ...]
    excluded: tuple[CellResult, ...]
    plans: dict[Cell, AllocatorPlan]
    settings: Settings
    notes: tuple[str, ...] = ()
    programs: tuple[Program, ...] = ()

    @property
    def infos(self) -> tuple[TraceInfo, ...]:
        """Return the facts about each workload that are known before it is measured."""
        return (*(trace.info for trace in self.traces), *(program.info for program in self.programs))

    def close(self) -> None:
        """Release the event images."""
        for trace in self.traces:
            trace.close()

    @property
    def waiting_seconds(self) -> float:
        """Return how long the latency pass waits for arrivals."""
        return seconds_waiting(self.settings, self.measurables)

    @property
    def samples(self) -> int:
        """Return the number of samples, each of which is a separate process."""
        return counts(self.settings, self.measurables).total()


def schedule_of_arrivals(plan: Plan) -> str | None:
    """Return how long samples wait for arrivals or at the recorded pace, in words; None where no workload waits."""
    if plan.waiting_seconds == 0:
        return None
    paced = max(plan.measurables, key=lambda measurable: measurable.paced_seconds)
    longest = max(plan.measurables, key=lambda measurable: measurable.arrivals_seconds)
    if paced.paced_seconds > longest.arrivals_seconds:
        return (
            f"{paced.name}: each paced replay takes {format_duration(paced.paced_seconds)}; its samples take "
            f"{format_duration(plan.waiting_seconds)} at least, those that time nothing beside each other"
        )
    return (
        f"{longest.name}: its operations arrive over {format_duration(longest.arrivals_seconds)} in each replay; "
        f"the latency pass takes {format_duration(plan.waiting_seconds)} at least"
    )


def too_few_to_compare(plan: Plan) -> str | None:
    """Return why a later ``memtool compare`` of this run cannot decide, in words, and how many blocks can; or None."""
    rows = collections.Counter((cell.workload, cell.region) for cell in plan.plans)
    rules = gate.policy(None, gate.DEFAULT_MARGIN, ())
    known = frozenset[str]().union(*(metrics_of(info.kind, plan.settings.passes) for info in plan.infos))
    measured = tuple(name for name in rules.metrics if name in known)
    pairs = sum(count - 1 for count in rows.values())
    few = gate.too_few_blocks(plan.settings.blocks, pairs, replace(rules, metrics=measured), looks=1)
    return None if few is None else f"for a later `memtool compare`, {few} ({option('resume')} adds blocks)"


def make_plan(options: BenchOptions) -> Plan:
    """Load the workloads, resolve the allocators, and determine which pairs cannot be measured, and why."""
    refuse_stale()
    refuse_invalid(options)
    options = with_programs(options)
    known = registry.Registry()
    specs = _specs(options, known)
    for spec in specs:
        _refuse_unknown(known, spec)
    settings, notes = _settings(options)
    refuse_what_programs_lack(options)
    stages = Stages(options.speed if options.paced else None, options.begin)
    traces = tuple(
        load_trace(path, seed=options.seed, threads=threads, rate=rate, mode=options.mode, stages=stages)
        for path in options.workloads or (() if options.programs else (_BENCH_DEFAULT_WORKLOAD,))
        for rate in options.rates or (None,)
        for threads in options.threads or (None,)
    )
    _refuse_duplicate_names([*(trace.info for trace in traces), *(program.info for program in options.programs)])
    null_plan = known.resolve(AllocatorSpec(NULL), as_malloc=options.as_malloc)
    plans: dict[Cell, AllocatorPlan] = {}
    excluded: list[CellResult] = []
    measurables: list[Measurable] = []
    for trace in traces:
        requests = {name: region_request(name, trace) for name in options.regions}
        cells, left_out = _cells(known, specs, trace, options)
        excluded += left_out
        plans |= cells
        if cells:
            of_work = work(trace.info.kind)
            notes += tuple(of_work.notes(tuple(cells.values()), trace.info, options.mode, settings.passes))
            measurables.append(_measurable(trace, null_plan, cells, requests, threads_of(trace, options.mode)))
    for program in options.programs:
        ready, left_out = planning.measurable(program, known, specs, null_plan)
        plans |= ready.cells
        excluded += left_out
        measurables += [ready] if ready.cells else []
    notes += planning.start_of_the_shell(options.programs)
    notes += tuple(filter(None, [ignored_note(None if options.programs else plans.values())]))
    said = tuple(dict.fromkeys(notes))
    return Plan(traces, tuple(measurables), tuple(excluded), plans, settings, said, options.programs)


def as_planned_elsewhere(
    plan: Plan,
    options: BenchOptions,
    cells: Mapping[Cell, AllocatorPlan],
    excluded: Sequence[CellResult],
    settings: Settings,
    notes: Sequence[str],
) -> Plan:
    """Return the plan of another machine for the same workloads: it may have other allocators and counters."""
    null_plan = registry.Registry().resolve(AllocatorSpec(NULL), as_malloc=options.as_malloc)
    own = {
        trace.info.name: {cell: cells[cell] for cell in cells if cell.workload == trace.info.name}
        for trace in plan.traces
    }
    measurables = tuple(
        _measurable(trace, null_plan, own[trace.info.name], {}, threads_of(trace, options.mode))
        for trace in plan.traces
        if own[trace.info.name]
    )
    return Plan(plan.traces, measurables, tuple(excluded), dict(cells), settings, tuple(notes))


def _settings(options: BenchOptions) -> tuple[Settings, tuple[str, ...]]:
    """Return how samples are taken on this machine, and what it cannot count, in words."""
    has_counter = machine.fingerprint().get("clocksource") in ("tsc", "arch_sys_counter")
    counts_by, no_counts = counters.choose(options.counters)
    no_calls = system_calls_refusal()
    settings = Settings(
        blocks=options.blocks,
        first_block=options.first_block,
        footprint_repeats=options.footprint_repeats or options.blocks,
        passes=_passes(options, counts_by),
        warmups=0 if options.cold else 1,
        iterations=1 if options.cold else 3,
        seed=options.seed if options.seed is not None else 42,
        use_counter=has_counter,
        ns_per_tick=_ns_per_tick() if has_counter else 1.0,
        time_limit=options.time_limit,
        least_time_limit=options.least_time_limit,
        counter=counts_by,
        can_count_calls=no_calls is None,
        counter_repeats=options.counter_repeats or (1 if options.counters == "auto" else 2),
        memory_bytes=machine.available_memory() // 2,
    )
    uncounted = ((Instrument.INSTRUCTIONS, no_counts), (Instrument.SYSTEM_CALLS, no_calls))
    return settings, tuple(
        f"{instrument.capitalize()} were not counted: {reason}."
        for instrument, reason in uncounted
        if reason and any(run_pass.declared.instrument is instrument for run_pass in options.passes)
    )


@cache
def _ns_per_tick() -> float:
    """Return the length of a tick of the processor's counter, which is the same for all plans of this process."""
    return calibrate_counter(_CALIBRATION_MS)


def _cells(
    known: registry.Registry, specs: Sequence[AllocatorSpec], trace: Trace, options: BenchOptions
) -> tuple[dict[Cell, AllocatorPlan], list[CellResult]]:
    """Return the cells of one workload that are measured, and the others with their reasons."""
    cells: dict[Cell, AllocatorPlan] = {}
    excluded: list[CellResult] = []
    own_ways = ways.of_trace(work(trace.info.kind).ways, trace.info)
    names_none = options.allocators is None and not options.specs
    if own_ways and names_none and not any(way.needs_allocator for way in own_ways):
        specs = ()
    rows = ways.rows(specs, own_ways, adds_alone=not options.specs) if own_ways else specs
    for region in options.regions:
        for spec in rows:
            cell = Cell(trace.info.name, spec.label, region, str(options.mode))
            reason, resolved = _resolve(known, spec, region, trace, options)
            if reason is not None or resolved is None:
                excluded.append(CellResult(cell, Status.EXCLUDED, reason, proof.of_excluded(resolved), {}, {}))
            else:
                cells[cell] = resolved
    return cells, excluded


def _passes(options: BenchOptions, counter: Counter) -> tuple[Pass, ...]:
    """Return the passes to take: instructions are counted only where there is a counter."""
    missing = Instrument.INSTRUCTIONS if counter is Counter.NONE else None
    replayed = tuple(
        run_pass for run_pass in options.passes if missing is None or run_pass.declared.instrument is not missing
    )
    return (
        replayed
        if not options.programs
        else (*(replayed if options.workloads else ()), *results(planning.KIND).measures)
    )


def _measurable(
    trace: Trace,
    null_plan: AllocatorPlan | None,
    cells: dict[Cell, AllocatorPlan],
    requests: dict[str, RegionRequest],
    threads: ThreadPlan | None,
) -> Measurable:
    arrivals, info = (trace.arrivals if threads is None else None), trace.info
    of_work = work(info.kind)
    return Measurable(
        info.name,
        trace.image_fd,
        trace.image_bytes,
        None if of_work.ways or of_work.has_references else null_plan,
        cells,
        requests,
        threads,
        None if arrivals is None else arrivals.words,
        0.0 if arrivals is None else arrivals.seconds(info.operations),
        0.0 if info.pace is None else max(info.pace["seconds"], _LEAST_PACED),
        tuple(mark.name for mark in info.marks),
        info.operations,
        info.total_bytes,
        trace.serial,
        info.kind,
        None if of_work.kernel is None else of_work.kernel(),
        alone=of_work.alone,
        seconds=of_work.seconds(info),
    )


def _specs(options: BenchOptions, known: registry.Registry) -> tuple[AllocatorSpec, ...]:
    if options.specs:
        specs = options.specs
    elif options.allocators is None:
        specs = known.default_allocators()
        if options.programs and not options.workloads:
            specs = tuple(AllocatorSpec(name) for name in planning.DEFAULT)
    else:
        specs = parse_allocators(options.allocators, known.groups)
    if options.reference is None:
        return specs
    reference = parse_allocators(options.reference, known.groups)
    if len(reference) != 1:
        raise InputError(f"must name one allocator, is '{options.reference}'", field="reference")
    return specs if reference[0] in specs else (*specs, *reference)


def _refuse_unknown(known: registry.Registry, spec: AllocatorSpec) -> None:
    """Raise for a wrong name or parameter before any workload is generated."""
    try:
        if spec.written not in ways_alone():
            known.resolve(spec)
    except registry.Unavailable:
        return


def _resolve(
    known: registry.Registry, spec: AllocatorSpec, region: str, trace: Trace, options: BenchOptions
) -> tuple[str | None, AllocatorPlan | None]:
    """Return (reason, plan): why this pairing cannot be measured, or None, and the plan if the allocator exists."""
    of_work = work(trace.info.kind)
    own_ways = ways.of_trace(of_work.ways, trace.info)
    reason = ways.why_not(spec, own_ways, others=ways_alone())
    if reason is not None:
        return reason, None
    if spec.name:
        try:
            resolved = known.resolve(spec, as_malloc=options.as_malloc)
        except registry.Unavailable as problem:
            return str(problem), None
        resolved = replace(resolved, call=of_work.called(resolved))
    else:
        resolved = ways.plan_alone(spec, own_ways)
    kept = tuple((name, os.environ[name]) for name in of_work.variables if name in os.environ)
    resolved = replace(resolved, environment=(*resolved.environment, *kept))
    reason = (
        pairing.why_not_collected(resolved, trace.info, has_references=of_work.has_references)
        or pairing.why_not_on_threads(resolved, trace.info, options.mode)
        or regions.why_not(region, resolved.uses_region, trace.info.peak_live_bytes)
        or of_work.why_not(resolved, trace.info)
    )
    return reason, resolved


def threads_of(trace: Trace, mode: Mode) -> ThreadPlan | None:
    """Return how a trace's threads are replayed; None for a single thread."""
    info = trace.info
    if mode is Mode.SERIAL or info.lanes == 1:
        return None
    cores = machine.usable_cores()
    return ThreadPlan(mode, info.lanes, info.threads, info.threads if info.threads <= cores else 0)


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


def _refuse_duplicate_names(infos: Sequence[TraceInfo]) -> None:
    seen: dict[str, str] = {}
    for info in infos:
        source = info.source or f"'{(info.program or {}).get('command')}'"
        if info.name in seen:
            raise InputError(f"{source}: name: '{info.name}' is also the name of {seen[info.name]}")
        seen[info.name] = source


def refuse_too_large(plan: Plan) -> None:
    """Raise MemtoolError in advance if a workload does not fit into this machine's memory."""
    available = machine.available_memory()
    for trace in plan.traces:
        need = trace.info.peak_live_bytes + trace.info.slots * 8
        if need > available:
            raise MemtoolError(
                f"{trace.info.source}: needs at least {format_size(need)} (its peak of live bytes), "
                f"and {format_size(available)} are available"
            )
