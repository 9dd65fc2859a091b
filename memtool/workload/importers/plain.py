"""The plain form, for logs of one's own: CSV, TSV or JSON lines, columns by name (docs/traces.md)."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence

from memtool.workload.importers.calls import Calls
from memtool.workload.importers.content import Portions, lines_of
from memtool.workload.importers.decoder import PORTION_CALLS, Report
from memtool.workload.importers.decoder import Decoder as AnyDecoder
from memtool.workload.importers.importer import Importer, decoded

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
"""A column and its other names."""
_ALLOCATIONS = ("malloc", "alloc", "allocate", "new", "a", "+", "memalign", "aligned_alloc", "posix_memalign")
_ZEROED = ("calloc", "allocate_zeroed", "alloc_zeroed", "zeroed")
_REALLOCATIONS = ("realloc", "reallocate", "resize", "r")
_FREES = ("free", "deallocate", "dealloc", "delete", "f", "d", "-")


class Decoder(AnyDecoder):
    """A call a line. Objects may be named by addresses, or by numbers of their own."""

    def decode(self, portions: Portions, report: Report) -> Iterator[memoryview]:
        """Yield the calls of all lines."""
        calls, names, shift, is_json = Calls(), None, 0, None
        for offset, line in lines_of(portions):
            text = line.decode("utf-8-sig", "replace").rstrip("\r")
            if not text.strip() or text.startswith("#"):
                continue
            if is_json is None:
                is_json = text.lstrip().startswith("{")
            if not is_json and names is None:
                delimiter = "\t" if "\t" in text else ","
                names = _split(text, delimiter)
                # Numbers of objects may begin with 0, which as an address is none.
                shift = int(not {"address", "ptr", "pointer", "addr"} & {name.strip().lower() for name in names})
                continue
            try:
                fields = json.loads(text) if names is None else dict(zip(names, _split(text, delimiter), strict=True))
                if names is None:
                    shift = int("object" in fields or "id" in fields)
                is_known = _take(calls, _ours(fields), shift)
            except (ValueError, KeyError, TypeError, OverflowError, AttributeError, RecursionError, csv.Error):
                is_known = False
            if not is_known:
                report.drop(offset)
            if len(calls) >= PORTION_CALLS:
                yield memoryview(calls.take())
        yield memoryview(calls.take())
        report.calls, report.threads = dict(calls.counts), calls.threads


def _split(text: str, delimiter: str) -> list[str]:
    return next(csv.reader([text], delimiter=delimiter))


def _ours(fields: Mapping[str, object]) -> dict[str, object]:
    """Return fields by our names for them; what is empty is left out."""
    return {
        _NAMES[name]: value
        for key, value in fields.items()
        if (name := key.strip().lower()) in _NAMES and value not in ("", None)
    }


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
    if not first.startswith("{"):
        return _has_columns(first.split("\t" if "\t" in first else ","))
    try:
        fields = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return {"kind", "address"} <= {_NAMES.get(str(name).lower()) for name in fields}


IMPORTER = Importer(
    name="plain",
    summary="A call a line, columns by name; CSV, TSV or JSON lines, for logs of one's own.",
    source="docs/traces.md",
    begins="kind,address,size",
    suffix=".jsonl",  # of a .csv that nobody recognises the buffers' importer says what it must have
    recognises=_recognises,
    load=decoded(Decoder),
    decoder=Decoder,
)
