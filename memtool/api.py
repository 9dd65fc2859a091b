"""Everything that memtool does, as functions from options to records. Commands, tests and Python programs call them.

No function here prints, or reads the command line. Errors are MemtoolErrors; ``InputError.field`` names the option.
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
    from memtool.options import BenchOptions as BenchOptions
    from memtool.passes import Pass as Pass
    from memtool.plan import Plan as Plan
    from memtool.recorder.traces import Recording
    from memtool.report.paper.themes import Purpose, Theme
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
"""The records that functions take and return, imported on first use: showing a stored run needs no generator."""
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


def __getattr__(name: str) -> Any:  # noqa: ANN401  # the signature of a module's __getattr__
    """Import a record."""
    if name not in _RECORDS:
        raise AttributeError(name)
    return getattr(importlib.import_module(_RECORDS[name]), name)


def _silent(what: str, done: int, total: int, seconds_left: float | None) -> None:
    """Show no progress."""


def _unsaid(words: str) -> None:
    """Announce nothing."""


def plan(options: BenchOptions) -> Plan:
    """Return a plan: the cells that a bench would measure, and those that it would exclude. ``close`` it after use."""
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
    """Measure, store the run and draw its pictures.

    ``progress`` is called for each sample, ``announce`` before a long preparation, with its description, and ``seen``
    after each block, with the run so far.
    """
    from memtool.run import bench

    return bench(options, progress, executor, announce, seen)


def find_limits(
    options: BenchOptions, seeds: int = 3, *, progress: Progress = _silent, executor: Executor | None = None
) -> FoundLimits:
    """Find and store the smallest memory limit with which each strategy serves its workload, for ``seeds`` seeds."""
    from memtool.find_limit import find_limits

    return find_limits(options, seeds, progress, executor)


def policy(metrics: Sequence[str] | None = None, margin: float | str = 0.02, limits: Sequence[str] = ()) -> Policy:
    """Return a policy: which metrics are gated, and how strictly.

    Args:
        metrics: names of metrics; by default the headline metrics, which all summaries have.
        margin: by how much a metric without its own limit may get worse: a share such as 0.02, or ``2%``.
        limits: limits of single metrics, such as ``time_per_op_ns=3%``.

    Raises:
        InputError: a name is unknown, or a margin or limit is not a valid share.
    """
    from memtool import gate

    return gate.policy(metrics, gate.parse_margin(margin) if isinstance(margin, str) else margin, limits)


def exit_code(report: Report, fail_on: FailOn | None = None) -> int:
    """Return the exit code of a command: 0, 3 for a regression, 4 if inconclusive, 5 if nothing could be compared."""
    from memtool import gate

    return gate.exit_code(report.judgements, fail_on, report.unjudged)


def check(
    options: CheckOptions,
    *,
    progress: Progress = _silent,
    executor: Executor | None = None,
    spell: RunSpeller | None = None,
) -> Checked:
    """Measure and judge, side by side or against ``options.baseline``; ``spell`` words the suggested next steps."""
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
        head: the run to compare with ``base``; None compares the allocators inside ``base`` with its reference.
        rules: which metrics are compared, and how strictly; by default the headline metrics.
        reference: inside one run, the allocator that the others are compared with.
        is_choice: inside one run, whether the allocators are alternatives, so that none is a regression of another.
        history: folder of earlier runs whose figures are shown beside.
        spell: words the suggested next steps.

    Raises:
        InputError: a file is not a run, or a name is unknown.
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
    """Return the figures of all runs in a folder over time, and the runs where they change (docs/history.md).

    Args:
        folder: contains folders of results, or files in the format of run.json, under any name.
        metrics: names of metrics; by default the headline metrics.
        allocators: patterns; only allocators whose labels match are included.

    Raises:
        InputError: the folder contains no run, a run is damaged, or a name is unknown.
    """
    from memtool import gate
    from memtool.report import selection
    from memtool.stats.history import of_runs
    from memtool.store import run_file

    names = gate.policy(metrics, gate.DEFAULT_MARGIN, ()).metrics
    stored = selection.select_of_all(run_file.read_all(folder, field=None), allocators)
    return of_runs(str(folder), stored, names)


def by_machine(base: Path, *, rules: Policy | None = None, reference: str | None = None) -> Machines:
    """Compare the allocators inside a stored run with its reference, for each group of equal machines.

    Raises InputError if the file is not a run or has no such allocator, Incomparable if there is nothing to compare.
    """
    from memtool.gate import reports
    from memtool.stats.by_machine import machines
    from memtool.store import run_file

    run, rules = run_file.read(base), rules or policy()
    return machines(run, reports.reference_of(run, reference, str(base)), rules.metrics)


def inspect(workload: str, *, seed: int | None = None) -> Inspection:
    """Describe a workload without replaying it: a YAML file, the name of a shipped workload, or a trace file."""
    from memtool.kinds.work import kind_of, work
    from memtool.workload.trace import find_workload

    path = find_workload(workload)
    return work(kind_of(path)).inspect(path, seed)


def record(program: Sequence[str], output: Path) -> Recording:
    """Run a program to its end and write its allocations and frees into a trace file.

    Raises InputError if the program does not exist or no library can be preloaded into it, MemtoolError if this machine
    cannot record. The result contains the program's exit status.
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
    """Convert a file of another tool, a workload, or ``-`` (standard input) into a trace file.

    A heap profile contains no events, so it is converted into a workload.

    With ``skip`` and ``take`` only ``take`` events after the first ``skip`` are written; blocks that are live at the
    start become allocations before it. An anonymous trace leaves out the machine and the program's arguments.
    ``progress`` is called with the number of events written so far.
    """
    from memtool.workload.importers import convert

    choice = convert.Choice(skip, take, has_times, has_callers, is_anonymous)
    if (imported := convert.import_profile(file, output, format, choice)) is not None:
        return imported
    return convert.import_trace(file, output, format, choice, progress)


def fit(
    trace: str,
    output: Path | None = None,
    *,
    ranking: BenchOptions | None = None,
    progress: Progress = _silent,
    executor: Executor | None = None,
) -> Fit:
    """Write a workload that resembles a trace; with ``ranking``, replay both and compare how they rank allocators."""
    from memtool.fit import fit

    return fit(trace, output, ranking, progress, executor)


def show(run: Path, *, allocators: Sequence[str] | None = None, reference: str | None = None) -> Run:
    """Return a stored run, reduced to the allocators whose labels match if any are given."""
    from memtool.report import selection
    from memtool.store import run_file

    return selection.select(run_file.read(run), allocators, reference)


def holds_limits(place: Path) -> bool:
    """Return whether a path is the result of a search for limits: its folder, or limits.json."""
    from memtool.store import limits_file

    return limits_file.file_of(place) is not None


def show_limits(place: Path, *, allocators: Sequence[str] | None = None) -> Limits:
    """Return the stored result of a search for limits, reduced to allocators whose labels match if any are given."""
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
        result: a run, the result of a search for limits, a report, a history, or a comparison by machine.
        style: one of what ``memtool.formats`` names for such a result: ``table``, ``markdown`` or ``json``. Runs and
            limits also have ``csv``, runs ``samples`` (a CSV of all samples), reports ``github`` and ``junit``, and
            histories ``bencher``, ``customSmallerIsBetter`` and ``customBiggerIsBetter``.
        width: maximum width of tables in columns; None means no limit.
        metrics: for a run: one table with these metrics, instead of all tables.

    Raises:
        InputError: the result has no such format.
    """
    from memtool.report import rendering

    return rendering.render(result, style, width, metrics)


def refuse_unknown_metrics(names: Sequence[str]) -> None:
    """Raise InputError if a name is not that of a metric; call this before measuring."""
    from memtool.report import selection

    selection.sheet_of(names)


def write_job_summary(report: Report) -> tuple[str, ...]:
    """Add a report to the summary of the current GitHub job, if there is one; return the reasons if that failed."""
    from memtool.report.compared import verdicts

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
    """Draw the pictures of a stored run, or those in ``only``, and return their files.

    Args:
        run: folder of results, or a run.json.
        folder: where the files are written; by default the folder plots of the run.
        only: names of pictures.
        allocators: patterns; only allocators whose labels match are drawn.
        suffix: ``png``, ``svg`` or ``pdf``.
        theme: ``light`` or ``dark``.
        purpose: ``screen``, ``print`` (300 dots per inch) or ``slides`` (larger text).
    """
    from memtool.report.plots import pictures

    directory = run if run.is_dir() else run.parent
    return pictures.draw_all(
        directory, show(run, allocators=allocators), folder, only=only, suffix=suffix, theme=theme, purpose=purpose
    )


def standings(run: Run) -> list[tuple[str, str, str, str, str]]:
    """Return (workload, rank, allocator, time, 95 % interval) for each timed cell, in the order of the tables."""
    from memtool.report import summary

    return summary.standings(run)
