"""The command line: a lazy group, exit codes, and nothing else."""

from __future__ import annotations

import importlib
import os
import sys

import click

from memtool import __version__
from memtool.errors import EXIT_FAILED, MemtoolError

_COMMANDS = {
    "bench": "Replay workloads against allocators and report what came of it.",
    "list": "List allocators, workloads, regions or metrics.",
    "inspect": "Characterise a workload without replaying it.",
    "schema": "Print the JSON Schema of a workload or of run.json.",
    "doctor": "Say what this machine can and cannot measure, and how to mend it.",
}


class _LazyGroup(click.Group):
    """A group that imports a command when it is run: `--help` reads the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"memtool.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command for an unknown one."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from memtool.errors import did_you_mean

            ctx.fail(f"no such command '{args[0]}'{did_you_mean(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="memtool")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Benchmark and profile memory management: allocators on real workloads, with numbers that can be explained.

    `memtool bench` replays the quickstart. Exit codes: 0 done, 1 memtool or a cell failed, 2 usage or invalid input.
    """


def main() -> None:
    """Run the command line; errors become one line on stderr and the exit code of the contract."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as problem:
        problem.show()
        sys.exit(problem.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted; finished samples are in the journal, --resume goes on")
        sys.exit(EXIT_FAILED)
    except BrokenPipeError:
        # The reader of our output has gone; so that the interpreter does not complain of it while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except MemtoolError as problem:
        _debug()
        _say(str(problem))
        sys.exit(problem.exit_code)
    except Exception as problem:
        _debug()
        _say(f"{type(problem).__name__}: {problem} (--debug shows where)")
        sys.exit(EXIT_FAILED)


def _say(words: str) -> None:
    first = words.splitlines()[0] if words else "failed"
    click.echo(f"memtool: {first}", err=True)


def _debug() -> None:
    if "--debug" in sys.argv[1:2]:
        import traceback

        traceback.print_exc()
