"""``memtool inspect``: what a workload asks for, without replaying it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from memtool.model import TraceInfo
    from memtool.workload.characterise import Characteristics


@click.command()
@click.argument("workload")
@click.option("--format", "output_format", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw sizes, lifetimes and live bytes.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="In place of the workload's own.")
def command(workload: str, output_format: str, plot: Path | None, seed: int | None) -> None:
    """Characterise WORKLOAD: events, sizes, lifetimes, live bytes, and the least memory that can serve it."""
    from memtool.workload.characterise import characterise, effective
    from memtool.workload.loader import load_workload
    from memtool.workload.trace import find_workload, make_trace

    path = find_workload(workload)
    loaded = load_workload(path)
    seed = loaded.seed if seed is None else seed
    with make_trace(loaded, str(path), seed) as trace:
        info = trace.info
        size = trace.image_bytes
    found = characterise(loaded, seed)
    if plot is not None:
        from memtool.report.characteristics import draw

        draw(plot, info.name, asdict(found))
    if output_format == "json":
        content = {"trace": asdict(info), "image_bytes": size, "workload": effective(loaded), **asdict(found)}
        click.echo(json.dumps(content, indent=1))
        return
    click.echo(_summary(info, found, size))
    click.echo("\nEffective definition\n" + json.dumps(effective(loaded), indent=1))
    if plot is not None:
        click.echo(f"\nPlot: {plot}")


def _summary(info: TraceInfo, found: Characteristics, image_bytes: int) -> str:
    from tabulate import tabulate

    from memtool.units import format_count, format_size

    lifo = (
        "all LIFO"
        if info.first_not_lifo is None
        else f"operation {format_count(info.first_not_lifo)} is the first that is not LIFO"
    )
    rows = [
        ("workload", f"{info.name} ({info.source})"),
        ("seed, event hash", f"{info.seed}, {info.event_hash}"),
        (
            "operations",
            f"{format_count(info.operations)}, and {format_count(info.epilogue_operations)} frees in the epilogue",
        ),
        (
            "allocations",
            f"{format_count(found.allocations)}, {format_count(found.reallocations)} resized, "
            f"{format_count(found.zeroed)} zeroed",
        ),
        (
            "sizes",
            f"{format_size(info.smallest_size)} to {format_size(info.largest_size)}, "
            f"median {format_size(found.median_size)}, mean {format_size(found.mean_size)}",
        ),
        (
            "alignments",
            ", ".join(f"{alignment} ({format_count(uses)})" for alignment, uses in found.alignments.items()),
        ),
        ("all bytes ever asked for", format_size(info.total_bytes)),
        (
            "peak live",
            f"{format_size(info.peak_live_bytes)} in at most {format_count(info.peak_live_objects)} objects: "
            "the load, the least memory that can serve it",
        ),
        ("mean live", format_size(found.mean_live_bytes)),
        ("scopes", format_count(info.scopes)),
        ("frees", lifo),
        (
            "event image",
            f"{format_size(image_bytes)}, {image_bytes / max(info.operations, 1):.1f} bytes an operation",
        ),
    ]
    rows += [("note", note) for note in info.notes]
    parts = [tabulate(rows, tablefmt="plain")]
    parts.append("Sizes\n" + _bars(found.sizes, lambda level: format_size(1 << level)))
    if found.lifetimes:
        parts.append("Lifetimes, in allocations\n" + _bars(found.lifetimes, lambda level: format_count(1 << level)))
    return "\n\n".join(parts)


def _bars(histogram: Mapping[int, int], write: object) -> str:
    from tabulate import tabulate

    assert callable(write)
    total, most = sum(histogram.values()), max(histogram.values())
    rows = [
        (f"from {write(level)}", f"{count:,}", f"{count / total:.1%}", "#" * round(40 * count / most))
        for level, count in histogram.items()
    ]
    return tabulate(rows, tablefmt="plain", colalign=("right", "right", "right", "left"))
