"""The common parts of passes that time replays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memtool.passes.declaration import Figures
from memtool.passes.layout import U64, Array, Asked, Layout, Part

Pairs = tuple[tuple[int, int], ...]
"""(bucket, count) of a histogram (passes/histogram.py)."""


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """One thread of a multi-threaded replay; ticks of the last replay."""

    operations: int
    """Number of operations before the epilogue."""
    remote_deallocations: int
    body_ticks: int
    """Time from its first event to its last before the epilogue."""
    wait_ticks: int
    """Part of this time in which it waited for objects of other threads."""
    histograms: Mapping[str, Pairs] | None = None
    """Its own latencies by kind, for the first threads in the latency pass."""


@dataclass(frozen=True, slots=True)
class Timing(Figures):
    """Ticks and nanoseconds of each replay, without warm-ups."""

    body_ticks: tuple[int, ...]
    """Time of the replay before the epilogue."""
    epilogue_ticks: tuple[int, ...]
    cpu_ns: tuple[int, ...]
    """Processor time of all threads of the process in the replay before the epilogue."""
    wait_ticks: tuple[int, ...]
    """Total time in which threads waited for objects of each other; empty on one thread."""
    threads: tuple[ThreadRow, ...]
    """Empty on one thread."""
    late_ticks: int
    """Largest delay of a paced replay compared with the recording."""

    @property
    def replay_ticks(self) -> int:
        """Return the ticks of the fastest replay."""
        return min(self.body_ticks)


_REPLAYS = Array(U64, 64)
TIMINGS = Layout.of(
    iterations=U64,
    body_ticks=_REPLAYS,
    epilogue_ticks=_REPLAYS,
    cpu_ns=_REPLAYS,
    wait_ticks=_REPLAYS,
    late_ticks=U64,
)
_ROW = ("operations", "remote_deallocations", "body_ticks", "wait_ticks")


def thread_rows(asked: Asked) -> tuple[Part, ...]:
    """Return the part that has a row for each thread; none on one thread."""
    return (Part("threads", asked.lanes * len(_ROW)),) if asked.lanes else ()


def timings(held: Any, threads: Sequence[int]) -> dict[str, Any]:  # noqa: ANN401  # as TIMINGS has it
    """Return the fields of a Timing."""
    replays = {name: held[name][: held["iterations"]] for name, kind in TIMINGS.fields if kind is _REPLAYS}
    rows = [dict(zip(_ROW, threads[at : at + len(_ROW)], strict=True)) for at in range(0, len(threads), len(_ROW))]
    waits = replays["wait_ticks"] if rows else ()
    return replays | {"wait_ticks": waits, "threads": rows, "late_ticks": held["late_ticks"]}
