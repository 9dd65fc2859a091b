"""What is too long for run.json: footprint over time, histograms, heap maps; one file a cell beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from statistics import median
from typing import Any

from memtool import files
from memtool.errors import InputError
from memtool.measure import histogram
from memtool.measure.histogram import SLOW_NS
from memtool.model import Cell, CellResult, Pass, Sample, Status

FOLDER = "series"


@dataclass(frozen=True, slots=True)
class History:
    """The series of one cell; a part that was not measured is empty."""

    footprint: Mapping[str, Sequence[int | None]]
    """Column -> figure at each checkpoint of the first footprint sample; bytes, but ``clock`` in operations."""
    histograms: Mapping[str, Sequence[tuple[float, float, int]]]
    """Kind of operation, and ``floor`` -> (lowest ns, highest ns, count), raw, of all latency samples together."""
    heap_maps: Sequence[Mapping[str, Any]] = field(default=())
    """What holds which addresses, at each moment (docs/metrics.md, "Heap maps")."""
    latency_by_size: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Kind of operation -> one mapping a class of sizes that occurs: ``largest_bytes`` (None: no end), ``operations``,
    ``maximum_ns`` and ``histogram``, as those above."""
    latency_over_time: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Kind of operation -> ``maximum_ns``, for each slice of the run's events the median over the samples of the
    longest, raw (None: there was none), and ``slow``, from how many ns on -> count of operations in each slice."""
    threads: Sequence[Mapping[str, Any]] = field(default=())
    """One mapping a thread of a replay on several: of the first throughput sample ``operations``,
    ``remote_deallocations``, ``time_ns`` and ``wait_ns`` (before the epilogue), and of all latency samples, for the
    first 64 threads, ``allocate`` and ``deallocate`` as ``histograms`` above."""

    @staticmethod
    def of(samples: Sequence[Sample], ns_per_tick: float) -> History:
        """Return the series of a cell's samples."""
        sound = [sample for sample in samples if sample.status is Status.OK]
        footprints = [sample for sample in sound if sample.run_pass is Pass.FOOTPRINT]
        timed = [sample.payload for sample in sound if sample.run_pass is Pass.LATENCY]
        latencies = [payload["histograms"] for payload in timed]
        merged: dict[str, Sequence[tuple[float, float, int]]] = {}
        for kind in latencies[0] if latencies else ():
            merged[kind] = _merged([found[kind] for found in latencies], ns_per_tick)
        heaps = [sample.payload["maps"] for sample in sound if sample.run_pass is Pass.HEAP]
        return History(
            footprints[0].payload["series"] if footprints else {},
            merged,
            heaps[0] if heaps else (),
            _by_size([payload["by_size"] for payload in timed if "by_size" in payload], ns_per_tick),
            _over_time([payload["slices"] for payload in timed if "slices" in payload], ns_per_tick),
            _by_thread(
                [
                    sample.payload["threads"]
                    for sample in sound
                    if sample.run_pass is Pass.THROUGHPUT and _is_threaded(sample)
                ],
                [
                    sample.payload["threads"]
                    for sample in sound
                    if sample.run_pass is Pass.LATENCY and _is_threaded(sample)
                ],
                ns_per_tick,
            ),
        )

    @property
    def parts(self) -> dict[str, Any]:
        """Return the parts by the names under which run.json has them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def _merged(histograms: Sequence[Mapping[str, Any]], ns_per_tick: float) -> list[tuple[float, float, int]]:
    """Return the bands of merged histograms. The last one ends with the exact maximum, where that is known."""
    counts = histogram.merge(found["buckets"] for found in histograms)
    maxima = [found["maximum"] for found in histograms if "maximum" in found]
    most = max(maxima) if len(maxima) == len(histograms) and maxima else None
    return [
        (low * ns_per_tick, ((high if most is None else min(high, max(low, most))) + 1) * ns_per_tick, counts[bucket])
        for bucket in sorted(counts)
        for low, high in [histogram.bounds(bucket)]
    ]


def _is_threaded(sample: Sample) -> bool:
    return "threads" in sample.payload


def _by_thread(
    timed: Sequence[Sequence[Mapping[str, Any]]], latencies: Sequence[Sequence[Mapping[str, Any]]], ns_per_tick: float
) -> Sequence[dict[str, Any]]:
    if not timed and not latencies:
        return ()
    count = max((len(each) for each in (*timed, *latencies)), default=0)
    rows: list[dict[str, Any]] = [{"thread": number} for number in range(count)]
    for row, found in zip(rows, timed[0] if timed else (), strict=False):
        row |= {name: found[name] for name in ("operations", "remote_deallocations")}
        row |= {"time_ns": found["body_ticks"] * ns_per_tick, "wait_ns": found["wait_ticks"] * ns_per_tick}
    for number, row in enumerate(rows):
        own = [each[number]["histograms"] for each in latencies if "histograms" in each[number]]
        for kind in ("allocate", "deallocate") if own else ():
            row[kind] = _merged([{"buckets": found[kind]} for found in own], ns_per_tick)
    return rows


def _by_size(found: Sequence[Mapping[str, Any]], ns_per_tick: float) -> dict[str, list[dict[str, Any]]]:
    kinds: dict[str, list[dict[str, Any]]] = {}
    for kind in found[0] if found else ():
        rows = []
        for index, largest in enumerate(histogram.SIZE_CLASSES):
            own = [each[kind][index] for each in found]
            merged = _merged(own, ns_per_tick)
            if merged:
                rows.append(
                    {
                        "largest_bytes": largest,
                        "operations": sum(count for _, _, count in merged),
                        "maximum_ns": max(each["maximum"] for each in own) * ns_per_tick,
                        "histogram": merged,
                    }
                )
        kinds[kind] = rows
    return kinds


def _over_time(found: Sequence[Mapping[str, Any]], ns_per_tick: float) -> dict[str, dict[str, Any]]:
    if not any(any(each[kind]["maximum"]) for each in found for kind in each):
        return {}  # of a replay on several threads
    kinds = {}
    for kind in found[0]:
        longest = zip(*(each[kind]["maximum"] for each in found), strict=True)
        levels = zip(*(each[kind]["slow"] for each in found), strict=True)
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
    """Write the series of each cell and return the cells with the names of their files."""
    folder = directory / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for result in cells:
        history = histories.get(result.cell)
        if history is None or not any(history.parts.values()):
            written.append(result)
            continue
        name = f"{FOLDER}/{slug(result.cell)}.json"
        content = history.parts
        files.write_whole(directory / name, json.dumps(content) + "\n")
        parts = [part for part, found in content.items() if found]
        written.append(replace(result, series=dict.fromkeys(parts, name)))
    return tuple(written)


def read(directory: Path, result: CellResult) -> History:
    """Return the series of a cell. Raises InputError where a file that run.json names is not there."""
    names = set(result.series.values())
    if not names:
        return History({}, {})
    path = directory / names.pop()
    try:
        content: dict[str, Any] = json.loads(files.read_text(path))
    except (InputError, ValueError):
        raise InputError(f"{path}: is missing or damaged, and run.json names it") from None
    known = {each.name for each in fields(History)}
    return History(**{name: part for name, part in content.items() if name in known})


def slug(cell: Cell) -> str:
    """Return a file name that tells the cells of a run apart: readable, and with a digest where names need escaping."""
    parts = (cell.workload, cell.allocator, cell.region, cell.mode)
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=4).hexdigest()
    return f"{files.readable_name('_'.join(parts[:2]))}_{digest}"
