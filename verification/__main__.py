"""Reproduces published results and prints them beside ours. Exit code 1 when one that ran is not reproduced."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from verification import report
from verification.outcome import Line, Result, Verdict
from verification.results import RESULTS

DOCUMENT = Path(__file__).parent.parent / "docs/verification.md"
NUMBERS = [str(result.number) for result in RESULTS]


@click.command()
@click.argument("rows", nargs=-1, type=click.Choice(NUMBERS), metavar="[ROW]...")
@click.option("--write", is_flag=True, help="Write docs/verification.md from this run.")
def main(rows: tuple[str, ...], write: bool) -> None:
    """Reproduce published results: all ROWs of docs/verification.md, or those named."""
    if write and rows:
        raise click.UsageError("--write needs all rows: name none")
    chosen = [result for result in RESULTS if not rows or str(result.number) in rows]
    exact: list[tuple[Result, Line]] = []
    measured: list[tuple[Result, Line]] = []
    for result in chosen:
        start = time.monotonic()
        exact += [(result, line) for line in result.exact()]
        measured += [(result, line) for line in result.measured()]
        click.echo(f"row {result.number}: {time.monotonic() - start:.1f} s", err=True)
    entries = sorted(exact + measured, key=lambda entry: entry[0].number)
    click.echo(report.table(entries))
    click.echo(f"\n{report.place()}")
    if write:
        DOCUMENT.write_text(report.markdown(exact, measured, chosen), encoding="utf-8")
    missed = [line for _, line in entries if line.verdict is Verdict.NOT_REPRODUCED]
    if missed:
        click.echo(f"{len(missed)} of {len(entries)} lines are not reproduced", err=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
