"""How commands are typed: the option of each field, and the suggested next commands. Only commands know this."""

from __future__ import annotations

import itertools
import shlex
from typing import TYPE_CHECKING

from memtool.commands import program_options
from memtool.model import Mode

if TYPE_CHECKING:
    from memtool.check import CheckOptions
    from memtool.gate.next_step import NextStep
    from memtool.kinds.work import Inspection
    from memtool.model import Run


def next_step(step: NextStep, run: Run, renewal: str | None = None) -> str:
    """Return the command that shows more, or decides.

    Args:
        step: the next step.
        run: the run of the comparison, which records how workloads and allocators were named.
        renewal: the command that makes these figures the new baseline, if there is one.
    """
    from memtool.gate.next_step import Action
    from memtool.stats.matching import named_in

    comparison = step.comparison
    workload = _workloads(run).get(comparison.workload, shlex.quote(comparison.workload))
    named = named_in(run)
    names = [named.get(label, label) for label in step.allocators]
    base, head = shlex.quote(names[0]), shlex.quote(names[-1])
    where = "" if comparison.region == "anonymous" else f" --region {comparison.region}"
    where += "" if comparison.mode == Mode.SERIAL else f" --mode {comparison.mode}"
    side_by_side = f"memtool check {workload} --against {base} --candidate {head}{where}"
    wider = f"or a wider --limit {comparison.metric}=X"
    counted = f", or counted instructions, which no noise moves: {side_by_side} --metric instructions_per_op"
    counted = counted if step.counts_instead else ""
    match step.action:
        case Action.REPLAY:
            return f"memtool bench {workload} -a {head}{where} --blocks 1"
        case Action.LOOK:
            allocators = shlex.quote(",".join(names))
            look = f"memtool bench {workload} -a {allocators}{where} --passes {step.measured_by}"
            return f"{look}; if it is meant: {renewal}" if renewal else look
        case Action.SIDE_BY_SIDE:
            return side_by_side
        case Action.MORE_MEMORY:
            return f"a workload that needs more memory, {wider}"
        case Action.MORE_BLOCKS:
            return f"--blocks {step.blocks}, {wider}%{counted}"
        case Action.QUIETER_MACHINE:
            return f"a quieter machine, {wider}%{counted}"


def trial(inspection: Inspection) -> str:
    """Return the command that shows whether the allocators in a portrait are suitable."""
    from memtool.workload.trace import written_sources

    info = inspection.trace
    allocators = dict.fromkeys(name for sentence in inspection.portrait for name in sentence.allocators)
    workload = shlex.quote(written_sources([info])[info.name])
    return f"memtool bench {workload} -a {','.join(('glibc', *allocators))}"


def renewal(options: CheckOptions) -> str:
    """Return the command that makes the measured figures the new baseline: this check's, with --update."""
    from memtool.gate import default_metrics
    from memtool.options import BenchOptions
    from memtool.programs.program import described
    from memtool.units import format_rate

    bench, standard = options.bench, BenchOptions()
    programs = itertools.chain.from_iterable(
        program_options.words_of_program(described(program)) for program in bench.programs
    )
    words = [*bench.workloads, *programs, "--baseline", str(options.baseline), "--update"]
    for option, value, unless in (
        ("-a", bench.allocators, None),
        ("--metric", ",".join(options.rules.metrics), ",".join(default_metrics())),
        ("--passes", ",".join(bench.passes) if options.has_passes else "", ""),
        ("--region", ",".join(bench.regions), ",".join(standard.regions)),
        ("--as", "malloc" if bench.as_malloc else None, None),
        ("--mode", bench.mode, standard.mode),
        ("--threads", ",".join(map(str, bench.threads)), ""),
        ("--rate", ",".join(map(format_rate, bench.rates)), ""),
        ("--speed", f"{bench.speed:g}" if bench.paced and bench.speed != 1 else None, None),
        ("--from", bench.begin, None),
        ("--seed", bench.seed, None),
        ("--counters", bench.counters, standard.counters),
    ):
        words += [option, str(value)] if value != unless else []
    words += ["--paced"] * (bench.paced and bench.speed == 1) + ["--cold"] * bench.cold
    return shlex.join(["memtool", "check", *words])


def _workloads(run: Run) -> dict[str, str]:
    """Return each workload in the form for the command line: quoted, with the threads and rate given there."""
    from memtool.workload.sources.generated import rate_given
    from memtool.workload.trace import written_sources

    sources = written_sources(run.workloads)
    as_malloc = " --as malloc" if any(cell.call is not None and cell.call.as_malloc for cell in run.cells) else ""
    return {
        info.name: program_options.spelled(info.program)
        if info.program is not None and not info.source
        else shlex.quote(sources[info.name])
        + (f" --threads {info.threads}" if info.name != (info.workload_name or info.name) else "")
        + (f" --rate {rate}" if (rate := rate_given(info.name)) else "")
        + ("" if info.pace is None else f" --speed {info.pace['speed']:g}")
        + ("" if info.begins is None else f" --from {shlex.quote(info.begins['at'])}")
        + as_malloc
        for info in run.workloads
    }
