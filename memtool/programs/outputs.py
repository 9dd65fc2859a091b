"""Compares two outputs of a program and finds the first difference."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from memtool.units import printable

_PORTION = 1 << 20
_SHOWN = 40
"""Number of shown bytes of a differing line."""


def first_difference(expected: IO[bytes], actual: IO[bytes]) -> str | None:
    """Return where two outputs first differ, in words; None: they are equal.

    Both are read from the beginning, in portions.
    """
    expected.seek(0)
    actual.seek(0)
    offset, line, line_begins = 0, 1, 0
    while True:
        first, second = expected.read(_PORTION), actual.read(_PORTION)
        if first == second:
            if not first:
                return None
            line += first.count(b"\n")
            newline = first.rfind(b"\n")
            line_begins = offset + newline + 1 if newline >= 0 else line_begins
            offset += len(first)
            continue
        same = next(
            (
                index
                for index, (expected_byte, actual_byte) in enumerate(zip(first, second, strict=False))
                if expected_byte != actual_byte
            ),
            min(len(first), len(second)),
        )
        line += first[:same].count(b"\n")
        newline = first[:same].rfind(b"\n")
        line_begins = offset + newline + 1 if newline >= 0 else line_begins
        return _in_words(expected, actual, offset + same, line, line_begins)


def _in_words(expected: IO[bytes], actual: IO[bytes], offset: int, line: int, line_begins: int) -> str:
    lines = [_line_at(file, line_begins, offset) for file in (expected, actual)]
    return f"at byte {offset:,} (line {line:,}): {lines[1]} in place of {lines[0]}"


def _line_at(file: IO[bytes], begins: int, offset: int) -> str:
    """Return the part of a line around a byte, quoted."""
    start = max(begins, offset - _SHOWN // 2)
    file.seek(start)
    text = file.read(_SHOWN)
    if offset - start >= len(text):
        return "its end"
    text_in_line = printable(text.split(b"\n")[0].decode(errors="backslashreplace"))
    return f"'{text_in_line}'"


def keep(output: IO[bytes], path: Path) -> None:
    """Write an output into a file, from its beginning. Raises OSError."""
    output.seek(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.part")
    with scratch.open("wb") as file:
        while portion := output.read(_PORTION):
            file.write(portion)
    scratch.replace(path)
