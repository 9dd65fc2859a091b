"""The plain form, for logs from your own tools: CSV, TSV or JSON lines, with named columns (docs/traces.md)."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from memtool.workload.importers.calls import Calls
from memtool.workload.importers.content import Lines, Portions, blocks_of
from memtool.workload.importers.decoder import Decoder as AnyDecoder
from memtool.workload.importers.decoder import Report
from memtool.workload.importers.importer import Importer, decoded
from memtool.workload.importers.plain_columns import Columns, CsvColumns, JsonColumns, Kinds

_COLUMNS = {
    "kind": ("kind", "call", "event", "op", "operation", "function"),
    "address": ("address", "object", "id", "ptr", "pointer", "addr"),
    "old": ("old", "old_address", "old_object", "old_ptr"),
    "size": ("size", "bytes"),
    "alignment": ("alignment", "align"),
    "thread": ("thread", "tid"),
    "time": ("time", "time_ns", "timestamp"),
    "caller": ("caller", "site"),
}
"""Name of a column -> its other names."""
_ALLOCATIONS = ("malloc", "alloc", "allocate", "new", "a", "+", "memalign", "aligned_alloc", "posix_memalign")
_ZEROED = ("calloc", "allocate_zeroed", "alloc_zeroed", "zeroed")
_REALLOCATIONS = ("realloc", "reallocate", "resize", "r")
_FREES = ("free", "deallocate", "dealloc", "delete", "f", "d", "-")
_KINDS = Kinds(_ALLOCATIONS, _ZEROED, _REALLOCATIONS, _FREES)
_BLOCK_BYTES = 1 << 20
_PORTION_BYTES = 1 << 16
"""Bytes of the portions in which a block is read line by line."""


class Decoder(AnyDecoder):
    """One call on each line. Objects may be identified by addresses or by numbers."""

    def __init__(self) -> None:
        self._calls = Calls()
        self._names: list[str] | None = None
        self._delimiter = ","
        self._shift = 0
        self._is_json: bool | None = None
        self._columns: Columns | None = None

    def decode(self, portions: Portions, report: Report) -> Iterator[memoryview]:
        """Yield the calls of all lines, by blocks where a block has no irregularity."""
        calls, lines = self._calls, Lines()
        for block in blocks_of(portions, _BLOCK_BYTES):
            rest = block
            while rest and self._columns is None:  # up to the line that names the columns
                end = rest.find(b"\n") + 1 or len(rest)
                self._take_lines(lines.feed(rest[:end]), report)
                rest = rest[end:]
            columns = self._columns.read(rest, calls) if self._columns is not None and lines.is_between else None
            if columns is not None:
                yield memoryview(calls.take())
                yield columns
                lines.skip(len(rest))
                continue
            for begin in range(0, len(rest), _PORTION_BYTES):
                self._take_lines(lines.feed(rest[begin : begin + _PORTION_BYTES]), report)
                yield memoryview(calls.take())
        self._take_lines(lines.end(), report)
        yield memoryview(calls.take())
        report.count(calls.counts, calls.threads)

    def _take_lines(self, lines: Iterable[tuple[int, bytes]], report: Report) -> None:
        for offset, line in lines:
            self._take_line(offset, line, report)

    def _take_line(self, offset: int, line: bytes, report: Report) -> None:
        text = line.decode("utf-8-sig", "replace").rstrip("\r")
        if not text.strip() or text.startswith("#"):
            return
        if self._is_json is None:
            self._is_json = text.lstrip().startswith("{")
            self._columns = JsonColumns(_NAMES, _KINDS) if self._is_json else None
        names = self._names
        if not self._is_json and names is None:
            self._take_names(text)
            return
        try:
            fields = json.loads(text) if names is None else dict(zip(names, self._split(text), strict=True))
            if names is None:
                self._shift = int(any(key.strip().lower() in ("object", "id") for key in fields))
            is_known = _take(self._calls, _ours(fields), self._shift)
        except (ValueError, KeyError, TypeError, OverflowError, AttributeError, RecursionError, csv.Error):
            is_known = False
        if not is_known:
            report.drop(offset)

    def _take_names(self, text: str) -> None:
        self._delimiter = "\t" if "\t" in text else ","
        self._names = self._split(text)
        # Numbers of objects may begin with 0, which is not a valid address.
        self._shift = int(not {"address", "ptr", "pointer", "addr"} & {name.strip().lower() for name in self._names})
        self._columns = CsvColumns(self._names, self._delimiter, self._shift, _NAMES, _KINDS)

    def _split(self, text: str) -> list[str]:
        return next(csv.reader([text], delimiter=self._delimiter))


def _ours(fields: Mapping[str, object]) -> dict[str, object]:
    """Return fields under memtool's names for them; empty ones are left out."""
    return {
        _NAMES[name]: value
        for key, value in fields.items()
        if (name := key.strip().lower()) in _NAMES and not _is_empty(value)
    }


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


_NAMES = {name: column for column, names in _COLUMNS.items() for name in names}


def _take(calls: Calls, fields: Mapping[str, object], shift: int) -> bool:
    kind = str(fields["kind"]).strip().lower()
    address = _number(fields.get("address", -shift)) + shift
    size, alignment, thread, time, caller = (
        _number(fields.get(name, 0)) for name in ("size", "alignment", "thread", "time", "caller")
    )
    if kind in _FREES:
        calls.free(thread, address, time, caller)
    elif "size" not in fields:
        return False
    elif kind in _ALLOCATIONS or kind in _ZEROED:
        calls.allocate(thread, address, size, alignment, zeroed=kind in _ZEROED, time=time, caller=caller)
    elif kind in _REALLOCATIONS:
        old = _number(fields["old"]) + shift if "old" in fields else address
        calls.reallocate(thread, old, address, size, time, caller)
    else:
        return False
    calls.counts[kind] += 1
    return True


def _number(value: object) -> int:
    if isinstance(value, str):
        return int(value, 0)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError
    return value


def _has_columns(names: Sequence[str]) -> bool:
    ours = {_NAMES.get(name.strip().lower()) for name in names}
    return {"kind", "address", "size"} <= ours


def _recognises(head: bytes) -> bool:
    text = re.sub(r"^(\s*(#.*)?\n)+", "", head.decode("utf-8-sig", "replace"))
    first = text.partition("\n")[0].strip()
    try:
        if not first.startswith("{"):
            return _has_columns(next(csv.reader([first], delimiter="\t" if "\t" in first else ","), []))
        fields = json.loads(first)
    except (ValueError, RecursionError, csv.Error):
        return False
    return {"kind", "address"} <= {_NAMES.get(str(name).lower()) for name in fields}


IMPORTER = Importer(
    name="plain",
    summary="A call a line, columns by name; CSV, TSV or JSON lines, for logs of one's own.",
    source="docs/traces.md",
    begins="kind,address,size",
    suffix=".jsonl",  # the importer of buffers explains what a .csv that nobody recognises must contain
    recognises=_recognises,
    load=decoded(Decoder),
    decoder=Decoder,
)
