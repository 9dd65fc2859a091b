"""What memtool does, as functions: options in, records out. Commands, tests and Python programs call these.

Nothing here prints or reads a command line. An error is a MemtoolError: ``InputError.field`` names the option at fault.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memtool.check import Checked, CheckOptions, RunSpeller
    from memtool.find_limit import FoundLimits
    from memtool.fit import Fit
    from memtool.gate import Policy
    from memtool.kinds.work import Inspection
    from memtool.model import Report, Run
    from memtool.plan import BenchOptions, Plan
    from memtool.run import Outcome
    from memtool.worker.parent import Executor
    from memtool.worker.schedule import Progress
    from memtool.workload.importers.convert import Imported, ImportedProfile

_RECORDS = {
    "BenchOptions": "memtool.plan",
    "CheckOptions": "memtool.check",
    "Checked": "memtool.check",
    "Fit": "memtool.fit",
    "FoundLimits": "memtool.find_limit",
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
    "check",
    "compare",
    "find_limits",
    "fit",
    "import_trace",
    "inspect",
    "plan",
    "policy",
    "show",
    "update_baseline",
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

    made = make_plan(options)
    try:
        return as_resumed(options, made)
    except BaseException:
        made.close()
        raise


def bench(
    options: BenchOptions,
    *,
    progress: Progress = _silent,
    announce: Callable[[str], None] = _unsaid,
    executor: Executor | None = None,
) -> Outcome:
    """Measure, store and draw; ``progress`` is called for each sample, ``announce`` with what takes long beforehand."""
    from memtool.run import bench

    return bench(options, progress, executor, announce)


def find_limits(
    options: BenchOptions, seeds: int = 3, *, progress: Progress = _silent, executor: Executor | None = None
) -> FoundLimits:
    """Find and store the least memory limit that each strategy survives, for so many seeds."""
    from memtool.find_limit import find_limits

    return find_limits(options, seeds, progress, executor)


def policy(metrics: Sequence[str] | None = None, margin: float = 0.02, limits: Sequence[str] = ()) -> Policy:
    """Return what is gated and how strictly: names of metrics, a share, and limits such as ``time_per_op_ns=3%``."""
    from memtool import gate

    return gate.policy(metrics, margin, limits)


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


def inspect(workload: str, *, seed: int | None = None) -> Inspection:
    """Characterise a workload without replaying it: a YAML file, the name of a shipped one, or a trace file."""
    from memtool.kinds.work import kind_of, work
    from memtool.workload.trace import find_workload

    path = find_workload(workload)
    return work(kind_of(path)).inspect(path, seed)


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

    if (made := convert.import_profile(file, output, format)) is not None:
        return made
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
