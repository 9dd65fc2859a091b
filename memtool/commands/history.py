"""``memtool history``: figures over many stored runs, and where they change."""

from __future__ import annotations

from pathlib import Path

import click

from memtool import formats
from memtool.commands import colours, completing
from memtool.commands.options import Named, PlotFile, UserPath, complain, format_option, wide_option, width_of_tables


@click.command("history")
@click.argument("directory", metavar="DIR", type=UserPath(file_okay=False))
@click.option(
    "--metric",
    "metrics",
    type=Named(),
    metavar="LIST",
    shell_complete=completing.metrics,
    help="Metrics to show; time, footprint, resident memory and fragmentation unless given.",
)
@click.option(
    "-a",
    "--allocators",
    type=Named(),
    metavar="LIST",
    help="Show only these: labels as in the tables, their first part (pool), or patterns (*+lock).",
)
@format_option(
    formats.HISTORY,
    "bencher and custom…IsBetter: the newest figures, for Bencher and for github-action-benchmark.",
)
@click.option("--plot", type=PlotFile(), help="Draw the series and their changes into this PNG, SVG or PDF.")
@wide_option
def command(
    directory: Path,
    metrics: tuple[str, ...] | None,
    allocators: tuple[str, ...] | None,
    output_format: str,
    plot: Path | None,
    wide: bool,
) -> int:
    """Show the figures of all runs in DIR over time, and where they change.

    DIR contains folders of results, or files in the format of run.json. Runs on different machines, or with different
    settings or events, are never mixed: each forms its own series.
    """
    from memtool import api
    from memtool.errors import EXIT_FAILED, EXIT_OK

    history = api.history(directory, metrics=metrics, allocators=allocators)
    text = api.render(history, output_format, width=width_of_tables(wide=wide))
    colours.show(text) if output_format == "table" else click.echo(text)
    complaints = () if plot is None else api.draw_history(history, plot)
    complain(complaints)
    return EXIT_FAILED if complaints else EXIT_OK
