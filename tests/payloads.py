"""What workers find, written by hand: a whole record of every pass, of which a test changes what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast, get_args, get_origin, get_type_hints

from memtool.kinds import KINDS, results
from memtool.passes import Figures, Pass
from memtool.passes.records import record_from

MEASURES = {run_pass: measure for kind in reversed(KINDS) for run_pass, measure in results(kind).measures.items()}
"""Of the first kind that has the pass."""

PEAK: Mapping[str, int | None] = {
    "clock": 500,
    "live_bytes": 0,
    "live_objects": 32,
    "footprint_bytes": 140_000,
    "resident_bytes": 150_000,
    "free_bytes": 20_000,
    "largest_free": 5_000,
    "free_blocks": 4,
    "used_blocks": 16,
    "metadata_bytes": 1_234,
    "granted_bytes": 110_000,
    "most_live_bytes": 100_000,
    "most_footprint_bytes": 140_000,
    "most_resident_bytes": None,
}
_TIMING: Mapping[str, Any] = {
    "body_ticks": [1000, 1200, 1100],
    "epilogue_ticks": [],
    "cpu_ns": [],
    "wait_ticks": [],
    "threads": [],
    "late_ticks": 0,
}
OWN: Mapping[str, int | None] = dict.fromkeys(("in_use_bytes", "free_bytes", "metadata_bytes", "mapped_bytes"))
_SOUND: Mapping[Pass, Mapping[str, Any]] = {
    Pass.CHECK: {
        "checks": 64,
        "surviving_objects": 3,
        "surviving_size": 300,
        "surviving_digest": 7,
        "order_digest": 9,
    },
    Pass.THROUGHPUT: _TIMING,
    Pass.LATENCY: {
        **_TIMING,
        "histograms": {"floor": {"maximum": 15, "buckets": [(10, 100)]}},
        "by_size": {},
        "slices": {},
        "open_loop": None,
    },
    Pass.FOOTPRINT: {
        "peak_live_bytes": 100_000,
        "peak_granted_bytes": 126_000,
        "granted_at_peak_live_bytes": 125_000,
        "peak_footprint_bytes": 160_000,
        "live_at_peak_footprint_bytes": 80_000,
        "footprint_at_peak_live_bytes": 140_000,
        "baseline_resident_bytes": 0,
        "peak_resident_bytes": 164_000,
        "end_resident_bytes": 150_000,
        "drained_resident_bytes": 8_192,
        "huge_resident_bytes": 0,
        "beside_limit_bytes": 0,
        "ratio_allocations": 4,
        "ratio_sum": 7.0,
        "minor_faults": 40,
        "major_faults": 0,
        "grow_calls": 5,
        "shrink_calls": 1,
        "resident_at_peak_live_bytes": 150_000,
        "body_ticks": [1000],
        "report": "",
        "region": {
            "resident_bytes": 0,
            "anonymous_bytes": 0,
            "huge_bytes": 0,
            "locked_bytes": 0,
            "page_bytes": 4096,
            "mapping": "rw-p anonymous",
        },
        "at_peak_live": PEAK,
        "drained": {
            **PEAK,
            "footprint_bytes": 160_000,
            "granted_bytes": 0,
            "free_bytes": 157_000,
            "metadata_bytes": 1_000,
        },
        "at_marks": {},
        "series": dict.fromkeys(PEAK, ()),
    },
    Pass.COUNTERS: {"instructions": 7_000},
    Pass.HEAP: {"maps": [], "after_drain_resident_bytes": [0, 0, 0, 0], "own_after_drain": OWN},
    Pass.CALLS: {"system_calls": {"mmap": 1}},
    Pass.PROGRAM: {
        "wall_ns": 250_000_000,
        "user_ns": 180_000_000,
        "system_ns": 20_000_000,
        "tree_peak_bytes": 70 << 20,
        "largest_process_bytes": 50 << 20,
        "minor_faults": 18_000,
        "major_faults": 0,
        "voluntary_switches": 4,
        "involuntary_switches": 12,
        "exit_status": 0,
        "most_processes": 2,
        "looks": 90,
        "left_processes": 0,
        "ready_ns": None,
    },
}


def figures(run_pass: Pass, **changed: object) -> Figures:
    """Return what a sound worker found, with some of it changed."""
    return record_from(MEASURES[run_pass].figures, {**_SOUND[run_pass], **changed})


def figures_of(kind: str, run_pass: Pass) -> Figures:
    """Return what a sound worker found of a kind: of one whose measure is its own, records of counts."""
    summary = results(kind).measures[run_pass].figures
    return figures(run_pass) if summary is MEASURES[run_pass].figures else _counts(summary)


def _counts(record: type[Figures]) -> Figures:
    hints = get_type_hints(record)
    return record(*(_sound(hints[field.name], number) for number, field in enumerate(fields(record))))


def _sound(hint: Any, number: int) -> Any:
    if is_dataclass(hint):
        return _counts(cast("type[Figures]", hint))
    if hint in (str, bool):
        return hint(number)
    if get_origin(hint) is tuple:
        return tuple(_sound(item, number) for item in get_args(hint) if item is not Ellipsis)
    return {"a": _sound(get_args(hint)[1], number)} if get_origin(hint) is Mapping else number


def heap_map(moment: str, **changed: object) -> dict[str, Any]:
    """Return a heap map as a worker sends it."""
    return {
        "moment": moment,
        "clock": 0,
        "live_bytes": 0,
        "walked": True,
        "bucket_bytes": 4096,
        "left_out_bytes": 0,
        "extents": [],
        "buckets": {},
        "own": OWN,
        **changed,
    }
