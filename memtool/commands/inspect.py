"""``memtool inspect``: the requests of a workload, without replaying it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from memtool import formats
from memtool.commands import completing
from memtool.commands.options import PlotFile, format_option, width_of_lists


@click.command()
@click.argument("workload", shell_complete=completing.workloads)
@format_option(formats.FACTS)
@click.option("--plot", type=PlotFile(), help="Draw sizes, lifetimes and live bytes into this file.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Seed to use instead of the workload's own.")
def command(workload: str, output_format: str, plot: Path | None, seed: int | None) -> None:
    """Characterise WORKLOAD: events, sizes, lifetimes, live bytes, and the least memory that it can run in.

    WORKLOAD is the same as for `memtool bench`: a YAML file, the name of a shipped workload, or a trace file.
    """
    from memtool import api
    from memtool.commands import spelling
    from memtool.commands.progress import events_read
    from memtool.kinds.work import work
    from memtool.report.grid import wrapped

    with events_read():
        inspection = api.inspect(workload, seed=seed)
    info, size, definition = inspection.trace, inspection.image_bytes, inspection.definition
    characteristics = inspection.characteristics
    if plot is not None:
        api.draw_inspection(inspection, plot)
    if output_format == "json":
        content = {"trace": asdict(info), "image_bytes": size, "workload": definition, **asdict(characteristics)}
        content["symbols"] = {f"{caller:#x}": name for caller, name in inspection.symbols.items()}
        content["portrait"] = [asdict(sentence) for sentence in inspection.portrait]
        click.echo(json.dumps(content, indent=1))
        return
    click.echo(wrapped(work(info.kind).summary(inspection), width_of_lists(110), has_columns=True))
    if inspection.portrait:
        click.echo(f"Whether it should, a bench says:\n    {spelling.trial(inspection)}")
    if definition is not None:
        click.echo("\nWith every default written out\n" + _definition(definition))
    if plot is not None:
        click.echo(f"\nPlot: {plot}")


def _definition(workload: Mapping[str, Any]) -> str:
    """Return a workload as YAML that is a valid workload file."""
    import yaml

    return yaml.safe_dump(
        workload, sort_keys=False, default_flow_style=None, allow_unicode=True, width=width_of_lists()
    ).rstrip()
