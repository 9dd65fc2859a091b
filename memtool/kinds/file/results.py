"""The measurements of files, and their presentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from memtool.kinds.declaration import Results
from memtool.kinds.file.metrics import METRICS, SHARES, TIMED
from memtool.kinds.file.words import heading, remarks, why_not
from memtool.kinds.picture import BarsInfo
from memtool.kinds.sheet import Column, Quantity, SheetInfo
from memtool.passes import Pass, counters, histogram, throughput
from memtool.passes.declaration import CellSamples, Figure, Figures, Measure, Summary, Taken, by_metric, taken
from memtool.passes.latency import Histogram
from memtool.passes.layout import U64, Asked, Counts, Layout


@dataclass(frozen=True, slots=True)
class Checked(Figures):
    """Result of the verification."""

    blocks: int
    """Number of blocks that were verified after a read, or in the file."""
    bytes: int
    """Size of the file at the end, in bytes."""


@dataclass(frozen=True, slots=True)
class Latencies(Figures):
    """Ticks of each access and of each sync call, of all rounds together, and of an empty timed region (the floor)."""

    access: Histogram
    sync: Histogram
    floor: Histogram


@dataclass(frozen=True, slots=True)
class Memory(Figures):
    """Memory of one round, in bytes, and faults. None: the way has none, or they cannot be counted."""

    cached_before: int | None
    cached_after: int | None
    minor_faults: int
    major_faults: int
    resident: int | None
    huge: int | None
    dirty: int | None
    read: int | None
    shootdowns: int | None


_HISTOGRAMS = ("access", "sync", "floor")
_LATENCIES = Layout(
    (
        *((f"{name}_maximum", U64) for name in _HISTOGRAMS),
        *((name, Counts(histogram.BUCKETS)) for name in _HISTOGRAMS),
    )
)


def _unpacked(held: Any, parts: Mapping[str, Sequence[int]], asked: Asked) -> dict[str, Any]:  # noqa: ANN401  # as _LATENCIES
    """Return the fields of a Latencies."""
    return {name: {"maximum": held[f"{name}_maximum"], "buckets": held[name]} for name in _HISTOGRAMS}


def _checked(samples: CellSamples) -> Summary:
    checked = [sample.figures for sample in taken(samples.own, Checked)]
    return Summary(proof={"blocks_checked": checked[0].blocks} if checked else {})


def _throughput(samples: CellSamples) -> Summary:
    """Return the time of an access, and the bytes it moves per unit of time."""
    summary = throughput.summarise(samples)
    time = summary.figures.get("time_per_op_ns")
    if time is None:
        return summary
    block = samples.trace.facts["block"]
    moved = Figure([(number, None if figure is None else block / figure) for number, figure in time.by_block])
    return Summary(dict(summary.figures) | {"bytes_per_ns": moved}, summary.notes, summary.proof)


def _latencies(samples: CellSamples) -> Summary:
    """Return the percentiles of accesses and of sync calls."""
    timed, ns = taken(samples.own, Latencies), samples.clock.ns_per_tick
    floors = [_percentile(sample.figures.floor, 50.0) for sample in timed]
    figures: dict[str, Figure] = {}
    for kind in TIMED:
        known = [(sample, floor) for sample, floor in zip(timed, floors, strict=True) if _of(sample, kind).buckets]
        for name, share in SHARES.items() if known else ():
            figures[f"{kind}_{name}_ns"] = Figure(
                [
                    (sample.block, max(0.0, _percentile(_of(sample, kind), share) - floor) * ns)
                    for sample, floor in known
                ]
            )
        if known:
            figures[f"{kind}_max_ns"] = Figure([(sample.block, _of(sample, kind).maximum * ns) for sample, _ in known])
    proof = {"clock_floor_ns": round(median(floors) * ns, 1)} if floors else {}
    return Summary(figures, proof=proof)


def _of(sample: Taken[Latencies], kind: str) -> Histogram:
    counted: Histogram = getattr(sample.figures, kind)
    return counted


def _percentile(counted: Histogram, share: float) -> float:
    return histogram.percentile(dict(counted.buckets), share, counted.maximum)


def _memory(samples: CellSamples) -> Summary:
    """Return the cached bytes of the file, the faults, and the mapped, dirty and read bytes."""

    def share(cached: int | None) -> float | None:
        return None if cached is None else cached / samples.trace.facts["size"]

    def metrics(memory: Memory) -> dict[str, float | None]:
        return {
            "minor_faults": memory.minor_faults,
            "major_faults": memory.major_faults,
            "cached_before_share": share(memory.cached_before),
            "cached_after_share": share(memory.cached_after),
            "mapped_resident_bytes": memory.resident,
            "mapped_huge_bytes": memory.huge,
            "dirty_bytes": memory.dirty,
            "device_read_bytes": memory.read,
            "tlb_shootdowns": memory.shootdowns,
        }

    return Summary(by_metric(taken(samples.own, Memory), metrics))


_NS = Quantity.TIME
RESULTS = Results(
    measures={
        Pass.CHECK: Measure(figures=Checked, layout=Layout.like(Checked), summarise=_checked),
        Pass.THROUGHPUT: replace(throughput.MEASURE, summarise=_throughput),
        Pass.LATENCY: Measure(figures=Latencies, layout=_LATENCIES, unpack=_unpacked, summarise=_latencies),
        Pass.FOOTPRINT: Measure(figures=Memory, layout=Layout.like(Memory), summarise=_memory),
        Pass.COUNTERS: counters.MEASURE,
    },
    metrics=METRICS,
    sheets=(
        SheetInfo(
            "Time of an access, in ns",
            (
                Column("ns", "time_per_op_ns", _NS),
                Column("95 % interval", "time_per_op_ns", _NS, is_interval=True),
                Column("GB/s", "bytes_per_ns", Quantity.NUMBER, 3),
                Column("processor", "cpu_ns_per_op", _NS),
                Column("p50", "access_p50_ns", _NS),
                Column("p99", "access_p99_ns", _NS),
                Column("p99.9", "access_p999_ns", _NS),
                Column("max", "access_max_ns", _NS),
            ),
            ("time_per_op_ns",),
            ranked=True,
        ),
        SheetInfo(
            "Time of making durable, in ns: it is within the times above",
            (
                Column("p50", "sync_p50_ns", _NS),
                Column("p99", "sync_p99_ns", _NS),
                Column("p99.9", "sync_p999_ns", _NS),
                Column("max", "sync_max_ns", _NS),
            ),
            ("sync_p50_ns",),
            sign="sync_p50_ns",
        ),
        SheetInfo(
            "What a round takes of memory, in {unit}",
            (
                Column("cached\nat begin", "cached_before_share", Quantity.SHARE),
                Column("at end", "cached_after_share", Quantity.SHARE),
                Column("minor\nfaults", "minor_faults", Quantity.COUNT),
                Column("major\nfaults", "major_faults", Quantity.COUNT),
                Column("mapped\nresident", "mapped_resident_bytes", Quantity.BYTES),
                Column("in huge\npages", "mapped_huge_bytes", Quantity.BYTES),
                Column("dirty", "dirty_bytes", Quantity.BYTES),
                Column("read from\ndevice", "device_read_bytes", Quantity.BYTES),
                Column("TLB shoot-\ndowns", "tlb_shootdowns", Quantity.COUNT),
            ),
            ("minor_faults",),
        ),
    ),
    pictures=(
        BarsInfo(
            "files",
            "Accesses to a file (shorter is faster)",
            "time of an access (µs)",
            (("access", "time_per_op_ns"),),
            1000.0,
        ),
    ),
    heading=heading,
    remarks=remarks,
    has_calls=False,
    why_not=why_not,
)
