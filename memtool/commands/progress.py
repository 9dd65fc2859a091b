"""What is shown on a terminal while memtool measures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

        def show(what: str, done: int, total: int, seconds_left: float | None) -> None:
            left = "" if seconds_left is None else f", about {format_duration(round(seconds_left))} left"
            bar.update(task, description=what, completed=done, total=total, left=left, refresh=True)

        yield show
