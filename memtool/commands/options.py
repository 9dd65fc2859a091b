"""What several commands take and show: lists of names, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

_MOST_THREADS = 1024
PASSES = ("check", "throughput", "latency", "footprint", "counters", "heap", "calls")
Progress = Callable[[str, int, int], None]


class Listed(click.ParamType[tuple[str, ...]]):
    """A comma-separated list of names from a fixed set; unknown ones are named with the nearest."""

    name = "list"

    def __init__(self, what: str, known: Callable[[], tuple[str, ...]]) -> None:
        self._what = what
        self._known = known

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names; fails with what is known."""
        if isinstance(value, tuple):
            return value
        from memtool.errors import did_you_mean

        names = tuple(name.strip() for name in str(value).split(",") if name.strip())
        known = self._known()
        for name in names:
            if name not in known:
                self.fail(
                    f"unknown {self._what} '{name}' (known: {', '.join(known)}){did_you_mean(name, known)}",
                    param,
                    ctx,
                )
        if not names:
            self.fail(f"no {self._what} named", param, ctx)
        return names


class Counts(click.ParamType[tuple[int, ...]]):
    """A comma-separated list of numbers of threads."""

    name = "list"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the numbers."""
        if isinstance(value, tuple):
            return value
        found = []
        for word in str(value).split(","):
            if not word.strip().isdigit() or not 1 <= int(word) <= _MOST_THREADS:
                self.fail(f"must be whole numbers from 1 to {_MOST_THREADS}, is '{value}'", param, ctx)
            found.append(int(word))
        if len(set(found)) < len(found):
            self.fail(f"names a number twice: '{value}'", param, ctx)
        return tuple(found)


def region_names() -> tuple[str, ...]:
    """Return the names of the regions, which are imported only where one is asked for."""
    from memtool.allocators.regions import REGIONS

    return tuple(REGIONS)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress]:
    """Yield what shows progress with an estimate on a terminal, and nothing in a pipe."""
    from memtool.pipeline import terminal

    if quiet or not terminal():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("samples, about"),
        TimeRemainingColumn(compact=True),
        TextColumn("left · {task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
