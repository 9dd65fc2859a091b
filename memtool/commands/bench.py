"""``memtool bench``: measure, and show the results."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from memtool import formats
from memtool.commands import colours, completing
from memtool.commands.options import (
    Named,
    bench_options,
    complain,
    format_option,
    measurement_options,
    wide_option,
    width_of_tables,
)
from memtool.commands.planned import show_plan
from memtool.commands.program_options import SectionedCommand, program_options, programs_of
from memtool.commands.progress import progress, standings, without_standings
from memtool.errors import EXIT_FAILED, InputError

if TYPE_CHECKING:
    from memtool.options import BenchOptions
    from memtool.run import Outcome


@click.command("bench", cls=SectionedCommand)
@click.argument("workloads", nargs=-1, metavar="[WORKLOAD ...]", shell_complete=completing.workloads)
@click.option(
    "-a",
    "--allocators",
    metavar="LIST",
    shell_complete=completing.allocators,
    help="Names, @groups, parameters (pool:block=64), sweeps (block=32|64), adaptors (pool+lock), ./lib.so, mine.py.",
)
@click.option(
    "--blocks",
    type=click.IntRange(1, 1000),
    help="Number of samples per cell: 10 by default; a resumed run keeps its own number.",
)
@measurement_options("all of them")
@click.option(
    "--find-limit",
    is_flag=True,
    help="Find the smallest memory_limit with which each strategy serves the workload; measure nothing else.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    help="Number of seeds that --find-limit tries.",
)
@click.option(
    "--reference",
    metavar="ALLOCATOR",
    shell_complete=completing.allocators,
    help="Add a ratio to this allocator to every table.",
)
@format_option(formats.RUN)
@click.option(
    "--metrics",
    type=Named(),
    metavar="LIST",
    shell_complete=completing.metrics,
    help="Show one table of these metrics (`memtool list metrics`); all are stored.",
)
@click.option("--watch", is_flag=True, help="Show the ranking so far on the terminal after each block.")
@click.option("--report", "writes_report", is_flag=True, help="Also write report.html, as `memtool report` does.")
@wide_option
@program_options
@click.pass_context
def command(
    context: click.Context,
    /,
    workloads: tuple[str, ...],
    allocators: str | None,
    blocks: int | None,
    reference: str | None,
    output_format: str,
    wide: bool,
    find_limit: bool,
    seeds: int,
    writes_report: bool,
    watch: bool,
    metrics: tuple[str, ...] | None,
    **measured: Any,  # noqa: ANN401  # of measurement_options, program_options
) -> None:
    """Replay WORKLOADs against allocators and report time, latency, fragmentation and resident memory.

    Without a WORKLOAD the quickstart is replayed. A WORKLOAD is a YAML file, the name of a shipped workload
    (`memtool list workloads`), or the trace file of another tool (`memtool list importers`). --program runs
    whole programs, instead of workloads or beside them.
    """
    from memtool import api

    own = {"workloads": workloads, "allocators": allocators, "reference": reference}
    counted: dict[str, Any] = {"keeps_blocks": True} if blocks is None else {"blocks": blocks}
    programs = programs_of(measured, measured["time_limit"])
    options = bench_options(measured, **own, **counted, programs=programs, adds_blocks=True)
    _refuse_without_meaning(context, find_limit=find_limit)
    if metrics is not None:
        if output_format not in formats.TEXTS:
            raise click.UsageError("--metrics goes with --format table or markdown; csv and json have all of them")
        api.refuse_unknown_metrics(metrics)
    if find_limit:
        if options.mode != "serial":
            raise InputError(
                f"--find-limit: limits are found on one thread: --mode must be serial, is '{options.mode}'"
            )
        _find_limits(options, seeds, output_format, width_of_tables(wide=wide))
        return
    if measured["dry_run"]:
        from memtool.plan import too_few_to_compare

        show_plan(options, output_format, too_few_to_compare)
        return
    watching = standings if watch else without_standings
    with watching(quiet=output_format == "json") as (show, seen):
        outcome = api.bench(options, progress=show, announce=lambda words: complain((words,)), seen=seen)
    # First what stays: a reader such as `head` may close the pipe within the first table.
    page = api.report([outcome.directory]) if writes_report else None
    _show(outcome, output_format, width_of_tables(wide=wide), metrics)
    if page is not None:
        click.echo(f"Report:  {page}", err=output_format != "table")
    complain(outcome.complaints)
    if outcome.failed:
        sys.exit(EXIT_FAILED)


_WITH_LIMITS = frozenset(
    [
        "workloads",
        "allocators",
        "regions",
        "mode",
        "footing",
        "threads",
        "seed",
        "output",
        "resume",
        "time_limit",
        "no_plots",
        "output_format",
        "wide",
        "find_limit",
        "seeds",
    ]
)
"""Options of a search for limits; the others concern quantities that it does not measure."""


def _refuse_without_meaning(context: click.Context, *, find_limit: bool) -> None:
    """Raise for an option without effect."""
    from click.core import ParameterSource

    for parameter in context.command.params:
        name = parameter.name or ""
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        if find_limit and name not in _WITH_LIMITS:
            raise InputError(f"{parameter.opts[-1]}: does not go with --find-limit, which measures nothing else")
        if not find_limit and name == "seeds":
            raise InputError("--seeds: goes with --find-limit only; --seed is the seed of a bench")


def _find_limits(options: BenchOptions, seeds: int, output_format: str, width: int | None) -> None:
    from memtool import api

    with progress(quiet=output_format == "json") as show:
        outcome = api.find_limits(options, seeds, progress=show)
    click.echo(api.render(outcome.limits, output_format, width=width))
    if output_format == "table":
        click.echo(f"\nResults: {outcome.file}")
    if outcome.limits.failed:
        sys.exit(EXIT_FAILED)


def _show(outcome: Outcome, output_format: str, width: int | None, metrics: tuple[str, ...] | None) -> None:
    from memtool import api

    if output_format == "json":
        click.echo((outcome.directory / "run.json").read_text(encoding="utf-8"), nl=False)
        return
    text = api.render(outcome.run, output_format, width=width, metrics=metrics)
    colours.show(text) if output_format == "table" else click.echo(text)
    if output_format == "table":
        click.echo(f"\nResults: {outcome.directory / 'run.json'}")
        for path in outcome.plots:
            click.echo(f"Plot:    {path}")
