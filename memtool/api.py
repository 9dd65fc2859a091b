"""What memtool does, as functions: options in, records out. Commands, tests and Python programs call these.

Nothing here prints or reads a command line. An error is a MemtoolError: ``InputError.field`` names the option at fault.
"""

# ruff: noqa: PLC0414  # records are named again so that a type checker finds them here
from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtool.drawing import draw_comparison, draw_history, draw_inspection, report
from memtool.store.schemas import json_schema

if TYPE_CHECKING:
    from memtool.check import Checked as Checked
    from memtool.check import CheckOptions as CheckOptions
    from memtool.check import RunSpeller
    from memtool.errors import Incomparable as Incomparable
    from memtool.errors import InputError as InputError
    from memtool.errors import MemtoolError as MemtoolError
    from memtool.find_limit import FoundLimits as FoundLimits
    from memtool.fit import Fit as Fit
    from memtool.gate import FailOn
    from memtool.gate import Policy as Policy
    from memtool.kinds.work import Inspection as Inspection
    from memtool.model import Mode as Mode
    from memtool.model import Report as Report
    from memtool.model import Run as Run
    from memtool.passes import Pass as Pass
    from memtool.plan import BenchOptions as BenchOptions
    from memtool.plan import Plan as Plan
    from memtool.recorder.traces import Recording
    from memtool.report.plots.themes import Purpose, Theme
    from memtool.run import Outcome as Outcome
    from memtool.stats.by_machine import Machines
    from memtool.stats.history import History as History
    from memtool.stats.limits import Limits as Limits
    from memtool.worker.parent import Executor
    from memtool.worker.schedule import Progress
    from memtool.workload.importers.convert import Imported as Imported
    from memtool.workload.importers.convert import ImportedProfile as ImportedProfile

_RECORDS = {
    "BenchOptions": "memtool.plan",
    "CheckOptions": "memtool.check",
    "Checked": "memtool.check",
    "Fit": "memtool.fit",
    "FoundLimits": "memtool.find_limit",
    "History": "memtool.stats.history",
    "Imported": "memtool.workload.importers.convert",
    "ImportedProfile": "memtool.workload.importers.convert",
    "Incomparable": "memtool.errors",
    "Inspection": "memtool.kinds.work",
    "InputError": "memtool.errors",
    "Limits": "memtool.stats.limits",
    "MemtoolError": "memtool.errors",
    "Mode": "memtool.model",
    "Outcome": "memtool.run",
    "Pass": "memtool.passes",
    "Plan": "memtool.plan",
    "Policy": "memtool.gate",
    "Report": "memtool.model",
    "Run": "memtool.model",
}
"""What goes in and comes out, imported where it is asked for: showing a stored run needs no generator."""
__all__ = [  # noqa: PLE0604
    *_RECORDS,
    "bench",
    "by_machine",
    "check",
    "compare",
    "draw",
    "draw_comparison",
    "draw_history",
    "draw_inspection",
    "exit_code",
    "find_limits",
    "fit",
    "history",
    "holds_limits",
    "import_trace",
    "inspect",
    "json_schema",
    "plan",
    "policy",
    "record",
    "refuse_unknown_metrics",
    "render",
    "report",
    "show",
    "show_limits",
    "standings",
    "update_baseline",
    "write_job_summary",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # as a module has it
    """Import a record."""
    if name not in _RECORDS:
        raise AttributeError(name)
    return getattr(importlib.import_module(_RECORDS[name]), name)


def _silent(what: str, done: int, total: int, seconds_left: float | None) -> None:
    """Show no progress."""


def _unsaid(words: str) -> None:
    """Announce nothing."""


def plan(options: BenchOptions) -> Plan:
    """Return what a bench would measure, and what it would leave out; ``close`` it after use."""
    from memtool.plan import make_plan
    from memtool.run import as_resumed

    new_plan = make_plan(options)
    try:
        return as_resumed(options, new_plan)
    except BaseException:
        new_plan.close()
        raise


def bench(
    options: BenchOptions,
    *,
    progress: Progress = _silent,
    announce: Callable[[str], None] = _unsaid,
    seen: Callable[[Run], None] | None = None,
    executor: Executor | None = None,
) -> Outcome:
    """Measure, store and draw.

    ``progress`` is called for each sample, ``announce`` with what takes long beforehand, and ``seen`` with the run as
    it stands after each block.
    """
    from memtool.run import bench

    return bench(options, progress, executor, announce, seen)


def find_limits(
    options: BenchOptions, seeds: int = 3, *, progress: Progress = _silent, executor: Executor | None = None
) -> FoundLimits:
    """Find and store the least memory limit that each strategy survives, for so many seeds."""
    from memtool.find_limit import find_limits

    return find_limits(options, seeds, progress, executor)


def policy(metrics: Sequence[str] | None = None, margin: float | str = 0.02, limits: Sequence[str] = ()) -> Policy:
    """Return what is gated and how strictly.

    Args:
        metrics: names of metrics; those that all summaries have unless given.
        margin: how much worse is allowed where a metric has no limit of its own: a share, or ``2%``.
        limits: of some metrics: ``time_per_op_ns=3%``.

    Raises:
        InputError: a name is unknown, or a share is none.
    """
    from memtool import gate

    return gate.policy(metrics, gate.parse_margin(margin) if isinstance(margin, str) else margin, limits)


def exit_code(report: Report, fail_on: FailOn | None = None) -> int:
    """Return what a command ends with: 0, 3 for a regression, 4 for what nobody can tell, 5 where nothing compares."""
    from memtool import gate

    return gate.exit_code(report.judgements, fail_on, report.unjudged)


def check(
    options: CheckOptions,
    *,
    progress: Progress = _silent,
    executor: Executor | None = None,
    spell: RunSpeller | None = None,
) -> Checked:
    """Measure and judge: side by side, or against ``options.baseline``; ``spell`` says how next steps are typed."""
    from memtool.check import against_baseline, in_words, side_by_side

    measure_and_judge = side_by_side if options.baseline is None else against_baseline
    return measure_and_judge(options, progress, executor, spell or in_words)


def update_baseline(
    options: CheckOptions, *, progress: Progress = _silent, executor: Executor | None = None
) -> tuple[Path, int]:
    """Measure, write the baseline, and return its path and the number of its cells."""
    from memtool.check import update_baseline

    return update_baseline(options, progress, executor)


def compare(
    base: Path,
    head: Path | None = None,
    *,
    rules: Policy | None = None,
    reference: str | None = None,
    is_choice: bool = True,
    history: Path | None = None,
    spell: RunSpeller | None = None,
) -> Report:
    """Return the report of two stored runs, or of the allocators inside one.

    Args:
        base: folder of results, or a run.json.
        head: the run that is compared; None: the allocators of ``base`` are, with its reference.
        rules: what is compared, and how strictly; the headline metrics unless given.
        reference: inside one run, the allocator that is compared with.
        is_choice: inside one run, whether nobody holds the others to the reference.
        history: folder of runs whose figures are shown beside.
        spell: how next steps are typed.

    Raises:
        InputError: a file is no run, or a name is unknown.
        Incomparable: there is nothing to compare.
    """
    from memtool.gate import NextStep, in_words, reports
    from memtool.store import run_file

    def spelled(step: NextStep) -> str:
        return in_words(step) if spell is None else spell(step, first if second is None else second)

    rules = rules or policy()
    first, second = run_file.read(base), None if head is None else run_file.read(head)
    past = () if history is None else run_file.read_all(history)
    if second is not None:
        return reports.between(first, second, (str(base), str(head)), rules, past=past, spell=spelled)
    return reports.within(first, str(base), reference, rules, is_choice=is_choice, past=past, spell=spelled)


def history(folder: Path, *, metrics: Sequence[str] | None = None, allocators: Sequence[str] | None = None) -> History:
    """Return the figures of all runs in a folder over time, and where they change (docs/history.md).

    Args:
        folder: with folders of results, or files run.json of any name.
        metrics: the headline metrics unless given.
        allocators: only those whose labels match.

    Raises:
        InputError: there is no run, one is damaged, or a name is unknown.
    """
    from memtool import gate
    from memtool.report import selection
    from memtool.stats.history import of_runs
    from memtool.store import run_file

    names = gate.policy(metrics, gate.DEFAULT_MARGIN, ()).metrics
    stored = selection.select_of_all(run_file.read_all(folder, field=None), allocators)
    return of_runs(str(folder), stored, names)


def by_machine(base: Path, *, rules: Policy | None = None, reference: str | None = None) -> Machines:
    """Return the allocators inside a stored run against its reference, on each group of equal machines.

    Raises InputError where the file is no run or has no such allocator, Incomparable where there is nothing to compare.
    """
    from memtool.gate import reports
    from memtool.stats.by_machine import machines
    from memtool.store import run_file

    run, rules = run_file.read(base), rules or policy()
    return machines(run, reports.reference_of(run, reference, str(base)), rules.metrics)


def inspect(workload: str, *, seed: int | None = None) -> Inspection:
    """Characterise a workload without replaying it: a YAML file, the name of a shipped one, or a trace file."""
    from memtool.kinds.work import kind_of, work
    from memtool.workload.trace import find_workload

    path = find_workload(workload)
    return work(kind_of(path)).inspect(path, seed)


def record(program: Sequence[str], output: Path) -> Recording:
    """Run a program to its end and write what it asks for into a trace file.

    Raises InputError where the program is not there or nothing can be preloaded into it, MemtoolError where this
    machine cannot record. How the program ended is in the result.
    """
    import os

    from memtool.host import programs
    from memtool.recorder import traces

    if not program:
        from memtool.errors import InputError

        raise InputError("no program to record", field="program")
    programs.refuse_what_takes_no_preload(programs.find_program(program[0]))
    return traces.record(program, os.environ, traces.Options(file=output))


def import_trace(
    file: str,
    output: Path | None = None,
    format: str | None = None,
    *,
    skip: int = 0,
    take: int | None = None,
    has_times: bool = True,
    has_callers: bool = True,
    is_anonymous: bool = False,
    progress: Callable[[int], None] = lambda events: None,
) -> Imported | ImportedProfile:
    """Write what a file of another tool, a workload, or ``-`` (standard input) tells of into a trace file.

    Of a heap profile, which is no trace, a workload is written.

    With ``skip`` and ``take`` only a stretch of so many events goes in, what lives at its start as allocations before
    it. An anonymous one says nothing of the machine and of the program's arguments. ``progress`` is called with the
    events that have been written.
    """
    from memtool.workload.importers import convert

    if (imported := convert.import_profile(file, output, format)) is not None:
        return imported
    choice = convert.Choice(skip, take, has_times, has_callers, is_anonymous)
    return convert.import_trace(file, output, format, choice, progress)


def fit(
    trace: str,
    output: Path | None = None,
    *,
    ranking: BenchOptions | None = None,
    progress: Progress = _silent,
    executor: Executor | None = None,
) -> Fit:
    """Write a workload that stands for a trace; with ``ranking``, replay both with its allocators, in its blocks."""
    from memtool.fit import fit

    return fit(trace, output, ranking, progress, executor)


def show(run: Path, *, allocators: Sequence[str] | None = None, reference: str | None = None) -> Run:
    """Return a stored run, or those of its allocators whose labels match."""
    from memtool.report import selection
    from memtool.store import run_file

    return selection.select(run_file.read(run), allocators, reference)


def holds_limits(place: Path) -> bool:
    """Return whether a path names what a search for limits has stored: its folder, or limits.json."""
    from memtool.store import limits_file

    return limits_file.file_of(place) is not None


def show_limits(place: Path, *, allocators: Sequence[str] | None = None) -> Limits:
    """Return what a search for limits has stored, or that of the allocators whose labels match."""
    from memtool.report import selection
    from memtool.store import limits_file

    return selection.select_limits(limits_file.read(limits_file.file_of(place) or place), allocators)


def render(
    result: Run | Limits | Report | History | Machines,
    style: str = "table",
    *,
    width: int | None = None,
    metrics: Sequence[str] | None = None,
) -> str:
    """Return a result as text.

    Args:
        result: a run, what a search for limits has found, a report, a history, or a run by machine.
        style: ``table``, ``markdown`` or ``json``; ``csv`` of a run and of limits; a run has ``samples``, as CSV,
            besides, a report ``github`` and ``junit``, and a history ``bencher``, ``customSmallerIsBetter`` and
            ``customBiggerIsBetter``.
        width: columns that tables may take; None: as many as they need.
        metrics: of a run: one table of these in place of all.
    """
    from memtool.model import Report, Run
    from memtool.report import by_machine, history, limits, selection, tables, verdicts
    from memtool.stats.by_machine import Machines
    from memtool.stats.history import History

    if isinstance(result, Machines):
        return by_machine.render(result, style, width)
    if isinstance(result, History):
        return history.render(result, style, width)
    if isinstance(result, Run):
        return tables.render(result, style, width, None if metrics is None else (selection.sheet_of(metrics),))
    return verdicts.render(result, style, width) if isinstance(result, Report) else limits.render(result, style, width)


def refuse_unknown_metrics(names: Sequence[str]) -> None:
    """Raise InputError for a name that no metric has, before anything is measured that it is to be shown of."""
    from memtool.report import selection

    selection.sheet_of(names)


def write_job_summary(report: Report) -> tuple[str, ...]:
    """Add a report to the summary of the GitHub job that this runs in, if it does; return why it could not be done."""
    from memtool.report import verdicts

    return verdicts.write_summary(report)


def draw(
    run: Path,
    folder: Path | None = None,
    *,
    only: Sequence[str] | None = None,
    allocators: Sequence[str] | None = None,
    suffix: str = "png",
    theme: Theme = "light",
    purpose: Purpose = "screen",
) -> list[Path]:
    """Draw the pictures of a stored run, or some of them, and return their files; its folder plots unless given.

    ``suffix``: png, svg or pdf; ``theme``: light or dark; ``purpose``: screen, print (300 dots an inch) or slides
    (larger letters).
    """
    from memtool.report.plots import pictures

    directory = run if run.is_dir() else run.parent
    return pictures.draw_all(
        directory, show(run, allocators=allocators), folder, only=only, suffix=suffix, theme=theme, purpose=purpose
    )


def standings(run: Run) -> list[tuple[str, str, str, str, str]]:
    """Return (workload, rank, allocator, time, its 95 % interval) of what was timed, in the order of the tables."""
    from memtool.report import summary

    return summary.standings(run)
