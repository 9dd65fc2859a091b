"""Summarises the samples of a run into the figures of each cell, with the best packing for comparison."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from memtool import __version__, groups
from memtool.cluster.spread import Measured
from memtool.engine.loading import compiler
from memtool.host import machine
from memtool.host.waiting import result
from memtool.kinds import places_blocks
from memtool.kinds.work import work
from memtool.model import Cell, CellResult, Mode, Run, TraceInfo
from memtool.options import BenchOptions
from memtool.passes import Clock, Pass, Phase, Sample
from memtool.plan import Plan, threads_of
from memtool.stats import proof
from memtool.stats.summarise import summarise_cell
from memtool.store import series
from memtool.worker.settings import NULL
from memtool.workload.trace import Trace


def summarise(
    options: BenchOptions,
    plan: Plan,
    samples: Sequence[Sample],
    started: str,
    pack: Callable[[Trace], int | None],
    facts: Mapping[str, Any] | None = None,
) -> tuple[Run, dict[Cell, series.History]]:
    """Return the run, and the series of each cell that was measured.

    ``facts``: those of the machine, if it was not this one.
    """
    clock = Clock(plan.settings.ns_per_tick, "counter" if plan.settings.use_counter else "clock_gettime")
    by_cell: dict[Cell, list[Sample]] = {}
    for sample in samples:
        by_cell.setdefault(sample.cell, []).append(sample)
    facts = {**machine.fingerprint(), "compiler": compiler()} if facts is None else facts
    fingerprint = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()
    infos = {
        trace.info.name: packed(
            trace, plan.settings.passes, options.mode, placements(trace.info.name, plan, samples), pack
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
        # In parallel replays the order in which threads reach a heap varies.
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


def over_groups(
    options: BenchOptions, measured: Sequence[Measured], started: str, pack: Callable[[Trace], int | None]
) -> tuple[Run, dict[Cell, series.History]]:
    """Return the run of several groups of equal machines; with a single group it looks like a run on one machine."""
    runs: dict[str, Run] = {}
    histories: dict[Cell, series.History] = {}
    for group in measured:
        run, own = summarise(options, group.plan, group.samples, started, pack, group.facts)
        short = f"{group.missing:,} samples were not taken, for lack of a host: the same command with --resume goes on"
        run = replace(run, notes=(*run.notes, *([short] if group.missing else ())))
        if len(measured) > 1:
            run, own = _named(run, group.group), {_in_group(cell, group.group): known for cell, known in own.items()}
        runs[group.group] = run
        histories |= own
    first = next(iter(runs.values()))
    if len(runs) == 1:
        return first, histories
    shared = {
        key: value
        for key, value in first.machine.items()
        if all(run.machine.get(key) == value for run in runs.values())
    }
    notes = (
        f"{note} (machine {group})" if len(runs) > 1 else note for group, run in runs.items() for note in run.notes
    )
    return replace(
        first,
        machine={**shared, groups.GROUPS: {group: dict(run.machine) for group, run in runs.items()}},
        workloads=tuple(info for run in runs.values() for info in run.workloads),
        cells=tuple(cell for run in runs.values() for cell in run.cells),
        notes=tuple(dict.fromkeys(notes)),
    ), histories


def _named(run: Run, group: str) -> Run:
    """Return a run whose workloads include their group in their names."""
    return replace(
        run,
        workloads=tuple(
            replace(
                info,
                name=groups.in_group(info.name, group),
                workload_name=groups.in_group(info.workload_name or info.name, group),
            )
            for info in run.workloads
        ),
        cells=tuple(replace(result, cell=_in_group(result.cell, group)) for result in run.cells),
    )


def _in_group(cell: Cell, group: str) -> Cell:
    return replace(cell, workload=groups.in_group(cell.workload, group))


class Watched:
    """Reports the run so far whenever a block is complete, before the next begins: nothing is timed meanwhile."""

    def __init__(
        self,
        options: BenchOptions,
        plan: Plan,
        started: str,
        record: Callable[[Sample], None],
        seen: Callable[[Run], None],
    ) -> None:
        self._options, self._plan, self._started = options, plan, started
        self._record, self._seen = record, seen
        self._samples: list[Sample] = []
        self._block = 0

    def record(self, sample: Sample) -> None:
        """Receive a new sample."""
        self._record(sample)
        is_next = sample.run_pass.declared.phase is Phase.TIMED and sample.block > self._block
        if is_next or (self._block >= 0 and sample.run_pass.declared.phase not in (Phase.PROOF, Phase.TIMED)):
            self._block = sample.block if is_next else -1
            run, _ = summarise(self._options, self._plan, self._samples, self._started, lambda trace: None)
            self._seen(run)
        self._samples.append(sample)


class Packings:
    """Packings of single-threaded traces, computed beside samples without timing, since the engine needs no lock."""

    def __init__(self, plan: Plan, options: BenchOptions) -> None:
        self._traces = [
            trace
            for trace in plan.traces
            if options.packs and places_blocks(trace.info.kind, plan.settings.passes)
            if threads_of(trace, options.mode) is None
        ]
        self._packings: dict[str, Future[int | None]] = {trace.info.name: Future() for trace in self._traces}

    def start(self) -> None:
        """Begin, in a thread that does not delay the exit when memtool is interrupted."""
        threading.Thread(target=self._pack_all, daemon=True).start()

    def of(self, trace: Trace) -> int | None:
        """Return the bytes of a trace's best packing, once it is finished; None: it has too many blocks."""
        return result(self._packings[trace.info.name])

    def _pack_all(self) -> None:
        for trace in self._traces:
            try:
                self._packings[trace.info.name].set_result(work(trace.info.kind).pack(trace))
            except Exception as problem:  # raised again where the result is requested
                self._packings[trace.info.name].set_exception(problem)


def placements(workload: str, plan: Plan, samples: Sequence[Sample]) -> dict[str, int]:
    """Return allocator -> the least footprint in bytes with which it served a workload, for those that use a region.

    Each of them placed every block in the region, so each is a valid packing, headers and rounding included.
    """
    least: dict[str, int] = {}
    for sample in samples:
        cell, resolved = sample.cell, plan.plans.get(sample.cell)
        footprint = None if sample.payload is None else sample.payload.placed_in_bytes
        if cell.workload != workload or footprint is None:
            continue
        # The null strategy serves nothing: its blocks overlap.
        if resolved is None or not resolved.uses_region or cell.allocator.partition("+")[0] == NULL:
            continue
        least[cell.allocator] = min(footprint, least.get(cell.allocator, footprint))
    return least


def packed(
    trace: Trace,
    passes: Sequence[Pass],
    mode: Mode,
    placements: Mapping[str, int],
    pack: Callable[[Trace], int | None] = lambda trace: work(trace.info.kind).pack(trace),
) -> TraceInfo:
    """Return the facts about a trace, with the best packing of its blocks where footprints are compared with it.

    It is the better one of the packer's result and of ``placements``, the results of allocators in this run.
    """
    if not places_blocks(trace.info.kind, passes):
        return trace.info
    if trace.info.begins is not None:
        return trace.info  # its blocks are those of the whole run
    if threads_of(trace, mode) is not None:
        note = "not packed offline, packing_ratio is n/a: only what is replayed on one thread is (mode serial)"
        return replace(trace.info, notes=(*trace.info.notes, note))
    packed_bytes = pack(trace)
    if packed_bytes is None:
        note = f"not packed offline, packing_ratio is n/a: {work(trace.info.kind).why_unpacked()}"
        return replace(trace.info, notes=(*trace.info.notes, note))
    best = min(placements, key=lambda name: placements[name], default=None)
    if best is not None and placements[best] < packed_bytes:
        return replace(trace.info, packing_bytes=placements[best], packing_by=best)
    return replace(trace.info, packing_bytes=packed_bytes)
