"""Row 7: MiniMalloc's instances, which are known to fit exactly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from memtool.engine.packing.binding import pack, pack_image
from memtool.workload.importers import minimalloc
from memtool.workload.trace import load_trace
from verification.outcome import Line, Result, Verdict

INSTANCES = Path(os.environ.get("MEMTOOL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")) / "minimalloc"
"""The CSV files of google/minimalloc (Apache-2.0), which are not part of memtool."""
CAPACITY = 1_048_576
LOADS = {
    "A": 1_048_576,
    "B": 1_048_576,
    "C": 1_039_360,
    "D": 986_112,
    "E": 1_048_576,
    "F": 1_048_576,
    "G": 1_048_576,
    "H": 1_048_576,
    "I": 1_048_576,
    "J": 989_184,
    "K": 1_048_576,
}


def lines(folder: Path = INSTANCES, loads: dict[str, int] = LOADS) -> Iterator[Line]:
    """Compare load and footprint of each instance as ``memtool inspect`` and ``bench`` find them, and verify a packing.

    The same buffers in the opposite order must need as much.
    """
    for name, load in loads.items():
        quantity = f"MiniMalloc {name}: load; best packing found"
        published = f"{load:,}; at most {CAPACITY:,}"
        path = folder / f"{name}.{CAPACITY}.csv"
        if not path.is_file():
            yield Line(quantity, published, f"{path.name} is not there", Verdict.NOT_RUN)
            continue
        with load_trace(str(path)) as trace:
            peak, footprint = trace.info.peak_live_bytes, pack_image(trace.image_fd, trace.image_bytes)
        buffers = minimalloc.read(path)[::-1]
        _, backwards, offsets = pack(
            [buffer.lower for buffer in buffers],
            [buffer.upper for buffer in buffers],
            [buffer.size for buffer in buffers],
        )
        sound = footprint == backwards and is_packing(buffers, offsets, backwards)
        ours = f"{peak:,}; {footprint:,}" if sound else "blocks overlap, or their order matters"
        yield Line(quantity, published, ours, Verdict.of(sound and peak == load and backwards <= CAPACITY))


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
