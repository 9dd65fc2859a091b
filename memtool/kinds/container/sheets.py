"""The sheets of containers."""

from __future__ import annotations

from memtool.kinds.picture import BarsInfo
from memtool.kinds.sheet import Column, Quantity, SheetInfo

TIMES = SheetInfo(
    "Operations on the containers, in ns",
    (
        Column("ns/op", "time_per_op_ns", Quantity.TIME),
        Column("push", "push_ns", Quantity.TIME),
        Column("pop", "pop_ns", Quantity.TIME),
        Column("insert", "insert_ns", Quantity.TIME),
        Column("find", "find_ns", Quantity.TIME),
        Column("erase", "erase_ns", Quantity.TIME),
        Column("churn", "churn_ns", Quantity.TIME),
        Column("copy", "copy_ns", Quantity.TIME),
        Column("clear", "clear_ns", Quantity.TIME),
        Column("destroy", "destroy_ns", Quantity.TIME),
        Column("heap\nopened", "heap_open_ns", Quantity.TIME),
        Column("instr.\n/op", "instructions_per_op", Quantity.NUMBER, 1),
    ),
    ("time_per_op_ns", "instructions_per_op"),
    ranked=True,
    with_calls=True,
)
TRAVERSALS = SheetInfo(
    "Traversals, an element: ns, cache lines of 64 B, and jumps to a line that is not the next",
    (
        Column("fresh", "traverse_ns", Quantity.TIME),
        Column("after\nchurn", "traverse_churned_ns", Quantity.TIME),
        Column("95 % interval", "traverse_churned_ns", Quantity.TIME, is_interval=True),
        Column("lines\nfresh", "lines_per_element", Quantity.RATIO, 3),
        Column("after\nchurn", "lines_per_element_churned", Quantity.RATIO, 3),
        Column("jumps\nfresh", "jumps_per_element", Quantity.RATIO, 3),
        Column("after\nchurn", "jumps_per_element_churned", Quantity.RATIO, 3),
    ),
    ("traverse_churned_ns", "traverse_ns", "jumps_per_element_churned"),
)
MEMORY = SheetInfo(
    "Memory, in {unit}",
    (
        Column("allocations\n/op", "allocations_per_op", Quantity.RATIO, 3),
        Column("asked\nfor", "asked_bytes", Quantity.BYTES),
        Column("peak\nlive", "peak_live_bytes", Quantity.BYTES),
        Column("footprint", "peak_footprint_bytes", Quantity.BYTES),
        Column("resident", "peak_resident_bytes", Quantity.BYTES),
    ),
    ("peak_footprint_bytes", "peak_resident_bytes"),
    sign="asked_bytes",
)
SHEETS = (TIMES, TRAVERSALS, MEMORY)
"""In the order in which they are shown."""
PICTURES = (
    BarsInfo(
        "traversal-after-churn",
        "Traversal after churn (shorter is faster)",
        "ns an element",
        (("after churn", "traverse_churned_ns"),),
    ),
    BarsInfo(
        "jumps-after-churn",
        "Traversal after churn: reads of a line that is neither the one before nor the next",
        "jumps an element",
        (("after churn", "jumps_per_element_churned"),),
    ),
    BarsInfo("traversal", "Traversal before anything was taken away", "ns an element", (("fresh", "traverse_ns"),)),
)
