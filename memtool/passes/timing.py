"""What passes have in common that time replays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from memtool.passes.declaration import Figures

Pairs = tuple[tuple[int, int], ...]
"""(bucket, count) of a histogram (passes/histogram.py)."""


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """One thread of a replay on several; ticks of the last replay."""

    operations: int
    """Before the epilogue."""
    remote_deallocations: int
    body_ticks: int
    """From its first event to its last before the epilogue."""
    wait_ticks: int
    """Of these, waiting for objects of other threads."""
    histograms: Mapping[str, Pairs] | None = None
    """Its own latencies, of the first threads in the latency pass: by kind."""


@dataclass(frozen=True, slots=True)
class Timing(Figures):
    """Ticks and nanoseconds of each replay, warm-ups left out."""

    body_ticks: tuple[int, ...]
    """Of the replay before the epilogue."""
    epilogue_ticks: tuple[int, ...]
    cpu_ns: tuple[int, ...]
    """Processor time of all threads of the process in the replay before the epilogue."""
    wait_ticks: tuple[int, ...]
    """Of all threads together, waiting for objects of each other; empty on one thread."""
    threads: tuple[ThreadRow, ...]
    """Empty on one thread."""

    @property
    def replay_ticks(self) -> int:
        """Return the ticks of the fastest replay."""
        return min(self.body_ticks)
