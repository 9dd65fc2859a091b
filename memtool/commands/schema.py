"""``memtool schema``: the published JSON Schemas."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("what", type=click.Choice(["workload", "run", "compare"]))
def command(what: str) -> None:
    """Print the JSON Schema of a workload file, of run.json, or of a comparison."""
    if what == "workload":
        from memtool.workload.schema import json_schema
    elif what == "run":
        from memtool.store.run_file import json_schema
    else:
        from memtool.store.compare_file import json_schema
    click.echo(json.dumps(json_schema(), indent=2))
