"""Options and output that several commands share: the measurement, lists of names, plans, progress."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memtool import formats
from memtool.passes import CHOSEN, passes_from

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from memtool.options import BenchOptions

_MOST_THREADS = 1024
_COUNTERS = ("auto", "perf", "callgrind", "none")


class Listed(click.ParamType[tuple[str, ...]]):
    """A comma-separated list of names from a fixed set; an error about an unknown name includes the nearest ones."""

    name = "list"

    def __init__(self, noun: str, known: Callable[[], tuple[str, ...]]) -> None:
        self._noun = noun
        self._known = known

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the possible continuations."""
        from memtool.commands import completing

        return completing.listed(self._known(), incomplete)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names; an error about an unknown name lists the known ones."""
        if isinstance(value, tuple):
            return value
        from memtool.errors import did_you_mean

        names = tuple(name.strip() for name in str(value).split(",") if name.strip())
        known = self._known()
        for name in names:
            if name not in known:
                self.fail(
                    f"unknown {self._noun} '{name}' (known: {', '.join(known)}){did_you_mean(name, known)}",
                    param,
                    ctx,
                )
        if not names:
            self.fail(f"no {self._noun} named", param, ctx)
        return names


class Named(click.ParamType[tuple[str, ...]]):
    """A comma-separated list of names that only a stored run knows; commas within parameters belong to their name."""

    name = "list"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names."""
        if isinstance(value, tuple):
            return value
        names: list[str] = []
        for word in (part.strip() for part in str(value).split(",")):
            # "segregated-pool:spacing=3,chunk=64" is one label: an item with a value but no name continues it.
            if names and ":" in names[-1] and "=" in word and ":" not in word:
                names[-1] += f",{word}"
            elif word:
                names.append(word)
        if not names:
            self.fail("names nothing", param, ctx)
        return tuple(names)


class Number(click.FloatRange):
    """A number in a range; NaN, which compares as neither too small nor too large, is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Return the number."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class UserPath(click.Path):
    """A path that is not empty (as that of an unset variable would be) and that the system can examine."""

    def __init__(self, *, file_okay: bool = True) -> None:
        super().__init__(path_type=Path, file_okay=file_okay)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401  # as click has it
        """Return the path; fails before anything is done."""
        from memtool import files
        from memtool.errors import InputError

        if not os.fspath(value):
            self.fail("is empty", param, ctx)
        if os.fspath(value) == "-":
            self.fail("is -: a file of this name is ./-", param, ctx)
        try:
            files.is_there(Path(value))
        except InputError as problem:
            self.fail(str(problem), param, ctx)
        return super().convert(value, param, ctx)


class Counts(click.ParamType[tuple[int, ...]]):
    """A comma-separated list of numbers of threads."""

    name = "list"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the numbers."""
        if isinstance(value, tuple):
            return value
        numbers = []
        for word in str(value).split(","):
            if not word.strip().isdecimal() or not word.isascii() or not 1 <= int(word) <= _MOST_THREADS:
                self.fail(f"must be whole numbers from 1 to {_MOST_THREADS}, is '{value}'", param, ctx)
            numbers.append(int(word))
        if len(set(numbers)) < len(numbers):
            self.fail(f"names a number twice: '{value}'", param, ctx)
        return tuple(numbers)


class Count(click.ParamType[int]):
    """A number of events: 200k, 1M."""

    name = "count"

    def __init__(self, minimum: int = 0) -> None:
        self._minimum = minimum

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        from memtool.units import parse_count

        try:
            count = value if isinstance(value, int) else parse_count(str(value))
        except ValueError as problem:
            self.fail(str(problem), param, ctx)
        if count < self._minimum:
            self.fail(f"must be {self._minimum} or more, is '{value}'", param, ctx)
        return count


class Rates(click.ParamType[tuple[int, ...]]):
    """A comma-separated list of rates, in operations a second."""

    name = "list"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the rates."""
        if isinstance(value, tuple):
            return value
        from memtool.workload.language.values import parse_rate

        try:
            rates = tuple(parse_rate(word.strip()) for word in str(value).split(","))
        except ValueError as problem:
            self.fail(str(problem), param, ctx)
        if len(set(rates)) < len(rates):
            self.fail(f"names a rate twice: '{value}'", param, ctx)
        return rates


def region_names() -> tuple[str, ...]:
    """Return the names of the regions, which are imported on demand."""
    from memtool.allocators.regions import REGIONS

    return tuple(REGIONS)


def with_options(*options: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds several options to a command, in the order of its help."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def measurement_options(passes_unless_given: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of every command that measures; ``bench_options`` turns their values into BenchOptions.

    ``passes_unless_given`` explains the default of the passes.
    """
    return with_options(
        click.option(
            "--passes",
            type=Listed("pass", lambda: CHOSEN),
            metavar="LIST",
            help=f"Passes to run: {', '.join(CHOSEN)}. By default {passes_unless_given}.",
        ),
        click.option(
            "--region",
            "regions",
            type=Listed("region", region_names),
            default=("anonymous",),
            metavar="LIST",
            help="Memory under the strategies (`memtool list regions`); each region adds a row per allocator.",
        ),
        click.option(
            "--mode",
            type=click.Choice(["serial", "lockstep", "parallel"]),
            default="serial",
            show_default=True,
            help="How threads are replayed: on one thread, on several in the recorded order, or on several at once.",
        ),
        click.option(
            "--as",
            "footing",
            type=click.Choice(["malloc"]),
            help="Call every allocator as a malloc is called: through a pointer, no size at the free, thread-safe.",
        ),
        click.option(
            "--threads",
            type=Counts(),
            default=(),
            metavar="LIST",
            help="Replay each workload on these numbers of threads (1,2,4) instead of its own.",
        ),
        click.option(
            "--rate",
            "rates",
            type=Rates(),
            default=(),
            metavar="LIST",
            help="Replay each workload open-loop at these rates of operations (1M/s,2M/s), instead of its own"
            " arrivals.",
        ),
        click.option("--paced", is_flag=True, help="Replay a trace at the pace at which it was recorded."),
        click.option(
            "--speed",
            type=Number(0.001, 1_000_000),
            metavar="TIMES",
            help="Replay a trace this many times as fast as it was recorded; implies --paced.",
        ),
        click.option(
            "--from",
            "begin",
            metavar="MOMENT",
            help="Measure from this moment on: a mark, an operation, 50% or 2.5s; earlier events only warm the heap.",
        ),
        click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Seed to use instead of the workload's own."),
        click.option(
            "-o",
            "--output",
            type=UserPath(file_okay=False),
            help="Folder of the results; a new one under results/ unless given.",
        ),
        click.option(
            "--resume",
            is_flag=True,
            help="Continue the run in -o, or the newest interrupted run with these arguments; no sample is "
            "taken twice.",
        ),
        click.option(
            "--time-limit",
            type=Number(1, 86_400),
            default=30,
            show_default=True,
            metavar="SECONDS",
            help="Kill a worker that has not answered within this time; it gets more if the harness alone is slow. "
            "The default for a run of a whole program is 600.",
        ),
        click.option("--cold", is_flag=True, help="No warm-up: one replay in each fresh process."),
        click.option(
            "--counters",
            type=click.Choice(_COUNTERS),
            default="auto",
            show_default=True,
            help="How to count instructions: by the processor, or else by valgrind. If named explicitly, counts "
            "twice to prove that the figure is exact.",
        ),
        click.option(
            "--cluster",
            metavar="ADDRESS|FILE",
            help="Measure on the hosts of a Dask cluster: its scheduler's address, or its file (`memtool cluster up`).",
        ),
        click.option(
            "--dry-run",
            is_flag=True,
            help="Print what would be measured and what would be left out; measure nothing.",
        ),
        click.option("--no-plots", is_flag=True, help="Draw no pictures."),
    )


def bench_options(chosen: Mapping[str, Any], **own: Any) -> BenchOptions:  # noqa: ANN401  # as BenchOptions has them
    """Return the options of a bench: the values of ``measurement_options``, and those of the command itself."""
    from memtool.model import Mode
    from memtool.options import BenchOptions

    as_they_are = ("regions", "threads", "rates", "begin", "seed", "output", "resume", "cold", "counters", "cluster")
    return BenchOptions(
        **{name: chosen[name] for name in as_they_are},
        passes=CHOSEN if chosen["passes"] is None else passes_from(chosen["passes"]),
        mode=Mode(chosen["mode"]),
        as_malloc=chosen["footing"] == "malloc",
        paced=chosen["paced"] or chosen["speed"] is not None,
        speed=chosen["speed"] or 1.0,
        least_time_limit=chosen["time_limit"],
        draw_plots=not chosen["no_plots"],
        command=("memtool", *click.get_current_context().find_root().obj),
        **own,
    )


def format_option(names: Sequence[str], words: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--format`` with these names, of which a table is the default; ``words`` explain those that need it."""
    choice = click.Choice(names)
    return click.option("--format", "output_format", type=choice, default="table", show_default=True, help=words)


wide_option = click.option("--wide", is_flag=True, help="Do not fit tables to the width of the terminal.")


def width_of_tables(*, wide: bool) -> int | None:
    """Return the width of tables in columns: the terminal's, at least 60; None in a pipe or with ``--wide``."""
    import shutil

    from memtool.report.grid import LEAST_WIDTH

    if wide or not sys.stdout.isatty():
        return None
    return max(shutil.get_terminal_size((80, 24)).columns, LEAST_WIDTH)


def width_of_lists(most: int = 100) -> int:
    """Return the width of lists and descriptions in columns: the terminal's, 60 to ``most``; ``most`` in a pipe."""
    return min(width_of_tables(wide=False) or most, most)


class PlotFile(click.ParamType[Path]):
    """A picture to write: its folder exists, and its suffix determines the format."""

    name = "file"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path; fails before anything is computed."""
        path = Path(str(value))
        endings = [f".{name}" for name in formats.PICTURES]
        if path.suffix.lower() not in endings:
            self.fail(f"{path}: must end in {', '.join(endings[:-1])} or {endings[-1]}", param, ctx)
        if path.exists() and not path.is_file():
            self.fail(f"{path}: is {'a folder' if path.is_dir() else 'no plain file'}", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"{path}: there is no folder {path.parent}", param, ctx)
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            self.fail(f"{path}: cannot be written", param, ctx)
        return path


def complain(complaints: Sequence[str]) -> None:
    """Report secondary failures on standard error; the measurements and verdicts stand."""
    from memtool.errors import in_options

    options = {str(parameter.name): parameter.opts[0] for parameter in click.get_current_context().command.params}
    for words in complaints:
        click.echo(f"memtool: {' '.join(in_options(words, options).split())}", err=True)
