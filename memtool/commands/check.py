"""``memtool check``: measure, compare with a base, and report the verdict by the exit code."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memtool.commands import colours, completing
from memtool.commands.compare import rules_from, verdict_options
from memtool.commands.options import (
    UserPath,
    bench_options,
    complain,
    measurement_options,
    width_of_tables,
)
from memtool.commands.planned import show_plan
from memtool.commands.program_options import SectionedCommand, program_options, programs_of
from memtool.commands.progress import progress
from memtool.errors import EXIT_INCOMPARABLE, EXIT_OK

if TYPE_CHECKING:
    from memtool.gate import FailOn


@click.command("check", cls=SectionedCommand)
@click.argument("workloads", nargs=-1, metavar="[WORKLOAD ...]", shell_complete=completing.workloads)
@click.option("--baseline", type=UserPath(), help="Stored run to compare with: exact metrics gate, times are advice.")
@click.option("--update", is_flag=True, help="Measure and write the baseline, without judging.")
@click.option(
    "--against",
    metavar="ALLOCATOR",
    shell_complete=completing.allocators,
    help="The base, measured in the same job as the candidate and paired by block.",
)
@click.option(
    "--candidate", metavar="ALLOCATOR", shell_complete=completing.allocators, help="The allocator that is judged."
)
@click.option("-a", "--allocators", metavar="LIST", help="With a baseline: only these, instead of all in it.")
@verdict_options
@click.option(
    "--fail-on",
    type=click.Choice(["regression", "inconclusive"]),
    default="regression",
    show_default=True,
    help="Exit with 3 on a regression; with `inconclusive`, also exit with 4 if inconclusive.",
)
@click.option(
    "--blocks",
    type=click.IntRange(1, 999),
    help="Number of blocks, fixed beforehand; an even number is made odd. By default 31 side by side, 10 with "
    "a baseline.",
)
@measurement_options("those that the metrics need")
@program_options
def command(
    workloads: tuple[str, ...],
    baseline: Path | None,
    update: bool,
    against: str | None,
    candidate: str | None,
    allocators: str | None,
    metrics: str | None,
    margin: str,
    limits: tuple[str, ...],
    history: Path | None,
    output_format: str,
    wide: bool,
    fail_on: FailOn,
    blocks: int | None,
    **measured: Any,  # noqa: ANN401  # of measurement_options
) -> int:
    """Measure WORKLOADs and judge: side by side (--against, --candidate), or against a stored --baseline.

    --program runs whole programs, instead of workloads or beside them.

    Exit codes: 0 pass, 3 regression, 4 inconclusive (with --fail-on inconclusive), 5 nothing gated can be compared.
    """
    from memtool import api, check
    from memtool.commands import spelling

    programs = programs_of(measured, measured["time_limit"])
    if not workloads and not programs:
        raise click.UsageError("Missing argument 'WORKLOAD ...', or --program CMD.")
    _refuse_mixture(baseline, update=update, against=against, candidate=candidate, allocators=allocators)
    default_blocks = check.DEFAULT_BLOCKS if baseline is None else 10
    options = check.CheckOptions(
        bench=bench_options(
            measured,
            workloads=workloads,
            allocators=allocators,
            programs=programs,
            blocks=blocks if blocks is not None else default_blocks,
        ),
        rules=rules_from(metrics, margin, limits),
        baseline=baseline,
        against=against,
        candidate=candidate,
        update=update,
        has_passes=measured["passes"] is not None,
        history=history,
    )
    few = check.too_few_blocks(options)
    if measured["dry_run"]:
        most = show_plan(check.to_be_measured(options), output_format, lambda _: few)
        return EXIT_OK if most >= (2 if baseline is None else 1) else EXIT_INCOMPARABLE
    complain([few] if few is not None else [])
    with progress(quiet=output_format == "json") as show:
        if update:
            path, cells = api.update_baseline(options, progress=show)
            click.echo(f"{path}: {cells} cell{'' if cells == 1 else 's'}", err=output_format == "json")
            return EXIT_OK
        renewal = spelling.renewal(options) if baseline is not None else None
        checked = api.check(options, progress=show, spell=partial(spelling.next_step, renewal=renewal))
    text = api.render(checked.report, output_format, width=width_of_tables(wide=wide))
    colours.show(text) if output_format == "table" else click.echo(text)
    if output_format == "table":
        click.echo("\n" + "\n".join(f"Results: {file}" for file in checked.files))
    complain((*checked.complaints, *(api.write_job_summary(checked.report) if output_format == "github" else ())))
    return api.exit_code(checked.report, fail_on)


def _refuse_mixture(
    baseline: Path | None, *, update: bool, against: str | None, candidate: str | None, allocators: str | None
) -> None:
    """Raise for options that contradict each other."""
    sides = against is not None or candidate is not None
    if baseline is not None and sides:
        raise click.UsageError("--baseline goes without --against and --candidate: it has its own allocators")
    if baseline is None and (against is None or candidate is None):
        raise click.UsageError("takes --baseline FILE, or --against ALLOCATOR with --candidate ALLOCATOR")
    if update and baseline is None:
        raise click.UsageError("--update needs --baseline FILE, the file to write")
    if allocators is not None and baseline is None:
        raise click.UsageError("-a goes with --baseline; side by side there are --against and --candidate")
