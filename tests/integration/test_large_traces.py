"""Long traces: what memtool itself holds is for what is live, not for how many events there are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json
from pathlib import Path

import numpy as np

from memtool.workload.sources.source import Ending, Rows
from memtool.workload.sources.trace_writer import TraceWriter
from memtool.workload.trace import open_source

PORTION = 1 << 17
draw = np.random.default_rng(1)


def write(portions):
    with TraceWriter(Path("trace.parquet")) as writer:
        for number in range(portions):
            objects = np.arange(PORTION, dtype="<u8") + np.uint64(number * PORTION)
            words = np.empty((PORTION, 2, 2), dtype="<u8")  # each block is allocated, and freed at once
            words[:, 0, 0], words[:, 1, 0] = objects << np.uint64(24) | np.uint64(1), objects << np.uint64(24)
            words[:, 0, 1], words[:, 1, 1] = draw.integers(1, 1 << 57, PORTION), 0
            writer.append(Rows(words.reshape(-1, 2).data.cast("B")))
        writer.close({"threads": 1})


def read(path):
    return sum(len(rows.events) // 16 for rows in open_source(Path(path)).portions(Ending()))


def peak(call, *arguments):
    Path("/proc/self/clear_refs").write_text("5")
    call(*arguments)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


peaks = {"write": [], "read": [], "generate": []}
for portions in (5, 5, 5, 21):
    Path("w.yaml").write_text(
        f"name: long\\nallocations: {portions << 19}\\n"
        "objects: [{size: {uniform: [16, 4000]}, lifetime: {exponential: {mean: 5000}}}]\\n"
    )
    peaks["write"].append(peak(write, portions))
    peaks["read"].append(peak(read, "trace.parquet"))
    peaks["generate"].append(peak(read, "w.yaml"))
print(json.dumps([read("trace.parquet"), Path("trace.parquet").stat().st_size, peaks]))
"""


def test_memory_does_not_grow_with_the_events(tmp_path: Path) -> None:
    """Of four times the events each takes what it takes of the first quarter, once heaps are as large as they get."""
    pytest.importorskip("pyarrow")
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    events, file_bytes, peaks = json.loads(done.stdout)
    assert events == 5_505_024
    # Not even the file may be held, of which the long one has 18 MB more; nor four bytes of each allocation, 33 MB.
    assert file_bytes * 16 // 21 > 18_000_000
    for step, (*short, long) in peaks.items():
        assert long - max(short) < 14_000_000, (step, peaks)
