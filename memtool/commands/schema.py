"""``memtool schema``: the published JSON Schemas."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("what", type=click.Choice(["workload", "run", "compare", "limits", "series", "history"]))
def command(what: str) -> None:
    """Print the JSON Schema of a workload file or of a stored result: run, comparison, limits, series or history."""
    from memtool import api

    click.echo(json.dumps(api.json_schema(what), indent=2))
