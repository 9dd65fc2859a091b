"""The metrics of heap events, in the order of tables and run.json. docs/metrics.md has the formulas."""

from __future__ import annotations

from memtool.kinds.metric import MetricInfo
from memtool.passes import Pass
from memtool.passes.footprint import MOST_MARKS


def _latencies() -> list[MetricInfo]:
    shares = {"p50": "half", "p90": "90 %", "p99": "99 %", "p999": "99.9 %", "p9999": "99.99 %"}
    infos = []
    for kind in ("allocate", "deallocate", "remote_deallocate", "reallocate"):
        for name, share in shares.items():
            infos.append(
                MetricInfo(
                    f"{kind}_{name}_ns",
                    "ns",
                    f"{share} of all {kind} calls take no longer; less the floor's median",
                    measured_by=Pass.LATENCY,
                )
            )
        infos.append(
            MetricInfo(
                f"{kind}_max_ns",
                "ns",
                f"longest {kind} call; less the floor's median",
                gated=False,
                measured_by=Pass.LATENCY,
            )
        )
    return infos


def _frames() -> list[MetricInfo]:
    shares = {"p50": "half", "p90": "90 %", "p99": "99 %", "p999": "99.9 %"}
    meaning = "operations of a frame together, each less the floor's mean"
    return [
        *(
            MetricInfo(
                f"frame_{name}_ns",
                "ns",
                f"{share} of all frames take no longer: all {meaning}",
                measured_by=Pass.LATENCY,
            )
            for name, share in shares.items()
        ),
        MetricInfo("frame_max_ns", "ns", f"the worst frame: all {meaning}", gated=False, measured_by=Pass.LATENCY),
    ]


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
        MetricInfo(f"{name}_{moment}", "1", f"{formula}, {when}", by_difference=True, scope="events", is_share=True)
        for name, formula in formulas.items()
        for moment, when in moments.items()
    ]


METRICS = (
    MetricInfo(
        "time_per_op_ns",
        "ns",
        "time of the whole replay / operations, harness included (gross)",
        measured_by=Pass.THROUGHPUT,
        headline=True,
    ),
    MetricInfo(
        "net_time_per_op_ns",
        "ns",
        "gross time less the null strategy's in the same block",
        by_difference=True,
        may_be_negative=True,
        gated=False,
        measured_by=Pass.THROUGHPUT,
        headline=True,
    ),
    MetricInfo(
        "cpu_ns_per_op",
        "ns",
        "processor time of all threads of the process during the replays, less what they wait for each other / "
        "operations, harness included",
        measured_by=Pass.THROUGHPUT,
    ),
    MetricInfo(
        "instructions_per_op",
        "1",
        "user instructions of the whole replay / operations, harness included",
        scope="code",
        measured_by=Pass.COUNTERS,
    ),
    MetricInfo(
        "wait_ns",
        "ns",
        "time that threads wait for each other's objects, all threads together / operations (parallel)",
        by_difference=True,
        gated=False,
        measured_by=Pass.THROUGHPUT,
    ),
    *_latencies(),
    *_frames(),
    MetricInfo(
        "first_touch_ns",
        "ns",
        "median of the first write to a fresh block; less the floor's median",
        by_difference=True,
        measured_by=Pass.LATENCY,
    ),
    MetricInfo(
        "first_touch_p99_ns",
        "ns",
        "99 % of all first writes to a fresh block take no longer; less the floor's median",
        by_difference=True,
        measured_by=Pass.LATENCY,
    ),
    MetricInfo(
        "peak_live_bytes",
        "B",
        "most live bytes at once, by requested size (a property of the workload)",
        "neither",
        scope="events",
    ),
    MetricInfo("peak_granted_bytes", "B", "most usable bytes of live blocks", scope="events"),
    MetricInfo(
        "peak_footprint_bytes", "B", "most bytes that the strategy took from its region", scope="events", headline=True
    ),
    MetricInfo(
        "limit_used_share",
        "1",
        "peak footprint / the workload's memory_limit",
        by_difference=True,
        scope="events",
        is_share=True,
    ),
    MetricInfo("peak_resident_bytes", "B", "most anonymous resident bytes seen, less the worker's own", headline=True),
    MetricInfo(
        "end_resident_bytes",
        "B",
        "resident bytes after the last event before the epilogue",
        by_difference=True,
    ),
    MetricInfo(
        "internal_fragmentation",
        "1",
        "1 - live / granted, when live bytes peak",
        by_difference=True,
        may_be_negative=True,
        scope="events",
        is_share=True,
        is_cause=True,
        headline=True,
    ),
    MetricInfo(
        "external_fragmentation",
        "1",
        "1 - largest free block / free bytes, when live bytes peak",
        by_difference=True,
        scope="events",
        is_share=True,
        is_cause=True,
        headline=True,
    ),
    *_over_the_run(),
    MetricInfo(
        "footprint_mean_ratio",
        "1",
        "mean of footprint / live over all allocations with at least 64 KiB alive",
        scope="events",
    ),
    MetricInfo("footprint_at_peak_live_ratio", "1", "footprint / live, when live bytes peak", scope="events"),
    MetricInfo("footprint_at_peak_ratio", "1", "footprint / live, when the footprint peaks", scope="events"),
    MetricInfo("footprint_peak_ratio", "1", "peak footprint / peak live", scope="events"),
    MetricInfo(
        "load_ratio",
        "1",
        "peak footprint / load; load is the peak of live bytes, which no allocator can beat",
        scope="events",
    ),
    MetricInfo(
        "packing_ratio",
        "1",
        "peak footprint / best offline packing found, with all lifetimes known beforehand",
    ),
    MetricInfo(
        "blowup_ratio",
        "1",
        "peak memory on the workload's threads / peak on one thread: footprint, or resident where that is not counted",
    ),
    MetricInfo(
        "rounding_bytes",
        "B",
        "granted - live, when live bytes peak",
        by_difference=True,
        may_be_negative=True,
        scope="events",
    ),
    MetricInfo(
        "free_bytes", "B", "free blocks inside the footprint, when live bytes peak", by_difference=True, scope="events"
    ),
    MetricInfo(
        "metadata_bytes", "B", "headers, bitmaps and tables, when live bytes peak", by_difference=True, scope="events"
    ),
    MetricInfo(
        "unaccounted_bytes",
        "B",
        "footprint that is neither granted, free nor metadata, when live bytes peak: padding, and leaks",
        by_difference=True,
        may_be_negative=True,
        scope="events",
    ),
    MetricInfo("resident_at_peak_live_bytes", "B", "resident bytes, when live bytes peak"),
    MetricInfo(
        "holes_ratio", "1", "free blocks / used blocks, when live bytes peak", by_difference=True, scope="events"
    ),
    MetricInfo(
        "huge_resident_bytes",
        "B",
        "part of the resident bytes in transparent huge pages, when live bytes peak",
        by_difference=True,
        gated=False,
    ),
    MetricInfo(
        "resident_before_idle_bytes",
        "B",
        "resident bytes at once after everything was freed, in the process that is then read 100 ms, 1 s and 5 s later",
        by_difference=True,
        measured_by=Pass.HEAP,
    ),
    *(
        MetricInfo(
            f"resident_after_drain_{wait}_bytes",
            "B",
            f"resident bytes {when}",
            by_difference=True,
            measured_by=Pass.FOOTPRINT if wait == "0ms" else Pass.HEAP,
        )
        for wait, when in (
            ("0ms", "at once after everything was freed"),
            ("100ms", "100 ms after everything was freed, the program idle"),
            ("1s", "1 s after everything was freed, the program idle"),
            ("5s", "5 s after everything was freed, the program idle"),
        )
    ),
    MetricInfo(
        "unaccounted_after_drain_bytes",
        "B",
        "footprint that is neither free nor metadata after everything was freed: leaked, or padding",
        by_difference=True,
        may_be_negative=True,
        scope="events",
    ),
    MetricInfo("minor_faults", "1", "page faults served without reading, from first event to last", by_difference=True),
    MetricInfo("major_faults", "1", "page faults that had to read", by_difference=True),
    MetricInfo(
        "system_calls",
        "1",
        "mmap, munmap, mremap, madvise, brk and mprotect, by any thread, in a cold replay",
        by_difference=True,
        measured_by=Pass.CALLS,
    ),
)
