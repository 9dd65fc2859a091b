"""MiniMalloc's CSV of buffers with known life spans (Moffitt, ASPLOS 2023): ``id,lower,upper,size``."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtool.engine.generator_binding import ALLOCATE, DEALLOCATE, DEFAULT_LOG2_ALIGNMENT, OBJECT_SHIFT, SIZE_BITS
from memtool.errors import InputError
from memtool.units import format_count, format_size
from memtool.workload.importers.importer import Imported, Importer
from memtool.workload.values import LARGEST_SIZE, shown

_COLUMNS = ("id", "lower", "upper", "size")
_LATEST = (1 << 58) - 1
_DIGITS = re.compile(r"[0-9]{1,40}")
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Buffer:
    """A block that is alive in ``[lower, upper)``, in the file's own unit of time."""

    id: str
    lower: int
    upper: int
    size: int
    """Bytes."""


def read(path: Path) -> list[Buffer]:
    """Return the buffers of a file, in its order. Raises InputError that names the line and the column."""
    try:
        # What is not UTF-8 is either in an id, which nobody reads, or no number.
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            return _read(path, csv.reader(file))
    except OSError as problem:
        raise InputError(f"{path}: cannot be read: {problem.strerror}") from None


def _read(path: Path, rows: Any) -> list[Buffer]:  # noqa: ANN401  # the csv module has no name for a reader
    try:
        head: list[str] = next(rows, [])
        if tuple(name.strip() for name in head) != _COLUMNS:
            raise InputError(f"{path}:1: must be the columns {','.join(_COLUMNS)}, is {shown(','.join(head))}")
        return [_buffer(path, rows.line_num, row) for row in rows if row]
    except csv.Error as problem:
        raise InputError(f"{path}:{rows.line_num}: is not CSV: {problem}") from None


def _buffer(path: Path, line: int, row: list[str]) -> Buffer:
    if len(row) != len(_COLUMNS):
        raise InputError(f"{path}:{line}: must have {len(_COLUMNS)} columns, has {len(row)}")
    lower, upper, size = (_number(path, line, name, text) for name, text in zip(_COLUMNS[1:], row[1:], strict=True))
    if size > LARGEST_SIZE:
        raise InputError(f"{path}:{line}: size: must be at most {format_size(LARGEST_SIZE)}, is {size}")
    if lower >= upper:
        raise InputError(f"{path}:{line}: upper: must be above lower ({lower}), is {upper}")
    return Buffer(row[0].strip(), lower, upper, size)


def _number(path: Path, line: int, name: str, text: str) -> int:
    number = text.strip()
    if not _DIGITS.fullmatch(number) or int(number) > _LATEST:
        raise InputError(f"{path}:{line}: {name}: must be a whole number from 0 to 2^58 - 1, is {shown(text)}")
    return int(number)


def load(path: Path) -> Imported:
    """Return the trace in which each buffer is allocated at its ``lower`` and freed at its ``upper``.

    What ends at a time goes before what begins then, as no two of them are alive together; else in the order of the
    file. Raises InputError that names the line and the column.
    """
    import numpy as np  # here, for it takes longer than all else that listing importers needs

    buffers = read(path)
    kept = [each for each in buffers if each.size > 0]
    if not kept:
        raise InputError(f"{path}: has no buffers of at least 1 byte")
    lower = np.array([each.lower for each in kept], dtype=np.uint64)
    births = np.argsort(lower, kind="stable")
    size = np.array([each.size for each in kept], dtype=np.uint64)[births]
    upper = np.array([each.upper for each in kept], dtype=np.uint64)[births]
    objects = np.arange(len(kept), dtype=np.uint64)
    head = np.concatenate([objects << OBJECT_SHIFT | ALLOCATE, objects << OBJECT_SHIFT | DEALLOCATE])
    request = np.concatenate([size | np.uint64(DEFAULT_LOG2_ALIGNMENT << SIZE_BITS), np.zeros_like(size)])
    times = np.concatenate([lower[births], upper])
    order = np.lexsort((np.tile(objects, 2), head & 0xFF, times))
    events = np.stack([head, request], axis=1).astype("<u8")[order]
    empty = len(buffers) - len(kept)
    notes = (f"{format_count(empty)} buffers of 0 bytes are left out",) if empty else ()
    return Imported(_name(path), events.data.cast("B"), len(kept), notes)


def _name(path: Path) -> str:
    """Return what tables call the trace: the file's name in the letters of a workload's."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip("._-")
    return name[:_LONGEST_NAME] or "buffers"


def _recognises(head: bytes) -> bool:
    first = head.partition(b"\n")[0].decode("utf-8", "replace")
    return tuple(name.strip() for name in first.split(",")) == _COLUMNS


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
