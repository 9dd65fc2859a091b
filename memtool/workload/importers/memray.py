"""memray's captures of Python programs, read by the installed memray: each version reads only its own format."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtool.errors import InputError, MemtoolError
from memtool.workload.importers.calls import Calls
from memtool.workload.importers.content import Portions, head_of
from memtool.workload.importers.decoder import PORTION_CALLS, Decoder, Report
from memtool.workload.importers.importer import Importer, name_of
from memtool.workload.sources.source import Source

_LZ4 = b"\x04\x22\x4d\x18"
_MARK = b"memray\x00"
_READ_BY = {10: "1.10", 11: "1.11 to 1.18", 12: "1.19", 13: "1.20"}
"""Format -> the versions of memray that read it."""
_ALLOCATIONS = ("MALLOC", "POSIX_MEMALIGN", "ALIGNED_ALLOC", "MEMALIGN", "VALLOC", "PVALLOC")


@dataclass(frozen=True, slots=True)
class _CaptureDecoder(Decoder):
    path: Path

    def decode(self, portions: Portions, report: Report) -> Iterator[memoryview]:
        """Yield the calls of malloc; calls of Python's own allocator above it, and maps, are counted and left out."""
        calls, memray = Calls(), _memray()
        freed: tuple[int, int] | None = None  # thread and address of a free that a reallocation may follow
        try:
            with memray.FileReader(str(self.path)) as reader:
                for record in reader.get_allocation_records():
                    name = memray.AllocatorType(record.allocator).name
                    calls.counts[name.lower()] += 1
                    if freed is not None and (name != "REALLOC" or freed[0] != record.tid):
                        calls.free(*freed)
                        freed = None
                    if name == "FREE":
                        freed = (record.tid, record.address)
                    elif name == "REALLOC":
                        calls.reallocate(record.tid, 0 if freed is None else freed[1], record.address, record.size)
                        freed = None
                    elif name in _ALLOCATIONS or name == "CALLOC":
                        calls.allocate(record.tid, record.address, record.size, zeroed=name == "CALLOC")
                    if len(calls) >= PORTION_CALLS:
                        yield memoryview(calls.take())
        except (OSError, ValueError) as problem:
            raise InputError(_why(self.path, problem)) from None
        if freed is not None:
            calls.free(*freed)
        yield memoryview(calls.take())
        report.count(calls.counts, calls.threads)


def _memray() -> Any:  # noqa: ANN401  # it may not be installed
    try:
        import memray
    except ImportError:
        raise MemtoolError("captures of memray need memray, which is not installed: pip install memray") from None
    return memray


def _why(path: Path, problem: Exception) -> str:
    """Return why a capture cannot be read: in most cases another version of memray wrote it."""
    head = head_of(path)
    at = head.find(_MARK) + len(_MARK)
    version = int.from_bytes(head[at : at + 4], "little")
    by = f"memray {_READ_BY[version]} reads it" if version in _READ_BY else "another version of memray may read it"
    return f"cannot be read by the memray that is installed ({problem}); it is of format {version}: {by}"


def _load(path: Path) -> Source:
    from memtool.workload.importers.decoded import Decoded

    return Decoded(
        name=name_of(path, "trace"),
        path=str(path),
        open=lambda: nullcontext(io.BytesIO()),
        decoder=lambda: _CaptureDecoder(path),
        has_threads=True,
    )


IMPORTER = Importer(
    name="memray",
    summary="Captures of Python programs (memray run), where a memray is installed that reads their format.",
    source="https://github.com/bloomberg/memray",
    begins="memray, compressed by LZ4",
    suffix=".bin",
    recognises=lambda head: head.startswith(_MARK) or (head.startswith(_LZ4) and _MARK in head[:64]),
    load=_load,
)
