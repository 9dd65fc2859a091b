"""Makes a check: measure, compare, judge; suspected regressions are measured again before they count.

There are two kinds. Side by side, both allocators are measured in one job, paired by block. Against a baseline, only
exact figures can fail: two runs on different days cannot prove a difference in time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from memtool import files, gate
from memtool.allocators import registry
from memtool.allocators.spec import parse_allocators
from memtool.errors import Incomparable, InputError, MemtoolError, option
from memtool.gate import reports
from memtool.host.counters import Counter, why_not
from memtool.kinds import metrics_of, results
from memtool.kinds.work import kind_of
from memtool.measure.metrics import METRICS
from memtool.model import AGAIN, AllocatorSpec, Comparison, Judgement, Report, Run, Status
from memtool.options import BenchOptions, with_programs
from memtool.passes import CHOSEN, Instrument, Pass, Phase
from memtool.programs import planning
from memtool.report.compared import forest, verdicts
from memtool.report.plots import pictures
from memtool.run import bench
from memtool.stats import compare, proof
from memtool.stats.matching import named_in
from memtool.store import compare_file, journal, run_file
from memtool.worker.parent import Executor
from memtool.worker.schedule import Progress
from memtool.worker.settings import LEAST_FOOTPRINTS
from memtool.workload.language.values import parse_rate
from memtool.workload.sources.generated import rate_given
from memtool.workload.trace import find_workload, written_sources

DEFAULT_BLOCKS = 31
"""Detects +5 % if pairs vary by 3 %, and is odd, so that the median is one of the pairs."""
_KEPT_PROOF = (*compare.LIBRARY, proof.NAMED, "call")
"""Entries of a cell's proof that a baseline keeps."""


RunSpeller = Callable[[gate.NextStep, Run], str]
"""Returns the next step about a figure of a run as it is typed."""


def in_words(step: gate.NextStep, _: Run) -> str:
    """Return a step in plain words."""
    return gate.in_words(step)


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """The options of ``memtool check``; the bench options determine what is measured."""

    bench: BenchOptions
    rules: gate.Policy
    baseline: Path | None = None
    against: str | None = None
    candidate: str | None = None
    update: bool = False
    has_passes: bool = False
    """Whether the user named the passes; otherwise they are those that the metrics need."""
    history: Path | None = None
    """Folder of runs whose figures are shown in addition."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A finished check."""

    report: Report
    directory: Path
    files: tuple[Path, ...]
    complaints: tuple[str, ...] = ()
    """Secondary failures, such as a plot that could not be drawn."""


def side_by_side(
    options: CheckOptions, progress: Progress, executor: Executor | None = None, spell: RunSpeller = in_words
) -> Checked:
    """Measure both allocators in one job, judge, and measure suspects again on as many fresh blocks.

    The number of blocks is fixed before the first, and there is no look in between.
    """
    settings = to_be_measured(options)
    outcome = bench(settings, progress, executor)
    settings = replace(settings, output=outcome.directory)
    rules = options.rules
    comparisons = compare.within(outcome.run, settings.specs[0].label, rules.metrics, required=rules.named)
    _refuse_nothing(comparisons, outcome.run)
    judged = gate.screen(comparisons, rules)
    suspects = [judgement for judgement in judged if judgement.is_suspect]
    if suspects:
        judged = gate.confirm(judged, _second_look(settings, outcome.run, suspects, progress, executor), rules)
    source = str(outcome.directory / run_file.FILE_NAME)
    report = reports.of_one_run(
        outcome.run,
        source,
        comparisons,
        judged,
        rules,
        past=_past(options),
        spell=lambda step: spell(step, outcome.run),
    )
    notes = (*_notes(outcome.run), *report.notes)
    report = replace(report, command="check", looks=2 if suspects else 1, notes=notes)
    return _stored(report, outcome.directory, draw=settings.draw_plots)


def too_few_blocks(options: CheckOptions) -> str | None:
    """Return in advance why no verdict on sampled figures is possible, and how many blocks permit one; or None."""
    if options.baseline is not None:
        return None  # sampled figures are advice only
    options = replace(options, bench=with_programs(options.bench))
    bench = options.bench
    pairs = len(bench.workloads) * max(1, len(bench.threads)) * max(1, len(bench.rates)) * len(bench.regions)
    rules = _rules_of(options)
    few = gate.too_few_blocks(bench.blocks | 1, pairs + len(bench.programs), rules, looks=2)
    return None if few is None else str(few)


def _rules_of(options: CheckOptions) -> gate.Policy:
    """Return the compared metrics of the kinds of work in a check."""
    kinds = {*map(kind_of, map(find_workload, options.bench.workloads))}
    kinds |= {planning.KIND} if options.bench.programs else set()
    known = frozenset[str]().union(*(metrics_of(kind, results(kind).measures) for kind in kinds))
    return replace(options.rules, metrics=tuple(name for name in options.rules.metrics if name in known))


def to_be_measured(options: CheckOptions) -> BenchOptions:
    """Return what a check measures.

    Raises InputError for what does not go together, and Incomparable where the baseline has nothing of the kind.
    """
    _refuse_uncounted(options)
    _past(options)  # a foreign file is refused before anything is measured
    settings = replace(with_programs(options.bench), packs="packing_ratio" in options.rules.metrics)
    if options.baseline is None:
        blocks = settings.blocks | 1
        settings = replace(
            settings,
            specs=_sides(options.against or "", options.candidate or ""),
            blocks=blocks,
            passes=_passes(options, options.rules.metrics),
        )
    elif options.update:
        names = settings.allocators
        if names is None and files.is_there(options.baseline):
            names = _labels(read_baseline(options.baseline))
        passes = _passes(options, options.rules.metrics)
        settings = replace(
            settings, allocators=names, passes=passes, footprint_repeats=LEAST_FOOTPRINTS, draw_plots=False
        )
    else:
        base = read_baseline(options.baseline)
        _refuse_other_cells(options.baseline, base, settings)
        counted_by = _counter_of(base)
        if settings.counters == "auto" and counted_by is not None and why_not(counted_by) is None:
            settings = replace(settings, counters=str(counted_by), counter_repeats=1)
        settings = replace(
            settings,
            allocators=settings.allocators or _labels(base),
            passes=_passes(options, _metrics_of(base, options.rules.metrics)),
            footprint_repeats=LEAST_FOOTPRINTS,
        )
    return settings


def _refuse_uncounted(options: CheckOptions) -> None:
    """Raise for a compared metric that would not be measured, and for a counter that nothing needs."""
    counters = options.bench.counters
    metrics = options.rules.metrics
    for name in metrics:
        if counters == Counter.NONE and _is_counted(METRICS[name].measured_by):
            raise InputError(f"{option('counters')} none: {name}, which is to be compared, has to be counted")
    if counters in (Counter.PERF, Counter.CALLGRIND) and not any(map(_is_counted, _passes(options, metrics))):
        raise InputError(
            f"{option('counters')} {counters}: nothing that is compared is counted; "
            f"{option('metrics')} instructions_per_op is"
        )


def _is_proof(run_pass: Pass) -> bool:
    return run_pass.declared.phase is Phase.PROOF


def _is_counted(run_pass: Pass) -> bool:
    return run_pass.declared.instrument is Instrument.INSTRUCTIONS


def _refuse_other_cells(path: Path, base: Run, settings: BenchOptions) -> None:
    """Raise in advance if a baseline has only other modes or regions."""
    for field, chosen, known in (
        ("mode", {str(settings.mode)}, {result.cell.mode for result in base.cells}),
        ("regions", set(settings.regions), {result.cell.region for result in base.cells}),
    ):
        if known and not chosen & known:
            raise Incomparable(
                f"{path}: nothing to compare: it was measured with {option(field)} {','.join(sorted(known))}, "
                f"this check is with {option(field)} {','.join(sorted(chosen))}"
            )


def _counter_of(base: Run) -> Counter | None:
    """Return the counter of a baseline's instructions, which must also count those that are compared with them."""
    counted = str(base.machine.get("instruction_counter"))
    return Counter(counted) if counted in (Counter.PERF, Counter.CALLGRIND) else None


def _sides(against: str, candidate: str) -> tuple[AllocatorSpec, AllocatorSpec]:
    known = registry.Registry()
    sides = []
    for field, text in (("against", against), ("candidate", candidate)):
        specs = parse_allocators(text, known.groups)
        if len(specs) != 1:
            raise InputError(f"must name one allocator, is '{text}'", field=field)
        sides.append(specs[0])
    base, head = sides
    if base.label == head.label and base != head:
        raise InputError(
            f"'{head.label}' is also the name of {option('against')}; two allocators take two names", field="candidate"
        )
    return base, replace(head, again=True) if head == base else head


def _passes(options: CheckOptions, metrics: Sequence[str]) -> tuple[Pass, ...]:
    """Return the passes that the user named, or those that measure the metrics."""
    return options.bench.passes if options.has_passes else _passes_of(metrics)


def _passes_of(metrics: Sequence[str]) -> tuple[Pass, ...]:
    """Return the passes that measure the metrics, and the check pass, because corrupting allocators are not timed."""
    needed = {METRICS[name].measured_by for name in metrics}
    return tuple(run_pass for run_pass in CHOSEN if run_pass in needed or _is_proof(run_pass))


def _second_look(
    settings: BenchOptions, first: Run, suspects: Sequence[Judgement], progress: Progress, executor: Executor | None
) -> list[Comparison]:
    """Return the suspects' metrics on fresh blocks, for the workloads and regions that have any."""
    assert settings.output is not None
    infos = {info.name: info for info in first.workloads}
    suspected = [infos[suspect.comparison.workload] for suspect in suspects]
    metrics = tuple(dict.fromkeys(suspect.comparison.metric for suspect in suspects))
    output = settings.output / journal.SECOND_LOOK
    again = replace(
        settings,
        workloads=tuple(dict.fromkeys(info.source for info in suspected if info.program is None)),
        programs=tuple(program for program in settings.programs if program.name in {info.name for info in suspected}),
        threads=tuple(dict.fromkeys(info.threads for info in suspected)) if settings.threads else (),
        rates=tuple(dict.fromkeys(parse_rate(rate) for info in suspected if (rate := rate_given(info.name)))),
        regions=tuple(dict.fromkeys(suspect.comparison.region for suspect in suspects)),
        first_block=settings.first_block + settings.blocks,
        passes=tuple(run_pass for run_pass in _passes_of(metrics) if not _is_proof(run_pass)),
        output=output,
        resume=settings.resume and (output / journal.FILE_NAME).exists(),
        draw_plots=False,
    )
    run = bench(again, progress, executor).run
    return compare.within(run, suspects[0].comparison.base, metrics)


def _refuse_nothing(comparisons: Sequence[Comparison], run: Run) -> None:
    if comparisons:
        return
    excluded = [
        f"{result.cell.allocator} on {result.cell.workload}: {result.reason}" for result in run.cells if result.reason
    ]
    raise Incomparable(f"nothing to compare: {'; '.join(excluded) or 'no metric is in both'}")


def against_baseline(
    options: CheckOptions, progress: Progress, executor: Executor | None = None, spell: RunSpeller = in_words
) -> Checked:
    """Measure the baseline's allocators on the workloads and judge them against it."""
    assert options.baseline is not None
    base = read_baseline(options.baseline)
    rules = options.rules
    settings = to_be_measured(options)
    outcome = bench(settings, progress, executor)
    report = reports.between(
        base,
        outcome.run,
        (str(options.baseline), str(outcome.directory)),
        rules,
        is_whole=False,
        past=_past(options),
        spell=lambda step: spell(step, outcome.run),
    )
    report = replace(
        report,
        command="check",
        sources=(str(options.baseline), str(outcome.directory / run_file.FILE_NAME)),
        notes=(*_notes(outcome.run), *report.notes),
    )
    return _stored(report, outcome.directory, draw=False)


def _past(options: CheckOptions) -> reports.History:
    return () if options.history is None else run_file.read_all(options.history)


def read_baseline(path: Path) -> Run:
    """Return a stored baseline. Raises Incomparable where there is none, InputError where it is not a run."""
    file = path / run_file.FILE_NAME if files.is_folder(path) else path
    if not files.is_there(file):
        raise Incomparable(f"{path}: no baseline; the same command with {option('update')} writes one")
    return run_file.read(path)


def _labels(base: Run) -> str:
    names = named_in(base)
    labels = (result.cell.allocator.removesuffix(AGAIN) for result in base.cells)
    return ",".join(dict.fromkeys(names.get(label, label) for label in labels))


def _metrics_of(base: Run, metrics: Sequence[str]) -> list[str]:
    """Return those of the metrics for which a baseline has figures; all if it has none."""
    known = {name for result in base.cells for name, metric in result.metrics.items() if metric.value is not None}
    return [name for name in metrics if name in known] or list(metrics)


def update_baseline(options: CheckOptions, progress: Progress, executor: Executor | None = None) -> tuple[Path, int]:
    """Measure, and write the figures as the new baseline; return its path and the number of its cells.

    A baseline is a run file with the compared metrics and the machine, and nothing else: it is meant to be under
    version control, to be read in diffs, and to contain no paths of the machine.
    """
    assert options.baseline is not None
    settings = to_be_measured(replace(options, update=True))
    outcome = bench(settings, progress, executor)
    if outcome.failed:
        failed = next((result for result in outcome.run.cells if result.status is Status.FAILED), None)
        if failed is None:
            raise Incomparable(f"{options.baseline}: nothing was measured that a baseline could hold")
        raise MemtoolError(f"{failed.cell.workload} · {failed.cell.allocator} failed, so no baseline: {failed.reason}")
    kept = set(options.rules.metrics)
    sources = written_sources(outcome.run.workloads)
    run = replace(
        outcome.run,
        command=(),
        workloads=tuple(replace(info, source=sources[info.name]) for info in outcome.run.workloads),
        cells=tuple(
            replace(
                result,
                proof={name: result.proof[name] for name in _KEPT_PROOF if name in result.proof},
                series={},
                metrics={
                    name: metric for name, metric in result.metrics.items() if name in kept and metric.value is not None
                },
            )
            for result in outcome.run.cells
            if result.status is Status.OK
        ),
    )
    if not any(result.metrics for result in run.cells):
        raise Incomparable(f"{options.baseline}: nothing was measured that a baseline could hold")
    path = options.baseline
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        run_file.write_file(path, run)
    except OSError as problem:
        raise InputError(files.refusal(problem, path)) from None
    return path, len(run.cells)


def _notes(run: Run) -> tuple[str, ...]:
    of_cells = (
        f"{result.cell.workload} · {result.cell.allocator}: {note}" for result in run.cells for note in result.notes
    )
    return (*run.notes, *of_cells)


def _stored(report: Report, directory: Path, *, draw: bool) -> Checked:
    """Write every form of the report next to the run, so that a job can keep the forms that it needs.

    A failure to write one is a complaint, and the verdict stands.
    """
    written: list[Path] = []
    complaints: tuple[str, ...] = ()
    try:
        written.append(compare_file.write(directory / compare_file.FILE_NAME, report))
        for name, style in (("compare.md", "markdown"), ("compare.xml", "junit")):
            written.append(files.write_whole(directory / name, verdicts.render(report, style) + "\n"))
    except OSError as problem:
        complaints = (files.refusal(problem, directory),)
    if draw and not complaints:
        drawn, complaints = pictures.try_to_draw(lambda: _drawn(report, directory / pictures.FOLDER))
        written += drawn
    return Checked(report, directory, tuple(written), complaints)


def _drawn(report: Report, folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    drawn = forest.draw(report, folder / "compare.png")
    return [drawn] if drawn is not None else []
