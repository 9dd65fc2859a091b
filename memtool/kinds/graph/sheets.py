"""The sheets of graphs."""

from __future__ import annotations

from memtool.kinds.picture import BarsInfo
from memtool.kinds.sheet import Column, Quantity, SheetInfo

TIME = SheetInfo(
    "Time, in ns, and what pauses take of it",
    (
        Column("ns/op", "time_per_op_ns", Quantity.TIME),
        Column("95 % interval", "time_per_op_ns", Quantity.TIME, is_interval=True),
        Column("ns an\nobject", "allocation_ns", Quantity.TIME),
        Column("paused", "pause_share", Quantity.SHARE),
        Column("instr.\n/op", "instructions_per_op", Quantity.NUMBER, 1),
    ),
    ("time_per_op_ns", "instructions_per_op"),
    ranked=True,
    with_calls=True,
)
SPLIT = SheetInfo(
    "Processor time an operation, in ns, of the replay whose pauses were timed",
    (
        Column("the program\nitself", "mutator_ns_per_op", Quantity.TIME),
        Column("allocator", "allocator_ns_per_op", Quantity.TIME),
        Column("barriers", "barrier_ns_per_op", Quantity.TIME),
        Column("collector", "collector_ns_per_op", Quantity.TIME),
    ),
    ("allocator_ns_per_op",),
    sign="mutator_ns_per_op",
)
PAUSES = SheetInfo(
    "Pauses, in ns, and the least share that the program had of so much time",
    (
        Column("pauses", "pauses", Quantity.COUNT),
        Column("half", "pause_p50_ns", Quantity.TIME),
        Column("99 %", "pause_p99_ns", Quantity.TIME),
        Column("longest", "pause_max_ns", Quantity.TIME),
        Column("1 ms", "mmu_1ms", Quantity.SHARE),
        Column("10 ms", "mmu_10ms", Quantity.SHARE),
        Column("100 ms", "mmu_100ms", Quantity.SHARE),
    ),
    ("pause_max_ns", "pause_p99_ns"),
    sign="pause_max_ns",
)
COLLECTIONS = SheetInfo(
    "Collections, in {unit}",
    (
        Column("whole\nheap", "collections", Quantity.COUNT),
        Column("nursery", "minor_collections", Quantity.COUNT),
        Column("forced", "forced_collections", Quantity.COUNT),
        Column("over-\ntaken", "overtaken_increments", Quantity.COUNT),
        Column("marked", "marked_bytes", Quantity.BYTES),
        Column("moved", "copied_bytes", Quantity.BYTES),
        Column("promoted", "promoted_bytes", Quantity.BYTES),
        Column("noted\n/op", "barrier_hits_per_op", Quantity.RATIO, 3),
        Column("floating", "floating_bytes", Quantity.BYTES),
        Column("leaked", "leaked_bytes", Quantity.BYTES),
    ),
    ("collections",),
    sign="heap_limit_bytes",
)
MEMORY = SheetInfo(
    "Memory, in {unit}",
    (
        Column("peak\nlive", "peak_live_bytes", Quantity.BYTES),
        Column("heap\nlimit", "heap_limit_bytes", Quantity.BYTES),
        Column("footprint", "peak_footprint_bytes", Quantity.BYTES),
        Column("over\nlive", "footprint_peak_ratio", Quantity.RATIO),
        Column("resident", "peak_resident_bytes", Quantity.BYTES),
    ),
    ("peak_footprint_bytes", "peak_resident_bytes"),
    sign="peak_resident_bytes",
)
SHEETS = (TIME, SPLIT, PAUSES, COLLECTIONS, MEMORY)
"""In the order in which they are shown."""
PICTURES = (
    BarsInfo(
        "time-split",
        "Where processor time goes (shorter is faster)",
        "ns of processor time an operation",
        (
            ("the program itself", "mutator_ns_per_op"),
            ("allocator", "allocator_ns_per_op"),
            ("barriers", "barrier_ns_per_op"),
            ("collector", "collector_ns_per_op"),
        ),
    ),
    BarsInfo("pauses", "Longest pause (shorter is better)", "ms", (("longest", "pause_max_ns"),), scale=1e6),
    BarsInfo(
        "paused",
        "Share of the time in which the program stood still",
        "share of the time",
        (("paused", "pause_share"),),
    ),
)
