"""``memtool import``: a trace file from what another tool has recorded."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memtool import formats
from memtool.commands.options import Count, UserPath, format_option, width_of_lists
from memtool.commands.progress import events_read

if TYPE_CHECKING:
    from memtool.workload.importers.convert import Imported, ImportedProfile


@click.command()
@click.argument("file")
@click.option(
    "-o",
    "output",
    type=UserPath(),
    help="Output file; NAME.parquet unless given, or NAME.yaml for a heap profile.",
)
@click.option(
    "--from",
    "format",
    metavar="FORMAT",
    help="Format of FILE (`memtool list importers`); found by its content unless given.",
)
@click.option("--skip", type=Count(), default=0, metavar="EVENTS", help="Begin after this many events: 200k, 1M.")
@click.option("--take", type=Count(minimum=1), metavar="EVENTS", help="End after this many more; all unless given.")
@click.option(
    "--no-time", is_flag=True, help="Leave out the time of each event, which makes the file a third of its size."
)
@click.option("--no-callers", is_flag=True, help="Leave out the call site of each allocation.")
@click.option("--anonymous", is_flag=True, help="Leave out the host, folders, and the program's arguments.")
@format_option(formats.FACTS)
def command(
    file: str,
    output: Path | None,
    format: str | None,
    skip: int,
    take: int | None,
    no_time: bool,
    no_callers: bool,
    anonymous: bool,
    output_format: str,
) -> None:
    """Convert FILE, a recording of another tool, into a trace file. FILE may be compressed; - is standard input.

    Impossible events are repaired or dropped, and counted. FILE may also be a workload in YAML or a trace
    file; --skip and --take cut a stretch out of it, and objects that are live at its start are allocated first. A
    heap profile, which is not a trace, becomes a workload.
    """
    from memtool import api

    with events_read():
        imported = api.import_trace(
            file,
            output,
            format,
            skip=skip,
            take=take,
            has_times=not no_time,
            has_callers=not no_callers,
            is_anonymous=anonymous,
        )
    if output_format == "json":
        click.echo(json.dumps({**asdict(imported), "path": str(imported.path)}, indent=1))
    else:
        click.echo(_summary(imported))


def _summary(imported: Imported | ImportedProfile) -> str:
    from tabulate import tabulate

    from memtool.report.grid import wrapped
    from memtool.units import format_count, format_size, plural
    from memtool.workload.importers.convert import ImportedProfile

    if isinstance(imported, ImportedProfile):
        live = f"{format_size(imported.live_bytes)} in {plural(imported.live_objects, 'object')}"
        known = [("workload", f"{imported.path} ({imported.format})"), ("sizes", format_count(imported.sizes))]
        known += [("live", live), *(("note", note) for note in imported.notes)]
        return wrapped(tabulate(known, tablefmt="plain", disable_numparse=True), width_of_lists(), has_columns=True)
    an_event = imported.file_bytes / max(imported.events, 1)
    size = f"{format_size(imported.file_bytes)}, {an_event:.2f} bytes an event"
    rows = [("trace", f"{imported.path} ({imported.format})"), ("events", f"{format_count(imported.events)}; {size}")]
    rows.append(("threads", str(imported.threads)))
    if imported.report is not None:
        counts = imported.report.matched
        calls = ", ".join(f"{format_count(count)} {name}" for name, count in imported.report.calls.items())
        peak = f"{format_size(counts['peak_live_bytes'])} in at most {plural(counts['peak_live_objects'], 'object')}"
        rows += [("calls", calls), ("asked for", format_size(counts["total_bytes"])), ("peak live", peak)]
        rows.append(("left live", plural(counts["live_objects"], "object")))
    rows += [("note", note) for note in imported.notes]
    return wrapped(tabulate(rows, tablefmt="plain", disable_numparse=True), width_of_lists(), has_columns=True)
