"""``memtool report``: one page of HTML on stored runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from memtool.commands import completing
from memtool.commands.options import Named, UserPath


@click.command("report")
@click.argument("runs", nargs=-1, required=True, metavar="RUN ...", type=UserPath(), shell_complete=completing.runs)
@click.option(
    "-o",
    "--output",
    type=UserPath(),
    help="Output file; report.html in the folder of the first RUN unless given.",
)
@click.option("-a", "--allocators", type=Named(), metavar="LIST", help="Show only these, named as in `memtool show`.")
@click.option("--reference", metavar="ALLOCATOR", help="Compare the others with this allocator.")
def command(
    runs: Sequence[Path], output: Path | None, allocators: tuple[str, ...] | None, reference: str | None
) -> None:
    """Write one page on each RUN, a folder of results or a run.json: the answer in words, tables, and charts.

    The page is one self-contained HTML file: it can be sent by mail, opened without a network, and printed. With
    several runs, each further one is compared with the first.
    """
    from memtool import api

    click.echo(api.report(runs, output, allocators=allocators, reference=reference))
