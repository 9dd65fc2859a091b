"""The measurements of graphs, and their presentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from memtool.kinds.declaration import Results
from memtool.kinds.graph.metrics import METRICS, UTILISATIONS, WINDOWS_NS
from memtool.kinds.graph.sheets import PICTURES, SHEETS
from memtool.kinds.graph.words import heading, remarks, why_not
from memtool.passes import Pass, counters, heap, histogram, throughput
from memtool.passes.declaration import CellSamples, Figure, Figures, Measure, Standstills, Summary, by_metric, taken
from memtool.passes.layout import U64, Array, Counts, Layout, known
from memtool.passes.timing import Pairs

_MILLIONTHS = 1e6
_COURSE = 2048
CAUSES = ("whole heap", "nursery", "increment", "overtaken increment", "roots", "many deaths")
"""Causes of pauses, in the order of collectors/settings.hpp."""


@dataclass(frozen=True, slots=True)
class Check(Figures):
    """Result of the verification, and the objects that were left."""

    checks: int
    """Number of times that the whole graph was verified."""
    surviving_objects: int
    surviving_size: int
    floating_bytes: int | None
    unreclaimed_bytes: int | None


@dataclass(frozen=True, slots=True)
class Pauses(Figures):
    """Times in ticks, unless a name says otherwise."""

    pauses: int
    maximum: int
    pause_ticks: int
    overtaken: int | None
    """Pauses that finished a collection because the program allocated faster than the collector marked."""
    elapsed_ticks: int
    utilisation: tuple[int | None, ...]
    """Utilisation in millionths for each of the windows (metrics.WINDOWS_NS); None: the replay is shorter."""
    replay_ns: int
    """Processor time of the replay; all further times are processor times, too."""
    paused_ns: int | None
    """Part of it in pauses; None: there is no collector."""
    guarded_ns: int | None
    """Time of a replay on a heap that never gets full; None: there are no barriers, or there is not enough memory."""
    unguarded_ns: int | None
    """Time of the same replay without barriers."""
    mutator_ns: int | None
    """Time of a replay on objects with known addresses; None: there is not enough memory."""
    course: tuple[tuple[int, int, str, int], ...]
    """(ticks since the replay began, ticks, cause, ns of processor time)."""
    counts: Pairs

    @property
    def replay_ticks(self) -> int:
        """Return the ticks of the replay."""
        return self.elapsed_ticks

    @property
    def standstills(self) -> Standstills:
        """Return the times of all pauses."""
        return Standstills(self.counts, self.maximum, self.course)


@dataclass(frozen=True, slots=True)
class HeapFigures(Figures):
    """Bytes, unless a name says otherwise."""

    limit: int | None
    collections: int | None
    minor_collections: int
    forced_collections: int
    marked_bytes: int | None
    copied_bytes: int | None
    promoted_bytes: int | None
    barrier_hits: int | None
    most_work: int | None
    """Greatest work of an increment between two looks at the clock: references, objects and blocks."""
    peak_footprint_bytes: int | None
    peak_resident_bytes: int


def _checked(samples: CellSamples) -> Summary:
    seen = taken(samples.own, Check)
    figures = by_metric(seen, lambda of: {"floating_bytes": of.floating_bytes, "leaked_bytes": of.unreclaimed_bytes})
    return Summary(figures, proof={"invariants_checked": sum(sample.figures.checks for sample in seen)} if seen else {})


def _timed(samples: CellSamples) -> Summary:
    of_events = throughput.summarise(samples)
    gross = of_events.figures.get("time_per_op_ns")
    if gross is None or not samples.trace.allocations:
        return of_events
    times = samples.operations / samples.trace.allocations
    scaled = [(block, None if figure is None else figure * times) for block, figure in gross.by_block]
    kept = {name: figure for name, figure in of_events.figures.items() if name != "net_time_per_op_ns"}
    return Summary({**kept, "allocation_ns": Figure(scaled)}, of_events.notes, of_events.proof)


def _paused(samples: CellSamples) -> Summary:
    tick = samples.clock.ns_per_tick
    return Summary(by_metric(taken(samples.own, Pauses), lambda of: _pauses(of, tick) | _split(of, samples)))


def _split(of: Pauses, samples: CellSamples) -> dict[str, float | None]:
    """Return the parts of the processor time for each operation; they add up to that of the replay."""
    mutator, replay, paused = of.mutator_ns, of.replay_ns, of.paused_ns
    barrier = 0 if of.guarded_ns is None or of.unguarded_ns is None else of.guarded_ns - of.unguarded_ns
    parts = {
        "mutator_ns_per_op": mutator,
        "allocator_ns_per_op": None if mutator is None else replay - mutator - barrier - (paused or 0),
        "barrier_ns_per_op": None if mutator is None or paused is None else barrier,
        "collector_ns_per_op": paused,
    }
    return {name: None if part is None else part / samples.operations for name, part in parts.items()}


def _pauses(of: Pauses, tick: float) -> dict[str, float | None]:
    counts = dict(of.counts)

    def percentile(q: float) -> float | None:
        return histogram.percentile(counts, q, of.maximum) * tick if counts else None

    utilisation = dict(zip(WINDOWS_NS, of.utilisation, strict=True))
    shares = {name: utilisation[window] for name, window in UTILISATIONS.items()}
    return {
        "pause_p50_ns": percentile(50.0),
        "pause_p99_ns": percentile(99.0),
        "pause_max_ns": of.maximum * tick if counts else None,
        "pause_share": of.pause_ticks / of.elapsed_ticks if of.elapsed_ticks else None,
        **{name: None if share is None else share / _MILLIONTHS for name, share in shares.items()},
        "pauses": of.pauses,
        "overtaken_increments": of.overtaken,
    }


def _footprints(samples: CellSamples) -> Summary:
    return Summary(by_metric(taken(samples.own, HeapFigures), lambda of: _of(of, samples)))


def _of(heap_figures: HeapFigures, samples: CellSamples) -> dict[str, float | None]:
    live = samples.trace.peak_live_bytes
    footprint = heap_figures.peak_footprint_bytes
    figures: dict[str, float | None] = {
        "peak_live_bytes": live,
        "peak_footprint_bytes": footprint,
        "peak_resident_bytes": heap_figures.peak_resident_bytes,
        "footprint_peak_ratio": footprint / live if footprint is not None and live else None,
    }
    if heap_figures.limit is None:
        return figures
    return figures | {
        "heap_limit_bytes": heap_figures.limit,
        "collections": heap_figures.collections,
        "minor_collections": heap_figures.minor_collections,
        "forced_collections": heap_figures.forced_collections,
        "marked_bytes": heap_figures.marked_bytes,
        "copied_bytes": heap_figures.copied_bytes,
        "promoted_bytes": heap_figures.promoted_bytes,
        "barrier_hits_per_op": None
        if heap_figures.barrier_hits is None
        else heap_figures.barrier_hits / samples.operations,
        "increment_work": heap_figures.most_work,
    }


def _unpack_pauses(held: Any, parts: Mapping[str, Sequence[int]], asked: object) -> dict[str, Any]:  # noqa: ANN401
    numbers = held["course"]["numbers"][: 4 * held["course"]["length"]]
    causes = (CAUSES[cause] for cause in numbers[2::4])
    course = zip(numbers[::4], numbers[1::4], causes, numbers[3::4], strict=True)
    return {**held, "utilisation": [known(share) for share in held["utilisation"]], "course": list(course)}


def _differ(repeats: Sequence[HeapFigures]) -> bool:
    return len({(repeat.peak_footprint_bytes, repeat.collections, repeat.marked_bytes) for repeat in repeats}) > 1


RESULTS = Results(
    measures={
        Pass.CHECK: Measure(
            figures=Check,
            layout=Layout.like(Check),
            summarise=_checked,
        ),
        Pass.THROUGHPUT: replace(throughput.MEASURE, summarise=_timed),
        Pass.LATENCY: Measure(
            figures=Pauses,
            layout=Layout.like(
                Pauses,
                utilisation=Array(U64, len(WINDOWS_NS)),
                course=Layout.of(length=U64, numbers=Array(U64, 4 * _COURSE)),
                counts=Counts(histogram.BUCKETS),
            ),
            unpack=_unpack_pauses,
            summarise=_paused,
        ),
        Pass.FOOTPRINT: Measure(
            figures=HeapFigures,
            layout=Layout.like(HeapFigures),
            summarise=_footprints,
            differ=_differ,
        ),
        Pass.COUNTERS: counters.MEASURE,
        Pass.HEAP: Measure(
            figures=heap.Maps,
            layout=Layout.of(
                maps=U64,
                map=Array(
                    Layout(
                        (*heap.MAP.fields, ("has_ages", U64), ("ages", Array(U64, heap.MOST_BUCKETS * len(heap.AGES))))
                    ),
                    2,
                ),
            ),
            unpack=lambda held, parts, asked: {"maps": heap.unpacked(held, ())},
            summarise=lambda samples: Summary(),
        ),
    },
    metrics=METRICS,
    sheets=SHEETS,
    pictures=PICTURES,
    heading=heading,
    remarks=remarks,
    why_not=why_not,
)
