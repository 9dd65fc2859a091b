"""MiniMalloc's CSV of buffers (Moffitt, ASPLOS 2023): ``id,lower,upper,size``, under these and other names.

The columns may have any order, and there may be further ones. ``end`` is the last moment at which a buffer is live, as
in MiniMalloc; ``upper`` is the first at which it is not.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from memtool.engine.generate.binding import ALLOCATE, DEALLOCATE, DEFAULT_LOG2_ALIGNMENT, OBJECT_SHIFT, SIZE_BITS
from memtool.errors import InputError
from memtool.units import format_size
from memtool.workload.importers.content import opened
from memtool.workload.importers.importer import Imported, Importer, name_of
from memtool.workload.language.values import LARGEST_SIZE, abbreviated

_COLUMNS = ("id", "lower", "upper", "size")
_LARGEST_ALIGNMENT = 2 << 20
_ALIASES = {"buffer": "id", "buffer_id": "id", "begin": "lower", "start": "lower"}
_END = "end"
_WHY_IGNORED = {
    "offset": "allocators place buffers as they do",
    "hint": "allocators place buffers as they do",
    "gaps": "a buffer stays allocated from its beginning to its end",
}
_LATEST = (1 << 58) - 1
_DIGITS = re.compile(r"[0-9]{1,40}")


@dataclass(frozen=True, slots=True)
class Buffer:
    """A block that is live in ``[lower, upper)``, in the file's own unit of time."""

    id: str
    lower: int
    upper: int
    size: int
    """Bytes."""
    alignment: int = 1
    """Alignment of its address; a power of two. 1: none is requested."""


@dataclass(frozen=True, slots=True)
class _Table:
    """Positions and meanings of a file's columns."""

    columns: dict[str, int]
    width: int
    inclusive: bool
    """Whether the file has the last moment of a buffer's life instead of the first one after it."""
    ignored: tuple[str, ...]
    """Columns that do not matter for a trace."""


def read(path: Path) -> list[Buffer]:
    """Return the buffers in a file, in its order. Raises InputError that names the line and the column."""
    return _read(path)[0]


def _read(path: Path) -> tuple[list[Buffer], _Table]:
    # Bytes that are not UTF-8 are either in an id, which nobody reads, or not a number. Spreadsheets write a BOM.
    with opened(path) as content, TextIOWrapper(content, "utf-8-sig", "replace", newline="") as file:
        return _parsed(path, csv.reader(file))


def _parsed(path: Path, rows: Any) -> tuple[list[Buffer], _Table]:  # noqa: ANN401  # csv has no name for a reader
    try:
        table = _table(path, next(rows, []))
        return [_buffer(path, rows.line_num, row, table) for row in rows if row], table
    except csv.Error as problem:
        raise InputError(f"{path}:{rows.line_num}: is not CSV: {problem}") from None


def _table(path: Path, head: list[str]) -> _Table:
    names = _names(head)
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        requirement = (
            "must have the columns id (or buffer, buffer_id), lower (begin, start), upper (end) and size, in any order"
        )
        calls = "or, with a call on each line, kind, address (or object) and size"
        raise InputError(f"{path}:1: {requirement}; {calls}; is {abbreviated(','.join(head))}")
    twice = next((name for name in names if names.count(name) > 1 and name), None)
    if twice is not None:
        raise InputError(f"{path}:1: has two columns for {twice}; is {abbreviated(','.join(head))}")
    columns = {name: names.index(name) for name in (*_COLUMNS, "alignment") if name in names}
    inclusive = head[columns["upper"]].strip() == _END
    return _Table(columns, len(names), inclusive, tuple(name for name in _WHY_IGNORED if name in names))


def _names(head: list[str]) -> list[str]:
    """Return the columns under memtool's names for them."""
    names = (name.strip() for name in head)
    return ["upper" if name == _END else _ALIASES.get(name, name) for name in names]


def _buffer(path: Path, line: int, row: list[str], table: _Table) -> Buffer:
    if len(row) != table.width:
        raise InputError(f"{path}:{line}: must have {table.width} columns, has {len(row)}")
    lower, upper, size = (_number(path, line, name, row[table.columns[name]]) for name in _COLUMNS[1:])
    if size > LARGEST_SIZE:
        raise InputError(f"{path}:{line}: size: must be at most {format_size(LARGEST_SIZE)}, is {size}")
    if table.inclusive:
        upper += 1
        if lower >= upper:
            raise InputError(f"{path}:{line}: end: must be at least the beginning ({lower}), is {upper - 1}")
    if lower >= upper:
        raise InputError(f"{path}:{line}: upper: must be above lower ({lower}), is {upper}")
    alignment = 1
    if "alignment" in table.columns:
        alignment = _number(path, line, "alignment", row[table.columns["alignment"]])
        if alignment.bit_count() != 1 or alignment > _LARGEST_ALIGNMENT:
            largest = format_size(_LARGEST_ALIGNMENT)
            raise InputError(f"{path}:{line}: alignment: must be a power of two up to {largest}, is {alignment}")
    return Buffer(row[table.columns["id"]].strip(), lower, upper, size, alignment)


def _number(path: Path, line: int, name: str, text: str) -> int:
    number = text.strip()
    if not _DIGITS.fullmatch(number) or int(number) > _LATEST:
        raise InputError(f"{path}:{line}: {name}: must be a whole number from 0 to 2^58 - 1, is {abbreviated(text)}")
    return int(number)


def load(path: Path) -> Imported:
    """Return the trace in which each buffer is allocated at its ``lower`` and freed at its ``upper``.

    At equal times, frees come before allocations, because such buffers are never live together; other ties keep the
    order of the file. Columns that do not matter for a trace are named in the notes. Raises InputError that names the
    line and the column.
    """
    import numpy as np  # here, because it takes longer than everything else that a list of importers needs

    buffers, table = _read(path)
    if all(buffer.size == 0 for buffer in buffers):
        raise InputError(f"{path}: has no buffers of at least 1 byte")
    lower = np.array([buffer.lower for buffer in buffers], dtype=np.uint64)
    births = np.argsort(lower, kind="stable")
    size = np.array([buffer.size for buffer in buffers], dtype=np.uint64)[births]
    upper = np.array([buffer.upper for buffer in buffers], dtype=np.uint64)[births]
    objects = np.arange(len(buffers), dtype=np.uint64)
    # An alignment below malloc's own is not requested.
    logs = [max((buffer.alignment - 1).bit_length(), DEFAULT_LOG2_ALIGNMENT) for buffer in buffers]
    alignments = np.array(logs, dtype=np.uint64)[births] << np.uint64(SIZE_BITS)
    head = np.concatenate([objects << OBJECT_SHIFT | ALLOCATE, objects << OBJECT_SHIFT | DEALLOCATE])
    request = np.concatenate([size | alignments, np.zeros_like(size)])
    times = np.concatenate([lower[births], upper])
    order = np.lexsort((np.tile(objects, 2), head & 0xFF, times))
    events = np.stack([head, request], axis=1).astype("<u8")[order]
    notes = tuple(f"the column {name} is passed over: {_WHY_IGNORED[name]}" for name in table.ignored)
    return Imported(name=name_of(path, "buffers"), records=events.data.cast("B"), allocations=len(buffers), notes=notes)


def _recognises(head: bytes) -> bool:
    first = head.partition(b"\n")[0].decode("utf-8-sig", "replace")
    return set(_COLUMNS) <= set(_names(first.split(",")))


IMPORTER = Importer(
    name="minimalloc",
    summary="Buffers with known life spans, of MiniMalloc and other offline packers; CSV.",
    source=(
        'Moffitt, "MiniMalloc: a lightweight memory allocator for hardware-accelerated machine learning", ASPLOS 2023'
    ),
    begins=",".join(_COLUMNS),
    suffix=".csv",
    recognises=_recognises,
    load=load,
)
