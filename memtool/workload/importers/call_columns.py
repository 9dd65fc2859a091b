"""Processes calls by columns, many at once: the results and counts are those of Calls, which takes them one by one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from memtool.workload.importers.calls import Calls
from memtool.workload.importers.decoder import MISALIGNED

ALLOCATE, FREE, ALLOCATE_ZEROED, _REALLOCATE_BEGIN, REALLOCATE = range(1, 6)
"""Kinds of calls."""
_EVENT = np.dtype(
    {
        "names": ["ticks", "address", "size", "caller", "resident", "thread", "kind", "log2"],
        "formats": ["<u8", "<u8", "<u8", "<u8", "<u8", "<u4", "u1", "u1"],
        "offsets": [0, 8, 16, 24, 32, 40, 44, 45],
        "itemsize": 48,
    }
)
"""An AddressEvent (engine/recorded/address_events.hpp)."""
_NOT_COUNTED = np.uint64(2**64 - 1)
Column = NDArray[np.uint64]


def events_of(
    kind: NDArray[np.uint8], address: Column, old: Column, numbers: Mapping[str, Column], calls: Calls
) -> memoryview:
    """Return the same events as Calls: a refused call yields none, a reallocation yields two."""
    kind = kind.copy()
    is_realloc = kind == REALLOCATE
    kind[is_realloc & (old == 0)] = ALLOCATE
    frees = is_realloc & (old != 0) & (address == 0) & (numbers["size"] == 0)
    kind[frees] = FREE
    address = np.where(frees, old, address)
    is_nothing = address == 0
    events = np.where(is_nothing, 0, np.where(kind == REALLOCATE, 2, 1))
    threads = _thread_numbers(numbers["thread"], events, calls)
    for is_odd, name in (
        (is_nothing & (kind != FREE), "refused by the allocator"),
        (is_nothing & (kind == FREE), "frees of nothing"),
    ):
        if is_odd.any():
            calls.counts[name] += int(is_odd.sum())
    rows = np.repeat(np.arange(len(kind)), events)
    records = np.zeros(len(rows), dtype=_EVENT)
    kinds = kind[rows]
    is_begin = (kinds == REALLOCATE) & np.append(rows[1:] == rows[:-1], False)
    records["kind"] = np.where(is_begin, _REALLOCATE_BEGIN, kinds)
    records["address"] = np.where(is_begin, old[rows], address[rows])
    records["size"] = np.where(is_begin | (kinds == FREE), 0, numbers["size"][rows])
    records["ticks"], records["caller"] = numbers["time"][rows], numbers["caller"][rows]
    records["resident"], records["thread"] = _NOT_COUNTED, threads[rows]
    aligned = np.where(is_realloc | (kind == FREE) | is_nothing, np.uint64(0), numbers["alignment"])
    log2 = _log2(aligned)
    if misaligned := int(((log2 == 0) & (aligned > 1)).sum()):
        calls.counts[MISALIGNED] += misaligned
    records["log2"] = log2[rows]
    return records.view(np.uint8).data if len(records) else memoryview(bytearray())


def _thread_numbers(threads: Column, events: NDArray[np.int64], calls: Calls) -> NDArray[np.uint32]:
    """Return memtool's numbers of threads, in the order of their first events; 0 for threads without events.

    ``events``: number of events of each call.
    """
    is_used = events > 0
    unique, first, places = np.unique(threads[is_used], return_index=True, return_inverse=True)
    times = np.bincount(places, weights=events[is_used], minlength=len(unique)).astype(np.int64)
    ours = np.zeros(len(unique), dtype=np.uint32)
    for place in np.argsort(first).tolist():
        ours[place] = calls.number_of(int(unique[place]), int(times[place]))
    numbers = np.zeros(len(threads), dtype=np.uint32)
    numbers[is_used] = ours[places]
    return numbers


def _log2(alignments: Column) -> NDArray[np.uint8]:
    """Return the logarithms of powers of two up to 2^57, and 0 for everything else."""
    is_power = (alignments != 0) & (alignments & (alignments - np.uint64(1)) == 0) & (alignments <= np.uint64(1 << 57))
    _, exponents = np.frexp(np.where(is_power, alignments, np.uint64(1)).astype(np.float64))
    return (exponents - 1).astype(np.uint8)
