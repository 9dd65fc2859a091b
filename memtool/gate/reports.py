"""Makes the report of a comparison from one run or two: verdicts, figures without one, ranks, notes and history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from memtool import __version__
from memtool.errors import Incomparable, InputError, did_you_mean
from memtool.gate.judge import family_of, judge
from memtool.gate.next_step import Speller, in_words, with_next_steps
from memtool.gate.outcome import unjudged
from memtool.gate.policy import Policy
from memtool.model import Comparison, Judgement, Report, Run, Status
from memtool.stats import compare
from memtool.stats.matching import gone, not_in, some_cells, unmatched
from memtool.stats.past import history
from memtool.stats.words import mixture

History = Sequence[tuple[str, Run]]
"""Earlier runs, each with its file."""


def between(
    base: Run,
    head: Run,
    sources: tuple[str, str],
    rules: Policy,
    *,
    is_whole: bool = True,
    past: History = (),
    spell: Speller = in_words,
) -> Report:
    """Return the comparison of the second run with the first, cell by cell. Raises Incomparable without a common cell.

    Args:
        base: the base of the comparison.
        head: the run that is compared.
        sources: the files of both, for messages.
        rules: the compared metrics and limits.
        is_whole: whether the second run had to have all cells of the first.
        past: runs whose figures are shown in addition.
        spell: returns next steps as they are typed.
    """
    comparisons = compare.between(base, head, rules.metrics, rules.named)
    if not comparisons:
        common = {result.cell for result in base.cells} & {result.cell for result in head.cells}
        if common:
            raise Incomparable(f"{sources[0]} and {sources[1]}: no metric of {', '.join(rules.metrics)} is in both")
        cells = f"{some_cells(base)}; {some_cells(head)}"
        raise Incomparable(f"{sources[0]} and {sources[1]} have no cell in common: {cells}")
    judged = judge(comparisons, rules)
    missing = gone(base, head) if is_whole else ()
    return Report(
        memtool=__version__,
        command="compare",
        sources=sources,
        judgements=tuple(with_next_steps(judged, spell)),
        alpha=rules.alpha,
        margin=rules.margin,
        family=0,
        notes=tuple(unmatched(base, head)),
        unjudged=(*unjudged(judged, rules), *missing, *not_in(base, head, sources[0])),
        history=tuple(history(past, head, rules.metrics)) if past else (),
        machine=head.machine,
        started=head.started,
    )


def within(
    run: Run,
    source: str,
    reference: str | None,
    rules: Policy,
    *,
    is_choice: bool = True,
    past: History = (),
    spell: Speller = in_words,
) -> Report:
    """Return the comparison of the allocators of a run with one of them, paired by block.

    Args:
        run: has at least two allocators.
        source: its file, for messages.
        reference: label of the base; None: the run's own reference, or else its first allocator.
        rules: the compared metrics and limits.
        is_choice: whether the allocators are alternatives, so that none is a regression of another.
        past: runs whose figures are shown in addition.
        spell: returns next steps as they are typed.
    """
    base = reference_of(run, reference, source)
    comparisons = compare.within(run, base, rules.metrics, required=rules.named)
    if not comparisons:
        raise Incomparable(f"{source}: nothing to compare with {base}: {_why_nothing(run, base, rules.metrics)}")
    judged = judge(comparisons, rules)
    report = of_one_run(run, source, comparisons, judged, rules, past=past, spell=spell)
    return replace(report, is_choice=is_choice, places=tuple(compare.places(run)))


def of_one_run(
    run: Run,
    source: str,
    comparisons: Sequence[Comparison],
    judged: Sequence[Judgement],
    rules: Policy,
    *,
    past: History = (),
    spell: Speller = in_words,
) -> Report:
    """Return the report of comparisons and judgements inside one run."""
    return Report(
        memtool=__version__,
        command="compare",
        sources=(source,),
        judgements=tuple(with_next_steps(judged, spell)),
        unjudged=tuple(unjudged(judged, rules)),
        alpha=rules.alpha,
        margin=rules.margin,
        family=family_of(comparisons, rules),
        notes=tuple(mixture(run.cells)),
        history=tuple(history(past, run, rules.metrics)) if past else (),
        machine=run.machine,
        started=run.started,
    )


def _why_nothing(run: Run, base: str, metrics: Sequence[str]) -> str:
    cells = [result.cell for result in run.cells]
    places = {(cell.workload, cell.region, cell.mode) for cell in cells if cell.allocator == base}
    others = [cell for cell in cells if cell.allocator != base]
    if any((cell.workload, cell.region, cell.mode) in places for cell in others):
        return f"no two allocators of one workload have a figure of {', '.join(metrics)}"
    return "no other allocator shares a workload with it"


def reference_of(run: Run, named: str | None, source: str) -> str:
    """Return the base for the other allocators of a run: the named one, the run's own reference, or its first one."""
    measured = list(dict.fromkeys(result.cell.allocator for result in run.cells if result.status is Status.OK))
    if named is not None and named not in measured:
        meant = did_you_mean(named, measured) or "; it has " + ", ".join(measured)
        raise InputError(f"{source} has no '{named}'{meant}", field="reference")
    if named is None and run.reference in measured:
        return str(run.reference)
    if not measured:
        raise InputError(f"{source}: no cell was measured")
    return named or measured[0]
