"""Reads whole blocks of the plain form at once, by columns, where no line has an irregularity.

A block with an irregularity is left to the decoder of lines, which reports it. The figures do not depend on which of
them reads a block.
"""

from __future__ import annotations

import importlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtool.workload.importers.call_columns import (
    ALLOCATE,
    ALLOCATE_ZEROED,
    FREE,
    REALLOCATE,
    Column,
    events_of,
)
from memtool.workload.importers.calls import Calls
from memtool.workload.importers.content import LONGEST_LINE

_NEVER = np.uint64(2**64 - 1)
_NUMBERS = ("size", "alignment", "thread", "time", "caller")
_UNDERSCORE = re.compile(rb"[0-9]_[0-9]")


@dataclass(frozen=True, slots=True)
class Kinds:
    """The words for each kind of call."""

    allocations: Sequence[str]
    zeroed: Sequence[str]
    reallocations: Sequence[str]
    frees: Sequence[str]


class Columns(ABC):
    """Reads blocks of whole lines by columns, with pyarrow where it is installed."""

    def __init__(self, ours: Mapping[str, str], kinds: Kinds) -> None:
        """``ours`` maps names of columns, in lower case, to memtool's names."""
        self._ours, self._kinds = ours, kinds
        self._pa: Any = None
        with suppress(ImportError):
            self._pa = importlib.import_module("pyarrow")
            for name in ("csv", "json", "compute"):
                importlib.import_module(f"pyarrow.{name}")

    @abstractmethod
    def _table(self, block: bytes) -> tuple[Mapping[str, Any], int] | None:
        """Return columns under memtool's names, and the offset of objects' numbers; None: there is an irregularity."""

    def read(self, block: bytes, calls: Calls) -> memoryview | None:
        """Return the events of whole lines, and count their calls; None: the block must be read line by line."""
        if self._pa is None:
            return None
        try:
            read = self._table(block)
            if read is None or "kind" not in read[0]:
                return None
            columns, shift = read
            return self._events(columns, len(columns["kind"]), shift, calls)
        except (self._pa.ArrowException, UnicodeDecodeError):
            return None

    def _events(self, columns: Mapping[str, Any], count: int, shift: int, calls: Calls) -> memoryview | None:
        codes = columns["kind"].combine_chunks()
        if codes.null_count:
            return None
        words = [str(word).strip().lower() for word in codes.dictionary.to_pylist()]
        kinds = self._kinds
        known = {
            **dict.fromkeys(kinds.frees, FREE),
            **dict.fromkeys(kinds.allocations, ALLOCATE),
            **dict.fromkeys(kinds.zeroed, ALLOCATE_ZEROED),
            **dict.fromkeys(kinds.reallocations, REALLOCATE),
        }
        if any(word not in known for word in words):
            return None
        own = codes.indices.to_numpy()
        kind = np.array([known[word] for word in words] or [0], dtype=np.uint8)[own]
        numbers = {name: _filled(columns.get(name), count) for name in _NUMBERS}
        has_size = ~_null(columns.get("size"), count)
        if (~has_size & (kind != FREE)).any():
            return None
        address = _addresses(columns.get("address"), count, shift)
        old = np.where(_null(columns.get("old"), count), address, _addresses(columns.get("old"), count, shift))
        if (address == _NEVER).any() or (old == _NEVER).any():
            return None  # the decoder of lines decides whether such a number is valid
        for code, times in zip(*np.unique(own, return_counts=True), strict=True):
            calls.counts[words[code]] += int(times)
        return events_of(kind, address, old, numbers, calls)


class CsvColumns(Columns):
    """Columns of CSV and TSV, under these names."""

    def __init__(self, names: Sequence[str], delimiter: str, shift: int, ours: Mapping[str, str], kinds: Kinds) -> None:
        super().__init__(ours, kinds)
        self._own = {name: ours[key] for name in names if (key := name.strip().lower()) in ours}
        self._names, self._delimiter, self._shift = list(names), delimiter, shift
        self._is_plain = len(set(self._own.values())) == len(self._own) and "kind" in self._own.values()

    def _table(self, block: bytes) -> tuple[Mapping[str, Any], int] | None:
        if not self._is_plain or _is_odd(block):
            return None
        csv, pa = self._pa.csv, self._pa
        kind = next(name for name, own in self._own.items() if own == "kind")
        types = {name: pa.uint64() for name in self._own} | {kind: pa.dictionary(pa.int32(), pa.string())}
        table = csv.read_csv(
            pa.py_buffer(block),
            csv.ReadOptions(use_threads=False, column_names=self._names, block_size=len(block) + 1),
            csv.ParseOptions(delimiter=self._delimiter, quote_char=False),
            csv.ConvertOptions(
                column_types=types, include_columns=list(self._own), null_values=[""], strings_can_be_null=True
            ),
        )
        return {self._own[name]: table.column(name) for name in self._own}, self._shift


class JsonColumns(Columns):
    """Columns of JSON lines. Addresses and numbers may be strings, because JSON has no hexadecimal numbers."""

    def _table(self, block: bytes) -> tuple[Mapping[str, Any], int] | None:
        lines = block.splitlines()
        # pyarrow also accepts two objects on one line, and one object on two lines.
        if not all(line.startswith(b"{") and line.endswith(b"}") for line in lines) or _longest(block) > LONGEST_LINE:
            return None
        pa = self._pa
        options = pa.json.ReadOptions(use_threads=False, block_size=len(block) + 1)
        table = pa.json.read_json(pa.py_buffer(block), options)
        own = {name: self._ours[key] for name in table.column_names if (key := name.strip().lower()) in self._ours}
        address = next((name for name, column in own.items() if column == "address"), None)
        if len(table) != len(lines) or len(set(own.values())) < len(own) or address is None:
            return None
        columns = {
            column: self._words(table.column(name)) if column == "kind" else self._numbers(table.column(name))
            for name, column in own.items()
        }
        if any(column is None for column in columns.values()):
            return None
        if "old" in columns and (columns["address"].is_valid().to_numpy() < columns["old"].is_valid().to_numpy()).any():
            return None  # the kind of the address decides whether the other column is offset
        return columns, int(address.strip().lower() in ("object", "id"))

    def _words(self, column: Any) -> Any:  # noqa: ANN401
        return column.dictionary_encode() if self._pa.types.is_string(column.type) else None

    def _numbers(self, column: Any) -> Any:  # noqa: ANN401
        """Return numbers; None where Python would read them differently."""
        pa = self._pa
        if pa.types.is_null(column.type) or pa.types.is_integer(column.type):
            return column.cast(pa.uint64())
        if not pa.types.is_string(column.type):
            return None
        is_plain = pa.compute.match_substring_regex(column, r"^(0x[0-9a-fA-F]{1,16}|0|[1-9][0-9]*)$")
        return column.cast(pa.uint64()) if pa.compute.all(is_plain).as_py() in (True, None) else None


def _addresses(column: Any, count: int, shift: int) -> Column:  # noqa: ANN401
    """Return addresses; 0 where there is none."""
    is_null = _null(column, count)
    filled = _filled(column, count)
    return np.where(is_null, np.uint64(0), np.where(filled == _NEVER, _NEVER, filled + np.uint64(shift)))


def _is_odd(block: bytes) -> bool:
    """Return whether Python would read the lines differently: quotes, comments, ``1_000``, ``007``, and long values."""
    if b'"' in block or b"#" in block or (b"_" in block and _UNDERSCORE.search(block) is not None):
        return True
    text = np.frombuffer(block, dtype=np.uint8)
    is_digit = (text - np.uint8(ord("0"))) < 10
    is_inside = is_digit | (text >= ord("A"))
    leads = (text[1:-1] == ord("0")) & is_digit[2:] & ~is_inside[:-2]
    begins_with_zero = block[:1] == b"0" and block[1:2].isdigit()
    return begins_with_zero or bool(leads.any()) or _longest(block) > LONGEST_LINE


def _longest(block: bytes) -> int:
    """Return the length of the longest line."""
    ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n"))
    return int(np.diff(ends, prepend=-1, append=len(block)).max())


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
