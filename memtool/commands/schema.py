"""``memtool schema``: the published JSON Schemas."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("what", type=click.Choice(["workload", "run", "compare", "limits"]))
def command(what: str) -> None:
    """Print the JSON Schema of a workload file, of run.json, of a comparison, or of what --find-limit finds."""
    if what == "workload":
        from memtool.kinds.work import json_schema
    elif what == "run":
        from memtool.store.run_file import json_schema
    elif what == "limits":
        from memtool.store.limits_file import json_schema
    else:
        from memtool.store.compare_file import json_schema
    click.echo(json.dumps(json_schema(), indent=2))
