"""Replays on several threads, by real workers: nothing is lost, the recorded order is kept, and a deadlock is named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtool.engine.instruments.binding import system_calls_refusal
from memtool.host import counters
from memtool.host.counters import Counter
from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Mode, Status
from memtool.passes import Pass, Sample
from memtool.passes.calls import Calls
from memtool.passes.check import Check
from memtool.passes.counters import Instructions
from memtool.passes.footprint import Footprint
from memtool.passes.heap import Heap
from memtool.passes.latency import Latency
from memtool.passes.throughput import Throughput
from memtool.passes.timing import Timing
from memtool.plan import threads_of
from memtool.worker.parent import Job, RegionRequest, WorkerExecutor
from memtool.workload.language.schema import Workload
from memtool.workload.sources.generated import generated
from memtool.workload.trace import Trace, make_trace

SIZES = {"uniform": [16, 4000]}
XMALLOC = {
    "name": "xmalloc",
    "threads": 2,
    "allocations": 6000,
    "pattern": {"producer-consumer": {"batch": 50, "depth": 4, "size": SIZES}},
}
MIXED = {
    "name": "mixed",
    "threads": 3,
    "allocations": 4000,
    "objects": [
        {"size": SIZES, "lifetime": {"exponential": {"mean": 100}}, "freed_by": "other_thread"},
        {"size": SIZES, "lifetime": "forever", "weight": 0.2},
        {"size": 64, "lifetime": {"uniform": [1, 500]}, "resize": {"times": 2}},
    ],
}
LARSON = {
    "name": "larson",
    "threads": 2,
    "rounds": 4,
    "allocations": 4000,
    "pattern": {"larson": {"live": 100, "size": SIZES}},
}
MSTRESS = {
    "name": "mstress",
    "threads": 2,
    "rounds": 3,
    "allocations": 3000,
    "pattern": {"exchange": {"size": SIZES, "slots": 20}},
}
SCRATCH = {
    "name": "cache-scratch",
    "threads": 2,
    "allocations": 500,
    "pattern": {"false-sharing": {"size": 8, "writes": 10, "passive": True}},
}
HALF = {"choice": {0: 1, 40: 1}}
NOTHING = {
    "name": "nothing",
    "threads": 3,
    "allocations": 2000,
    "touch": "all",
    "objects": [
        {"size": HALF, "lifetime": {"uniform": [1, 60]}, "freed_by": "other_thread"},
        {"size": HALF, "lifetime": 20, "zeroed": True},
        {"size": HALF, "lifetime": 20, "resize": {"by": 24}, "freed_by": "other_thread"},
        {"size": HALF, "lifetime": 30, "resize": {"factor": 2}, "alignment": 64},
    ],
}
"""Half of all requests are for 0 bytes: of other threads' blocks, zeroed, resized to nothing again, aligned."""
CONTENTS = (XMALLOC, MIXED, LARSON, MSTRESS, SCRATCH, NOTHING)


@contextmanager
def trace_of(content: dict[str, Any], mode: Mode) -> Iterator[Trace]:
    with make_trace(generated(Workload.model_validate(content), 7), "test", mode) as trace:
        yield trace


def take(
    content: dict[str, Any],
    mode: Mode,
    run_pass: Pass = Pass.CHECK,
    strategy: str = "malloc",
    *,
    parameters: str = "",
    executor: WorkerExecutor | None = None,
    time_limit: float = 60.0,
    region_bytes: int = 1 << 30,
) -> Sample:
    with trace_of(content, mode) as trace:
        return (executor or WorkerExecutor(1)).execute(
            Job(
                cell=Cell("test", strategy, mode=str(mode)),
                block=0,
                run_pass=run_pass,
                plan=AllocatorPlan(AllocatorSpec(strategy), strategy, parameters, thread_safe=True),
                image_fd=trace.image_fd,
                image_bytes=trace.image_bytes,
                region=RegionRequest(region_bytes, 2 << 20),
                warmups=0,
                iterations=1,
                checkpoints=20,
                use_counter=False,
                time_limit=time_limit,
                threads=threads_of(trace, mode),
                counter=Counter.CALLGRIND if run_pass is Pass.COUNTERS else Counter.NONE,
            )
        )


def survivors(sample: Sample) -> tuple[int, int, int]:
    assert (sample.status, sample.reason) == (Status.OK, None)
    result = sample.of(Check)
    return result.surviving_objects, result.surviving_size, result.surviving_digest


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: str(content["name"]))
@pytest.mark.parametrize("mode", [Mode.LOCKSTEP, Mode.PARALLEL])
def test_every_mode_leaves_the_same_objects_alive(content: dict[str, Any], mode: Mode) -> None:
    serial, threaded = take(content, Mode.SERIAL), take(content, mode)
    assert survivors(serial) == survivors(threaded)


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: str(content["name"]))
def test_lockstep_reproduces_the_recorded_order(content: dict[str, Any]) -> None:
    serial, lockstep = take(content, Mode.SERIAL), take(content, Mode.LOCKSTEP)
    assert serial.of(Check).order_digest == lockstep.of(Check).order_digest


@pytest.mark.parametrize("run_pass", [Pass.CHECK, Pass.THROUGHPUT, Pass.LATENCY, Pass.FOOTPRINT])
@pytest.mark.parametrize("mode", [Mode.LOCKSTEP, Mode.PARALLEL])
def test_every_pass_runs_on_threads(mode: Mode, run_pass: Pass) -> None:
    sample = take(MIXED, mode, run_pass)
    assert (sample.status, sample.reason) == (Status.OK, None)
    if run_pass in (Pass.THROUGHPUT, Pass.LATENCY):
        assert isinstance(sample.payload, Timing)
        operations = sum(thread.operations for thread in sample.payload.threads)
        assert len(sample.payload.threads) == 3
        with trace_of(MIXED, Mode.SERIAL) as trace:
            assert operations == trace.info.operations
    if run_pass is Pass.LATENCY:
        latency = sample.of(Latency)
        counts = {kind: sum(count for _, count in result.buckets) for kind, result in latency.histograms.items()}
        remote = sum(thread.remote_deallocations for thread in latency.threads)
        assert counts["remote_deallocate"] == remote > 0
        assert counts["deallocate"] > remote
        assert counts["allocate"] == 4000


@pytest.mark.parametrize("strategy", ["malloc", "thread-heaps", "thread-cache", "tlsf+lock", "slab+as-malloc"])
@pytest.mark.parametrize("mode", [Mode.LOCKSTEP, Mode.PARALLEL])
def test_requests_of_nothing_are_served_on_threads(mode: Mode, strategy: str) -> None:
    with trace_of(NOTHING, mode) as trace:
        assert (trace.info.smallest_size, trace.info.lanes) == (0, 3)
    for run_pass in (Pass.CHECK, Pass.LATENCY):
        sample = take(NOTHING, mode, run_pass, strategy, parameters="+" * strategy.count("+"))
        assert (sample.status, sample.reason) == (Status.OK, None)
    assert sum(count for _, count in sample.of(Latency).histograms["allocate"].buckets) == 2000


THREAD_ARENAS = {
    "name": "thread-arenas-mprotect",
    "allocations": 2000,
    "threads": 2,
    "touch": "first",
    "pattern": {"ramp": {"size": 24 * 1024}},
}


@pytest.mark.parametrize(("mode", "grows"), [(Mode.SERIAL, False), (Mode.LOCKSTEP, True), (Mode.PARALLEL, True)])
def test_glibc_grows_the_arenas_of_threads_by_mprotect(mode: Mode, grows: bool) -> None:
    if system_calls_refusal() is not None:
        pytest.skip(str(system_calls_refusal()))
    sample = take(THREAD_ARENAS, mode, Pass.CALLS)
    assert (sample.status, sample.reason) == (Status.OK, None)
    # 24 MiB a thread in steps of 132 KiB or so, and not one where the main arena serves both.
    assert (sample.of(Calls).system_calls["mprotect"] > 300) is grows
    assert sample.of(Calls).system_calls["mprotect"] > 300 or not grows


@pytest.mark.parametrize("mode", [Mode.LOCKSTEP, Mode.PARALLEL])
def test_making_threads_is_no_system_call_of_the_allocator(mode: Mode) -> None:
    """A strategy on its region maps nothing; the stacks of its threads are not its own."""
    if system_calls_refusal() is not None:
        pytest.skip(str(system_calls_refusal()))
    sample = take(MIXED, mode, Pass.CALLS, "segregated-pool+lock")
    assert (sample.status, sample.reason) == (Status.OK, None)
    assert sum(sample.of(Calls).system_calls.values()) == 0


@pytest.mark.parametrize("mode", [Mode.LOCKSTEP, Mode.PARALLEL])
@pytest.mark.parametrize("strategy", ["malloc", "thread-heaps"])
def test_heap_maps_of_threads_know_every_live_block(mode: Mode, strategy: str) -> None:
    with trace_of(MIXED, Mode.SERIAL) as trace:
        peak, objects = trace.info.peak_live_bytes, survivors(take(MIXED, Mode.SERIAL))
    sample = take(MIXED, mode, Pass.HEAP, strategy)
    assert (sample.status, sample.reason) == (Status.OK, None)
    maps = {heap_map.moment: heap_map for heap_map in sample.of(Heap).maps}
    assert set(maps) == ({"peak", "end"} if mode is Mode.LOCKSTEP else {"end"})
    assert maps["end"].live_bytes == objects[1]
    if mode is Mode.LOCKSTEP:
        assert maps["peak"].live_bytes == peak
    for heap_map in maps.values():
        assert heap_map.live_bytes <= sum(heap_map.buckets["used"])
    assert len(sample.of(Heap).after_drain_resident_bytes) == 4


@pytest.mark.skipif(counters.why_not(Counter.CALLGRIND) is not None, reason="needs valgrind")
@pytest.mark.parametrize("mode", [Mode.LOCKSTEP, Mode.PARALLEL])
def test_instructions_of_threads_are_those_of_one_and_of_handing_over(mode: Mode) -> None:
    """What threads do while they wait does not count, or no two counts would agree."""
    alone, *twice = (take(XMALLOC, item, Pass.COUNTERS, "thread-heaps") for item in (Mode.SERIAL, mode, mode))
    assert [item.reason for item in (alone, *twice)] == [None] * 3
    one, first, second = (item.of(Instructions).instructions for item in (alone, *twice))
    assert abs(first - second) < 0.02 * first
    assert 0.9 * one < first < 4 * one


def test_lockstep_knows_the_peak_exactly() -> None:
    with trace_of(MIXED, Mode.SERIAL) as trace:
        peak = trace.info.peak_live_bytes
    result = take(MIXED, Mode.LOCKSTEP, Pass.FOOTPRINT).of(Footprint)
    assert result.peak_live_bytes == result.at_peak_live.live_bytes == peak


threaded_workloads = st.one_of(
    st.builds(
        lambda threads, mean, seed: {
            "name": "objects",
            "seed": seed,
            "threads": threads,
            "allocations": 300,
            "objects": [
                {"size": SIZES, "lifetime": {"exponential": {"mean": mean}}, "freed_by": "other_thread"},
                {"size": 32, "lifetime": {"uniform": [1, 50]}, "resize": {"times": 3}},
            ],
        },
        st.integers(2, 5),
        st.integers(1, 60),
        st.integers(0, 1000),
    ),
    st.builds(
        lambda threads, rounds, handed: {
            "name": "batches",
            "threads": threads,
            "rounds": rounds,
            "allocations": 300,
            "pattern": {"batches": {"batch": 7, "size": SIZES, "order": "random", "handed_on": handed}},
        },
        st.integers(1, 4),
        st.integers(1, 4),
        st.integers(0, 3),
    ),
    st.builds(
        lambda threads, rounds, slots: {
            "name": "exchange",
            "threads": threads,
            "rounds": rounds,
            "allocations": 200,
            "pattern": {"exchange": {"size": SIZES, "slots": slots}},
        },
        st.integers(1, 4),
        st.integers(1, 3),
        st.integers(1, 9),
    ),
)


@given(threaded_workloads)
@settings(max_examples=6)
def test_generated_threads_replay_in_all_modes_without_loss(content: dict[str, Any]) -> None:
    serial = take(content, Mode.SERIAL)
    for mode in (Mode.LOCKSTEP, Mode.PARALLEL):
        assert survivors(take(content, mode)) == survivors(serial)
    assert take(content, Mode.LOCKSTEP).of(Check).order_digest == serial.of(Check).order_digest


@pytest.mark.parametrize("mode", [Mode.LOCKSTEP, Mode.PARALLEL])
def test_processor_time_is_that_of_all_threads_but_for_their_waiting(
    mode: Mode, faulty_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMTOOL_ENGINE", str(faulty_engine))
    content = XMALLOC | {"allocations": 400, "pattern": {"producer-consumer": {"batch": 50, "depth": 1, "size": 64}}}
    sample = take(content, mode, Pass.THROUGHPUT, "background", executor=WorkerExecutor(1))
    assert (sample.status, sample.reason) == (Status.OK, None)
    # A thread of the allocator works for 100 ms of its processor. One of the replay's sleeps meanwhile, the other waits
    # for it: counted, its waiting would be about as much again where a processor is free for it. How long all of this
    # takes on the clock does not matter, and switches on a busy machine cost less than the tenth that is left for them.
    assert 90_000_000 <= sample.of(Throughput).cpu_ns[0] < 150_000_000


def test_a_deadlock_is_killed_and_its_edges_are_named(faulty_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMTOOL_ENGINE", str(faulty_engine))
    executor = WorkerExecutor(seed=1)
    content = XMALLOC | {"allocations": 400, "pattern": {"producer-consumer": {"batch": 50, "depth": 1, "size": 64}}}
    sample = take(content, Mode.PARALLEL, strategy="never-returns", executor=executor, time_limit=3.0)
    assert sample.status is Status.FAILED
    assert sample.reason == (
        "no answer within 3 s: killed (thread 0 is inside allocate, operation 99 of its own; "
        "thread 1 waits for object 99 of thread 0; --time-limit SECONDS allows more)"
    )


def test_out_of_memory_names_the_thread(faulty_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMTOOL_ENGINE", str(faulty_engine))
    sample = take(XMALLOC, Mode.PARALLEL, Pass.THROUGHPUT, "runs-out-safely", executor=WorkerExecutor(1))
    assert sample.status is Status.FAILED
    assert sample.reason is not None
    assert sample.reason.startswith("out of memory at event 99 of thread 0, for a request of ")


# A block of 16 bytes with a header of 8 takes 24, so that 50 of them fit into 1,200 bytes.
HEAP: dict[str, Any] = {"strategy": "free-list+lock", "parameters": "header=8,footer=0,alignment=8+"}
RAMP = {"name": "ramp", "threads": 2, "allocations": 400, "pattern": {"ramp": {"size": 16, "alignment": 8}}}
SPENT = ", 1200 of 1200 bytes taken, 0 of them free, the largest hole 0"


@pytest.mark.parametrize("run_pass", [Pass.CHECK, Pass.THROUGHPUT, Pass.FOOTPRINT, Pass.HEAP])
def test_out_of_memory_in_lockstep_says_exactly_how_the_heap_stood(run_pass: Pass) -> None:
    sample = take(RAMP, Mode.LOCKSTEP, run_pass, **HEAP, region_bytes=1200)
    assert sample.reason is not None
    assert re.fullmatch(
        rf"out of memory at event \d+ of thread \d, for a request of 16 bytes: 800 bytes live{SPENT}", sample.reason
    )


@pytest.mark.parametrize("content", [MIXED, MSTRESS], ids=["mixed", "mstress"])
def test_out_of_memory_in_lockstep_says_what_it_says_on_one_thread(content: dict[str, Any]) -> None:
    # Objects that change threads and are resized, in the recorded order: the same requests meet the same heap.
    heap = HEAP | {"parameters": "header=8,footer=0,alignment=16+"}
    reasons = [take(content, mode, **heap, region_bytes=60_000).reason for mode in (Mode.SERIAL, Mode.LOCKSTEP)]
    serial, lockstep = (str(reason).partition(", for a request of ") for reason in reasons)
    assert serial[0].startswith("out of memory at event ")
    assert serial[2] == lockstep[2]


@pytest.mark.parametrize("run_pass", [Pass.CHECK, Pass.FOOTPRINT, Pass.HEAP])
def test_out_of_memory_in_parallel_says_what_all_threads_had_alive(run_pass: Pass) -> None:
    sample = take(RAMP, Mode.PARALLEL, run_pass, **HEAP, region_bytes=1200)
    assert sample.reason is not None
    # The other thread may have its last block and not have entered it yet.
    assert re.fullmatch(
        r"out of memory at event \d+ of thread \d, for a request of 16 bytes: (800|784) bytes live"
        rf"{SPENT} \(other threads went on meanwhile\)",
        sample.reason,
    )


def test_out_of_memory_in_parallel_says_what_the_thread_had_where_nothing_counts_for_all() -> None:
    sample = take(RAMP, Mode.PARALLEL, Pass.THROUGHPUT, **HEAP, region_bytes=1200)
    result = re.fullmatch(
        r"out of memory at event (\d+) of thread \d, for a request of 16 bytes: the thread itself had asked for (\d+) "
        rf"bytes and freed 0{SPENT} \(other threads went on meanwhile\)",
        str(sample.reason),
    )
    assert result is not None
    assert int(result[2]) == 16 * int(result[1]) <= 800
