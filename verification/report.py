"""The table of published figures beside ours, for the terminal and for docs/verification.md."""

from __future__ import annotations

import datetime
import textwrap
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from memtool import __version__
from memtool.host import machine
from verification.outcome import Line, Result, Verdict

HEADINGS = ("row", "published result", "published", "source", "ours", "verdict")
COMMAND = "python -m verification --write"
EXPERIMENT = Path(__file__).with_name("experiment.md")
"""What `make experiment` found last: it takes too long to be run with the rest."""
_WIDTH = 34
_PREAMBLE = """\
# Verification

This page lists results that others published and memtool reproduces: the published figure, its source, our figure,
and whether the two agree. `make verify` runs all of them, and ends with exit code 1 if one that ran is not reproduced.
The experiments are in `verification/`, one module for each topic. `{command}` writes this page;
it was last written on {date} by memtool {version},
on {machine}."""
_EXACT = """\
## The same on every machine

The test suite also runs these, and fails if it finds another figure than the one here."""
_MEASURED = """\
## Sampled or measured

These were sampled with fixed seeds, or measured on the machine named above."""
_LATER = """\
## Later

What these need is not in memtool yet."""

Entry = tuple[Result, Line]


def place() -> str:
    """Return the machine that figures were taken on, in one line."""
    host = machine.fingerprint()
    return f"{host['cpu']}, {host['cores']} cores, Linux {host['kernel']}, {host['libc']}"


def cells(entry: Entry) -> tuple[str, ...]:
    """Return a line of the table, a text for each heading."""
    result, line = entry
    return (str(result.number), line.quantity, line.published, result.source, line.ours, str(line.verdict))


def table(entries: Sequence[Entry]) -> str:
    """Return the table for a terminal."""
    rows = [[textwrap.fill(cell, _WIDTH) for cell in cells(entry)] for entry in entries]
    return tabulate(rows, headers=HEADINGS, disable_numparse=True, tablefmt="simple")


def markdown(exact: Sequence[Entry], measured: Sequence[Entry], results: Sequence[Result]) -> str:
    """Return docs/verification.md for what a whole run found."""
    later = [entry for entry in measured if entry[1].verdict is Verdict.LATER]
    ran = [entry for entry in measured if entry[1].verdict is not Verdict.LATER]
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    parts = [_PREAMBLE.format(command=COMMAND, date=date, machine=place(), version=__version__)]
    for heading, entries in ((_EXACT, exact), (_MEASURED, ran), (_LATER, later)):
        rows = [[cell.replace("|", "\\|") for cell in cells(entry)] for entry in entries]
        if not rows:
            continue
        parts += [heading, tabulate(rows, headers=HEADINGS, disable_numparse=True, tablefmt="pipe")]
    if EXPERIMENT.exists():
        parts.append(EXPERIMENT.read_text(encoding="utf-8").strip())
    parts.append("## Sources")
    items = (f"- Row {result.number}, {result.title}: {result.reference}" for result in results)
    parts.append("\n".join(textwrap.fill(item, 120, subsequent_indent="  ", break_on_hyphens=False) for item in items))
    return "\n\n".join(parts) + "\n"
