"""Formats that the engine reads, because Python would be too slow (engine/recorded/log_reader.hpp)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from memtool.engine.recorded.binding import LogReader
from memtool.errors import InputError
from memtool.workload.importers.content import Portions
from memtool.workload.importers.decoder import Decoder, Report

CALL_NAMES = (
    rb"malloc|calloc|realloc|reallocarray|free|memalign|aligned_alloc|posix_memalign|p?valloc|_Zn[wa]\w+|_Zd[la]\w+"
)
"""A regular expression that recognises lines of calls."""
_NEVER = 2**64 - 1
_TEXT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class NativeDecoder(Decoder):
    """Decodes the format of this name."""

    name: str
    why_interpreted: str = ""
    """Message for a file that holds aggregates."""

    def decode(self, portions: Portions, report: Report) -> Iterator[memoryview]:
        """Yield the calls of all lines. Raises InputError for aggregates."""
        with LogReader(self.name) as reader:
            held = bytearray()
            for portion in portions:
                held += portion
                if len(held) >= _TEXT_BYTES:
                    yield self._append(reader, held)
                    held.clear()
            yield self._append(reader, held)
            yield reader.append(b"")
            _fill(report, reader)

    def _append(self, reader: LogReader, text: bytearray) -> memoryview:
        seen = reader.append(bytes(text)) if text else memoryview(b"")
        if reader.summary().is_interpreted:
            raise InputError(self.why_interpreted)
        return seen


def _fill(report: Report, reader: LogReader) -> None:
    summary = reader.summary()
    odd = {
        "refused by the allocator": summary.refused,
        "frees of nothing": summary.frees_of_null,
        "calls of threads beyond 65,535, told as one": summary.crowded,
    }
    report.calls = {name: int(count) for name, count in {**reader.calls(), **odd}.items() if count}
    report.dropped, report.threads = summary.dropped, max(summary.threads, 1)
    report.first_damage = None if summary.first_damage == _NEVER else int(summary.first_damage)
