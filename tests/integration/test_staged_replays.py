"""Replays at the recorded pace, and from a warm heap."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from memtool.model import CellResult, Mode, Run, Status
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.run import bench
from memtool.workload.sources.source import Rows
from memtool.workload.sources.trace_writer import TraceWriter
from tests.events import ALLOCATE, DEALLOCATE, THREAD_JOIN, THREAD_START, Event, encode

pytest.importorskip("pyarrow.parquet")
KIB = 1024


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A thousand blocks of 1 KiB of which ten stay; then ten more, one after the other, over 0.4 s."""
    events: list[Event] = [(ALLOCATE, number, KIB, 4) for number in range(1000)]
    events += [(DEALLOCATE, number, 0, 0) for number in range(10, 1000)]
    events += [
        event for number in range(1000, 1010) for event in ((ALLOCATE, number, KIB, 4), (DEALLOCATE, number, 0, 0))
    ]
    times = np.concatenate([np.zeros(1990), np.linspace(0, 4e8, 20)]).astype(np.int64)
    with TraceWriter(tmp_path / "app.parquet") as writer:
        writer.append(Rows(encode(*events), times))
        writer.close({"name": "app", "threads": 1})
    return tmp_path / "app.parquet"


def measured(recording: Path, *passes: Pass, **options: object) -> tuple[Run, CellResult]:
    made = BenchOptions(
        workloads=(str(recording),),
        passes=passes,
        blocks=1,
        output=recording.parent / "out",
        draw_plots=False,
        **{"allocators": "tlsf", **options},  # type: ignore[arg-type]
    )
    run = bench(made, lambda *_: None).run
    (cell,) = run.cells
    assert (cell.status, cell.reason) == (Status.OK, None)
    return run, cell


def test_a_paced_replay_takes_as_long_as_the_recording_and_what_it_waits_is_no_part_of_it(recording: Path) -> None:
    begun = time.monotonic()
    run, cell = measured(recording, Pass.THROUGHPUT, Pass.LATENCY, Pass.FOOTPRINT, paced=True, speed=2.0)
    # Three passes, and the null strategy in two of them.
    assert time.monotonic() - begun > 5 * 0.2
    (info,) = run.workloads
    assert (info.name, info.pace) == ("app:paced=2", {"speed": 2.0, "seconds": 0.2})
    assert "replayed at 2 times its recorded pace, over 0.2 s; what it waits is no part of any time" in info.notes
    figure = cell.metrics["time_per_op_ns"].value
    assert figure is not None
    assert figure * info.operations < 0.1e9


@pytest.mark.parametrize("mode", [Mode.LOCKSTEP, Mode.PARALLEL])
def test_threads_keep_the_recorded_pace(tmp_path: Path, mode: Mode) -> None:
    """Two threads in turn, one block each every 20 ms, the other one's freed: nobody works in between."""
    events: list[Event] = [(ALLOCATE, 0, KIB, 4)]
    for number in range(1, 21):
        thread = number % 2 << 8
        events += [(ALLOCATE | thread, number, KIB, 4), (DEALLOCATE | thread, number - 1, 0, 0)]
    times = np.concatenate([[0], np.repeat(np.arange(1, 21), 2)]).astype(np.int64) * 20_000_000
    with TraceWriter(tmp_path / "app.parquet") as writer:
        writer.append(Rows(encode(*events), times))
        writer.close({"name": "app", "threads": 2})
    begun = time.monotonic()
    run, cell = measured(
        tmp_path / "app.parquet", Pass.THROUGHPUT, Pass.LATENCY, paced=True, mode=mode, allocators="thread-cache"
    )
    assert time.monotonic() - begun > 2 * 0.4
    (info,) = run.workloads
    assert (info.threads, info.pace) == (2, {"speed": 1.0, "seconds": 0.4})
    figure = cell.metrics["time_per_op_ns"].value
    assert figure is not None
    assert figure * info.operations < 0.2e9


def test_figures_from_a_warm_heap_are_of_what_follows(recording: Path) -> None:
    run, cell = measured(recording, Pass.CHECK, Pass.THROUGHPUT, Pass.LATENCY, Pass.FOOTPRINT, Pass.HEAP, begin="1990")
    (info,) = run.workloads
    assert (info.name, info.operations, info.begins) == ("app:from=1990", 20, {"at": "1990", "operation": 1990})
    assert info.peak_live_bytes == 11 * KIB
    assert cell.metrics["peak_live_bytes"].value == 11 * KIB
    # The heap is as large as it has grown before.
    footprint = cell.metrics["peak_footprint_bytes"].value
    assert footprint is not None
    assert footprint > 1000 * KIB
    assert cell.metrics["packing_ratio"].value is None if "packing_ratio" in cell.metrics else True


@pytest.fixture
def threads(tmp_path: Path) -> Path:
    """Three threads warm the heap, of which one has ended; of what follows, the other two and a fourth do a part.

    Thread 1 takes a thousand blocks of 1 KiB, hands ten over, frees the rest and is waited for. Then thread 0 and
    thread 2 free five each and take five of 2 KiB, and thread 3 is started and takes and frees ten.
    """
    one, two, three = 1 << 8, 2 << 8, 3 << 8
    events: list[Event] = [(THREAD_START, 1, 0, 0), (THREAD_START, 2, 0, 0)]
    events += [(ALLOCATE | one, number, KIB, 4) for number in range(1000)]
    events += [(DEALLOCATE | one, number, 0, 0) for number in range(10, 1000)]
    events += [(ALLOCATE | two, 1000, KIB, 4), (DEALLOCATE | two, 1000, 0, 0), (THREAD_JOIN, 1, 0, 0)]
    for number in range(5):
        events += [(DEALLOCATE, number, 0, 0), (ALLOCATE, 1001 + 2 * number, 2 * KIB, 4)]
        events += [(DEALLOCATE | two, 5 + number, 0, 0), (ALLOCATE | two, 1002 + 2 * number, 2 * KIB, 4)]
    events.append((THREAD_START, 3, 0, 0))
    for number in range(1011, 1021):
        events += [(ALLOCATE | three, number, KIB, 4), (DEALLOCATE | three, number, 0, 0)]
    with TraceWriter(tmp_path / "app.parquet") as writer:
        writer.append(Rows(encode(*events), np.arange(len(events), dtype=np.int64)))
        writer.close({"name": "app", "threads": 4})
    return tmp_path / "app.parquet"


@pytest.mark.parametrize("mode", [Mode.LOCKSTEP, Mode.PARALLEL])
@pytest.mark.parametrize("allocator", ["thread-spans", "glibc"])
def test_threads_begin_together_what_follows_on_the_heap_that_they_have_warmed(
    threads: Path, mode: Mode, allocator: str
) -> None:
    passes = (Pass.CHECK, Pass.THROUGHPUT, Pass.LATENCY, Pass.FOOTPRINT, Pass.HEAP)
    run, cell = measured(threads, *passes, begin="1992", mode=mode, allocators=allocator)
    (info,) = run.workloads
    assert (info.name, info.operations, info.lanes) == ("app:from=1992", 40, 4)
    assert info.begins == {"at": "1992", "operation": 1992}
    peak = cell.metrics["peak_live_bytes"].value
    assert peak is not None
    # Side by side thread 3 may be done before the others have taken their last.
    assert peak == 21 * KIB if mode is Mode.LOCKSTEP else 20 * KIB <= peak <= 21 * KIB
    series = json.loads((threads.parent / "out" / cell.series["threads"]).read_text())
    assert [(row["operations"], row["remote_deallocations"]) for row in series["threads"]] == [
        (10, 5),
        (0, 0),
        (10, 5),
        (20, 0),
    ]
    timed = [sum(count for *_, count in row["allocate"]) for row in series["threads"]]
    assert timed == [3 * 5, 0, 3 * 5, 3 * 10]  # of three replays
    assert series["footprint"]["clock"][-1] == 40
    at_peak = [(at["clock"], at["live_bytes"]) for at in series["heap_maps"] if at["moment"] == "peak"]
    assert at_peak == ([(21, 21 * KIB)] if mode is Mode.LOCKSTEP else [])
    if allocator == "thread-spans":
        footprint = cell.metrics["peak_footprint_bytes"].value
        assert footprint is not None
        assert footprint > 1000 * KIB
