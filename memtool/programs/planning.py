"""Plans the measurement of whole programs: the allocators under which each can run, and reasons for the others."""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from memtool.allocators import registry
from memtool.errors import InputError
from memtool.host import programs as executables
from memtool.model import AllocatorPlan, AllocatorSpec, Cell, CellResult, Status
from memtool.preload import launch
from memtool.programs.program import Program, refuse_impossible
from memtool.programs.servers import Failed, run_command
from memtool.worker.parent import RegionRequest
from memtool.worker.settings import Measurable

KIND = "program"
DEFAULT = ("glibc", "jemalloc", "mimalloc", "tcmalloc")
"""Allocators for programs by default; for others it must be determined whether they can be a malloc at all."""
_STARTS_OF_A_SHELL = 5
_SECONDS_OF_A_SHELL = 10.0


def measurable(
    program: Program, known: registry.Registry, specs: Sequence[AllocatorSpec], null_plan: AllocatorPlan
) -> tuple[Measurable, list[CellResult]]:
    """Return a program with the cells in which it can be measured, and the others, each with its reason.

    Raises InputError for a program that does not exist.
    """
    path = refuse_impossible(program)
    unfit = _why_unfit(program, path)
    cells: dict[Cell, AllocatorPlan] = {}
    excluded: list[CellResult] = []
    for spec in specs:
        cell = Cell(program.name, spec.label)
        plan, reason = _resolved(known, spec)
        reason = reason or unfit
        if plan is None or reason is not None:
            excluded.append(CellResult(cell, Status.EXCLUDED, reason, {}, {}, {}))
        else:
            cells[cell] = plan
    return Measurable(
        program.name,
        image_fd=-1,
        image_bytes=0,
        null_plan=null_plan,
        cells=cells,
        regions={"anonymous": RegionRequest(0, 0)},
        kind=KIND,
        time_limit=program.time_limit,
    ), excluded


def _resolved(known: registry.Registry, spec: AllocatorSpec) -> tuple[AllocatorPlan | None, str | None]:
    """Return (plan, None), or (None, reason) for an allocator that does not exist or cannot be a program's malloc."""
    try:
        plan = known.resolve(spec)
        if plan.uses_region:
            plan = known.resolve(spec, as_malloc=True)
    except registry.Unavailable as missing:
        return None, str(missing)
    return plan, launch.why_no_malloc(plan)


def _why_unfit(program: Program, path: Path | None) -> str | None:
    """Return why nothing can be preloaded into a program, or into the first program that its shell runs."""
    named = [path] if path is not None else []
    if program.uses_shell is not None:
        with suppress(InputError):  # a builtin of the shell
            named.append(executables.find_program(program.command.split()[0]))
    for executable in named:
        try:
            executables.refuse_what_takes_no_preload(executable)
        except InputError as problem:
            return str(problem)
    return None


def start_of_the_shell(programs: Sequence[Program]) -> tuple[str, ...]:
    """Return notes about the time that shells take to start, which is included in the figures."""
    notes = []
    for shell in dict.fromkeys(shell for program in programs if (shell := program.uses_shell) is not None):
        try:
            times = [
                run_command(shell, "true", shell, {}, _SECONDS_OF_A_SHELL, subprocess.DEVNULL).figures["wall_ns"]
                for _ in range(_STARTS_OF_A_SHELL)
            ]
        except (Failed, InputError):
            continue
        middle = statistics.median(times) / 1e6
        notes.append(f"What {shell} runs has its start in its figures: {middle:.1f} ms here (an empty command).")
    return tuple(notes)
