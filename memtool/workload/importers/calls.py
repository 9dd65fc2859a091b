"""Converts calls of malloc in a file into the matcher's input (engine/recorded/address_events.hpp)."""

from __future__ import annotations

import struct
from collections import Counter

from memtool.workload.importers.decoder import MISALIGNED

_EVENT = struct.Struct("<QQQQQIBBBx")
_ALLOCATE, _FREE, _ALLOCATE_ZEROED, _REALLOCATE_BEGIN, _REALLOCATE_END = range(1, 6)
_REFUSED = 10
_NOT_COUNTED = 2**64 - 1
_LARGEST = 2**64 - 1
_LARGEST_ALIGNMENT_LOG2 = 57
_MOST_THREADS = 1 << 16


class Calls:
    """Collects calls in order. Threads may have any name; a size or an address beyond 64 bits raises OverflowError."""

    def __init__(self) -> None:
        self._events = bytearray()
        self._threads: dict[int, int] = {}
        self.counts: Counter[str] = Counter()
        """Calls of each name in the file, and the irregularities among them."""

    def __len__(self) -> int:
        return len(self._events) // _EVENT.size

    @property
    def threads(self) -> int:
        """Return the number of threads that had a call."""
        return len(self._threads)

    def take(self) -> bytearray:
        """Return the events that have accumulated since this was last called."""
        events, self._events = self._events, bytearray()
        return events

    def allocate(
        self,
        thread: int,
        address: int,
        size: int,
        alignment: int = 0,
        *,
        zeroed: bool = False,
        time: int = 0,
        caller: int = 0,
    ) -> None:
        """Record an allocation; address 0 means that it was refused. ``time`` is in nanoseconds."""
        if address == 0:
            self.counts["refused by the allocator"] += 1
            return
        kind, log2 = _ALLOCATE_ZEROED if zeroed else _ALLOCATE, _log2(alignment)
        self._put(kind, thread, address, size, log2, time, caller)
        if log2 == 0 and alignment not in (0, 1):
            self.counts[MISALIGNED] += 1

    def free(self, thread: int, address: int, time: int = 0, caller: int = 0) -> None:
        """Record a free; a free of address 0 has no effect."""
        if address == 0:
            self.counts["frees of nothing"] += 1
            return
        self._put(_FREE, thread, address, 0, 0, time, caller)

    def reallocate(self, thread: int, old: int, new: int, size: int, time: int = 0, caller: int = 0) -> None:
        """Record a reallocation. Of address 0 it allocates, to 0 bytes it may free; a refused one has no effect."""
        if old == 0:
            self.allocate(thread, new, size, time=time, caller=caller)
        elif new == 0 and size == 0:
            self.free(thread, old, time, caller)
        elif new == 0:
            self.counts["refused by the allocator"] += 1
        else:
            _refuse_beyond(old, new, size, time, caller)  # before the first of two events
            self._put(_REALLOCATE_BEGIN, thread, old, 0, 0, time, caller)
            self._put(_REALLOCATE_END, thread, new, size, 0, time, caller)

    def _put(self, kind: int, thread: int, address: int, size: int, log2: int, time: int, caller: int) -> None:
        _refuse_beyond(address, address, size, time, caller)
        number = self.number_of(thread)
        size = min(size, _LARGEST)  # the matcher drops and counts sizes beyond 2^58
        self._events += _EVENT.pack(time, address, size, caller, _NOT_COUNTED, number, kind, log2, 0)

    def number_of(self, thread: int, events: int = 1) -> int:
        """Return the number of a thread with this many events; the engine distinguishes 65,536 threads."""
        number = self._threads.get(thread)
        if number is not None:
            return number
        if len(self._threads) >= _MOST_THREADS - 1:
            self.counts["calls of threads beyond 65,535, told as one"] += events
            return _MOST_THREADS - 1
        return self._threads.setdefault(thread, len(self._threads))


def _refuse_beyond(old: int, new: int, size: int, time: int, caller: int) -> None:
    """Raise OverflowError for numbers beyond 64 bits; any size is accepted, because the matcher counts those."""
    if not all(0 <= value <= _LARGEST for value in (old, new, time, caller)) or size < 0:
        raise OverflowError


def _log2(alignment: int) -> int:
    """Return the logarithm of an alignment; 0 where none is requested or the value is not a valid alignment."""
    log2 = alignment.bit_length() - 1
    return log2 if alignment > 0 and alignment.bit_count() == 1 and log2 <= _LARGEST_ALIGNMENT_LOG2 else 0
