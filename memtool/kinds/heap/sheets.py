"""The sheets of heap events, and the reasons for missing figures in them."""

from __future__ import annotations

from collections.abc import Callable

from memtool.kinds.sheet import OWN, Column, Quantity, SheetInfo
from memtool.model import CellResult, TraceInfo
from memtool.passes.throughput import harness_dominates


def says_of_itself(cell: CellResult) -> bool:
    """Return whether the malloc of a cell reports figures about itself."""
    return any(figure is not None for figure in cell.proof.get("own_statistics", {}).get("peak", {}).values())


def _percentiles(short: str, kind: str) -> tuple[Column, ...]:
    names = (("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"), ("max", "max"))
    return tuple(Column(f"{short}\n{name}", f"{kind}_{share}_ns", Quantity.TIME, 1) for name, share in names)


SPEED = SheetInfo(
    "Speed, in ns",
    (
        Column("ns/op", "time_per_op_ns", Quantity.TIME),
        Column("95 % interval", "time_per_op_ns", Quantity.TIME, is_interval=True),
        Column("net", "net_time_per_op_ns", Quantity.TIME),
        Column("instr.\n/op", "instructions_per_op", Quantity.NUMBER, 1),
    ),
    ("time_per_op_ns", "instructions_per_op"),
    ranked=True,
    with_calls=True,
)
LATENCY = SheetInfo(
    "Latency of operations, in ns",
    (*_percentiles("alloc", "allocate"), *_percentiles("free", "deallocate")),
    ("allocate_p999_ns", "allocate_max_ns", "deallocate_p999_ns"),
)
FURTHER_LATENCY = SheetInfo(
    "Latency of reallocations, and of the first touch of a fresh block, in ns",
    (
        *_percentiles("realloc", "reallocate"),
        Column("touch\np50", "first_touch_ns", Quantity.TIME, 1),
        Column("touch\np99", "first_touch_p99_ns", Quantity.TIME, 1),
    ),
    ("reallocate_p999_ns", "first_touch_ns", "first_touch_p99_ns"),
)
THREADS = SheetInfo(
    "Between threads, in ns",
    (Column("waiting\n/op", "wait_ns", Quantity.TIME), *_percentiles("foreign\nfree", "remote_deallocate")),
    ("remote_deallocate_p999_ns", "wait_ns"),
)
"""Shown where any cell has such metrics, which describe the interaction of threads."""
FRAMES = SheetInfo(
    "Time of all operations of a frame together, in ns",
    (
        Column("half of\nframes", "frame_p50_ns", Quantity.TIME, 1),
        Column("99 %", "frame_p99_ns", Quantity.TIME, 1),
        Column("99.9 %", "frame_p999_ns", Quantity.TIME, 1),
        Column("worst\nframe", "frame_max_ns", Quantity.TIME, 1),
    ),
    ("frame_p99_ns", "frame_max_ns"),
    sign="frame_p50_ns",
)
"""Shown where a workload has frames."""
MEMORY = SheetInfo(
    "Memory, in {unit}",
    (
        Column("footprint", "peak_footprint_bytes", Quantity.BYTES),
        Column("of the\nlimit", "limit_used_share", Quantity.SHARE),
        Column("resident", "peak_resident_bytes", Quantity.BYTES),
        Column("at the\nend", "end_resident_bytes", Quantity.BYTES),
        Column("after the\ndrain", "resident_after_drain_0ms_bytes", Quantity.BYTES),
        Column("100 ms\nlater", "resident_after_drain_100ms_bytes", Quantity.BYTES),
        Column("5 s\nlater", "resident_after_drain_5s_bytes", Quantity.BYTES),
        Column("minor\nfaults", "minor_faults", Quantity.COUNT),
        Column("system\ncalls", "system_calls", Quantity.COUNT),
        Column("/ on one\nthread", "blowup_ratio", Quantity.RATIO, 2),
    ),
    ("peak_resident_bytes", "resident_after_drain_100ms_bytes", "system_calls"),
)
WATERFALL = SheetInfo(
    "Where memory is when live bytes peak, in {unit}",
    (
        Column("live", "peak_live_bytes", Quantity.BYTES),
        Column("+ rounding", "rounding_bytes", Quantity.BYTES),
        Column("+ free", "free_bytes", Quantity.BYTES),
        Column("+ metadata", "metadata_bytes", Quantity.BYTES),
        Column("+ unac-\ncounted", "unaccounted_bytes", Quantity.BYTES),
        Column("resident", "resident_at_peak_live_bytes", Quantity.BYTES),
        Column("unaccounted,\ndrained", "unaccounted_after_drain_bytes", Quantity.BYTES),
    ),
    ("resident_at_peak_live_bytes",),
    sign="rounding_bytes",
)
OVERHEAD = SheetInfo(
    "Fragmentation, and footprint F over live bytes L",
    (
        Column("internal\nfragm.", "internal_fragmentation", Quantity.SHARE),
        Column("external\nfragm.", "external_fragmentation", Quantity.SHARE),
        Column("greatest\nexternal", "external_fragmentation_max", Quantity.SHARE),
        Column("holes", "holes_ratio", Quantity.RATIO, 2),
        Column("mean\nF/L", "footprint_mean_ratio", Quantity.RATIO, 3),
        Column("F/L at\nmax L", "footprint_at_peak_live_ratio", Quantity.RATIO, 3),
        Column("F/L at\nmax F", "footprint_at_peak_ratio", Quantity.RATIO, 3),
        Column("max F/\nmax L", "footprint_peak_ratio", Quantity.RATIO, 3),
        Column("max F/\npacked", "packing_ratio", Quantity.RATIO, 3),
    ),
    ("footprint_peak_ratio", "internal_fragmentation"),
    sign="internal_fragmentation",
)
OWN_ACCOUNT = SheetInfo(
    "By their own account when live bytes peak, in {unit} above what they had before the replay",
    tuple(
        Column(name.replace("_", " "), f"{OWN}{name}_bytes", Quantity.BYTES)
        for name in ("in_use", "free", "metadata", "mapped")
    ),
    (f"{OWN}mapped_bytes", f"{OWN}in_use_bytes"),
    of=says_of_itself,
)
SHEETS = (SPEED, LATENCY, FURTHER_LATENCY, THREADS, FRAMES, MEMORY, WATERFALL, OVERHEAD, OWN_ACCOUNT)
"""In the order in which they are shown."""
_NEED_LIVE = {
    "internal_fragmentation",
    "footprint_mean_ratio",
    "footprint_at_peak_live_ratio",
    "footprint_at_peak_ratio",
    "footprint_peak_ratio",
    "packing_ratio",
}
_OF_REGION = {
    "peak_footprint_bytes",
    "external_fragmentation",
    "external_fragmentation_max",
    "holes_ratio",
    "free_bytes",
    "metadata_bytes",
    "unaccounted_bytes",
    "unaccounted_after_drain_bytes",
    *(_NEED_LIVE - {"internal_fragmentation"}),
}


_REASONS: tuple[tuple[Callable[[str, CellResult, TraceInfo], bool], str], ...] = (
    (lambda name, _cell, _trace: name.startswith(OWN), "a malloc does not say it of itself"),
    (
        lambda name, cell, trace: (
            name == "net_time_per_op_ns"
            and harness_dominates(
                cell.cell, trace, cell.proof.get("harness_ns") or 0.0, cell.value_of("time_per_op_ns") or 0.0
            )
        ),
        "more than half of the time is the harness's, which hands objects over between threads, so there is no net",
    ),
    (lambda name, _cell, _trace: name == "net_time_per_op_ns", "no block has a null replay to take off"),
    (
        lambda name, _cell, _trace: name.endswith("_ns"),
        "too few operations for a reading of the noise floor, without which there is no latency",
    ),
    (
        lambda name, cell, _trace: name in _OF_REGION and cell.value_of("peak_footprint_bytes") is None,
        "memtool sees only the resident memory of a system allocator, not its heap",
    ),
    (
        lambda name, _cell, trace: name == "packing_ratio" and trace.packing_bytes is None,
        "the workload was not packed offline",
    ),
    (lambda name, _cell, _trace: name in _NEED_LIVE, "ratios need 64 KiB alive"),
    (
        lambda name, _cell, _trace: name == "holes_ratio",
        "holes need a block in use, and a strategy that counts its blocks",
    ),
    (
        lambda name, _cell, _trace: name.startswith("external_fragmentation"),
        "external fragmentation needs free bytes at the peak, and a strategy of more than one size of blocks",
    ),
)
"""Reasons why a metric that was measured has no value; the first that applies is given."""


def why_not(cell: CellResult, name: str, trace: TraceInfo, *, was_measured: bool) -> str | None:
    """Return why a cell has no figure for a metric that other cells have, or has the metric without a value."""
    if was_measured:
        return next((reason for holds, reason in _REASONS if holds(name, cell, trace)), None)
    return "no block was freed by another thread" if name.startswith("remote_deallocate") else None
