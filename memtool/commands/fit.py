"""``memtool fit``: a workload that represents a trace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memtool import formats
from memtool.commands.options import UserPath, format_option
from memtool.commands.progress import progress

if TYPE_CHECKING:
    from memtool.fit import Fit
    from memtool.stats.agreement import Agreement


@click.command("fit")
@click.argument("trace")
@click.option("-o", "--output", type=UserPath(), help="File of the workload; NAME-fit.yaml unless given.")
@click.option(
    "-a",
    "--allocators",
    metavar="LIST",
    help="Allocators to rank with both; glibc, jemalloc, mimalloc, tcmalloc, tlsf, segregated-fit unless given.",
)
@click.option(
    "--blocks",
    type=click.IntRange(1, 1000),
    default=6,
    show_default=True,
    help="Number of samples of each figure of the ranking.",
)
@click.option(
    "--rank/--no-rank", default=True, show_default=True, help="Replay trace and workload, and compare how they rank."
)
@format_option(formats.FACTS)
def command(
    trace: str, output: Path | None, allocators: str | None, blocks: int, rank: bool, output_format: str
) -> None:
    """Write a workload in YAML that resembles TRACE, and report how close it is.

    TRACE is a trace file, or any file that `memtool import` reads. The workload draws sizes and lifetimes together, as
    often as they occur together in the trace, in phases. Then both are replayed with several allocators, to see whether
    the workload ranks them as the trace does.
    """
    from memtool import api
    from memtool.fit import ALLOCATORS
    from memtool.options import BenchOptions

    ranking = BenchOptions(allocators=allocators or ALLOCATORS, blocks=blocks, counters="none") if rank else None
    with progress(quiet=output_format == "json") as show:
        fitted = api.fit(trace, output, ranking=ranking, progress=show)
    if output_format == "json":
        click.echo(json.dumps(_plain(fitted), indent=1))
    else:
        click.echo(_summary(fitted))


def _plain(fitted: Fit) -> dict[str, object]:
    agreements = [{**asdict(agreement), "agrees": agreement.agrees} for agreement in fitted.agreements]
    close = [{**asdict(distance), "is_close": distance.is_close} for distance in fitted.distances]
    return {**asdict(fitted), "path": str(fitted.path), "distances": close, "agreements": agreements}


def _summary(fitted: Fit) -> str:
    from tabulate import tabulate

    from memtool.report import grid

    rows = [
        (
            distance.meaning,
            "" if distance.trace is None else f"{distance.trace:,.0f}",
            "" if distance.fit is None else f"{distance.fit:,.0f}",
            f"{distance.value:.3f}",
            "close" if distance.is_close else "ROUGH",
        )
        for distance in fitted.distances
    ]
    headings = ("distance, or ratio", "trace", "fit", "value", "")
    classes, phases = (len(fitted.definition[key]) for key in ("objects", "phases"))
    parts = [f"Workload: {fitted.path} (classes of objects: {classes}, phases: {phases})"]
    align = ("left", "right", "right", "right", "left")
    parts.append(tabulate(rows, headings, colalign=align, disable_numparse=True))
    parts += [grid.wrapped(f"note: {note}", 100) for note in fitted.notes]
    if fitted.agreements:
        parts += _ranking(fitted.agreements)
    return "\n\n".join(parts)


def _ranking(agreements: Sequence[Agreement]) -> list[str]:
    from tabulate import tabulate

    from memtool.fit import ranking_in_words
    from memtool.report import grid
    from memtool.units import format_ns, format_size

    parts = []
    for agreement in agreements:
        by_time = agreement.metric == "time_per_op_ns"
        rows = [
            (
                standing.allocator,
                *(
                    cell
                    for value, rank in zip(standing.values, standing.ranks, strict=True)
                    for cell in (format_ns(value) if by_time else format_size(value), rank)
                ),
            )
            for standing in agreement.standings
        ]
        measure = "ns/op" if by_time else "resident"
        headings = ("allocator", f"trace {measure}", "rank", f"fit {measure}", "rank")
        table = tabulate(rows, headings, colalign=("left", "right", "right", "right", "right"), disable_numparse=True)
        lines = [grid.wrapped(line, 100) for line in ranking_in_words(agreement)]
        parts.append("\n".join([table, *lines]))
    return parts
