"""The command line: commands that are imported when they are run, one-line errors, and exit codes."""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from keyword import iskeyword

import click

from memtool.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    InputErrors,
    Interrupted,
    MemtoolError,
    did_you_mean,
)

COMMANDS = {
    "bench": "Replay workloads against allocators and report the results.",
    "show": "Show a stored run again, or a part of it.",
    "report": "Write a report on stored runs: one HTML file for the browser.",
    "plot": "Draw the pictures of a stored run again.",
    "compare": "Compare two runs, or the allocators inside one.",
    "history": "Show figures over many stored runs, and where they change.",
    "check": "Measure and judge: against a baseline, or two allocators side by side.",
    "record": "Record the allocations of a program as a trace that can be replayed.",
    "run": "Run a program with any allocator as its malloc.",
    "cluster": "Set up other machines for `bench --cluster` to measure on.",
    "list": "List allocators, adaptors, workloads, regions, metrics or importers.",
    "import": "Convert a recording of another tool into a trace file.",
    "inspect": "Characterise a workload without replaying it.",
    "fit": "Make a workload that resembles a trace, and report how close it is.",
    "schema": "Print the JSON Schema of a workload or of a stored result.",
    "completion": "Print the script that completes memtool in bash, zsh or fish.",
    "doctor": "Report what this machine can measure, and how to enable the rest.",
}
"""Every command with its summary, in the order of the help."""
_DEBUG = "--debug"
_COMPLETES = "_MEMTOOL_COMPLETE"
"""Variable in which a shell requests completions (commands/completing.py)."""


class _LazyGroup(click.Group):
    """A group that imports a command when it is run; ``--help`` reads the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        return _imported(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command for an unknown one."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command '{args[0]}'{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _imported(name: str) -> click.Command:
    """Return a command; if its name is a Python keyword, its module has an underscore after the name."""
    command: click.Command = importlib.import_module(f"memtool.commands.{name}{'_' * iskeyword(name)}").command
    return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="memtool-bench", prog_name="memtool")
@click.option(_DEBUG, is_flag=True, help="Show the traceback of an error; anywhere on the line.")
def cli(debug: bool) -> None:  # main() has taken --debug; it is here for the help
    """Benchmark memory management: allocators on real workloads, with numbers that can be explained.

    `memtool bench` replays the quickstart. Exit codes: 0 done or pass, 1 memtool or a cell failed, 2 usage or
    invalid input, 3 regression, 4 inconclusive, 5 no or incomparable baseline, 130 interrupted.
    """


def main() -> None:
    """Run the command line and exit."""
    if sys.platform != "linux":
        sys.exit("memtool: runs on Linux only; on macOS and Windows use a Linux container, a virtual machine or WSL 2")
    _open_missing_descriptors()
    ended_by = _end_in_order()
    if _COMPLETES in os.environ:
        from memtool.commands import completing

        completing.register()
    own, rest = _split(sys.argv[1:])
    try:
        code = run([*(argument for argument in own if argument != _DEBUG), *rest], debug=_DEBUG in own)
    except KeyboardInterrupt:  # a second one, during the handling of the first
        code = EXIT_INTERRUPTED
    sys.exit(128 + ended_by[0] if ended_by else code)


def _end_in_order() -> list[int]:
    """Treat requests to end memtool as interrupts, so that no worker and no file is left behind.

    Returns a list that will contain the number of the signal.
    """
    received: list[int] = []

    def stop(number: int, _: object) -> None:
        for caught in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(caught, signal.SIG_IGN)
        received.append(number)
        raise KeyboardInterrupt

    for caught in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(caught) is not signal.SIG_IGN:  # nohup
            signal.signal(caught, stop)
    return received


def _open_missing_descriptors() -> None:
    """Open /dev/null where standard input, output or error is closed.

    Otherwise the next opened file would get its number, and a worker, which gets its own three, would lose it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    # Python has None for streams that were closed when it began.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names of files may contain invalid text, and a terminal may lack some characters.
            stream.reconfigure(errors="backslashreplace")
    for name, descriptor, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return memtool's own arguments, and those from ``--`` on, which belong to a program that it runs."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:end], arguments[end:]


def run(arguments: Sequence[str], *, debug: bool = False) -> int:
    """Run the command line and return the exit code; an error becomes one line on stderr."""
    if not arguments:
        cli.main(["--help"], prog_name="memtool", standalone_mode=False)
        return EXIT_USAGE
    try:
        # Not standalone, because Click would write several lines for one error.
        ended = cli.main(list(arguments), prog_name="memtool", standalone_mode=False, obj=tuple(arguments))
    except (click.Abort, KeyboardInterrupt) as stopped:
        # Click turns an interrupt into an abort of its own.
        cause = stopped.__cause__ or stopped
        words = f": {cause.spelled(_options_of(arguments))}" if isinstance(cause, Interrupted) else ""
        return _fail(f"interrupted{words}", code=EXIT_INTERRUPTED)
    except click.ClickException as problem:
        return _fail(_usage(problem), code=problem.exit_code, debug=debug)
    except InputErrors as problem:
        return _fail(*problem.lines, code=problem.exit_code, debug=debug)
    except MemtoolError as problem:
        return _fail(problem.spelled(_options_of(arguments)), code=problem.exit_code, debug=debug)
    except Exception as problem:
        return _fail(_unexpected(problem, debug=debug), debug=debug)
    return ended if isinstance(ended, int) else 0


def _options_of(arguments: Sequence[str]) -> dict[str, str]:
    """Return the option of each field of the command that was run: ``allocators`` -> ``-a``."""
    name = next((argument for argument in arguments if argument in COMMANDS), None)
    if name is None:
        return {}
    command = _imported(name)
    return {str(parameter.name): parameter.opts[0] for parameter in command.params}


def _fail(*errors: str, code: int = EXIT_FAILED, debug: bool = False) -> int:
    """Write each error as one line."""
    if debug:
        import traceback

        traceback.print_exc()
    for words in errors:
        click.echo(f"memtool: {' '.join(words.split())}", err=True)
    return code


def _usage(problem: click.ClickException) -> str:
    """Return the error in the command line, and the command for help about it."""
    words = problem.format_message()
    context = getattr(problem, "ctx", None)
    return f"{words.removesuffix('.')} ({context.command_path} --help)" if context is not None else words


def _unexpected(problem: Exception, *, debug: bool) -> str:
    from memtool.engine.loading import EngineError

    if isinstance(problem, EngineError):
        return str(problem)
    if isinstance(problem, OSError) and problem.errno == errno.ENOSPC and problem.filename is None:
        return f"standard output: cannot be written: {problem.strerror}"  # errors of files name them
    hint = "" if debug else f" ({_DEBUG} shows where)"
    return f"{type(problem).__name__}: {problem}{hint}"
