"""The ways of access, by their names; the kernels (ways.hpp) have the same."""

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
"""Reads and writes of the blocks in an order."""
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
"""Loads of so many bytes, where they lie; of memory of one's own."""
Counting = Literal["count-one-line", "count-apart", "count-as-given"]
"""Threads that count, each for itself."""
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
"""Allocations of all blocks, aligned to so many bytes."""
AS_GIVEN = "count-as-given"


def alignment_of(way: str) -> int | None:
    """Return the alignment that a way asks for in place of the workload's; None: the workload's own."""
    name, _, bytes_ = way.partition("-")
    return int(bytes_) if name == "align" else None


def width_of(way: str) -> int | None:
    """Return the bytes of the loads of a way; None: it has none of its own."""
    name, *rest = way.split("-")
    return int(rest[0]) if name == "load" else None
