"""A strategy as the malloc of the recorded programs, beside the system's mallocs preloaded.

    python -m benchmarks.mallocs [-a thread-spans] [--blocks N] [PROGRAM]...

In each block every allocator runs the program once, next to each other and in an order drawn anew. A figure is the
median over the blocks of ratios of one block: of processor time, to the malloc that takes least, and of peak resident
memory, to the same malloc. The programs are those of scripts/record_programs.py.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click
from tabulate import tabulate

from memtool.errors import InputError
from memtool.model import CellResult, Metric
from memtool.plan import BenchOptions
from memtool.programs.program import Program
from memtool.run import bench
from scripts.record_programs import PROGRAMS
from scripts.record_programs import Program as Recorded

MALLOCS = ("glibc", "jemalloc", "mimalloc", "tcmalloc")
TIME, MEMORY = "cpu_time_ns", "tree_peak_resident_bytes"
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


def row(name: str, own: str, cells: Mapping[str, CellResult]) -> list[str]:
    failed = [f"{each}: {cell.reason}" for each, cell in cells.items() if TIME not in cell.metrics]
    if failed:
        return [name, "; ".join(failed)]
    times = {each: statistics.median(ratio(cells[own].metrics[TIME], cells[each].metrics[TIME])) for each in MALLOCS}
    fastest = max(times, key=lambda each: times[each])
    spread = ratio(cells[own].metrics[TIME], cells[fastest].metrics[TIME])
    memory = {
        each: statistics.median(ratio(cells[own].metrics[MEMORY], cells[each].metrics[MEMORY])) for each in MALLOCS
    }
    taken = cells[own].metrics[TIME].value
    return [
        name,
        f"{float(taken or 0) / 1e6:.0f} ms",
        f"{fastest} {times[fastest]:.3f} ({spread[len(spread) // 4]:.3f} to {spread[-1 - len(spread) // 4]:.3f})",
        f"{memory[fastest]:.3f}",
        ", ".join(f"{each} {times[each]:.3f}, {memory[each]:.3f}" for each in MALLOCS if each != fastest),
    ]


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([each.name for each in PROGRAMS]), metavar="[PROGRAM]...")
@click.option("-a", "--allocator", "own", default="thread-spans", show_default=True)
@click.option("--blocks", default=11, show_default=True)
def main(names: tuple[str, ...], own: str, blocks: int) -> None:
    """Measure a strategy as the malloc of recorded PROGRAMs, all unless named."""
    rows = []
    for recorded in PROGRAMS:
        if names and recorded.name not in names:
            continue
        try:
            rows.append(row(recorded.name, own, measured(recorded, ",".join((*MALLOCS, own)), blocks)))
        except (InputError, OSError) as problem:
            rows.append([recorded.name, str(problem)])
        click.echo("  ".join(rows[-1]), err=True)
    heads = ["program", "cpu", "time / fastest", "peak / its", "time, peak / others"]
    click.echo(tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
