"""``memtool bench``: measure, and show what came of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from memtool.commands.options import (
    Rates,
    bench_options,
    complain,
    measurement_options,
    progress,
    show_plan,
    wide_option,
    width_of_tables,
)
from memtool.errors import EXIT_FAILED

if TYPE_CHECKING:
    from memtool.pipeline import Outcome

_FORMATS = ("table", "markdown", "json", "csv")


@click.command("bench")
@click.argument("workloads", nargs=-1, metavar="[WORKLOAD ...]")
@click.option(
    "-a",
    "--allocators",
    metavar="LIST",
    help="Names, @groups, parameters (pool:block=64), sweeps (block=32|64), adaptors (pool+lock), ./lib.so, mine.py.",
)
@click.option("--blocks", type=click.IntRange(1, 1000), default=10, show_default=True, help="Samples of each cell.")
@measurement_options("all")
@click.option(
    "--rate",
    "rates",
    type=Rates(),
    default=(),
    metavar="LIST",
    help="Each workload open-loop at these rates of operations (1M/s,2M/s), in place of its own arrivals.",
)
@click.option("--reference", metavar="ALLOCATOR", help="Add a ratio to this allocator to every table.")
@click.option("--format", "output_format", type=click.Choice(_FORMATS), default="table", show_default=True)
@wide_option
def command(
    workloads: tuple[str, ...],
    allocators: str | None,
    blocks: int,
    reference: str | None,
    output_format: str,
    wide: bool,
    rates: tuple[int, ...],
    **measured: Any,  # noqa: ANN401  # of measurement_options
) -> None:
    """Replay WORKLOADs against allocators and report time, latency, fragmentation and resident memory.

    Without a WORKLOAD the quickstart is replayed. A WORKLOAD is a YAML file, the name of a shipped one
    (`memtool list workloads`), or the trace file of another tool (`memtool list importers`).
    """
    from memtool import pipeline

    own = {"workloads": workloads, "allocators": allocators, "blocks": blocks, "reference": reference, "rates": rates}
    options = bench_options(measured, **own, adds_blocks=True)
    if measured["dry_run"]:
        show_plan(options, output_format)
        return
    with progress(quiet=output_format == "json") as show:
        outcome = pipeline.bench(options, show, announce=lambda words: click.echo(f"memtool: {words}", err=True))
    _show(outcome, output_format, width_of_tables(wide=wide))
    complain(outcome.complaints)
    if outcome.failed:
        sys.exit(EXIT_FAILED)


def _show(outcome: Outcome, output_format: str, width: int | None) -> None:
    from memtool.report import tables

    if output_format == "json":
        click.echo((outcome.directory / "run.json").read_text(encoding="utf-8"), nl=False)
        return
    click.echo(tables.render(outcome.run, output_format, width))
    if output_format == "table":
        click.echo(f"\nResults: {outcome.directory / 'run.json'}")
        for path in outcome.plots:
            click.echo(f"Plot:    {path}")
