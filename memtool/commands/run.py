"""``memtool run``: a real program with any allocator as its malloc."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from memtool.preload.launch import HeapReport


@click.command("run", context_settings={"ignore_unknown_options": True})
@click.option(
    "-a",
    "--allocator",
    "allocators",
    required=True,
    metavar="NAME",
    help="One allocator, written as for `memtool bench -a`.",
)
@click.option("--stats", is_flag=True, help="Print statistics of each process's heap at its end, on standard error.")
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] PROGRAM [ARGUMENTS]...")
def command(allocators: str, stats: bool, program: tuple[str, ...]) -> int:
    """Run PROGRAM with an allocator in place of its malloc: a strategy with adaptors, a system allocator, a library.

    The program's input, output and exit status stay the same. A strategy that is not thread-safe gets a lock; one
    that needs the size at a free stores it before the block. The findings of `track`, `leak`, `redzone`, `guard` and
    `quarantine` are printed on standard error when a process ends.
    """
    import os
    import subprocess
    import tempfile
    from pathlib import Path

    from memtool.allocators import registry
    from memtool.allocators.spec import parse_allocators
    from memtool.errors import InputError
    from memtool.host import processes, programs
    from memtool.preload import launch

    known = registry.Registry()
    specs = parse_allocators(allocators, known.groups)
    if len(specs) != 1:
        raise InputError(f"-a: a program has one malloc, and '{allocators}' stands for {len(specs)}")
    try:
        plan = known.resolve(specs[0])
        if plan.uses_region:
            plan = known.resolve(specs[0], as_malloc=True)
    except registry.Unavailable as missing:
        raise InputError(f"-a: {allocators}: {missing}") from None
    launch.refuse_what_is_no_malloc(plan)
    programs.refuse_what_takes_no_preload(programs.find_program(program[0]))
    with tempfile.TemporaryDirectory(prefix="memtool-") as folder:
        report = Path(folder) / "report"
        process = subprocess.Popen(program, env=launch.environment(plan, os.environ, report, checks=True))
        with processes.left_to_itself(process):
            while (ended := processes.wait(process, 3600.0)) is None:
                pass
        for heap in launch.read_reports(report):
            for line in _lines(heap, stats=stats):
                click.echo(f"memtool: process {heap.process}: {line}", err=True)
    return processes.exit_code(ended[0])


def _lines(heap: HeapReport, *, stats: bool) -> list[str]:
    from memtool.passes.adaptor_reports import sentences
    from memtool.units import format_size

    lines = [*([heap.finding] if heap.finding else []), *sentences(heap.adaptors)]
    if stats:
        live = "" if heap.granted_bytes is None else f", {format_size(heap.granted_bytes)} still live"
        lines.append(
            f"footprint {format_size(heap.footprint_bytes)}, at most {format_size(heap.peak_footprint_bytes)}, "
            f"and {format_size(heap.books_bytes)} of books beside it{live}"
        )
    return lines
