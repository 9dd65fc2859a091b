"""The sheets of whole programs."""

from __future__ import annotations

from memtool.kinds.sheet import Column, Quantity, SheetInfo

_MS, _COUNT = Quantity.MILLISECONDS, Quantity.COUNT
TIMES = SheetInfo(
    "Whole program, times in ms",
    (
        Column("wall", "wall_time_ns", _MS),
        Column("95 % interval", "wall_time_ns", _MS, is_interval=True),
        *(Column(name, f"{name}_time_ns", _MS) for name in ("cpu", "user", "system")),
        Column("until\nready", "ready_time_ns", _MS),
    ),
    ("wall_time_ns", "cpu_time_ns"),
    ranked=True,
)
MEMORY = SheetInfo(
    "Memory of all its processes, in {unit}, and what the kernel counts",
    (
        Column("peak", "tree_peak_resident_bytes", Quantity.BYTES),
        Column("95 % interval", "tree_peak_resident_bytes", Quantity.BYTES, is_interval=True),
        Column("largest\nprocess", "largest_process_resident_bytes", Quantity.BYTES),
        Column("processes", "tree_processes", _COUNT),
        *(Column(f"{name}\nfaults", f"tree_{name}_faults", _COUNT) for name in ("minor", "major")),
        *(Column(f"{name}\nswitches", f"tree_{name}_switches", _COUNT) for name in ("voluntary", "involuntary")),
        Column("exit", "exit_status", _COUNT),
    ),
    ("tree_peak_resident_bytes",),
)
SHEETS = (TIMES, MEMORY)
"""In the order in which they are shown."""
