"""How a check comes about: measure, compare, judge; and what looks worse is measured again before it is called so.

Two kinds. Side by side, both allocators are measured in one job, paired by block. Against a baseline, only what is
exact can fail: two runs of different days cannot prove a difference in time.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from memtool import __version__, gate
from memtool.allocators import registry
from memtool.allocators.spec import parse_allocators
from memtool.errors import EXIT_INCOMPARABLE, InputError, MemtoolError
from memtool.measure.metrics import METRICS
from memtool.model import AGAIN, AllocatorSpec, Comparison, Judgement, Pass, Report, Run, Status
from memtool.pipeline import BenchOptions, bench, output_directory
from memtool.report import forest, verdicts
from memtool.stats import compare
from memtool.store import compare_file, run_file
from memtool.units import format_count
from memtool.worker.parent import Executor

DEFAULT_BLOCKS = 31
"""Finds +5 % where pairs scatter by 3 %, and is odd, so that the median is one of the pairs."""
SECOND_LOOK = "second-look"
"""Folder of the fresh blocks, inside that of the run."""
Progress = Callable[[str, int, int], None]


class Incomparable(MemtoolError):
    """There is nothing that could be compared: exit code 5."""

    exit_code = EXIT_INCOMPARABLE


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What the user asked ``memtool check`` for; the bench options hold what is to be measured."""

    bench: BenchOptions
    rules: gate.Policy
    baseline: Path | None = None
    against: str | None = None
    candidate: str | None = None
    update: bool = False
    passes: tuple[Pass, ...] | None = None
    """As the user named them; None: those that the metrics need."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A finished check."""

    report: Report
    directory: Path
    files: tuple[Path, ...]


def side_by_side(options: CheckOptions, progress: Progress, executor: Executor | None = None) -> Checked:
    """Measure both allocators in one job, judge, and measure suspects again on as many fresh blocks.

    The number of blocks is fixed before the first, and nobody looks in between.
    """
    base, head = _sides(options.against or "", options.candidate or "")
    started = datetime.datetime.now().astimezone()
    blocks = options.bench.blocks | 1
    settings = replace(
        options.bench,
        specs=(base, head),
        blocks=blocks,
        footprint_repeats=blocks,
        passes=options.passes or _passes(options.rules.metrics),
        output=output_directory(options.bench, started),
    )
    outcome = bench(settings, progress, executor)
    rules = options.rules
    comparisons = compare.within(outcome.run, base.label, rules.metrics)
    _refuse_nothing(comparisons, outcome.run)
    judged = gate.screen(comparisons, rules)
    suspects = [each for each in judged if each.is_suspect]
    if suspects:
        judged = gate.confirm(judged, _second_look(settings, outcome.run, suspects, progress, executor), rules)
    judged = gate.with_next_steps(judged, _arguments(outcome.run, settings.workloads))
    report = Report(
        memtool=__version__,
        command="check",
        sources=(str(outcome.directory / run_file.FILE_NAME),),
        judgements=tuple(judged),
        alpha=rules.alpha,
        margin=rules.margin,
        family=gate.family_of(comparisons),
        looks=2 if suspects else 1,
        notes=_notes(outcome.run),
        machine=outcome.run.machine,
    )
    return _stored(report, outcome.directory, draw=settings.draw_plots)


def _sides(against: str, candidate: str) -> tuple[AllocatorSpec, AllocatorSpec]:
    known = registry.Registry()
    sides = []
    for option, text in (("--against", against), ("--candidate", candidate)):
        specs = parse_allocators(text, known.groups)
        if len(specs) != 1:
            raise InputError(f"{option}: must name one allocator, is '{text}'")
        sides.append(specs[0])
    base, head = sides
    return base, replace(head, again=True) if head == base else head


def _passes(metrics: Sequence[str]) -> tuple[Pass, ...]:
    """Return the passes that metrics are measured by, and the check: what corrupts memory is not timed."""
    needed = {METRICS[name].measured_by for name in metrics} | {Pass.CHECK}
    return tuple(each for each in Pass if each in needed)


def _second_look(
    settings: BenchOptions, first: Run, suspects: Sequence[Judgement], progress: Progress, executor: Executor | None
) -> list[Comparison]:
    """Return the suspects' metrics on fresh blocks, of the workloads and regions that have any."""
    assert settings.output is not None
    named = {info.name: argument for info, argument in zip(first.workloads, settings.workloads, strict=True)}
    metrics = tuple(dict.fromkeys(each.comparison.metric for each in suspects))
    again = replace(
        settings,
        workloads=tuple(dict.fromkeys(named[each.comparison.workload] for each in suspects)),
        regions=tuple(dict.fromkeys(each.comparison.region for each in suspects)),
        first_block=settings.first_block + settings.blocks,
        passes=tuple(each for each in _passes(metrics) if each is not Pass.CHECK),
        output=settings.output / SECOND_LOOK,
        draw_plots=False,
    )
    run = bench(again, progress, executor).run
    return compare.within(run, suspects[0].comparison.base, metrics)


def _refuse_nothing(comparisons: Sequence[Comparison], run: Run) -> None:
    if comparisons:
        return
    excluded = [f"{each.cell.allocator} on {each.cell.workload}: {each.reason}" for each in run.cells if each.reason]
    raise Incomparable(f"nothing to compare: {'; '.join(excluded) or 'no metric is in both'}")


def against_baseline(options: CheckOptions, progress: Progress, executor: Executor | None = None) -> Checked:
    """Measure the baseline's allocators on the workloads and judge them against what it says."""
    assert options.baseline is not None
    base = read_baseline(options.baseline)
    names = options.bench.allocators or _labels(base)
    rules = options.rules
    settings = replace(options.bench, allocators=names, passes=options.passes or _baseline_passes(base, rules.metrics))
    outcome = bench(settings, progress, executor)
    judged = judged_runs(base, outcome.run, (str(options.baseline), str(outcome.directory)), rules)
    arguments = _arguments(outcome.run, settings.workloads)
    renew = f"memtool check {' '.join(settings.workloads)} --baseline {options.baseline} --update" + (
        f" -a {options.bench.allocators}" if options.bench.allocators else ""
    )
    report = Report(
        memtool=__version__,
        command="check",
        sources=(str(options.baseline), str(outcome.directory / run_file.FILE_NAME)),
        judgements=tuple(gate.with_next_steps(judged, arguments, renew)),
        alpha=rules.alpha,
        margin=rules.margin,
        family=0,
        notes=(*_notes(outcome.run), *unmatched(base, outcome.run)),
        machine=outcome.run.machine,
    )
    return _stored(report, outcome.directory, draw=False)


def judged_runs(base: Run, head: Run, sources: tuple[str, str], rules: gate.Policy) -> list[Judgement]:
    """Return the verdicts of one run against another. Raises Incomparable where they have no cell in common."""
    comparisons = compare.between(base, head, rules.metrics)
    if not comparisons:
        common = {each.cell for each in base.cells} & {each.cell for each in head.cells}
        if common:
            raise Incomparable(f"{sources[0]} and {sources[1]}: no metric of {', '.join(rules.metrics)} is in both")
        raise Incomparable(f"{sources[0]} and {sources[1]} have no cell in common: {_some(base)}; {_some(head)}")
    return gate.judge(comparisons, rules)


def _some(run: Run) -> str:
    cells = [f"{each.cell.workload}/{each.cell.allocator}" for each in run.cells]
    return ", ".join(cells[:3]) + (f" and {format_count(len(cells) - 3)} more" if len(cells) > 3 else "")


def unmatched(base: Run, head: Run) -> list[str]:
    """Return what only one of two runs has, in words."""
    first = {each.cell for each in base.cells}
    second = {each.cell for each in head.cells if each.status is not Status.EXCLUDED}
    replayed = {info.name for info in head.workloads}
    notes = []
    for what, cells in (
        ("only in the first", [each for each in first - second if each.workload in replayed]),
        ("not in the first", second - first),
    ):
        if cells:
            names = sorted(f"{each.workload}/{each.allocator}" for each in cells)
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            notes.append(f"{what}, so not compared: {shown}")
    return notes


def read_baseline(path: Path) -> Run:
    """Return a stored baseline. Raises Incomparable where there is none, InputError where it is not a run."""
    file = path / run_file.FILE_NAME if path.is_dir() else path
    if not file.exists():
        raise Incomparable(f"{path}: no baseline; the same command with --update writes one")
    return run_file.read(path)


def _labels(base: Run) -> str:
    return ",".join(dict.fromkeys(each.cell.allocator.removesuffix(AGAIN) for each in base.cells))


def _baseline_passes(base: Run, metrics: Sequence[str]) -> tuple[Pass, ...]:
    """Return the passes of those metrics that the baseline has figures for."""
    known = {name for each in base.cells for name, metric in each.metrics.items() if metric.value is not None}
    return _passes([name for name in metrics if name in known] or list(metrics))


def update_baseline(options: CheckOptions, progress: Progress, executor: Executor | None = None) -> tuple[Path, int]:
    """Measure, and write what was found as the new baseline; return its path and the number of its cells.

    A baseline is a run file with the compared metrics and the machine, and nothing else: it is meant to be tracked,
    read in diffs, and free of the paths of whoever measured it.
    """
    assert options.baseline is not None
    settings = replace(options.bench, passes=options.passes or _passes(options.rules.metrics), draw_plots=False)
    if settings.allocators is None and options.baseline.exists():
        settings = replace(settings, allocators=_labels(read_baseline(options.baseline)))
    outcome = bench(settings, progress, executor)
    if outcome.failed:
        failed = next(each for each in outcome.run.cells if each.status is Status.FAILED)
        raise MemtoolError(f"{failed.cell.workload} · {failed.cell.allocator} failed, so no baseline: {failed.reason}")
    kept = set(options.rules.metrics)
    run = replace(
        outcome.run,
        command=(),
        workloads=tuple(
            replace(info, source=argument)
            for info, argument in zip(outcome.run.workloads, settings.workloads, strict=True)
        ),
        cells=tuple(
            replace(
                each,
                proof={name: each.proof[name] for name in compare.LIBRARY if name in each.proof},
                series={},
                metrics={
                    name: metric for name, metric in each.metrics.items() if name in kept and metric.value is not None
                },
            )
            for each in outcome.run.cells
            if each.status is Status.OK
        ),
    )
    if not any(each.metrics for each in run.cells):
        raise Incomparable(f"{options.baseline}: nothing was measured that a baseline could hold")
    path = options.baseline
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(run_file.to_json(run), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as problem:
        raise InputError(f"{path}: cannot be written: {problem.strerror}") from None
    return path, len(run.cells)


def _arguments(run: Run, arguments: Sequence[str]) -> dict[str, str]:
    return {info.name: argument for info, argument in zip(run.workloads, arguments, strict=True)}


def _notes(run: Run) -> tuple[str, ...]:
    return tuple(f"{each.cell.workload} · {each.cell.allocator}: {note}" for each in run.cells for note in each.notes)


def _stored(report: Report, directory: Path, *, draw: bool) -> Checked:
    """Write every form of the report beside the run, so that a job can keep whichever it needs."""
    files = [directory / compare_file.FILE_NAME]
    compare_file.write(files[0], report)
    for name, style in (("compare.md", "markdown"), ("compare.xml", "junit")):
        files.append(directory / name)
        files[-1].write_text(verdicts.render(report, style) + "\n", encoding="utf-8")
    if draw:
        drawn = forest.draw(report, directory / "plots" / "compare.png")
        files += [drawn] if drawn is not None else []
    return Checked(report, directory, tuple(files))
