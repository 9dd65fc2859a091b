"""Row 7: MiniMalloc's instances, which are known to fit exactly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from memtool.engine.packing_binding import pack
from memtool.workload.importers import minimalloc
from verification.outcome import Line, Result, Verdict

INSTANCES = Path(os.environ.get("MEMTOOL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")) / "minimalloc"
"""The CSV files of google/minimalloc (Apache-2.0), which are not part of memtool."""
CAPACITY = 1_048_576
LOADS = {"A": 1_048_576, "B": 1_048_576, "C": 1_039_360, "E": 1_048_576, "F": 1_048_576, "G": 1_048_576}


def lines(folder: Path = INSTANCES, loads: dict[str, int] = LOADS) -> Iterator[Line]:
    """Compare load and footprint of each instance, and verify that what is found is a packing."""
    for name, load in loads.items():
        what = f"MiniMalloc {name}: load; footprint / load"
        published = f"{load:,}; <= 1.10"
        path = folder / f"{name}.{CAPACITY}.csv"
        if not path.is_file():
            yield Line(what, published, f"{path.name} is not there", Verdict.NOT_RUN)
            continue
        buffers = minimalloc.read(path)
        found, footprint, offsets = pack(
            [each.lower for each in buffers], [each.upper for each in buffers], [each.size for each in buffers]
        )
        sound = is_packing(buffers, offsets, footprint)
        ours = f"{found:,}; {footprint / found:.4f}" if sound else "blocks overlap"
        yield Line(what, published, ours, Verdict.of(sound and found == load and footprint <= 1.10 * load))


def is_packing(buffers: list[minimalloc.Buffer], offsets: list[int], footprint: int) -> bool:
    """Return whether no two buffers that are alive together share a byte, and all end within the footprint."""
    placed = list(zip(buffers, offsets, strict=True))
    for index, (a, at_a) in enumerate(placed):
        if at_a + a.size > footprint:
            return False
        for b, at_b in placed[:index]:
            together = a.lower < b.upper and b.lower < a.upper
            if together and at_a < at_b + b.size and at_b < at_a + a.size:
                return False
    return True


MINIMALLOC = Result(
    7,
    "MiniMalloc: instances that fit exactly",
    "Moffitt 2023",
    "Moffitt: MiniMalloc, a lightweight memory allocator for hardware-accelerated machine learning, ASPLOS 2023",
    exact=lines,
)
