"""``memtool check``: measure, compare with what there was, and say by the exit code what came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memtool.commands.compare import rules_from, verdict_options
from memtool.commands.options import PASSES, Listed, progress, region_names
from memtool.errors import EXIT_OK

if TYPE_CHECKING:
    from memtool.gate import FailOn


@click.command("check")
@click.argument("workloads", nargs=-1, required=True, metavar="WORKLOAD ...")
@click.option("--baseline", type=click.Path(path_type=Path), help="A stored run: exact metrics gate, times advise.")
@click.option("--update", is_flag=True, help="Write the baseline from what is measured now, and judge nothing.")
@click.option("--against", metavar="ALLOCATOR", help="Measured in the same job as the candidate, paired by block.")
@click.option("--candidate", metavar="ALLOCATOR", help="What is judged.")
@click.option("-a", "--allocators", metavar="LIST", help="With a baseline: in place of all that it has.")
@verdict_options
@click.option(
    "--fail-on",
    type=click.Choice(["regression", "inconclusive"]),
    default="regression",
    show_default=True,
    help="Exit with 3 on a regression; inconclusive: with 4 also where nothing can be told.",
)
@click.option(
    "--blocks",
    type=click.IntRange(1, 999),
    help="Fixed beforehand; an even number is made odd. 31 side by side, 10 with a baseline, unless given.",
)
@click.option(
    "--passes", type=Listed("pass", lambda: PASSES), metavar="LIST", help="What the metrics need unless given."
)
@click.option(
    "--region",
    "regions",
    type=Listed("region", region_names),
    default=("anonymous",),
    metavar="LIST",
    help="Memory under the strategies: anonymous, populate, hugepages.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="In place of the workload's own.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the results; a new one under results/ unless given.",
)
@click.option("--cold", is_flag=True, help="No warm-up: one replay in each fresh process.")
@click.option("--no-plots", is_flag=True, help="Draw nothing.")
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
    output_format: str,
    fail_on: FailOn,
    blocks: int | None,
    passes: tuple[str, ...] | None,
    regions: tuple[str, ...],
    seed: int | None,
    output: Path | None,
    cold: bool,
    no_plots: bool,
) -> int:
    """Measure WORKLOADs and judge: side by side (--against, --candidate), or against a stored --baseline.

    Exit codes: 0 pass, 3 regression, 4 inconclusive (where asked to fail on it), 5 nothing gated can be compared.
    """
    from memtool import check, gate
    from memtool.pipeline import BenchOptions
    from memtool.report import verdicts
    from memtool.worker.schedule import passes_from

    _refuse_mixture(baseline, update=update, against=against, candidate=candidate, allocators=allocators)
    default_blocks = check.DEFAULT_BLOCKS if baseline is None else 10
    options = check.CheckOptions(
        bench=BenchOptions(
            workloads=workloads,
            allocators=allocators,
            regions=regions,
            blocks=blocks if blocks is not None else default_blocks,
            seed=seed,
            output=output,
            cold=cold,
            draw_plots=not no_plots,
            command=tuple(sys.argv),
        ),
        rules=rules_from(metrics, margin, limits),
        baseline=baseline,
        against=against,
        candidate=candidate,
        update=update,
        passes=passes_from(iter(passes)) if passes is not None else None,
    )
    with progress(quiet=output_format == "json") as show:
        if update:
            path, cells = check.update_baseline(options, show)
            click.echo(f"{path}: {cells} cell{'' if cells == 1 else 's'}", err=output_format == "json")
            return EXIT_OK
        run_check = check.side_by_side if baseline is None else check.against_baseline
        checked = run_check(options, show)
    click.echo(verdicts.render(checked.report, output_format))
    if output_format == "table":
        click.echo("\n" + "\n".join(f"Results: {file}" for file in checked.files))
    if output_format == "github":
        verdicts.write_summary(checked.report)
    return gate.exit_code(checked.report.judgements, fail_on)


def _refuse_mixture(
    baseline: Path | None, *, update: bool, against: str | None, candidate: str | None, allocators: str | None
) -> None:
    """Complain of options that do not go together."""
    sides = against is not None or candidate is not None
    if baseline is not None and sides:
        raise click.UsageError("--baseline goes without --against and --candidate: it has its own allocators")
    if baseline is None and (against is None or candidate is None):
        raise click.UsageError("takes --baseline FILE, or --against ALLOCATOR with --candidate ALLOCATOR")
    if update and baseline is None:
        raise click.UsageError("--update needs --baseline FILE, the file to write")
    if allocators is not None and baseline is None:
        raise click.UsageError("-a goes with --baseline; side by side there are --against and --candidate")
