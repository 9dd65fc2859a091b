"""The names of the ways of access; the kernels (ways.hpp) use the same."""

from __future__ import annotations

from typing import Literal

Pattern = Literal[
    "read-sequential",
    "read-strided",
    "read-random",
    "write-sequential",
    "write-strided",
    "write-random",
    "chase",
    "chase-write",
    "chase-prefetched",
]
"""Reads and writes of the blocks in a given order."""
Load = Literal[
    "load-16-aligned",
    "load-16-unaligned",
    "load-16-line",
    "load-16-page",
    "load-32-aligned",
    "load-32-unaligned",
    "load-32-line",
    "load-32-page",
    "load-64-aligned",
    "load-64-line",
    "load-64-page",
]
"""Loads of this many bytes at these positions, from the kernel's own memory."""
Counting = Literal["count-one-line", "count-apart", "count-as-given"]
"""Threads that each increment their own counter."""
Aligned = Literal[
    "align-8",
    "align-16",
    "align-32",
    "align-64",
    "align-128",
    "align-256",
    "align-512",
    "align-1024",
    "align-2048",
    "align-4096",
]
"""Allocation of all blocks with this alignment."""
AS_GIVEN = "count-as-given"


def alignment_of(way: str) -> int | None:
    """Return the alignment that a way requests instead of the workload's; None: the workload's own."""
    name, _, bytes_ = way.partition("-")
    return int(bytes_) if name == "align" else None


def width_of(way: str) -> int | None:
    """Return the bytes of the loads of a way; None: they are not fixed."""
    name, *rest = way.split("-")
    return int(rest[0]) if name == "load" else None
