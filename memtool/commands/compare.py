"""``memtool compare``: two runs, or the allocators inside one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memtool.commands.options import PlotFile, UserPath, complain, wide_option, width_of_tables, with_options

if TYPE_CHECKING:
    from memtool.gate import FailOn, Policy

FORMATS = ("table", "markdown", "json", "junit", "github")


verdict_options = with_options(
    click.option(
        "--metric",
        "metrics",
        metavar="LIST",
        help="Compare these; time, footprint, resident memory and fragmentation unless given.",
    ),
    click.option("--margin", default="2%", show_default=True, help="How much worse sampled metrics may get."),
    click.option(
        "--limit",
        "limits",
        multiple=True,
        metavar="METRIC=X",
        help="A margin for one metric: a percentage, or an amount in its unit. Exact metrics: 0 unless given.",
    ),
    click.option("--history", type=UserPath(file_okay=False), help="Add the figures of the runs in DIR."),
    click.option("--format", "output_format", type=click.Choice(FORMATS), default="table", show_default=True),
    wide_option,
)
"""What compare and check both take: what is compared, how strictly, and how it is written."""


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN [RUN]", type=UserPath())
@verdict_options
@click.option("--reference", metavar="ALLOCATOR", help="Inside one run: compare with this one, not the run's first.")
@click.option(
    "--fail-on",
    type=click.Choice(["regression", "inconclusive"]),
    help="Exit with 3 on a regression, with 4 also where nothing can be told. Neither unless given.",
)
@click.option("--plot", type=PlotFile(), help="Draw the intervals into this PNG.")
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
) -> int:
    """Compare RUN with RUN, cell by cell, or the allocators inside one RUN with its reference.

    A RUN is a folder of results or a run.json. Inside one run, figures are paired by block; two runs are not, so their
    sampled figures advise and only exact ones can fail.
    """
    from memtool import api, gate
    from memtool.commands import spelling
    from memtool.errors import EXIT_FAILED, EXIT_OK
    from memtool.report import verdicts
    from memtool.report.plots import forest, pictures

    if len(runs) > 2:
        raise click.UsageError("takes one run or two")
    rules = rules_from(metrics, margin, limits)
    report = api.compare(
        *runs,
        rules=rules,
        reference=reference,
        is_choice=fail_on is None,
        history=history,
        spell=spelling.next_step,
    )
    click.echo(verdicts.render(report, output_format, width_of_tables(wide=wide)))
    if output_format == "github":
        complain(verdicts.write_summary(report))
    code = gate.exit_code(report.judgements, fail_on, report.unjudged)
    if plot is not None:
        _, complaints = pictures.try_to_draw(lambda: [drawn] if (drawn := forest.draw(report, plot)) else [])
        complain(complaints)
        return code or (EXIT_FAILED if complaints else EXIT_OK)
    return code


def rules_from(metrics: str | None, margin: str, limits: Sequence[str]) -> Policy:
    """Return the policy of these options; complains in one line of what they get wrong."""
    from memtool import gate
    from memtool.errors import InputError

    try:
        share = gate.parse_margin(margin)
    except ValueError as problem:
        raise InputError(str(problem), field="margin") from None
    names = None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]
    if names == []:
        raise InputError("names no metric", field="metrics")
    return gate.policy(names, share, limits)
