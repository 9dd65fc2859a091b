"""``memtool record``: the allocations of a real program, as a trace that can be replayed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memtool import formats
from memtool.commands.options import UserPath, format_option

if TYPE_CHECKING:
    from memtool.recorder.session import ProcessRecord, Progress
    from memtool.recorder.traces import Recording

_MOST_ROWS = 12
"""Rows of the summary: a shell script starts hundreds of processes with few requests."""


class _Signal(click.ParamType[int]):
    """The name or number of a signal."""

    name = "signal"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return its number."""
        import signal

        text = str(value)
        name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
        number = int(text) if text.isdecimal() else int(signal.Signals.__members__.get(name, 0))
        if number not in signal.valid_signals():
            self.fail(f"is not a signal: '{text}' (USR2, or a number)", param, ctx)
        if number in (signal.SIGKILL, signal.SIGSTOP):
            known = signal.Signals(number).name
            self.fail(f"no program can catch {known}: '{text}' (USR2 is one that it can)", param, ctx)
        return number


@click.command("record", context_settings={"ignore_unknown_options": True})
@click.option(
    "-o", "--output", type=UserPath(), help="File of the trace; the program's name and .parquet unless given."
)
@click.option("--no-follow", is_flag=True, help="Do not record programs that PROGRAM starts.")
@click.option(
    "--no-time", is_flag=True, help="Leave out the time of each event, which makes the file a third of its size."
)
@click.option("--no-callers", is_flag=True, help="Leave out the call site of each allocation.")
@click.option(
    "--depth",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="Record the call stack of each allocation, up to N return addresses; 8 take 120 ns, or 2 us "
    "without libunwind.",
)
@click.option("--anonymous", is_flag=True, help="Leave out the host, folders, and the program's arguments.")
@click.option("--strict", is_flag=True, help="Serialise each reading of the time stamp counter; costs 25 ns an event.")
@click.option("--signal", "switch", type=_Signal(), help="Switch recording off and on when the program gets it.")
@click.option("--start-off", is_flag=True, help="Record nothing until the first --signal.")
@format_option(formats.FACTS)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] PROGRAM [ARGUMENTS]...")
def command(
    output: Path | None,
    no_follow: bool,
    no_time: bool,
    no_callers: bool,
    depth: int,
    anonymous: bool,
    strict: bool,
    switch: int | None,
    start_off: bool,
    output_format: str,
    quiet: bool,
    program: tuple[str, ...],
) -> int:
    """Run PROGRAM and record all of its allocations and frees; `memtool bench FILE` replays them.

    The program's input, output and exit status stay the same; memtool writes to standard error. FILE is the trace of
    PROGRAM, or of the program that replaces it (exec). Traces of other processes are written beside it, as
    FILE.2-NAME.parquet and so on.
    """
    import os

    from memtool.errors import InputError
    from memtool.host import processes, programs
    from memtool.recorder import traces

    if start_off and switch is None:
        raise InputError("--start-off: needs --signal, or nothing would ever be recorded")
    if depth > 1 and no_callers:
        raise InputError("--depth: cannot be used with --no-callers, which leaves call sites out")
    path = programs.find_program(program[0])
    programs.refuse_what_takes_no_preload(path)
    options = traces.Options(
        file=output or Path(f"{path.name}.parquet"),
        follows=not no_follow,
        has_times=not no_time,
        has_callers=not no_callers,
        depth=depth,
        is_anonymous=anonymous,
        is_strict=strict,
        signal=switch,
        starts_off=start_off,
    )
    with _progress(quiet=quiet or output_format == "json") as progress:
        recording = traces.record(program, os.environ, options, progress)
    if output_format == "json":
        click.echo(_json(recording), err=True)
    elif not quiet:
        click.echo("\n".join(_summary(recording)), err=True)
    else:
        lost = (process for process in recording.recorded.processes if process.unwritten is not None)
        for process in lost:
            click.echo(f"memtool: process {process.number}: {process.why_unwritten()}", err=True)
    return processes.exit_code(recording.recorded.status)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress | None]:
    """Yield a function that shows events and rate on a terminal."""
    import sys

    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.status import Status

    from memtool.units import format_count, format_size

    with Status("recording", console=Console(stderr=True)) as status:

        def show(seconds: float, events: int, resident: int) -> None:
            rate = format_count(round(events / seconds)) if seconds else "0"
            status.update(f"recording: {format_count(events)} events, {rate}/s, {format_size(resident)} resident")

        yield show


def _json(recording: Recording) -> str:
    import json
    from dataclasses import asdict

    recorded = asdict(recording.recorded)
    for process, file in zip(recorded["processes"], recording.files, strict=True):
        process["file"] = None if file is None else str(file)
    return json.dumps(recorded)


def _summary(recording: Recording) -> Iterator[str]:
    """Yield the result of a recording, for people."""
    from memtool.report import grid
    from memtool.units import format_duration, format_size

    recorded = recording.recorded
    ended = f"status {recorded.status}" if recorded.status >= 0 else f"signal {-recorded.status}"
    yield f"memtool: the program ended with {ended} after {format_duration(recorded.seconds)}"
    pairs = list(zip(recorded.processes, recording.files, strict=True))
    largest = sorted(sorted(pairs, key=lambda pair: -pair[0].events)[:_MOST_ROWS], key=lambda pair: pair[0].number)
    rows = [
        [
            str(process.number),
            process.name,
            f"{process.events:,}",
            str(process.counts["threads"]),
            format_size(process.counts["peak_live_bytes"]),
            format_size(process.counts["peak_mapped_bytes"]),
            format_size(process.peak_resident_bytes) if process.peak_resident_bytes else "n/a",
            "" if file is None else _file(file, process.events),
        ]
        for process, file in largest
    ]
    heads = ("process", "program", "events", "threads", "peak live", "mapped itself", "peak resident", "trace")
    width = max(os.get_terminal_size(2).columns, grid.LEAST_WIDTH) if os.isatty(2) else None
    yield "\n\n".join(grid.table(heads, rows, "table", left=frozenset({"program", "trace"}), keys=2, width=width))
    others = [process for process, _ in pairs if process.number not in {listed.number for listed, _ in largest}]
    if others:
        events = sum(process.events for process in others)
        yield f"and {len(others)} more, with {events:,} events: --format json has them all"
    yield from _remarks(recording, [process for process, _ in largest])


def _file(path: Path, events: int) -> str:
    from memtool.units import format_size

    if path.is_dir():
        return f"{path} ({format_size(sum(part.stat().st_size for part in path.iterdir()))})"
    size = path.stat().st_size
    return f"{path} ({format_size(size)}, {size / max(events, 1):.2f} bytes an event)"


def _remarks(recording: Recording, largest: Sequence[ProcessRecord]) -> Iterator[str]:
    from memtool.units import format_size, plural

    recorded = recording.recorded
    processor = recorded.user_seconds + recorded.system_seconds
    seconds = sum(process.recording_ns for process in recorded.processes) * 1e-9
    events = sum(process.events for process in recorded.processes)
    if events and processor:
        yield (
            f"recording took at least {seconds / processor:.1%} of the processor time ({seconds / events * 1e9:.0f} ns "
            "an event, as timed at the start, without what it displaces from the caches)"
        )
    numbers = {process.process: process.number for process in recorded.processes}
    for process in largest:
        if process.inherited_objects:
            yield (
                f"process {process.number}: its trace begins with {plural(process.inherited_objects, 'block')} "
                f"({format_size(process.inherited_bytes)}) of process {numbers[process.parent]}; `memtool bench FILE "
                "--from start` measures what follows"
            )
        for words in process.missing():
            yield f"process {process.number}: {words}"
    for program in recorded.unseen:
        yield f"{program} ran without the recorder: it was started with another environment, or is linked statically"
