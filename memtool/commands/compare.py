"""``memtool compare``: two runs, or the allocators inside one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memtool import formats
from memtool.commands import colours, completing
from memtool.commands.options import (
    PlotFile,
    UserPath,
    complain,
    format_option,
    wide_option,
    width_of_tables,
    with_options,
)

if TYPE_CHECKING:
    from memtool.gate import FailOn, Policy


verdict_options = with_options(
    click.option(
        "--metric",
        "metrics",
        metavar="LIST",
        shell_complete=completing.metrics,
        help="Metrics to compare; time, footprint, resident memory and fragmentation unless given.",
    ),
    click.option("--margin", default="2%", show_default=True, help="How much worse sampled metrics may get."),
    click.option(
        "--limit",
        "limits",
        multiple=True,
        metavar="METRIC=X",
        help="A margin for one metric: a percentage, or an amount in its unit. Exact metrics: 0 unless given.",
    ),
    click.option("--history", type=UserPath(file_okay=False), help="Add the figures of the runs in this folder."),
    format_option(formats.COMPARISON),
    wide_option,
)
"""The options of both compare and check: the metrics, how strictly they are judged, and the output format."""


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN [RUN]", type=UserPath(), shell_complete=completing.runs)
@verdict_options
@click.option("--reference", metavar="ALLOCATOR", help="Inside one run: compare with this one, not the run's first.")
@click.option(
    "--fail-on",
    type=click.Choice(["regression", "inconclusive"]),
    help="Exit with 3 on a regression; with `inconclusive`, also with 4 if inconclusive. By default neither.",
)
@click.option("--plot", type=PlotFile(), help="Draw the intervals into this PNG.")
@click.option(
    "--by",
    type=click.Choice(["machine"]),
    help="Inside one run: show a row for each group of equal machines, and one over all.",
)
def command(
    runs: tuple[Path, ...],
    metrics: str | None,
    margin: str,
    limits: tuple[str, ...],
    output_format: str,
    wide: bool,
    reference: str | None,
    fail_on: FailOn | None,
    history: Path | None,
    plot: Path | None,
    by: str | None,
) -> int:
    """Compare RUN with RUN, cell by cell, or the allocators inside one RUN with its reference.

    A RUN is a folder of results or a run.json. Inside one run, figures are paired by block. Figures of two
    runs are not paired: sampled ones only give advice, and only exact ones can fail.
    """
    from memtool import api
    from memtool.commands import spelling
    from memtool.errors import EXIT_FAILED, EXIT_OK

    if len(runs) > 2:
        raise click.UsageError("takes one run or two")
    rules = rules_from(metrics, margin, limits)
    if by is not None:
        return _by_machine(runs, rules, reference, output_format, width_of_tables(wide=wide))
    report = api.compare(
        *runs,
        rules=rules,
        reference=reference,
        is_choice=fail_on is None,
        history=history,
        spell=spelling.next_step,
    )
    text = api.render(report, output_format, width=width_of_tables(wide=wide))
    colours.show(text) if output_format == "table" else click.echo(text)
    if output_format == "github":
        complain(api.write_job_summary(report))
    code = api.exit_code(report, fail_on)
    if plot is not None:
        complaints = api.draw_comparison(report, plot)
        complain(complaints)
        return code or (EXIT_FAILED if complaints else EXIT_OK)
    return code


def _by_machine(
    runs: Sequence[Path], rules: Policy, reference: str | None, output_format: str, width: int | None
) -> int:
    from memtool import api
    from memtool.errors import EXIT_OK

    if len(runs) > 1:
        raise click.UsageError("--by machine is of one RUN")
    if output_format not in formats.MACHINES:
        raise click.UsageError("--by machine goes with --format table, markdown or json")
    click.echo(api.render(api.by_machine(runs[0], rules=rules, reference=reference), output_format, width=width))
    return EXIT_OK


def rules_from(metrics: str | None, margin: str, limits: Sequence[str]) -> Policy:
    """Return the policy of these options. Raises an error of one line for invalid ones."""
    from memtool import api
    from memtool.errors import InputError

    names = None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]
    if names == []:
        raise InputError("names no metric", field="metrics")
    return api.policy(names, margin, limits)
