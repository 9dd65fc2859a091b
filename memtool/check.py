"""How a check comes about: measure, compare, judge; and what looks worse is measured again before it is called so.

Two kinds. Side by side, both allocators are measured in one job, paired by block. Against a baseline, only what is
exact can fail: two runs of different days cannot prove a difference in time.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from memtool import __version__, files, gate
from memtool.allocators import registry
from memtool.allocators.spec import parse_allocators
from memtool.errors import EXIT_INCOMPARABLE, InputError, MemtoolError
from memtool.host.counters import Counter, why_not
from memtool.measure.metrics import METRICS
from memtool.model import AGAIN, AllocatorSpec, Comparison, Judgement, Pass, Past, Report, Run, Status
from memtool.plan import BenchOptions
from memtool.report import calls, verdicts
from memtool.report.plots import forest, pictures
from memtool.run import bench
from memtool.stats import compare, proof
from memtool.store import compare_file, journal, run_file
from memtool.units import format_count
from memtool.worker.parent import Executor
from memtool.worker.schedule import LEAST_FOOTPRINTS, Progress
from memtool.workload.trace import shipped

DEFAULT_BLOCKS = 31
"""Finds +5 % where pairs scatter by 3 %, and is odd, so that the median is one of the pairs."""
_KEPT_PROOF = (*compare.LIBRARY, proof.NAMED, "call")
"""What of a cell's proof a baseline keeps."""


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
    has_passes: bool = False
    """Whether the user named the passes; else they are those that the metrics need."""
    history: Path | None = None
    """Folder of runs whose figures are shown beside."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A finished check."""

    report: Report
    directory: Path
    files: tuple[Path, ...]
    complaints: tuple[str, ...] = ()
    """What could not be done besides, such as a plot that could not be drawn."""


def side_by_side(options: CheckOptions, progress: Progress, executor: Executor | None = None) -> Checked:
    """Measure both allocators in one job, judge, and measure suspects again on as many fresh blocks.

    The number of blocks is fixed before the first, and nobody looks in between.
    """
    settings = to_be_measured(options)
    outcome = bench(settings, progress, executor)
    settings = replace(settings, output=outcome.directory)
    rules = options.rules
    comparisons = compare.within(outcome.run, settings.specs[0].label, rules.metrics, required=rules.named)
    _refuse_nothing(comparisons, outcome.run)
    judged = gate.screen(comparisons, rules)
    suspects = [each for each in judged if each.is_suspect]
    if suspects:
        judged = gate.confirm(judged, _second_look(settings, outcome.run, suspects, progress, executor), rules)
    judged = gate.with_next_steps(judged, arguments_of(outcome.run), named=named_in(outcome.run))
    report = Report(
        memtool=__version__,
        command="check",
        sources=(str(outcome.directory / run_file.FILE_NAME),),
        judgements=tuple(judged),
        unjudged=tuple(gate.unjudged(judged, rules)),
        alpha=rules.alpha,
        margin=rules.margin,
        family=gate.family_of(comparisons, rules),
        looks=2 if suspects else 1,
        notes=(*_notes(outcome.run), *calls.mixture(outcome.run.cells)),
        history=history_of(options.history, outcome.run, rules.metrics),
        machine=outcome.run.machine,
        started=outcome.run.started,
    )
    return _stored(report, outcome.directory, draw=settings.draw_plots)


def too_few_blocks(options: CheckOptions) -> str | None:
    """Return before anything is measured that no verdict on sampled figures can come of it, and how many blocks can."""
    bench = options.bench
    if options.baseline is not None:
        return None  # sampled figures only advise
    pairs = len(bench.workloads) * max(1, len(bench.threads)) * len(bench.regions)
    return gate.too_few_blocks(bench.blocks | 1, pairs, options.rules, looks=2)


def to_be_measured(options: CheckOptions) -> BenchOptions:
    """Return what a check measures.

    Raises InputError for what does not go together, and Incomparable where the baseline has nothing of the kind.
    """
    _refuse_uncounted(options)
    read_history(options.history)  # what is foreign in it is refused before anything is measured
    settings = options.bench
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
    """Complain of a metric that is compared and would not be measured, and of a counter that nothing needs."""
    counters = options.bench.counters
    metrics = options.rules.metrics
    for name in metrics:
        run_pass = METRICS[name].measured_by
        if counters == Counter.NONE and run_pass is Pass.COUNTERS:
            raise InputError(f"--counters none: {name}, which is to be compared, has to be counted")
    if counters in (Counter.PERF, Counter.CALLGRIND) and Pass.COUNTERS not in _passes(options, metrics):
        raise InputError(f"--counters {counters}: nothing that is compared is counted; --metric instructions_per_op is")


def _refuse_other_cells(path: Path, base: Run, settings: BenchOptions) -> None:
    """Say before anything is measured that a baseline has only other modes or regions."""
    for option, wanted, known in (
        ("--mode", {str(settings.mode)}, {each.cell.mode for each in base.cells}),
        ("--region", set(settings.regions), {each.cell.region for each in base.cells}),
    ):
        if known and not wanted & known:
            raise Incomparable(
                f"{path}: nothing to compare: it was measured with {option} {','.join(sorted(known))}, "
                f"this check is with {option} {','.join(sorted(wanted))}"
            )


def _counter_of(base: Run) -> Counter | None:
    """Return what counted a baseline's instructions, and has to count again what is held against them."""
    counted = str(base.machine.get("instruction_counter"))
    return Counter(counted) if counted in (Counter.PERF, Counter.CALLGRIND) else None


def _sides(against: str, candidate: str) -> tuple[AllocatorSpec, AllocatorSpec]:
    known = registry.Registry()
    sides = []
    for option, text in (("--against", against), ("--candidate", candidate)):
        specs = parse_allocators(text, known.groups)
        if len(specs) != 1:
            raise InputError(f"{option}: must name one allocator, is '{text}'")
        sides.append(specs[0])
    base, head = sides
    if base.label == head.label and base != head:
        raise InputError(f"--candidate: '{head.label}' is also the name of --against; two allocators take two names")
    return base, replace(head, again=True) if head == base else head


def _passes(options: CheckOptions, metrics: Sequence[str]) -> tuple[Pass, ...]:
    """Return the passes that the user named, or those that metrics are measured by."""
    return options.bench.passes if options.has_passes else _passes_of(metrics)


def _passes_of(metrics: Sequence[str]) -> tuple[Pass, ...]:
    """Return the passes that metrics are measured by, and the check: what corrupts memory is not timed."""
    needed = {METRICS[name].measured_by for name in metrics} | {Pass.CHECK}
    return tuple(each for each in Pass if each in needed)


def _second_look(
    settings: BenchOptions, first: Run, suspects: Sequence[Judgement], progress: Progress, executor: Executor | None
) -> list[Comparison]:
    """Return the suspects' metrics on fresh blocks, of the workloads and regions that have any."""
    assert settings.output is not None
    infos = {info.name: info for info in first.workloads}
    suspected = [infos[each.comparison.workload] for each in suspects]
    metrics = tuple(dict.fromkeys(each.comparison.metric for each in suspects))
    output = settings.output / journal.SECOND_LOOK
    again = replace(
        settings,
        workloads=tuple(dict.fromkeys(info.source for info in suspected)),
        threads=tuple(dict.fromkeys(info.threads for info in suspected)) if settings.threads else (),
        regions=tuple(dict.fromkeys(each.comparison.region for each in suspects)),
        first_block=settings.first_block + settings.blocks,
        passes=tuple(each for each in _passes_of(metrics) if each is not Pass.CHECK),
        output=output,
        resume=settings.resume and (output / journal.FILE_NAME).exists(),
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
    rules = options.rules
    settings = to_be_measured(options)
    outcome = bench(settings, progress, executor)
    judged = judged_runs(base, outcome.run, (str(options.baseline), str(outcome.directory)), rules)
    report = Report(
        memtool=__version__,
        command="check",
        sources=(str(options.baseline), str(outcome.directory / run_file.FILE_NAME)),
        judgements=tuple(
            gate.with_next_steps(judged, arguments_of(outcome.run), _renewal(options), named_in(outcome.run))
        ),
        unjudged=(*gate.unjudged(judged, rules), *not_in(base, outcome.run, options.baseline)),
        alpha=rules.alpha,
        margin=rules.margin,
        family=0,
        notes=(*_notes(outcome.run), *unmatched(base, outcome.run)),
        history=history_of(options.history, outcome.run, rules.metrics),
        machine=outcome.run.machine,
        started=outcome.run.started,
    )
    return _stored(report, outcome.directory, draw=False)


def _renewal(options: CheckOptions) -> str:
    """Return the command that takes what is measured as the new baseline: this check's, with --update."""
    bench, standard = options.bench, BenchOptions()
    words = [*bench.workloads, "--baseline", str(options.baseline), "--update"]
    for option, value, unless in (
        ("-a", bench.allocators, None),
        ("--metric", ",".join(options.rules.metrics), ",".join(gate.policy(None, 0, ()).metrics)),
        ("--passes", ",".join(bench.passes) if options.has_passes else "", ""),
        ("--region", ",".join(bench.regions), ",".join(standard.regions)),
        ("--as", "malloc" if bench.as_malloc else None, None),
        ("--mode", bench.mode, standard.mode),
        ("--threads", ",".join(map(str, bench.threads)), ""),
        ("--seed", bench.seed, None),
        ("--counters", bench.counters, standard.counters),
    ):
        words += [option, str(value)] if value != unless else []
    return shlex.join(["memtool", "check", *words, *(["--cold"] if bench.cold else [])])


def judged_runs(base: Run, head: Run, sources: tuple[str, str], rules: gate.Policy) -> list[Judgement]:
    """Return the verdicts of one run against another. Raises Incomparable where they have no cell in common."""
    comparisons = compare.between(base, head, rules.metrics, rules.named)
    if not comparisons:
        common = {each.cell for each in base.cells} & {each.cell for each in head.cells}
        if common:
            raise Incomparable(f"{sources[0]} and {sources[1]}: no metric of {', '.join(rules.metrics)} is in both")
        raise Incomparable(f"{sources[0]} and {sources[1]} have no cell in common: {_some(base)}; {_some(head)}")
    return gate.judge(comparisons, rules)


def _some(run: Run) -> str:
    cells = [f"{each.cell.workload}/{each.cell.allocator}" for each in run.cells] or ["no cell at all"]
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


def gone(base: Run, head: Run) -> list[str]:
    """Return what the first of two runs measured and the second does not have at all, in words."""
    second = {each.cell for each in head.cells}
    return [
        f"{each.cell.workload} · {each.cell.allocator}: the second run does not have it"
        for each in base.cells
        if each.cell not in second and each.status is Status.OK
    ]


def not_in(base: Run, head: Run, path: Path) -> list[str]:
    """Return what was measured and has nothing in a baseline to be held against, in words."""
    known = {each.cell for each in base.cells}
    lines = []
    for each in head.cells:
        if each.cell not in known and each.status is not Status.EXCLUDED:
            others = dict.fromkeys(cell.allocator for cell in known if cell.workload == each.cell.workload)
            has = f"it has {', '.join(sorted(others)[:5])}" if others else "it has not this workload at all"
            lines.append(f"{each.cell.workload} · {each.cell.allocator}: not in {path}; {has}")
    return lines


def read_baseline(path: Path) -> Run:
    """Return a stored baseline. Raises Incomparable where there is none, InputError where it is not a run."""
    file = path / run_file.FILE_NAME if files.is_folder(path) else path
    if not files.is_there(file):
        raise Incomparable(f"{path}: no baseline; the same command with --update writes one")
    return run_file.read(path)


def _labels(base: Run) -> str:
    names = named_in(base)
    labels = (each.cell.allocator.removesuffix(AGAIN) for each in base.cells)
    return ",".join(dict.fromkeys(names.get(label, label) for label in labels))


def named_in(run: Run) -> dict[str, str]:
    """Return how what the user calls by a name is written on the command line: ``mine`` -> ``mine=./libmine.so``."""
    return {each.cell.allocator: str(each.proof[proof.NAMED]) for each in run.cells if proof.NAMED in each.proof}


def _metrics_of(base: Run, metrics: Sequence[str]) -> list[str]:
    """Return those of the metrics that a baseline has figures for; all where it has none."""
    known = {name for each in base.cells for name, metric in each.metrics.items() if metric.value is not None}
    return [name for name in metrics if name in known] or list(metrics)


def update_baseline(options: CheckOptions, progress: Progress, executor: Executor | None = None) -> tuple[Path, int]:
    """Measure, and write what was found as the new baseline; return its path and the number of its cells.

    A baseline is a run file with the compared metrics and the machine, and nothing else: it is meant to be tracked,
    read in diffs, and free of the paths of whoever measured it.
    """
    assert options.baseline is not None
    settings = to_be_measured(options)
    outcome = bench(settings, progress, executor)
    if outcome.failed:
        failed = next((each for each in outcome.run.cells if each.status is Status.FAILED), None)
        if failed is None:
            raise Incomparable(f"{options.baseline}: nothing was measured that a baseline could hold")
        raise MemtoolError(f"{failed.cell.workload} · {failed.cell.allocator} failed, so no baseline: {failed.reason}")
    kept = set(options.rules.metrics)
    names = _typed(outcome.run)
    run = replace(
        outcome.run,
        command=(),
        workloads=tuple(replace(info, source=names[info.name]) for info in outcome.run.workloads),
        cells=tuple(
            replace(
                each,
                proof={name: each.proof[name] for name in _KEPT_PROOF if name in each.proof},
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
        run_file.write_file(path, run)
    except OSError as problem:
        raise InputError(files.refusal(problem, path)) from None
    return path, len(run.cells)


def arguments_of(run: Run) -> dict[str, str]:
    """Return how each workload is named on the command line: quoted, with the threads that it was given there."""
    typed = _typed(run)
    return {
        info.name: shlex.quote(typed[info.name])
        + (f" --threads {info.threads}" if info.name != (info.workload_name or info.name) else "")
        + (" --as malloc" if any(each.call is not None and each.call.as_malloc for each in run.cells) else "")
        for info in run.workloads
    }


def _typed(run: Run) -> dict[str, str]:
    """Return what each workload comes from: a shipped one's short name, or a file."""
    names = {path.resolve(): name for name, path in shipped().items()}
    return {info.name: names.get(Path(info.source).resolve(), info.source or info.name) for info in run.workloads}


def history_of(folder: Path | None, run: Run, metrics: tuple[str, ...]) -> tuple[Past, ...]:
    """Return the figures of every run under a folder. Raises InputError where there is none."""
    runs = read_history(folder)
    return tuple(compare.history(runs, run, metrics)) if runs else ()


def read_history(folder: Path | None) -> list[tuple[str, Run]]:
    """Return every run under a folder with its file. Raises InputError where there is none, or one is damaged."""
    if folder is None:
        return []
    places = [*folder.glob(f"*/{run_file.FILE_NAME}"), *folder.glob("*.json"), *folder.glob(run_file.FILE_NAME)]
    if not places:
        raise InputError(f"--history: {folder}: no run in it")
    return [(str(file), run_file.read(file)) for file in dict.fromkeys(places)]


def _notes(run: Run) -> tuple[str, ...]:
    of_cells = (f"{each.cell.workload} · {each.cell.allocator}: {note}" for each in run.cells for note in each.notes)
    return (*run.notes, *of_cells)


def _stored(report: Report, directory: Path, *, draw: bool) -> Checked:
    """Write every form of the report beside the run, so that a job can keep whichever it needs.

    A form that cannot be written is a complaint: the verdict stands without it.
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
