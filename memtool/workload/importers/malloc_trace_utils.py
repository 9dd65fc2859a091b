"""Traces of glibc's malloc-trace-utils (DJ Delorie): records of 64 bytes, of all threads."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from memtool.workload.importers.calls import Calls
from memtool.workload.importers.content import Portions
from memtool.workload.importers.decoder import Decoder as AnyDecoder
from memtool.workload.importers.decoder import Report
from memtool.workload.importers.importer import Importer, decoded

_RECORD = struct.Struct("<iBBxxQQQQQ16x")
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
_MARK = (0x1234).to_bytes(8, "little")


class Decoder(AnyDecoder):
    """A record a call; those that no thread has filled yet are of type 0."""

    def decode(self, portions: Portions, report: Report) -> Iterator[memoryview]:
        """Yield the calls of all records."""
        calls, left, offset = Calls(), b"", 0
        for portion in portions:
            content = left + portion
            whole = len(content) // _RECORD.size * _RECORD.size
            for record in _RECORD.iter_unpack(content[:whole]):
                try:
                    is_known = _take(calls, *record)
                except OverflowError:
                    is_known = False
                if not is_known:
                    report.drop(offset)
                offset += _RECORD.size
            left = content[whole:]
            yield memoryview(calls.take())
        if left:
            report.drop(offset)
        report.calls, report.threads = dict(calls.counts), calls.threads


def _take(calls: Calls, thread: int, kind: int, _: int, old: int, new: int, size: int, alignment: int, __: int) -> bool:
    """Note a record: thread, type, flags, what is freed, what is made, and three sizes."""
    name = _NAMES.get(kind)
    if name is None:
        return kind in (0, _MAGIC)
    if name == "free":
        calls.free(thread, old)
    elif name == "realloc":
        calls.reallocate(thread, old, new, size)
    else:
        has_alignment = name in ("memalign", "posix_memalign")
        calls.allocate(thread, new, size, alignment if has_alignment else 0, zeroed=name == "calloc")
    calls.counts[name] += 1
    return True


IMPORTER = Importer(
    name="malloc-trace-utils",
    summary="Every call of all threads, of DJ Delorie's branch of glibc and its tools; records of 64 bytes.",
    source="https://pagure.io/glibc-malloc-trace-utils",
    begins="a record of type 255",
    suffix=".mtb",
    recognises=lambda head: len(head) >= _RECORD.size and head[4] == _MAGIC and head[8:16] == _MARK,
    load=decoded(Decoder),
    decoder=Decoder,
)
