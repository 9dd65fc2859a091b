"""What is counted of a trace: figures by hand, and memory that does not grow with its length."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memtool.engine.loading import EngineError
from memtool.workload.description.characterise import Characteristics, Site, StackShare, ThreadShare, characterise
from memtool.workload.sources.source import Rows
from tests.events import ALLOCATE, ALLOCATE_ZEROED, DEALLOCATE, EPILOGUE, REALLOCATE, SCOPE_BEGIN, Event, encode

A, B = 0x1000, 0x2000


def of(*events: Event, threads: list[int] | None = None, **columns: Any) -> Characteristics:
    words = encode(*events)
    if threads is not None:
        np.frombuffer(words, dtype="<u8")[::2] |= np.array(threads, dtype=np.uint64) << np.uint64(8)
    return characterise([Rows(words, **columns)])


def test_call_stacks_and_the_call_sites_at_their_ends() -> None:
    events: tuple[Event, ...] = (
        (ALLOCATE, 0, 100, 4),
        (ALLOCATE, 1, 10, 4),
        (ALLOCATE, 2, 1, 4),
        (DEALLOCATE, 2, 0, 0),
        (ALLOCATE, 3, 1000, 4),
        (EPILOGUE, 0, 0, 0),
    )
    frames = {5: (A, 0x500), 6: (A, 0x600), 7: (B,)}
    character = of(*events, stacks=np.array([5, 6, 7, 0, 8, 0], np.uint64), frames=frames)
    assert character.stacks == [
        StackShare((), 1, 1000, 0, 1, 1000),  # nobody knows what 8 stands for
        StackShare((A, 0x500), 1, 100, 0, 1, 100),
        StackShare((A, 0x600), 1, 10, 0, 1, 10),
        StackShare((B,), 1, 1, 1, 0, 0),
    ]
    assert character.sites == [Site(0, 1, 1000, 0, 1, 1000), Site(A, 2, 110, 0, 2, 110), Site(B, 1, 1, 1, 0, 0)]


def test_what_a_short_trace_asks_for() -> None:
    events: tuple[Event, ...] = (
        (ALLOCATE, 0, 100, 4),
        (ALLOCATE_ZEROED, 1, 0, 4),
        (REALLOCATE, 0, 300, 4),
        (SCOPE_BEGIN, 0, 0, 0),
        (REALLOCATE, 0, 50, 4),
        (ALLOCATE, 2, 100, 6),
        (DEALLOCATE, 2, 0, 0),
        (DEALLOCATE, 0, 0, 0),
        (ALLOCATE, 3, 5000, 4),
        (EPILOGUE, 0, 0, 0),
        (DEALLOCATE, 1, 0, 0),
        (DEALLOCATE, 3, 0, 0),
    )
    result = of(
        *events,
        threads=[0, 0, 0, 0, 1, 1, 1, 0, 1, 0, 0, 0],
        nanoseconds=np.arange(12, dtype=np.int64) * 10,
        callers=np.array([A, B, B, 0, B, A, 0, 0, A, 0, 0, 0], dtype=np.uint64),
    )
    expected = {
        "operations": 8,
        "allocations": 4,
        "reallocations": 2,
        "zeroed": 1,
        "never_freed": 2,
        "empty": 1,
        "sizes": {6: 2, 12: 1},
        "lifetimes": {0: 1, 1: 1},
        "alignments": {16: 3, 64: 1},
        "threads": 2,
        "remote_frees": 0,
        "resize_chains": {2: 1},
        "total_bytes": 5550,
        "mean_size": 1300.0,
        "median_size": 100,
        "smallest_size": 0,
        "largest_size": 5000,
        "resized_to": (50, 300),
        # 100, 100, 300, 50, 150, 50, 0 and 5,000 bytes after the eight.
        "mean_live_bytes": 5750 / 8,
        "peak_live_bytes": 5000,
        "peak_live_objects": 3,
        "clock": [1, 2, 3, 4, 5, 6, 7, 8],
        "live_bytes": [100, 100, 300, 50, 150, 50, 0, 5000],
        "live_objects": [1, 2, 2, 2, 3, 2, 1, 2],
        "seconds": [0.0, 1e-8, 2e-8, 4e-8, 5e-8, 6e-8, 7e-8, 8e-8],
        "temporary": 1,
        "bulk_frees": 0,
        "grown": 1,
        "shrunk": 1,
        "common_sizes": [(100, 2), (0, 1), (5000, 1)],
        "has_rounded_sizes": False,
        "other_sites": 0,
    }
    assert {name: value for name, value in asdict(result).items() if name in expected} == expected
    # Object 2 is of site A, and temporary; 1 of B and 3 of A are never freed.
    assert result.sites == [Site(A, 3, 5200, 1, 1, 5000), Site(B, 3, 350, 0, 1, 0)]
    assert result.by_thread == [ThreadShare(0, 4, 2, 400, 1, 0), ThreadShare(1, 4, 2, 5150, 1, 0)]
    assert result.size_by_lifetime[6] == [1, 1]


def test_frees_of_other_threads_and_in_bulk() -> None:
    births: list[Event] = [(ALLOCATE, number, 8, 4) for number in range(65)]
    deaths: list[Event] = [(DEALLOCATE, number, 0, 0) for number in range(65)]
    result = of(*births, *deaths[:64], (ALLOCATE, 65, 8, 4), deaths[64], threads=[0] * 65 + [1] * 64 + [0, 0])
    assert (result.remote_frees, result.bulk_frees, result.temporary) == (64, 64, 0)
    assert of(*births, *deaths[:63], (ALLOCATE, 65, 8, 4), *deaths[63:]).bulk_frees == 0


@pytest.mark.parametrize(
    ("sizes", "median"), [((8, 8, 16), 8), ((8, 16), 8), ((8, 16, 16), 16), ((4096, 8, 70000), 4096)]
)
def test_the_median_is_the_lower_one(sizes: tuple[int, ...], median: int) -> None:
    assert of(*((ALLOCATE, number, size, 4) for number, size in enumerate(sizes))).median_size == median


def test_a_sequence_that_cannot_be_is_refused() -> None:
    with pytest.raises(EngineError) as caught:
        of((ALLOCATE, 0, 8, 4), (DEALLOCATE, 0, 0, 0), (DEALLOCATE, 0, 0, 0))
    assert str(caught.value) == "object 0 is freed or resized while it is not alive"


LONG = """\
name: long
allocations: 4M
touch: none
objects:
  - {weight: 1999, size: {uniform: [1, 5000]}, lifetime: 10}
  - {weight: 1, size: 64, lifetime: forever}
"""
SCRIPT = """
import sys
from pathlib import Path
from memtool import api
def peak():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
api.inspect("chapter/game-frame")
before = peak()
print(api.inspect(sys.argv[1]).characteristics.operations, peak() - before)
"""


def test_memory_is_for_what_is_live(tmp_path: Path) -> None:
    """Eight million operations: a byte for each, or a page for each of 2,000 survivors, would be seen."""
    (tmp_path / "long.yaml").write_text(LONG)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "long.yaml")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    operations, grown_kib = map(int, said.split())
    assert operations > 7_900_000
    assert grown_kib < 8 * 1024
