"""What a replay on several threads needs of a worker besides, and what it says of each thread.

A worker imports this module: it imports nothing but what ctypes needs.
"""

from __future__ import annotations

import ctypes
import mmap

from memtool.engine.replay import binding

# As in child.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ThreadMemory:
    """What a replay on several threads needs besides, and what it says of each."""

    _MOST_OF_THEIR_OWN = 64
    """Threads with histograms of their own: 200 KiB each."""

    def __init__(self, request: tuple[int, int, int, int], buckets: int) -> None:
        """Make room for (mode, threads, processors, descriptor of their places)."""
        self._mode, lanes, self._processors, descriptor = request
        self._buckets = buckets
        self._rows = (binding.ThreadRow * lanes)()
        self._own = min(lanes, self._MOST_OF_THEIR_OWN)
        self._histograms: Any = None
        self._memory = mmap.mmap(descriptor, lanes * ctypes.sizeof(binding.ThreadPlace))
        self._places = (binding.ThreadPlace * lanes).from_buffer(self._memory)

    def add_to(self, call: Any, run_pass: int) -> None:  # noqa: ANN401  # a ReplayRequest
        """Tell the request of a replay where its threads write."""
        call.mode = self._mode
        call.processors = self._processors
        call.threads = ctypes.addressof(self._rows)
        call.places = ctypes.addressof(self._places)
        if run_pass == binding.LATENCY:
            counts = self._own * len(binding.HISTOGRAMS) * self._buckets
            self._histograms = (ctypes.c_uint64 * counts)()
            call.thread_histograms = ctypes.addressof(self._histograms)
            call.thread_histogram_count = self._own

    def figures(self, result: Any) -> dict[str, Any]:  # noqa: ANN401  # a ReplayResult
        """Return what each thread has found."""
        names = binding.THREAD_FIGURES
        rows = [{name: getattr(row, name) for name in names} for row in self._rows]
        if self._histograms is not None:
            for lane in range(self._own):
                rows[lane]["histograms"] = {kind: self._of(lane, kind) for kind in ("allocate", "deallocate")}
        return {"threads": rows, "wait_ticks": list(result.wait_ticks[: result.iterations])}

    def _of(self, lane: int, kind: str) -> list[tuple[int, int]]:
        """Return the (bucket, count) pairs of a thread; of all its frees for deallocate."""
        counts = self._counts(lane, kind)
        if kind == "deallocate":
            remote = self._counts(lane, "remote_deallocate")
            counts = [own + other for own, other in zip(counts, remote, strict=True)]
        return [(bucket, count) for bucket, count in enumerate(counts) if count]

    def _counts(self, lane: int, kind: str) -> list[int]:
        names = binding.HISTOGRAMS
        first = (lane * len(names) + names.index(kind)) * self._buckets
        return list(self._histograms[first : first + self._buckets])
