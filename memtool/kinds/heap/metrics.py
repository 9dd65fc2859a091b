"""The metrics of heap events, in the order of tables and run.json. docs/metrics.md has the formulas."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from memtool.kinds.metric import MetricInfo, percentiles
from memtool.passes import Pass
from memtool.passes.footprint import MOST_MARKS
from memtool.passes.latency import PERCENTILES

_seen = partial(MetricInfo, by_difference=True)
_exact = partial(MetricInfo, scope="events")
_accounted = partial(MetricInfo, by_difference=True, scope="events")
_share = partial(MetricInfo, by_difference=True, scope="events", is_share=True)
_replayed = partial(MetricInfo, measured_by=Pass.THROUGHPUT)
_timed = partial(MetricInfo, measured_by=Pass.LATENCY)
_timed_difference = partial(MetricInfo, measured_by=Pass.LATENCY, by_difference=True)


def _latencies() -> Iterator[MetricInfo]:
    for kind in ("allocate", "deallocate", "remote_deallocate", "reallocate"):
        yield from percentiles(kind, PERCENTILES, f"{kind} calls take no longer; less the floor's median")
        yield _timed(f"{kind}_max_ns", "ns", f"longest {kind} call; less the floor's median", gated=False)
    meaning = "all operations of a frame together, each less the floor's mean"
    yield from percentiles("frame", ("p50", "p90", "p99", "p999"), f"frames take no longer: {meaning}")
    yield _timed("frame_max_ns", "ns", f"the worst frame: {meaning}", gated=False)


def _over_the_run() -> list[MetricInfo]:
    formulas = {
        "internal_fragmentation": "1 - live / granted, with at least 64 KiB alive",
        "external_fragmentation": "1 - largest free block / free bytes",
    }
    moments = {
        "max": "greatest over all checkpoints",
        "mean": "mean over all checkpoints that have one",
        **{f"mark_{number}": f"at mark {number} of the workload" for number in range(1, MOST_MARKS + 1)},
    }
    return [
        _share(f"{name}_{moment}", "1", f"{formula}, {when}")
        for name, formula in formulas.items()
        for moment, when in moments.items()
    ]


METRICS = (
    _replayed("time_per_op_ns", "ns", "time of the whole replay / operations, harness included (gross)", headline=True),
    _replayed(
        "net_time_per_op_ns",
        "ns",
        "gross time less the null strategy's in the same block",
        by_difference=True,
        may_be_negative=True,
        gated=False,
        headline=True,
    ),
    _replayed(
        "cpu_ns_per_op",
        "ns",
        "processor time of all threads of the process during the replays, less what they wait for each other / "
        "operations, harness included",
    ),
    MetricInfo(
        "instructions_per_op",
        "1",
        "user instructions of the whole replay / operations, harness included",
        scope="code",
        measured_by=Pass.COUNTERS,
    ),
    _replayed(
        "wait_ns",
        "ns",
        "time that threads wait for each other's objects, all threads together / operations (parallel)",
        by_difference=True,
        gated=False,
    ),
    *_latencies(),
    _timed_difference("first_touch_ns", "ns", "median of the first write to a fresh block; less the floor's median"),
    _timed_difference(
        "first_touch_p99_ns", "ns", "99 % of all first writes to a fresh block take no longer; less the floor's median"
    ),
    _exact(
        "peak_live_bytes", "B", "most live bytes at once, by requested size (a property of the workload)", "neither"
    ),
    _exact("peak_granted_bytes", "B", "most usable bytes of live blocks"),
    _exact("peak_footprint_bytes", "B", "most bytes that the strategy took from its region", headline=True),
    _share("limit_used_share", "1", "peak footprint / the workload's memory_limit"),
    MetricInfo("peak_resident_bytes", "B", "most anonymous resident bytes seen, less the worker's own", headline=True),
    _seen("end_resident_bytes", "B", "resident bytes after the last event before the epilogue"),
    _share(
        "internal_fragmentation",
        "1",
        "1 - live / granted, when live bytes peak",
        may_be_negative=True,
        is_cause=True,
        headline=True,
    ),
    _share(
        "external_fragmentation",
        "1",
        "1 - largest free block / free bytes, when live bytes peak",
        is_cause=True,
        headline=True,
    ),
    *_over_the_run(),
    _exact("footprint_mean_ratio", "1", "mean of footprint / live over all allocations with at least 64 KiB alive"),
    _exact("footprint_at_peak_live_ratio", "1", "footprint / live, when live bytes peak"),
    _exact("footprint_at_peak_ratio", "1", "footprint / live, when the footprint peaks"),
    _exact("footprint_peak_ratio", "1", "peak footprint / peak live"),
    _exact("load_ratio", "1", "peak footprint / load; load is the peak of live bytes, which no allocator can beat"),
    MetricInfo(
        "packing_ratio", "1", "peak footprint / best offline packing found, with all lifetimes known beforehand"
    ),
    MetricInfo(
        "blowup_ratio",
        "1",
        "peak memory on the workload's threads / peak on one thread: footprint, or resident where that is not counted",
    ),
    _accounted("rounding_bytes", "B", "granted - live, when live bytes peak", may_be_negative=True),
    _accounted("free_bytes", "B", "free blocks inside the footprint, when live bytes peak"),
    _accounted("metadata_bytes", "B", "headers, bitmaps and tables, when live bytes peak"),
    _accounted(
        "unaccounted_bytes",
        "B",
        "footprint that is neither granted, free nor metadata, when live bytes peak: padding, and leaks",
        may_be_negative=True,
    ),
    MetricInfo("resident_at_peak_live_bytes", "B", "resident bytes, when live bytes peak"),
    _accounted("holes_ratio", "1", "free blocks / used blocks, when live bytes peak"),
    _seen(
        "huge_resident_bytes",
        "B",
        "part of the resident bytes in transparent huge pages, when live bytes peak",
        gated=False,
    ),
    _seen(
        "resident_before_idle_bytes",
        "B",
        "resident bytes at once after everything was freed, in the process that is then read 100 ms, 1 s and 5 s later",
        measured_by=Pass.HEAP,
    ),
    *(
        _seen(
            f"resident_after_drain_{wait}_bytes",
            "B",
            f"resident bytes {when}",
            measured_by=Pass.FOOTPRINT if wait == "0ms" else Pass.HEAP,
        )
        for wait, when in (
            ("0ms", "at once after everything was freed"),
            ("100ms", "100 ms after everything was freed, the program idle"),
            ("1s", "1 s after everything was freed, the program idle"),
            ("5s", "5 s after everything was freed, the program idle"),
        )
    ),
    _accounted(
        "unaccounted_after_drain_bytes",
        "B",
        "footprint that is neither free nor metadata after everything was freed: leaked, or padding",
        may_be_negative=True,
    ),
    _seen("minor_faults", "1", "page faults served without reading, from first event to last"),
    _seen("major_faults", "1", "page faults that had to read"),
    _seen(
        "system_calls",
        "1",
        "mmap, munmap, mremap, madvise, brk and mprotect, by any thread, in a cold replay",
        measured_by=Pass.CALLS,
    ),
)
