"""``memtool compare``: two runs, or the allocators inside one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memtool.commands.options import PlotFile, UserPath, complain, wide_option, width_of_tables, with_options

if TYPE_CHECKING:
    from memtool.gate import FailOn
    from memtool.model import Report, Run

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
    from memtool import gate
    from memtool.errors import EXIT_FAILED, EXIT_OK
    from memtool.report import verdicts
    from memtool.report.plots import forest, pictures

    if len(runs) > 2:
        raise click.UsageError("takes one run or two")
    rules = rules_from(metrics, margin, limits)
    report = _two(runs, rules, history) if len(runs) == 2 else _one(runs[0], reference, rules, history, fail_on)
    click.echo(verdicts.render(report, output_format, width_of_tables(wide=wide)))
    if output_format == "github":
        complain(verdicts.write_summary(report))
    code = gate.exit_code(report.judgements, fail_on, report.unjudged)
    if plot is not None:
        _, complaints = pictures.try_to_draw(lambda: [drawn] if (drawn := forest.draw(report, plot)) else [])
        complain(complaints)
        return code or (EXIT_FAILED if complaints else EXIT_OK)
    return code


def rules_from(metrics: str | None, margin: str, limits: Sequence[str]) -> Any:  # noqa: ANN401  # gate.Policy, imported late
    """Return the policy of these options; complains in one line of what they get wrong."""
    from memtool import gate
    from memtool.errors import InputError

    try:
        share = gate.parse_margin(margin)
    except ValueError as problem:
        raise InputError(f"--margin: {problem}") from None
    names = None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]
    if names == []:
        raise InputError("--metric: names no metric")
    return gate.policy(names, share, limits)


def _two(runs: tuple[Path, ...], rules: Any, history: Path | None) -> Report:  # noqa: ANN401
    from memtool import __version__, gate
    from memtool.check import arguments_of, gone, history_of, judged_runs, named_in, not_in, unmatched
    from memtool.model import Report
    from memtool.store import run_file

    base, head = (run_file.read(path) for path in runs)
    sources = (str(runs[0]), str(runs[1]))
    judged = judged_runs(base, head, sources, rules)
    return Report(
        memtool=__version__,
        command="compare",
        sources=sources,
        judgements=tuple(gate.with_next_steps(judged, arguments_of(head), named=named_in(head))),
        alpha=rules.alpha,
        margin=rules.margin,
        family=0,
        notes=tuple(unmatched(base, head)),
        unjudged=(*gate.unjudged(judged, rules), *gone(base, head), *not_in(base, head, runs[0])),
        history=history_of(history, head, rules.metrics),
        machine=head.machine,
        started=head.started,
    )


def _one(
    path: Path,
    reference: str | None,
    rules: Any,  # noqa: ANN401
    history: Path | None,
    fail_on: FailOn | None,
) -> Report:
    from memtool import __version__, gate
    from memtool.check import Incomparable, arguments_of, history_of, named_in
    from memtool.model import Report
    from memtool.report import calls
    from memtool.stats import compare
    from memtool.store import run_file

    run = run_file.read(path)
    base = _reference(run, reference, path)
    comparisons = compare.within(run, base, rules.metrics, required=rules.named)
    if not comparisons:
        raise Incomparable(f"{path}: nothing to compare with {base}: {_why_nothing(run, base, rules.metrics)}")
    judged = gate.judge(comparisons, rules)
    return Report(
        memtool=__version__,
        command="compare",
        sources=(str(path),),
        judgements=tuple(gate.with_next_steps(judged, arguments_of(run), named=named_in(run))),
        unjudged=tuple(gate.unjudged(judged, rules)),
        alpha=rules.alpha,
        margin=rules.margin,
        family=gate.family_of(comparisons, rules),
        is_choice=fail_on is None,
        places=tuple(compare.places(run)),
        notes=tuple(calls.mixture(run.cells)),
        history=history_of(history, run, rules.metrics),
        machine=run.machine,
        started=run.started,
    )


def _why_nothing(run: Run, base: str, metrics: Sequence[str]) -> str:
    places = {
        (each.cell.workload, each.cell.region, each.cell.mode) for each in run.cells if each.cell.allocator == base
    }
    others = [each for each in run.cells if each.cell.allocator != base]
    if any((each.cell.workload, each.cell.region, each.cell.mode) in places for each in others):
        return f"no two allocators of one workload have a figure of {', '.join(metrics)}"
    return "no other allocator shares a workload with it"


def _reference(run: Run, named: str | None, path: Path) -> str:
    from memtool.errors import InputError, did_you_mean
    from memtool.model import Status

    measured = list(dict.fromkeys(each.cell.allocator for each in run.cells if each.status is Status.OK))
    if named is not None and named not in measured:
        raise InputError(
            f"--reference: {path} has no '{named}'{did_you_mean(named, measured) or '; it has ' + ', '.join(measured)}"
        )
    if named is None and run.reference in measured:
        return str(run.reference)
    if not measured:
        raise InputError(f"{path}: no cell was measured")
    return named or measured[0]
