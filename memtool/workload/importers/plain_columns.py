"""Whole blocks of the plain form at once, by columns: what is as it should be need not be looked at line by line.

A block in which anything is odd is left to the decoder of lines, which says what: no figure depends on who reads.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtool.workload.importers.calls import Calls
from memtool.workload.importers.content import LONGEST_LINE

_EVENT = np.dtype(
    {
        "names": ["ticks", "address", "size", "caller", "resident", "thread", "kind", "log2"],
        "formats": ["<u8", "<u8", "<u8", "<u8", "<u8", "<u4", "u1", "u1"],
        "offsets": [0, 8, 16, 24, 32, 40, 44, 45],
        "itemsize": 48,
    }
)
"""An AddressEvent (engine/recorded/address_events.hpp)."""
_ALLOCATE, _FREE, _ALLOCATE_ZEROED, _REALLOCATE_BEGIN, _REALLOCATE_END = range(1, 6)
_NEVER = np.uint64(2**64 - 1)
_NUMBERS = ("size", "alignment", "thread", "time", "caller")
_MOST_THREADS = 1 << 12
"""In a block: with more of them nothing is gained."""
_UNDERSCORE = re.compile(rb"[0-9]_[0-9]")
Column = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Kinds:
    """The words for each kind of call."""

    allocations: Sequence[str]
    zeroed: Sequence[str]
    reallocations: Sequence[str]
    frees: Sequence[str]


class Columns:
    """Reads blocks of lines whose columns have these names."""

    def __init__(self, names: Sequence[str], ours: Mapping[str, str], delimiter: str, shift: int, kinds: Kinds) -> None:
        """``ours``: other names of columns to our own; ``shift`` is added to what names an object."""
        self._own = {name: ours[key] for name in names if (key := name.strip().lower()) in ours}
        self._names, self._delimiter, self._shift, self._kinds = list(names), delimiter, shift, kinds
        self._pa: Any = None
        with suppress(ImportError):
            self._pa = importlib.import_module("pyarrow")
            importlib.import_module("pyarrow.csv")
        columns = list(self._own.values())
        self.is_able = self._pa is not None and len(set(columns)) == len(columns) and "kind" in columns

    def read(self, block: bytes, calls: Calls) -> memoryview | None:
        """Return the events of whole lines, and count their calls; None: they are to be read line by line."""
        if not self.is_able or _is_odd(block):
            return None
        try:
            table = self._table(block)
        except self._pa.ArrowException:
            return None
        columns = {self._own[name]: table.column(name) for name in self._own}
        return self._events(columns, len(table), calls)

    def _table(self, block: bytes) -> Any:  # noqa: ANN401  # pyarrow has no types
        csv, pa = self._pa.csv, self._pa
        kind = next(name for name, own in self._own.items() if own == "kind")
        types = {name: pa.uint64() for name in self._own} | {kind: pa.dictionary(pa.int32(), pa.string())}
        return csv.read_csv(
            pa.py_buffer(block),
            csv.ReadOptions(use_threads=False, column_names=self._names, block_size=len(block) + 1),
            csv.ParseOptions(delimiter=self._delimiter, quote_char=False),
            csv.ConvertOptions(
                column_types=types, include_columns=list(self._own), null_values=[""], strings_can_be_null=True
            ),
        )

    def _events(self, columns: Mapping[str, Any], count: int, calls: Calls) -> memoryview | None:
        codes = columns["kind"].combine_chunks()
        if codes.null_count:
            return None
        words = [str(word).strip().lower() for word in codes.dictionary.to_pylist()]
        kinds = self._kinds
        known = {
            **dict.fromkeys(kinds.frees, _FREE),
            **dict.fromkeys(kinds.allocations, _ALLOCATE),
            **dict.fromkeys(kinds.zeroed, _ALLOCATE_ZEROED),
            **dict.fromkeys(kinds.reallocations, _REALLOCATE_END),
        }
        if any(word not in known for word in words):
            return None
        own = codes.indices.to_numpy()
        kind = np.array([known[word] for word in words] or [0], dtype=np.uint8)[own]
        numbers = {name: _filled(columns.get(name), count) for name in _NUMBERS}
        has_size = ~_null(columns.get("size"), count)
        if (~has_size & (kind != _FREE)).any():
            return None
        address = self._addresses(columns.get("address"), count)
        old = np.where(_null(columns.get("old"), count), address, self._addresses(columns.get("old"), count))
        if (address == _NEVER).any() or (old == _NEVER).any():
            return None  # the number before it may be the one that is told, or none
        made = _made(kind, address, old, numbers, calls)
        if made is not None:
            for code, times in zip(*np.unique(own, return_counts=True), strict=True):
                calls.counts[words[code]] += int(times)
        return made

    def _addresses(self, column: Any, count: int) -> Column:  # noqa: ANN401
        """Return addresses; 0 where there is none."""
        is_null = _null(column, count)
        filled = _filled(column, count)
        return np.where(is_null, np.uint64(0), np.where(filled == _NEVER, _NEVER, filled + np.uint64(self._shift)))


def _is_odd(block: bytes) -> bool:
    """Return whether lines would be read otherwise: quotes, comments, ``1_000``, ``007``, and what is too long."""
    if b'"' in block or b"#" in block or (b"_" in block and _UNDERSCORE.search(block) is not None):
        return True
    text = np.frombuffer(block, dtype=np.uint8)
    is_digit = (text - np.uint8(ord("0"))) < 10
    is_inside = is_digit | (text >= ord("A"))
    leads = (text[1:-1] == ord("0")) & is_digit[2:] & ~is_inside[:-2]
    begins_with_zero = block[:1] == b"0" and block[1:2].isdigit()
    ends = np.flatnonzero(text == ord("\n"))
    longest = int(np.diff(ends, prepend=-1, append=len(text)).max())
    return begins_with_zero or bool(leads.any()) or longest > LONGEST_LINE


def _null(column: Any, count: int) -> NDArray[np.bool_]:  # noqa: ANN401
    if column is None:
        return np.ones(count, dtype=np.bool_)
    is_null: NDArray[np.bool_] = column.is_null().to_numpy().astype(np.bool_)
    return is_null


def _filled(column: Any, count: int) -> Column:  # noqa: ANN401
    if column is None:
        return np.zeros(count, dtype=np.uint64)
    filled: Column = column.fill_null(0).to_numpy().astype(np.uint64)
    return filled


def _made(
    kind: NDArray[np.uint8], address: Column, old: Column, numbers: Mapping[str, Column], calls: Calls
) -> memoryview | None:
    """Return events as Calls makes them: what is refused makes none, a reallocation makes two."""
    kind = kind.copy()
    is_realloc = kind == _REALLOCATE_END
    kind[is_realloc & (old == 0)] = _ALLOCATE
    frees = is_realloc & (old != 0) & (address == 0) & (numbers["size"] == 0)
    kind[frees] = _FREE
    address = np.where(frees, old, address)
    is_nothing = address == 0
    events = np.where(is_nothing, 0, np.where(kind == _REALLOCATE_END, 2, 1))
    threads = _thread_numbers(numbers["thread"], events > 0, calls)
    if threads is None:
        return None
    for is_odd, name in (
        (is_nothing & (kind != _FREE), "refused by the allocator"),
        (is_nothing & (kind == _FREE), "frees of nothing"),
    ):
        if is_odd.any():
            calls.counts[name] += int(is_odd.sum())
    rows = np.repeat(np.arange(len(kind)), events)
    made = np.zeros(len(rows), dtype=_EVENT)
    kinds = kind[rows]
    is_begin = (kinds == _REALLOCATE_END) & np.append(rows[1:] == rows[:-1], False)
    made["kind"] = np.where(is_begin, _REALLOCATE_BEGIN, kinds)
    made["address"] = np.where(is_begin, old[rows], address[rows])
    made["size"] = np.where(is_begin | (kinds == _FREE), 0, numbers["size"][rows])
    made["ticks"], made["caller"] = numbers["time"][rows], numbers["caller"][rows]
    made["resident"], made["thread"] = _NEVER, threads[rows]
    made["log2"] = np.where(is_realloc, 0, np.where(kind == _FREE, 0, _log2(numbers["alignment"])))[rows]
    return made.view(np.uint8).data if len(made) else memoryview(bytearray())


def _thread_numbers(threads: Column, is_used: NDArray[np.bool_], calls: Calls) -> NDArray[np.uint32] | None:
    """Return our numbers of threads, given in the order in which they first do something; None: there are too many."""
    used = threads[is_used]
    unique, first = np.unique(used, return_index=True)
    if len(unique) > _MOST_THREADS or calls.threads + len(unique) > _MOST_THREADS:
        return None
    for thread in unique[np.argsort(first)].tolist():
        calls.number_of(thread)
    ours = np.array([calls.number_of(thread) for thread in unique.tolist()] or [0], dtype=np.uint32)
    places = np.minimum(np.searchsorted(unique, threads), max(len(unique) - 1, 0))
    return ours[places]


def _log2(alignments: Column) -> NDArray[np.uint8]:
    """Return the logarithms of powers of two up to 2^57; 0 of everything else."""
    is_power = (alignments != 0) & (alignments & (alignments - np.uint64(1)) == 0) & (alignments <= np.uint64(1 << 57))
    _, exponents = np.frexp(np.where(is_power, alignments, np.uint64(1)).astype(np.float64))
    return (exponents - 1).astype(np.uint8)
