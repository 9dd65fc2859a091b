"""What is shown on a terminal while memtool measures or imports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from memtool.model import Run
    from memtool.worker.schedule import Progress


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress]:
    """Yield what shows progress with an estimate on a terminal, and nothing in a pipe."""
    if quiet or not os.isatty(2):
        yield lambda what, done, total, seconds_left: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    from memtool.units import format_duration

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("samples{task.fields[left]} · {task.description}"))
    # Without a thread that draws ten times a second: it would be beside what is timed, and keep memtool from forking.
    with Bar(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("starting", total=None, left="")

        def show(current: str, done: int, total: int, seconds_left: float | None) -> None:
            left = "" if seconds_left is None else f", about {format_duration(round(seconds_left))} left"
            bar.update(task, description=current, completed=done, total=total, left=left, refresh=True)

        yield show


@contextmanager
def standings(*, quiet: bool) -> Iterator[tuple[Progress, Callable[[Run], None] | None]]:
    """Yield what shows progress and, above it, where allocators stand after each block; nothing in a pipe."""
    if quiet or not os.isatty(2):
        yield (lambda what, done, total, seconds_left: None), None
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from memtool.units import format_duration

    table: list[Table] = []
    # Drawn between samples only, as the bar of ``progress`` is.
    with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:

        def show(current: str, done: int, total: int, seconds_left: float | None) -> None:
            left = "" if seconds_left is None else f", about {format_duration(round(seconds_left))} left"
            live.update(Group(*table, Text(f"{done:,} of {total:,} samples{left} · {current}")), refresh=True)

        def seen(run: Run) -> None:
            table[:] = [table_of_standings(run)]

        yield show, seen


@contextmanager
def without_standings(*, quiet: bool) -> Iterator[tuple[Progress, None]]:
    """Yield what shows progress, and nothing that shows more."""
    with progress(quiet=quiet) as show:
        yield show, None


def table_of_standings(run: Run) -> Table:
    """Return where allocators stand, as a table for the terminal."""
    from rich.table import Table

    from memtool import api

    rows = api.standings(run)
    several = len({workload for workload, *_ in rows}) > 1
    table = Table(box=None, header_style="bold", title_justify="left", pad_edge=False)
    for heading in (*(["workload"] if several else []), "rank", "allocator", "time", "95 % interval"):
        table.add_column(heading, justify="left" if heading in ("workload", "allocator") else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(row if several else row[1:]))
    return table


@contextmanager
def events_so_far() -> Iterator[Callable[[int], None]]:
    """Yield what shows on a terminal how many events have been read, and how fast; nothing in a pipe.

    How many there will be nobody knows: a file may be packed, and standard input has no end in sight.
    """
    if not os.isatty(2):
        yield lambda events: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TextColumn, TimeElapsedColumn

    words = TextColumn("{task.completed:,.0f} events, {task.fields[rate]:.1f} M a second")
    with Bar(words, TimeElapsedColumn(), console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("importing", total=None, rate=0.0)

        def show(events: int) -> None:
            bar.update(task, completed=events, rate=(bar.tasks[0].speed or 0.0) / 1e6, refresh=True)

        yield show
