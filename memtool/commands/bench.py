"""``memtool bench``: measure, and show what came of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memtool.commands.options import PASSES, Counts, Listed, progress, region_names
from memtool.errors import EXIT_FAILED

if TYPE_CHECKING:
    from memtool.pipeline import Outcome, Plan

_COUNTERS = ("auto", "perf", "callgrind", "none")
_FORMATS = ("table", "markdown", "json", "csv")


@click.command("bench")
@click.argument("workloads", nargs=-1, metavar="[WORKLOAD ...]")
@click.option(
    "-a",
    "--allocators",
    metavar="LIST",
    help="Names, @groups, parameters (pool:block=64), sweeps (block=32|64).",
)
@click.option("--blocks", type=click.IntRange(1, 1000), default=10, show_default=True, help="Samples of each cell.")
@click.option(
    "--passes",
    type=Listed("pass", lambda: PASSES),
    default=PASSES,
    metavar="LIST",
    help="Of check,throughput,latency,footprint,counters,heap; all unless given.",
)
@click.option(
    "--region",
    "regions",
    type=Listed("region", region_names),
    default=("anonymous",),
    metavar="LIST",
    help="Memory under the strategies (`memtool list regions`); several are several rows each.",
)
@click.option(
    "--mode",
    type=click.Choice(["serial", "lockstep", "parallel"]),
    default="serial",
    show_default=True,
    help="How threads are replayed: on one, as many in the recorded order, as many side by side.",
)
@click.option(
    "--threads",
    type=Counts(),
    default=(),
    metavar="LIST",
    help="Each workload on these numbers of threads (1,2,4) in place of its own.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="In place of the workload's own.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the results; a new one under results/ unless given.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in -o, or with the newest: no sample is taken twice.")
@click.option("--cold", is_flag=True, help="No warm-up: one replay in each fresh process.")
@click.option("--reference", metavar="ALLOCATOR", help="Add a ratio to this allocator to every table, and order by it.")
@click.option(
    "--counters",
    type=click.Choice(_COUNTERS),
    default="auto",
    show_default=True,
    help="What counts instructions: the processor, else valgrind; named, it counts twice.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be measured, and what would be left out.")
@click.option("--format", "output_format", type=click.Choice(_FORMATS), default="table", show_default=True)
@click.option("--no-plots", is_flag=True, help="Draw nothing.")
def command(
    workloads: tuple[str, ...],
    allocators: str | None,
    blocks: int,
    passes: tuple[str, ...],
    regions: tuple[str, ...],
    mode: str,
    threads: tuple[int, ...],
    seed: int | None,
    output: Path | None,
    resume: bool,
    cold: bool,
    reference: str | None,
    counters: str,
    dry_run: bool,
    output_format: str,
    no_plots: bool,
) -> None:
    """Replay WORKLOADs against allocators and report time, latency, fragmentation and resident memory.

    Without a WORKLOAD the quickstart is replayed. A WORKLOAD is a YAML file, the name of a shipped one
    (`memtool list workloads`), or the trace file of another tool (`memtool list importers`).
    """
    from memtool import pipeline
    from memtool.model import Mode
    from memtool.worker.schedule import passes_from

    options = pipeline.BenchOptions(
        workloads=workloads,
        allocators=allocators,
        regions=regions,
        blocks=blocks,
        passes=passes_from(iter(passes)),
        mode=Mode(mode),
        threads=threads,
        seed=seed,
        output=output,
        resume=resume,
        cold=cold,
        reference=reference,
        counters=counters,
        draw_plots=not no_plots,
        command=tuple(sys.argv),
    )
    if dry_run:
        plan = pipeline.make_plan(options)
        try:
            click.echo(describe_plan(plan, output_format))
        finally:
            pipeline.close(plan)
        return
    with progress(quiet=output_format == "json") as show:
        outcome = pipeline.bench(options, show)
    _show(outcome, output_format)
    if outcome.failed:
        sys.exit(EXIT_FAILED)


def _show(outcome: Outcome, output_format: str) -> None:
    from memtool.report import tables

    if output_format == "json":
        click.echo((outcome.directory / "run.json").read_text(encoding="utf-8"), nl=False)
        return
    click.echo(tables.render(outcome.run, output_format))
    if output_format == "table":
        click.echo(f"\nResults: {outcome.directory / 'run.json'}")
        for path in outcome.plots:
            click.echo(f"Plot:    {path}")


def describe_plan(plan: Plan, output_format: str) -> str:
    """Return what a run would measure: workloads, cells, samples, and what is left out with the reason."""
    from memtool.units import format_count, format_size
    from memtool.worker.schedule import Schedule

    if output_format == "json":
        return json.dumps(
            {
                "workloads": [
                    {
                        "name": trace.info.name,
                        "events": trace.info.operations,
                        "event_hash": trace.info.event_hash,
                        "peak_live_bytes": trace.info.peak_live_bytes,
                    }
                    for trace in plan.traces
                ],
                "cells": [
                    {"workload": cell.workload, "allocator": cell.allocator, "region": cell.region}
                    for cell in plan.plans
                ],
                "excluded": [
                    {
                        "workload": each.cell.workload,
                        "allocator": each.cell.allocator,
                        "region": each.cell.region,
                        "reason": each.reason,
                    }
                    for each in plan.excluded
                ],
                "samples": Schedule.count(plan.settings, plan.measurables),
            },
            indent=2,
        )
    lines = []
    for trace in plan.traces:
        info = trace.info
        lines.append(
            f"{info.name}: {format_count(info.operations)} operations, peak {format_size(info.peak_live_bytes)} live, "
            f"event hash {info.event_hash}"
        )
        cells = [cell for cell in plan.plans if cell.workload == info.name]
        names = (
            cell.allocator if cell.region == "anonymous" else f"{cell.allocator} on {cell.region}" for cell in cells
        )
        lines.append(f"  measured: {', '.join(names) or 'nothing'}")
        lines += [
            f"  left out: {each.cell.allocator} on {each.cell.region}: {each.reason}"
            for each in plan.excluded
            if each.cell.workload == info.name
        ]
    passes = ", ".join(plan.settings.passes)
    lines.append(
        f"{Schedule.count(plan.settings, plan.measurables)} samples, each a process of its own: "
        f"{plan.settings.blocks} blocks; passes {passes}"
    )
    return "\n".join(lines)
