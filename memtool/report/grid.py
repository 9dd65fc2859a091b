"""Text tables that fit into a width: a wider table continues in further tables below, each with the name columns."""

from __future__ import annotations

import csv
import io
import re
import textwrap
from collections.abc import Iterable, Sequence

import tabulate

LEAST_WIDTH = 60
_GAP = 2
_LEAST_NAME = 24


def table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    style: str,
    *,
    left: frozenset[str],
    keys: int = 1,
    width: int | None = None,
) -> list[str]:
    """Return a table of text cells as ``table`` or ``markdown``; if it does not fit into ``width`` it is divided.

    ``left`` names the headings of left-aligned columns, ``keys`` is the number of columns on the left that each table
    repeats. Markdown is rendered elsewhere and never divided. Headings contain their own line breaks.
    """
    if style == "markdown" or width is None:
        return [_drawn(headings, rows, style, left)]
    longest = max(_LEAST_NAME, width // 3)
    rows = [[broken(cell, longest if index < keys else width // 2) for index, cell in enumerate(row)] for row in rows]
    return [
        _drawn([headings[index] for index in part], [[row[index] for index in part] for row in rows], style, left)
        for part in _parts(headings, rows, keys, width)
    ]


def listed(lines: Iterable[str], style: str, before: str = "") -> str:
    """Return lines as a list in Markdown, and elsewhere each after ``before``."""
    return "\n".join(f"{'- ' if style == 'markdown' else before}{line}" for line in lines)


def csv_of(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().rstrip("\n")


def _parts(headings: Sequence[str], rows: Sequence[Sequence[str]], keys: int, width: int) -> list[list[int]]:
    """Return the columns of each of the tables."""
    widths = [
        max(len(line) for text in (heading, *(row[index] for row in rows)) for line in text.split("\n"))
        for index, heading in enumerate(headings)
    ]
    room = width - sum(widths[:keys]) - _GAP * (keys - 1)
    parts: list[list[int]] = []
    used = room
    for index in range(keys, len(headings)):
        needed = widths[index] + _GAP
        if used + needed > room:
            parts.append(list(range(keys)))
            used = 0
        parts[-1].append(index)
        used += needed
    return parts or [list(range(len(headings)))]


def broken(name: str, longest: int) -> str:
    """Return a name in lines of at most this many letters, broken after punctuation where possible."""
    if len(name) <= longest:
        return name
    lines = [""]
    for piece in re.split(r"(?<=[:,+/ ])", name):
        if lines[-1] and len(lines[-1]) + len(piece) > longest:
            lines.append("")
        lines[-1] += piece
    return "\n".join(part for line in lines for part in textwrap.wrap(line, longest) or [""])


def wrapped(text: str, width: int | None, *, has_columns: bool = False) -> str:
    """Return prose in lines of at most ``width``; continuation lines are indented by two more than the first.

    ``has_columns``: lines may be rows of a table, whose last column continues below itself.
    """
    if width is None:
        return text
    return "\n".join(_filled(line, width, has_columns=has_columns) for line in text.split("\n"))


def _filled(line: str, width: int, *, has_columns: bool) -> str:
    if len(line) <= width:
        return line
    indent = " " * (len(line) - len(line.lstrip()))
    columns = re.match(r"\s*(?:\S+(?: \S+)* {2,})+", line) if has_columns else None
    if has_columns and max(len(indent), 0 if columns is None else columns.end()) > width // 2:
        return line  # there is too little room to continue below the last column
    if columns is not None:
        return textwrap.fill(
            line[columns.end() :],
            width,
            initial_indent=columns.group(),
            subsequent_indent=" " * columns.end(),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return textwrap.fill(
        line.lstrip(),
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _drawn(headings: Sequence[str], rows: Sequence[Sequence[str]], style: str, left: frozenset[str]) -> str:
    # The padding of headings is two letters less, which makes room for one more column in a width of 80.
    padding, tabulate.MIN_PADDING = tabulate.MIN_PADDING, 0
    try:
        return tabulate.tabulate(
            [[cell.replace("|", "\\|") for cell in row] if style == "markdown" else row for row in rows],
            headers=headings if style == "table" else [heading.replace("\n", " ") for heading in headings],
            tablefmt="pipe" if style == "markdown" else "simple",
            disable_numparse=True,
            colalign=["left" if heading in left else "right" for heading in headings],
        )
    finally:
        tabulate.MIN_PADDING = padding
