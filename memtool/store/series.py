"""Data too long for run.json, in one file a cell next to it: footprint over time, histograms and heap maps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from statistics import median
from typing import Any

from memtool import files
from memtool.errors import InputError
from memtool.model import Cell, CellResult
from memtool.passes import Figures, Sample, histogram
from memtool.passes.declaration import taken
from memtool.passes.footprint import Footprint
from memtool.passes.heap import Maps
from memtool.passes.histogram import SLOW_NS
from memtool.passes.latency import Histogram, Latency, Slices
from memtool.passes.throughput import Throughput
from memtool.passes.timing import Pairs, ThreadRow
from memtool.store import document

FOLDER = "series"


@dataclass(frozen=True, slots=True)
class History:
    """The series of one cell; parts that were not measured are empty."""

    footprint: Mapping[str, Sequence[int | None]]
    """Column -> value at each checkpoint of the first footprint sample; bytes, except ``clock``, in operations."""
    histograms: Mapping[str, Sequence[tuple[float, float, int]]]
    """Kind of operation, ``floor``, and ``pause`` -> (lowest ns, highest ns, count), uncorrected, over all latency
    samples."""
    heap_maps: Sequence[Mapping[str, Any]] = field(default=())
    """The contents of the address range at each marked moment (docs/metrics.md, "Heap maps")."""
    latency_by_size: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Kind of operation -> one mapping for each class of sizes that occurs: ``largest_bytes`` (None: unbounded),
    ``operations``, ``maximum_ns``, and ``histogram`` in the form of ``histograms``."""
    latency_over_time: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Kind of operation -> ``maximum_ns`` and ``slow``. ``maximum_ns`` has, for each slice of the run's events, the
    median over the samples of the longest time, uncorrected (None: the slice has no such operation). ``slow`` maps
    thresholds in ns to the count of operations in each slice that took at least so long."""
    threads: Sequence[Mapping[str, Any]] = field(default=())
    """One mapping for each thread of a multi-threaded replay. ``operations``, ``remote_deallocations``, ``time_ns``
    and ``wait_ns`` (before the epilogue) come from the first throughput sample. ``allocate`` and ``deallocate``, in the
    form of ``histograms``, come from all latency samples, for the first 64 threads."""
    pauses: Sequence[tuple[float, float, str, float]] = field(default=())
    """(ns since the replay began, ns, cause, ns of processor time) of each time that the program was stopped, in the
    first latency sample. Of more than 2,048 pauses, neighbours are grouped and each group keeps its longest."""

    @staticmethod
    def of(samples: Sequence[Sample], ns_per_tick: float) -> History:
        """Return the series computed from a cell's samples."""
        footprints, heaps = taken(samples, Footprint), taken(samples, Maps)
        timed, latencies = taken(samples, Throughput), taken(samples, Latency)
        stood = [
            pauses for sample in taken(samples, Figures) if (pauses := sample.figures.standstills) and pauses.course
        ]
        return History(
            footprints[0].figures.series if footprints else {},
            {
                kind: _merged([sample.figures.histograms[kind] for sample in latencies], ns_per_tick)
                for kind in (latencies[0].figures.histograms if latencies else ())
            }
            | (
                {"pause": _merged([Histogram(pauses.maximum, pauses.histogram) for pauses in stood], ns_per_tick)}
                if stood
                else {}
            ),
            [asdict(heap_map) for heap_map in heaps[0].figures.maps] if heaps else (),
            _by_size([latency.figures.by_size for latency in latencies if latency.figures.by_size], ns_per_tick),
            _over_time([latency.figures.slices for latency in latencies if latency.figures.slices], ns_per_tick),
            _by_thread(
                [sample.figures.threads for sample in timed if sample.figures.threads],
                [latency.figures.threads for latency in latencies if latency.figures.threads],
                ns_per_tick,
            ),
            tuple(
                (begin * ns_per_tick, ticks * ns_per_tick, why, processor)
                for begin, ticks, why, processor in (stood[0].course if stood else ())
            ),
        )

    @property
    def parts(self) -> dict[str, Any]:
        """Return the parts by the names that run.json uses for them."""
        return {part.name: getattr(self, part.name) for part in fields(self)}


_STORED = document.form(History)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the series of a cell."""
    schema = document.json_schema(History, "serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "memtool.series.v1"}


def _merged(histograms: Sequence[Histogram], ns_per_tick: float) -> list[tuple[float, float, int]]:
    """Return the bins of merged histograms. The last bin ends with the exact maximum."""
    most = max((part.maximum for part in histograms), default=0)
    return _bands([part.buckets for part in histograms], ns_per_tick, most)


def _bands(buckets: Sequence[Pairs], ns_per_tick: float, most: int | None = None) -> list[tuple[float, float, int]]:
    counts = histogram.merge(buckets)
    return [
        (low * ns_per_tick, ((high if most is None else min(high, max(low, most))) + 1) * ns_per_tick, counts[bucket])
        for bucket in sorted(counts)
        for low, high in [histogram.bounds(bucket)]
    ]


def _by_thread(
    timed: Sequence[Sequence[ThreadRow]], latencies: Sequence[Sequence[ThreadRow]], ns_per_tick: float
) -> Sequence[dict[str, Any]]:
    if not timed and not latencies:
        return ()
    count = max((len(sample) for sample in (*timed, *latencies)), default=0)
    rows: list[dict[str, Any]] = [{"thread": number} for number in range(count)]
    for row, of_thread in zip(rows, timed[0] if timed else (), strict=False):
        row |= {"operations": of_thread.operations, "remote_deallocations": of_thread.remote_deallocations}
        row |= {"time_ns": of_thread.body_ticks * ns_per_tick, "wait_ns": of_thread.wait_ticks * ns_per_tick}
    for number, row in enumerate(rows):
        own = [histograms for latency in latencies if (histograms := latency[number].histograms) is not None]
        for kind in ("allocate", "deallocate") if own else ():
            row[kind] = _bands([of_thread[kind] for of_thread in own], ns_per_tick)
    return rows


def _by_size(
    histograms: Sequence[Mapping[str, Sequence[Histogram]]], ns_per_tick: float
) -> dict[str, list[dict[str, Any]]]:
    kinds: dict[str, list[dict[str, Any]]] = {}
    for kind in histograms[0] if histograms else ():
        rows = []
        for index, largest in enumerate(histogram.SIZE_CLASSES):
            own = [slices[kind][index] for slices in histograms]
            merged = _merged(own, ns_per_tick)
            if merged:
                rows.append(
                    {
                        "largest_bytes": largest,
                        "operations": sum(count for _, _, count in merged),
                        "maximum_ns": max(mapping.maximum for mapping in own) * ns_per_tick,
                        "histogram": merged,
                    }
                )
        kinds[kind] = rows
    return kinds


def _over_time(histograms: Sequence[Mapping[str, Slices]], ns_per_tick: float) -> dict[str, dict[str, Any]]:
    if not any(any(value.maximum) for slices in histograms for value in slices.values()):
        return {}  # a replay on several threads
    kinds = {}
    for kind in histograms[0]:
        longest = zip(*(slices[kind].maximum for slices in histograms), strict=True)
        levels = zip(*(slices[kind].slow for slices in histograms), strict=True)
        kinds[kind] = {
            "maximum_ns": [median(ticks) * ns_per_tick if any(ticks) else None for ticks in longest],
            "slow": {
                str(ns): [sum(counts) for counts in zip(*level, strict=True)]
                for ns, level in zip(SLOW_NS, levels, strict=True)
            },
        }
    return kinds


def write_all(
    directory: Path, cells: Sequence[CellResult], histories: Mapping[Cell, History]
) -> tuple[CellResult, ...]:
    """Write the series of each cell and return the cells with the names of their files. Raises OSError."""
    folder = directory / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for result in cells:
        history = histories.get(result.cell)
        if history is None or not any(history.parts.values()):
            written.append(result)
            continue
        name = f"{FOLDER}/{slug(result.cell)}.json"
        files.write_whole(directory / name, json.dumps(history.parts) + "\n")
        parts = [part for part, course in history.parts.items() if course]
        written.append(replace(result, series=dict.fromkeys(parts, name)))
    return tuple(written)


def read(directory: Path, result: CellResult) -> History:
    """Return the series of a cell. Raises InputError where a file that run.json names does not exist."""
    names = set(result.series.values())
    if not names:
        return History({}, {})
    path = directory / names.pop()
    try:
        return _STORED.validate_json(files.read_text(path))
    except (InputError, ValueError):
        raise InputError(f"{path}: is missing or damaged, and run.json names it") from None


def slug(cell: Cell) -> str:
    """Return a readable file name that is unique among the cells of a run; escaped names are followed by a digest."""
    parts = (cell.workload, cell.allocator, cell.region, cell.mode)
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=4).hexdigest()
    return f"{files.readable_name('_'.join(parts[:2]))}_{digest}"
