"""``memtool plot``: the pictures of a stored run again, without measuring."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from memtool import formats
from memtool.commands import completing
from memtool.commands.options import Named, UserPath


@click.command("plot")
@click.argument("run", metavar="RUN", type=UserPath(), shell_complete=completing.runs)
@click.option("--only", type=Named(), metavar="LIST", help="Only these pictures: throughput, latency, footprint, …")
@click.option("-a", "--allocators", type=Named(), metavar="LIST", help="Show only these, named as in `memtool show`.")
@click.option("--format", "suffix", type=click.Choice(formats.PICTURES), default="png", show_default=True)
@click.option("--theme", type=click.Choice(["light", "dark"]), default="light", show_default=True)
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["screen", "print", "slides"]),
    default="screen",
    show_default=True,
    help="Purpose of the pictures: print has 300 dots per inch, slides have larger text and lines.",
)
@click.option(
    "-o",
    "--output",
    type=UserPath(file_okay=False),
    help="Folder of the pictures; the folder plots of the run unless given.",
)
def command(
    run: Path,
    only: tuple[str, ...] | None,
    allocators: tuple[str, ...] | None,
    suffix: str,
    theme: Literal["light", "dark"],
    purpose: Literal["screen", "print", "slides"],
    output: Path | None,
) -> None:
    """Draw the pictures of RUN, a folder of results or a run.json, and print their names."""
    from memtool import api

    drawn = api.draw(run, output, only=only, allocators=allocators, suffix=suffix, theme=theme, purpose=purpose)
    for path in drawn:
        click.echo(path)
