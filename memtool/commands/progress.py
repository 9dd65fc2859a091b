"""Progress on a terminal while memtool measures or imports."""

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
    """Yield a function that shows progress with an estimate on a terminal, and nothing in a pipe."""
    if quiet or not os.isatty(2):
        yield lambda what, done, total, seconds_left: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    from memtool.workload import reading

    columns = (BarColumn(), TextColumn("{task.description}"))
    # Without a thread that redraws ten times a second: it would disturb the timing, and prevent memtool from forking.
    with Bar(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("starting", total=None)

        def show(current: str, done: int, total: int, seconds_left: float | None) -> None:
            words = f"{done}/{total} samples{_left(seconds_left)} · {current}"
            bar.update(task, description=words, completed=done, total=total, refresh=True)

        def show_reading(what: str, events: int, total: int | None, seconds_left: float | None) -> None:
            words = words_of_reading(what, events, total, seconds_left)
            bar.update(task, description=words, completed=events, total=total, refresh=True)

        with reading.showing_progress(show_reading):
            yield show


@contextmanager
def standings(*, quiet: bool) -> Iterator[tuple[Progress, Callable[[Run], None] | None]]:
    """Yield functions that show progress and, above it, the ranking after each block; nothing in a pipe."""
    if quiet or not os.isatty(2):
        yield (lambda what, done, total, seconds_left: None), None
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    from memtool.workload import reading

    table: list[Table] = []
    # Drawn only between samples, like the bar of ``progress``.
    with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:

        def show(current: str, done: int, total: int, seconds_left: float | None) -> None:
            line = Table.grid(padding=(0, 1))
            words = f"{done:,} of {total:,} samples{_left(seconds_left)} · {current}"
            line.add_row(ProgressBar(total=total, completed=done, width=20), Text(words))
            live.update(Group(*table, line), refresh=True)

        def seen(run: Run) -> None:
            table[:] = [table_of_standings(run)]

        def show_reading(what: str, events: int, total: int | None, seconds_left: float | None) -> None:
            live.update(Text(words_of_reading(what, events, total, seconds_left)), refresh=True)

        with reading.showing_progress(show_reading):
            yield show, seen


@contextmanager
def without_standings(*, quiet: bool) -> Iterator[tuple[Progress, None]]:
    """Yield a function that shows progress, and None."""
    with progress(quiet=quiet) as show:
        yield show, None


def table_of_standings(run: Run) -> Table:
    """Return the current ranking of allocators, as a table for the terminal."""
    from rich.table import Table

    from memtool import api

    rows = api.standings(run)
    several = len({workload for workload, *_ in rows}) > 1
    table = Table(box=None, header_style="bold", title_justify="left", pad_edge=False)
    for heading in (*(["workload"] if several else []), "rank", "allocator", "time", "95 % interval"):
        table.add_column(heading, justify="left" if heading in ("workload", "allocator") else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(row if several else row[1:]))
    if not any(rank for _, rank, *_ in rows):
        table.caption = "no ranks and intervals yet: too few blocks"
        table.caption_justify = "left"
    return table


@contextmanager
def events_read() -> Iterator[None]:
    """Show on a terminal how many events have been read, the rate, and the remaining time; nothing in a pipe."""
    if not os.isatty(2):
        yield
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from memtool.workload import reading

    with (
        Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live,
        reading.showing_progress(lambda *read: live.update(Text(words_of_reading(*read)), refresh=True)),
    ):
        yield


def words_of_reading(what: str, events: int, total: int | None, seconds_left: float | None) -> str:
    """Return the progress of reading in words: ``412 of 1,000 million events, about 3 min left · t.parquet``."""
    return f"{_in_millions(events, total)} million events{_left(seconds_left)} · reads {what}"


def _in_millions(events: int, total: int | None) -> str:
    so_far = f"{events / 1e6:,.0f}"
    return so_far if total is None else f"{so_far} of {total / 1e6:,.0f}"


def _left(seconds: float | None) -> str:
    from memtool.units import format_duration

    if seconds is None:
        return ""
    whole = max(1, round(seconds))
    return f", about {f'{whole} s' if whole < 100 else format_duration(whole)} left"
