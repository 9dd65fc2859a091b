"""MiniMalloc's CSV of buffers with known life spans (Moffitt, ASPLOS 2023): ``id,lower,upper,size``."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from memtool.errors import InputError

_COLUMNS = ("id", "lower", "upper", "size")


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
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            head = next(rows, [])
            if tuple(name.strip() for name in head) != _COLUMNS:
                raise InputError(f"{path}:1: must be the columns {','.join(_COLUMNS)}, is '{','.join(head)}'")
            return [_buffer(path, rows.line_num, row) for row in rows if row]
    except OSError as problem:
        raise InputError(f"{path}: cannot be read: {problem.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as problem:
        raise InputError(f"{path}: is not CSV: {problem}") from None


def _buffer(path: Path, line: int, row: list[str]) -> Buffer:
    if len(row) != len(_COLUMNS):
        raise InputError(f"{path}:{line}: must have {len(_COLUMNS)} columns, has {len(row)}")
    lower, upper, size = (_number(path, line, name, text) for name, text in zip(_COLUMNS[1:], row[1:], strict=True))
    if lower >= upper:
        raise InputError(f"{path}:{line}: upper: must be above lower ({lower}), is {upper}")
    return Buffer(row[0].strip(), lower, upper, size)


def _number(path: Path, line: int, name: str, text: str) -> int:
    number = text.strip()
    if not number.isascii() or not number.isdigit() or int(number) >= 1 << 58:
        raise InputError(f"{path}:{line}: {name}: must be a whole number from 0 to 2^58 - 1, is '{text}'")
    return int(number)
