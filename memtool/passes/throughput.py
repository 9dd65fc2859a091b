"""The throughput pass: whole replays are timed, without a timer between operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from memtool.model import Cell, Mode, TraceInfo
from memtool.passes.declaration import (
    CellSamples,
    Declaration,
    Figure,
    Measure,
    Phase,
    Summary,
    Taken,
    on_threads,
    taken,
)
from memtool.passes.layout import U64, Given, Layout
from memtool.passes.timing import TIMINGS, Timing, thread_rows, timings
from memtool.units import format_ns

_MUCH_LATE_NS = 1e7
_MUCH_LATE = 0.02
"""Share of the recorded time; smaller delays are caused by the machine."""
HARNESS_DOMINATES = 0.5
"""On several threads the harness hands objects over, and part of an allocator's time overlaps with waiting. From this
share of the time on, subtracting the harness gives no meaningful figure."""


@dataclass(frozen=True, slots=True)
class Throughput(Timing):
    """The figures of Timing."""


def summarise(samples: CellSamples) -> Summary:
    """Return the time of an operation, gross and without the harness, its processor time, and the waits of threads."""
    timed = taken(samples.own, Throughput)
    if not timed:
        return Summary()

    def per_operation(sample: Taken[Throughput]) -> float:
        return sample.figures.replay_ticks * samples.clock.ns_per_tick / samples.operations

    null = {sample.block: per_operation(sample) for sample in taken(samples.null, Throughput)}
    gross = [(sample.block, per_operation(sample)) for sample in timed]
    net = [(block, figure - null[block] if block in null else None) for block, figure in gross]
    harness = median(null.values()) if null else 0.0
    if harness_dominates(timed[0].cell, samples.trace, harness, median(figure for _, figure in gross)):
        net = []
    figures = {"time_per_op_ns": Figure(gross), "net_time_per_op_ns": Figure(net)}
    # Over all replays together: the work of other threads need not be in step with one replay.
    cpu = [(sample.block, used) for sample in timed if any(used := sample.figures.cpu_ns)]
    if cpu:
        figures["cpu_ns_per_op"] = Figure(
            [(block, sum(used) / (len(used) * samples.operations)) for block, used in cpu]
        )
    return Summary(figures | _waits(timed, samples), notes=[*_late(timed, samples)])


def _late(timed: Sequence[Taken[Throughput]], samples: CellSamples) -> Iterator[str]:
    """Yield a remark if a paced replay could not keep up."""
    late = max(sample.figures.late_ticks for sample in timed) * samples.clock.ns_per_tick
    seconds = 0.0 if samples.trace.pace is None else samples.trace.pace["seconds"]
    if late >= max(_MUCH_LATE_NS, _MUCH_LATE * seconds * 1e9):
        yield f"came up to {format_ns(late)} later than was recorded: it could not keep up with that pace"


def harness_dominates(cell: Cell, trace: TraceInfo, harness: float, gross: float) -> bool:
    """Return whether a time on several threads is mostly the harness's; both have the same unit."""
    return on_threads(cell, trace) and harness > HARNESS_DOMINATES * gross


def _waits(timed: Sequence[Taken[Throughput]], samples: CellSamples) -> dict[str, Figure]:
    """Return the time that threads waited for each other's objects, in the replay whose time counts; parallel only."""
    parallel = [sample for sample in timed if sample.cell.mode == Mode.PARALLEL and sample.figures.wait_ticks]

    def waited(figures: Throughput) -> float:
        fastest = figures.body_ticks.index(figures.replay_ticks)
        return figures.wait_ticks[fastest] * samples.clock.ns_per_tick / samples.operations

    return {"wait_ns": Figure([(sample.block, waited(sample.figures)) for sample in parallel])} if parallel else {}


LAYOUT = Layout.of(threads=U64, timings=TIMINGS)


PASS = Declaration(
    name="throughput",
    phase=Phase.TIMED,
    usual=1.0,
    with_null=True,
    sets_pace=True,
    paced=True,
)
MEASURE = Measure(
    figures=Throughput,
    layout=LAYOUT,
    given=lambda asked: Given(parts=thread_rows(asked)),
    unpack=lambda held, parts, asked: timings(held["timings"], parts.get("threads", ())),
    summarise=summarise,
)
