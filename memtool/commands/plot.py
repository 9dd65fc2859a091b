"""``memtool plot``: the pictures of a stored run again, without measuring."""

from __future__ import annotations

from pathlib import Path

import click

from memtool.commands.options import Named, UserPath


@click.command("plot")
@click.argument("run", metavar="RUN", type=UserPath())
@click.option("--only", type=Named(), metavar="LIST", help="Only these pictures: throughput, latency, footprint, …")
@click.option("-a", "--allocators", type=Named(), metavar="LIST", help="Only these, named as in `memtool show`.")
@click.option("--format", "suffix", type=click.Choice(["png", "svg", "pdf"]), default="png", show_default=True)
@click.option(
    "-o",
    "--output",
    type=UserPath(file_okay=False),
    help="Folder of the pictures; the folder plots of the run unless given.",
)
def command(
    run: Path, only: tuple[str, ...] | None, allocators: tuple[str, ...] | None, suffix: str, output: Path | None
) -> None:
    """Draw the pictures of RUN, a folder of results or a run.json, and print their names."""
    from memtool import api
    from memtool.report.plots import pictures

    directory = run if run.is_dir() else run.parent
    stored = api.show(run, allocators=allocators)
    for path in pictures.draw_all(directory, stored, output or directory / pictures.FOLDER, only=only, suffix=suffix):
        click.echo(path)
