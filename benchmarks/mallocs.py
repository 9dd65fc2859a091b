"""A strategy as the malloc of the recorded programs, beside the system's mallocs preloaded.

    python -m benchmarks.mallocs [-a thread-spans] [--blocks N] [--write] [PROGRAM]...

In each block every allocator runs the program once, next to each other and in an order drawn anew. A figure is the
median over the blocks of ratios of one block: of processor time, to the malloc that takes least, and of peak resident
memory, to the same malloc. The programs are those of scripts/record_programs.py. With --write the table stands in
docs/speed.md: all programs, on a machine that has nothing else to do.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click
from tabulate import tabulate

from memtool.errors import InputError
from memtool.model import CellResult, Metric
from memtool.options import BenchOptions
from memtool.programs.program import Program
from memtool.run import bench
from scripts.record_programs import PROGRAMS
from scripts.record_programs import Program as Recorded

MALLOCS = ("glibc", "jemalloc", "mimalloc", "tcmalloc")
TIME, MEMORY = "cpu_time_ns", "tree_peak_resident_bytes"
MOST_MEMORY = 1.10
PAGE = Path(__file__).parent.parent / "docs/speed.md"
MARKS = ("<!-- mallocs of real programs -->\n", "<!-- end of mallocs -->\n")
_PORT = "7917"


def measured(recorded: Recorded, allocators: str, blocks: int) -> Mapping[str, CellResult]:
    """Return the cells of a recorded program, by allocator; those that failed say so."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        recorded.prepare(Path(name))
        load = recorded.load and recorded.load.replace("{port}", _PORT)
        program = Program(
            name=recorded.name,
            command=recorded.command.replace("{port}", _PORT),
            ready=load and _PORT,
            load=load,
            warmup=1,
        )
        options = BenchOptions(
            programs=(program,), allocators=allocators, blocks=blocks, output=Path(name) / "run", draw_plots=False
        )
        cells = bench(options, lambda *_: None).run.cells
        return {cell.cell.allocator: cell for cell in cells}


def ratio(ours: Metric, theirs: Metric) -> list[float]:
    """Return the ratios of the blocks that both have, sorted."""
    other = dict(zip(theirs.blocks, theirs.samples, strict=True))
    pairs = zip(ours.blocks, ours.samples, strict=True)
    return sorted(float(sample) / float(other[block]) for block, sample in pairs if other.get(block))


@dataclass(frozen=True, slots=True)
class Row:
    """A program: ratios of the strategy's figures to those of the malloc that takes least time."""

    name: str
    taken_ms: float
    fastest: str
    time: float
    half: tuple[float, float]
    """Half of the blocks have a ratio of time between these."""
    memory: float
    others: str

    @property
    def cells(self) -> tuple[str, ...]:
        half = f"{self.half[0]:.3f} to {self.half[1]:.3f}"
        time = f"{self.fastest} {self.time:.3f} ({half})"
        return (self.name, f"{self.taken_ms:.0f} ms", time, f"{self.memory:.3f}", self.others)


def row(name: str, own: str, cells: Mapping[str, CellResult]) -> Row | str:
    """Return a program's row, or why there is none."""
    failed = [f"{malloc}: {cell.reason}" for malloc, cell in cells.items() if TIME not in cell.metrics]
    if failed:
        return f"{name}: {'; '.join(failed)}"

    def ratios(metric: str, malloc: str) -> list[float]:
        return ratio(cells[own].metrics[metric], cells[malloc].metrics[metric])

    times = {malloc: statistics.median(ratios(TIME, malloc)) for malloc in MALLOCS}
    memory = {malloc: statistics.median(ratios(MEMORY, malloc)) for malloc in MALLOCS}
    fastest = max(times, key=lambda malloc: times[malloc])
    spread = ratios(TIME, fastest)
    return Row(
        name=name,
        taken_ms=float(cells[own].metrics[TIME].value or 0) / 1e6,
        fastest=fastest,
        time=times[fastest],
        half=(spread[len(spread) // 4], spread[-1 - len(spread) // 4]),
        memory=memory[fastest],
        others=", ".join(
            f"{malloc} {times[malloc]:.3f}, {memory[malloc]:.3f}" for malloc in MALLOCS if malloc != fastest
        ),
    )


def summary(own: str, rows: Sequence[Row]) -> str:
    fast = sum(row.time <= 1 for row in rows)
    small = sum(row.memory <= MOST_MEMORY for row in rows)
    both = sum(row.time <= 1 and row.memory <= MOST_MEMORY for row in rows)
    return (
        f"`{own}` is no slower than the fastest malloc on {fast} of {len(rows)} programs, within a tenth of its peak "
        f"on {small}, and both on {both}."
    )


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([program.name for program in PROGRAMS]), metavar="[PROGRAM]...")
@click.option("-a", "--allocator", "own", default="thread-spans", show_default=True)
@click.option("--blocks", default=11, show_default=True)
@click.option("--write", "is_written", is_flag=True, help="The table in docs/speed.md; takes all programs.")
def main(names: tuple[str, ...], own: str, blocks: int, is_written: bool) -> None:
    """Measure a strategy as the malloc of recorded PROGRAMs, all unless named."""
    if is_written and names:
        raise click.UsageError("--write takes all programs: name none")
    rows = []
    for recorded in PROGRAMS:
        if names and recorded.name not in names:
            continue
        try:
            measured_row = row(recorded.name, own, measured(recorded, ",".join((*MALLOCS, own)), blocks))
        except (InputError, OSError) as problem:
            measured_row = f"{recorded.name}: {problem}"
        click.echo(measured_row if isinstance(measured_row, str) else "  ".join(measured_row.cells), err=True)
        if isinstance(measured_row, Row):
            rows.append(measured_row)
    heads = ["program", "cpu", "time / fastest", "peak / its", "time, peak / others"]
    rows.sort(key=lambda row: row.time)
    text = tabulate([row.cells for row in rows], headers=heads, tablefmt="pipe", disable_numparse=True)
    text = f"{summary(own, rows)}\n\n{text}\n"
    click.echo(text)
    if is_written:
        page = PAGE.read_text(encoding="utf-8")
        before, after = page.partition(MARKS[0])[0], page.partition(MARKS[1])[2]
        said = f"{blocks} blocks, {date.today()}"
        PAGE.write_text(f"{before}{MARKS[0]}\n{said}. {text}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
