"""``memtool show``: the tables of a stored run again, or of a part of it, without measuring."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from memtool import formats
from memtool.commands import colours, completing
from memtool.commands.options import Named, UserPath, format_option, wide_option, width_of_tables


@click.command("show")
@click.argument("runs", nargs=-1, required=True, metavar="RUN ...", type=UserPath(), shell_complete=completing.runs)
@click.option(
    "-a",
    "--allocators",
    "allocators",
    type=Named(),
    metavar="LIST",
    help="Show only these: labels as in the tables, their first part (pool), or patterns (*+lock).",
)
@click.option("--reference", metavar="ALLOCATOR", help="Add a ratio to this allocator to every table.")
@click.option(
    "--metrics",
    type=Named(),
    metavar="LIST",
    shell_complete=completing.metrics,
    help="Show one table of these metrics (`memtool list metrics`).",
)
@format_option(formats.RUN)
@click.option("--samples", is_flag=True, help="With --format csv: write a line for each sample, not for each figure.")
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

    The limits that --find-limit found are shown in the same way: give one such folder, or its limits.json, alone.
    """
    from memtool import api

    if samples and output_format != "csv":
        raise click.UsageError("--samples goes with --format csv")
    if metrics is not None and output_format not in formats.TEXTS:
        raise click.UsageError("--metrics goes with --format table or markdown; csv and json have all of them")
    width = width_of_tables(wide=wide)
    searched = next((path for path in runs if api.holds_limits(path)), None)
    if searched is not None:
        if len(runs) > 1 or samples or reference is not None or metrics is not None:
            words = "limits are shown by themselves: no other RUN, and no choice but --allocators"
            raise click.UsageError(f"{searched}: {words}")
        click.echo(api.render(api.show_limits(searched, allocators=allocators), output_format, width=width))
        return
    read = [(path, api.show(path, allocators=allocators, reference=reference)) for path in runs]
    if output_format == "json":
        documents = [api.render(run, "json") for _, run in read]
        click.echo(documents[0] if len(documents) == 1 else json.dumps([*map(json.loads, documents)], indent=1))
        return
    style = formats.SAMPLES if samples else output_format
    texts = [api.render(run, style, width=width, metrics=metrics) for _, run in read]
    if output_format == "csv":
        texts[1:] = [text.partition("\n")[2] for text in texts[1:]]
        click.echo("\n".join(text for text in texts if text))
        return
    if len(read) > 1:
        texts = [f"{path}\n\n{text}" for (path, _), text in zip(read, texts, strict=True)]
    text = "\n\n\n".join(texts)
    colours.show(text) if output_format == "table" else click.echo(text)
