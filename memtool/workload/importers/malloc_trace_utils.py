"""Traces of glibc's malloc-trace-utils (DJ Delorie): 64-byte records of all threads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from memtool.workload.importers.call_columns import ALLOCATE, ALLOCATE_ZEROED, FREE, REALLOCATE, events_of
from memtool.workload.importers.calls import Calls
from memtool.workload.importers.content import Portions
from memtool.workload.importers.decoder import Decoder as AnyDecoder
from memtool.workload.importers.decoder import Report
from memtool.workload.importers.importer import Importer, decoded

_RECORD = np.dtype(
    {
        "names": ["thread", "kind", "old", "new", "size", "alignment"],
        "formats": ["<u4", "u1", "<u8", "<u8", "<u8", "<u8"],
        "offsets": [0, 4, 8, 16, 24, 32],
        "itemsize": 64,
    }
)
_NAMES = {
    1: "malloc",
    2: "calloc",
    3: "free",
    4: "realloc",
    5: "memalign",
    6: "valloc",
    7: "pvalloc",
    8: "posix_memalign",
}
_MAGIC = 255
_ALIGNED = (5, 8)
_UNKNOWN, _SKIPPED = 255, 254
_KINDS = np.full(256, _UNKNOWN, np.uint8)
"""Type of a record -> kind of call."""
_KINDS[[0, _MAGIC]] = _SKIPPED
_KINDS[[1, 5, 6, 7, 8]], _KINDS[2], _KINDS[3], _KINDS[4] = ALLOCATE, ALLOCATE_ZEROED, FREE, REALLOCATE
_BLOCK_BYTES = 1 << 20
_MARK = (0x1234).to_bytes(8, "little")


class Decoder(AnyDecoder):
    """One record for each call; records that no thread has filled yet have type 0."""

    def decode(self, portions: Portions, report: Report) -> Iterator[memoryview]:
        """Yield the calls of all records."""
        calls, held, offset = Calls(), bytearray(), 0
        for portion in chain(portions, [b""]):
            held += portion
            if portion and len(held) < _BLOCK_BYTES:
                continue
            whole = len(held) // _RECORD.itemsize * _RECORD.itemsize
            records = np.frombuffer(bytes(held[:whole]), _RECORD)
            kinds = _KINDS[records["kind"]]
            is_unknown = kinds == _UNKNOWN
            report.dropped += int(is_unknown.sum())
            if report.first_damage is None and is_unknown.any():
                report.first_damage = offset + int(is_unknown.argmax()) * _RECORD.itemsize
            yield _events(records[kinds < _SKIPPED], calls)
            offset += whole
            del held[:whole]
        if held:
            report.drop(offset)
        report.count(calls.counts, calls.threads)


def _events(records: NDArray[np.void], calls: Calls) -> memoryview:
    """Return the events of records that are calls."""
    for kind, times in zip(*np.unique(records["kind"], return_counts=True), strict=True):
        calls.counts[_NAMES[int(kind)]] += int(times)
    kinds = _KINDS[records["kind"]]
    zeros = np.zeros(len(records), np.uint64)
    is_aligned = np.isin(records["kind"], _ALIGNED)
    address = np.where(kinds == FREE, records["old"], records["new"])
    numbers = {
        "size": records["size"],
        "alignment": np.where(is_aligned, records["alignment"], zeros),
        "thread": records["thread"].astype(np.uint64),
        "time": zeros,
        "caller": zeros,
    }
    return events_of(kinds, address, records["old"], numbers, calls)


IMPORTER = Importer(
    name="malloc-trace-utils",
    summary="Every call of all threads, of DJ Delorie's branch of glibc and its tools; records of 64 bytes.",
    source="https://pagure.io/glibc-malloc-trace-utils",
    begins="a record of type 255",
    suffix=".mtb",
    recognises=lambda head: len(head) >= _RECORD.itemsize and head[4] == _MAGIC and head[8:16] == _MARK,
    load=decoded(Decoder),
    decoder=Decoder,
)
