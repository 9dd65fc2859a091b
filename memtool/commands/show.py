"""``memtool show``: the tables of a stored run again, or of a part of it, without measuring."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from memtool.commands.options import Named, UserPath, wide_option, width_of_tables

_FORMATS = ("table", "markdown", "json", "csv")


@click.command("show")
@click.argument("runs", nargs=-1, required=True, metavar="RUN ...", type=UserPath())
@click.option(
    "-a",
    "--allocators",
    "allocators",
    type=Named(),
    metavar="LIST",
    help="Only these: labels as the tables have them, their first part (pool), or patterns (*+lock).",
)
@click.option("--reference", metavar="ALLOCATOR", help="Add a ratio to this allocator to every table.")
@click.option("--metrics", type=Named(), metavar="LIST", help="One table of these metrics (`memtool list metrics`).")
@click.option("--format", "output_format", type=click.Choice(_FORMATS), default="table", show_default=True)
@click.option("--samples", is_flag=True, help="With --format csv: a line for each sample, not for each figure.")
@wide_option
def command(
    runs: Sequence[Path],
    allocators: tuple[str, ...] | None,
    reference: str | None,
    metrics: tuple[str, ...] | None,
    output_format: str,
    samples: bool,
    wide: bool,
) -> None:
    """Show the tables of each RUN, a folder of results or a run.json, as `memtool bench` showed them.

    What --find-limit has found is shown again too, by itself: one folder or limits.json.
    """
    from memtool import api
    from memtool.report import limits, selection, tables
    from memtool.store import limits_file, run_file

    if samples and output_format != "csv":
        raise click.UsageError("--samples goes with --format csv")
    if metrics is not None and output_format not in ("table", "markdown"):
        raise click.UsageError("--metrics goes with --format table or markdown; csv and json have all of them")
    searches = [file for path in runs if (file := limits_file.file_of(path)) is not None]
    if searches:
        if len(runs) > 1 or samples or reference is not None or metrics is not None:
            words = "limits are shown by themselves: no other RUN, and no choice but --allocators"
            raise click.UsageError(f"{searches[0]}: {words}")
        chosen_limits = selection.select_limits(limits_file.read(searches[0]), allocators)
        click.echo(limits.render(chosen_limits, output_format, width_of_tables(wide=wide)))
        return
    chosen = (selection.sheet_of(metrics),) if metrics is not None else None
    read = [(path, api.show(path, allocators=allocators, reference=reference)) for path in runs]
    if output_format == "json":
        documents = [run_file.to_json(run) for _, run in read]
        click.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=1, allow_nan=False))
        return
    style = "samples" if samples else output_format
    texts = [tables.render(run, style, width_of_tables(wide=wide), chosen) for _, run in read]
    if output_format == "csv":
        texts[1:] = [text.partition("\n")[2] for text in texts[1:]]
        click.echo("\n".join(text for text in texts if text))
        return
    if len(read) > 1:
        texts = [f"{path}\n\n{text}" for (path, _), text in zip(read, texts, strict=True)]
    click.echo("\n\n\n".join(texts))
