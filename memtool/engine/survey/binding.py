"""ctypes signatures of the survey of a trace (engine/survey/capi.cpp)."""

from __future__ import annotations

import ctypes
from typing import Any

from memtool.engine.loading import DONE, MESSAGE_BYTES, NOT_APPLICABLE, EngineError, Handle, declare, load_library

_u64 = ctypes.c_uint64
_u32 = ctypes.c_uint32
_EVENT_BYTES = 16
LEVELS = 64
LISTS = {
    "sizes": ("value", "count"),
    "chains": ("value", "count"),
    "course": ("operations", "live_bytes", "live_objects", "nanoseconds"),
    "sites": ("caller", "allocations", "bytes", "temporary", "left_objects", "left_bytes"),
    "threads": ("thread", "operations", "allocations", "bytes", "frees", "remote_frees"),
}
"""Columns of the lists, all u64; engine/survey/survey.hpp describes them."""
_COUNTS = (
    "operations",
    "allocations",
    "reallocations",
    "zeroed",
    "frees",
    "empty",
    "remote_frees",
    "temporary",
    "bulk_frees",
    "grown",
    "shrunk",
)
_SUMS = ("total_bytes", "allocated_bytes", "live_sum")
_FIGURES = (
    "peak_live_bytes",
    "peak_live_objects",
    "smallest_size",
    "largest_size",
    "smallest_resize",
    "largest_resize",
    "threads",
    "nanoseconds",
    "has_rounded_sizes",
    "crowded_allocations",
)


class Figures(ctypes.Structure):
    """The counts of a trace (engine/survey/survey.hpp)."""

    _fields_ = [
        *((name, _u64) for name in _COUNTS),
        *((name, _u64 * 2) for name in _SUMS),
        *((name, _u64) for name in _FIGURES),
        *((name, _u64 * LEVELS) for name in ("sizes", "lifetimes", "alignments")),
        ("by_lifetime", _u64 * LEVELS * LEVELS),
    ]

    def sum_of(self, name: str) -> int:
        """Return a sum that may not fit into 64 bits."""
        low, high = getattr(self, name)
        return int(low) | int(high) << 64


def _library() -> ctypes.CDLL:
    library = load_library()
    handle, pointer = ctypes.c_void_p, ctypes.c_void_p
    declare(
        library,
        {
            "memtool_survey_open": (handle, []),
            "memtool_survey_append": (_u32, [handle, pointer, pointer, pointer, _u64, ctypes.c_char_p]),
            "memtool_survey_figures": (None, [handle, ctypes.POINTER(Figures)]),
            "memtool_survey_list": (_u64, [handle, _u32, pointer, _u64]),
            "memtool_survey_close": (None, [handle]),
        },
    )
    return library


class Survey(Handle):
    """Counts the requests in canonical events, as they arrive; memory for the live objects only."""

    def __init__(self) -> None:
        """Begin with empty counts. Raises EngineError when memory is exhausted."""
        library = _library()
        self._message = ctypes.create_string_buffer(MESSAGE_BYTES)
        super().__init__(library, "memtool_survey_close", library.memtool_survey_open(), "no memory to survey a trace")

    def append(self, events: memoryview, nanoseconds: int | None = None, callers: int | None = None) -> None:
        """Process the next events, in a writable buffer; their times and callers are at these addresses.

        Raises EngineError for an impossible sequence.
        """
        count = events.nbytes // _EVENT_BYTES
        if not count:
            return
        at = ctypes.addressof((ctypes.c_char * events.nbytes).from_buffer(events))
        status = self._library.memtool_survey_append(self._handle, at, nanoseconds, callers, count, self._message)
        if status != DONE:
            raise EngineError(self._message.value.decode())

    def figures(self) -> Figures:
        """Return the counts so far."""
        figures = Figures()
        self._library.memtool_survey_figures(self._handle, ctypes.byref(figures))
        return figures

    def rows(self, name: str) -> memoryview:
        """Return a list so far: rows of u64, with the columns of LISTS. Raises EngineError when memory is exhausted."""
        number, columns = list(LISTS).index(name), len(LISTS[name])
        count = self._count(number, None, 0)
        rows = (_u64 * (count * columns))()
        self._count(number, rows, count)
        return memoryview(rows).cast("B")

    def _count(self, number: int, rows: Any, most: int) -> int:  # noqa: ANN401  # an array, or none
        count = int(self._library.memtool_survey_list(self._handle, number, rows, most))
        if count == NOT_APPLICABLE:
            raise EngineError("no memory to survey a trace")
        return count
