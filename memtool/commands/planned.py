"""The output of ``--dry-run``: workloads, cells and samples of a plan, and the exclusions with their reasons."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import click

from memtool.commands.options import complain, width_of_tables

if TYPE_CHECKING:
    from memtool.options import BenchOptions
    from memtool.plan import Plan
    from memtool.workload.trace import Trace


def show_plan(options: BenchOptions, output_format: str, too_few: Callable[[Plan], str | None]) -> int:
    """Print what a run would measure, and return the largest number of allocators on one workload.

    ``too_few``: returns why its blocks cannot decide; this is printed as before a run.
    """
    from collections import Counter

    from memtool import api
    from memtool.report.grid import wrapped

    with closing(api.plan(options)) as plan:
        text = _describe_plan(plan, output_format)
        click.echo(text if output_format == "json" else wrapped(text, width_of_tables(wide=False)))
        complain(tuple(filter(None, [too_few(plan)])))
    places = Counter((cell.workload, cell.region) for cell in plan.plans)
    return max(places.values(), default=0)


def _describe_plan(plan: Plan, output_format: str) -> str:
    """Return what a run would measure: workloads, cells, samples, and the exclusions with their reasons."""
    from memtool.plan import schedule_of_arrivals
    from memtool.programs.program import described
    from memtool.units import format_count, format_size

    if output_format == "json":
        return json.dumps(
            {
                "workloads": [
                    {
                        "name": trace.info.name,
                        "events": trace.info.operations,
                        "event_hash": trace.info.event_hash,
                        "peak_live_bytes": trace.info.peak_live_bytes,
                        "threads": trace.info.threads,
                        "notes": [*trace.info.notes, *_how_threads_run(trace, plan)],
                    }
                    for trace in plan.traces
                ]
                + [
                    {"name": program.name, "event_hash": program.info.event_hash, "program": dict(described(program))}
                    for program in plan.programs
                ],
                "cells": [
                    {"workload": cell.workload, "allocator": cell.allocator, "region": cell.region}
                    for cell in plan.plans
                ],
                "excluded": [
                    {
                        "workload": excluded.cell.workload,
                        "allocator": excluded.cell.allocator,
                        "region": excluded.cell.region,
                        "reason": excluded.reason,
                    }
                    for excluded in plan.excluded
                ],
                "samples": plan.samples,
                "waiting_seconds": plan.waiting_seconds,
                "notes": list(plan.notes),
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
        lines += [f"  note: {note}" for note in (*info.notes, *_how_threads_run(trace, plan))]
        lines += [
            f"  left out: {excluded.cell.allocator} on {excluded.cell.region}: {excluded.reason}"
            for excluded in plan.excluded
            if excluded.cell.workload == info.name
        ]
    for program in plan.programs:
        cells = [cell for cell in plan.plans if cell.workload == program.name]
        lines.append(f"{program.name}: {' '.join(program.arguments)}")
        lines.append(f"  measured: {', '.join(cell.allocator for cell in cells) or 'nothing'}")
        lines += [
            f"  left out: {excluded.cell.allocator}: {excluded.reason}"
            for excluded in plan.excluded
            if excluded.cell.workload == program.name
        ]
    passes = ", ".join(plan.settings.passes)
    lines.append(
        f"{plan.samples} samples, each a process of its own: "
        f"{plan.settings.blocks} block{'' if plan.settings.blocks == 1 else 's'}; passes {passes}"
    )
    waiting = schedule_of_arrivals(plan)
    lines += [waiting] if waiting is not None else []
    lines += [f"Note: {note}" for note in plan.notes]
    return "\n".join(lines)


def _how_threads_run(trace: Trace, plan: Plan) -> Iterator[str]:
    """Yield a remark where a workload's threads are not replayed as threads."""
    from memtool.model import Mode

    serial = any(cell.mode == Mode.SERIAL for cell in plan.plans if cell.workload == trace.info.name)
    if serial and trace.info.threads > 1:
        yield (
            "its threads are replayed on one, in the recorded order; `--mode parallel` has them side by side, "
            "`--mode lockstep` in that order"
        )
