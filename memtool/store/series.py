"""What is too long for run.json: footprint over time, histograms, heap maps; one file a cell beside it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from memtool.errors import InputError
from memtool.measure import histogram
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

    @staticmethod
    def of(samples: Sequence[Sample], ns_per_tick: float) -> History:
        """Return the series of a cell's samples."""
        sound = [sample for sample in samples if sample.status is Status.OK]
        footprints = [sample for sample in sound if sample.run_pass is Pass.FOOTPRINT]
        latencies = [sample.payload["histograms"] for sample in sound if sample.run_pass is Pass.LATENCY]
        merged: dict[str, Sequence[tuple[float, float, int]]] = {}
        for kind in latencies[0] if latencies else ():
            counts = histogram.merge(found[kind]["buckets"] for found in latencies)
            merged[kind] = [
                (low * ns_per_tick, (high + 1) * ns_per_tick, counts[bucket])
                for bucket in sorted(counts)
                for low, high in [histogram.bounds(bucket)]
            ]
        heaps = [sample.payload["maps"] for sample in sound if sample.run_pass is Pass.HEAP]
        return History(footprints[0].payload["series"] if footprints else {}, merged, heaps[0] if heaps else ())


def write_all(
    directory: Path, cells: Sequence[CellResult], histories: Mapping[Cell, History]
) -> tuple[CellResult, ...]:
    """Write the series of each cell and return the cells with the names of their files."""
    folder = directory / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for result in cells:
        history = histories.get(result.cell)
        if history is None or not (history.footprint or history.histograms or history.heap_maps):
            written.append(result)
            continue
        name = f"{FOLDER}/{slug(result.cell)}.json"
        content = {
            "footprint": history.footprint,
            "histograms": history.histograms,
            "heap_maps": history.heap_maps,
        }
        (directory / name).write_text(json.dumps(content) + "\n", encoding="utf-8")
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
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{path}: is missing or damaged, and run.json names it") from None
    return History(content["footprint"], content["histograms"], content.get("heap_maps", ()))


def slug(cell: Cell) -> str:
    """Return a file name that tells the cells of a run apart: readable, and with a digest where names need escaping."""
    parts = (cell.workload, cell.allocator, cell.region, cell.mode)
    readable = re.sub(r"[^A-Za-z0-9.=-]+", "_", "_".join(parts[:2]))
    return f"{readable}_{hashlib.blake2b(repr(parts).encode(), digest_size=4).hexdigest()}"
