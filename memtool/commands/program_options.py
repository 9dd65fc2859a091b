"""Options about whole programs, and the command lines that repeat them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from memtool.commands.options import with_options

if TYPE_CHECKING:
    from memtool.programs.program import Program

SECTION = "Whole programs (--program)"


class ProgramOption(click.Option):
    """An option that applies to --program only; help shows these under their own heading."""


class SectionedCommand(click.Command):
    """A command whose help lists the options of whole programs separately."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, those about programs last."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], SECTION: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                sections[SECTION if isinstance(parameter, ProgramOption) else "Options"].append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


def _option(*names: str, **settings: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # noqa: ANN401
    return click.option(*names, cls=ProgramOption, **settings)


_OPTIONS = (
    _option(
        "--program",
        "programs",
        multiple=True,
        metavar="[NAME=]CMD",
        help="Run a whole program under each malloc; each run is a sample. Can be given several times, for "
        "several workloads.",
    ),
    _option("--setup", metavar="CMD", help="Run CMD once, before all runs of a program."),
    _option("--prepare", metavar="CMD", help="Run CMD before each run, not timed: to clear a cache, to make an input."),
    _option("--conclude", metavar="CMD", help="Run CMD after each run, not timed."),
    _option("--cleanup", metavar="CMD", help="Run CMD once, after all runs."),
    _option(
        "--warmup",
        type=click.IntRange(0, 1000),
        default=0,
        metavar="N",
        help="Number of unmeasured runs under each allocator beforehand.",
    ),
    _option("--load", metavar="CMD", help="Treat the program as a server: time CMD, its load, then end the server."),
    _option("--ready", metavar="PORT|CMD", help="The server is ready once PORT accepts connections, or CMD succeeds."),
    _option("--input", "input_file", metavar="FILE", help="Standard input; empty unless given."),
    _option(
        "--stdout",
        "stdout",
        default="null",
        show_default=True,
        metavar="WHERE",
        help="Where standard output goes: null, pipe, inherit, or a file.",
    ),
    _option(
        "--expect-same-output",
        is_flag=True,
        help="Fail a cell whose standard output differs from that under the other allocators.",
    ),
    _option(
        "-i",
        "--ignore-failure",
        is_flag=False,
        flag_value="all-non-zero",
        metavar="[=STATUS,...]",
        help="Do not count an exit status other than 0 as a failure: any status, or these. A signal always counts.",
    ),
    _option("-S", "--shell", default="auto", metavar="SHELL", help="Run commands with this shell (`bash --norc`)."),
    _option("-N", "no_shell", is_flag=True, help="Never use a shell; commands that need none run without one anyway."),
    _option(
        "-L",
        "--parameter-list",
        "lists",
        nargs=2,
        multiple=True,
        metavar="X A,B,...",
        help="Make a workload for each value, which replaces {X}; with several lists, for each combination.",
    ),
    _option(
        "-P",
        "--parameter-scan",
        "scan",
        nargs=3,
        metavar="X FROM TO",
        help="The same for the numbers FROM to TO.",
    ),
    _option("-D", "--parameter-step-size", "step", metavar="STEP", help="Step of --parameter-scan; 1 unless given."),
)


program_options = with_options(*_OPTIONS)
"""Adds the options to a command; ``programs_of`` turns their values into programs."""


def programs_of(chosen: dict[str, Any], time_limit: float) -> tuple[Program, ...]:
    """Return the chosen programs, and remove their options from ``chosen``.

    ``time_limit``, in seconds, applies if it was given on the command line. Raises InputError.
    """
    from click.core import ParameterSource

    from memtool.errors import InputError
    from memtool.programs.program import Program, named, refuse_impossible, spread

    context = click.get_current_context()
    known = {str(option.name): option for option in context.command.params if isinstance(option, ProgramOption)}
    own = {name: chosen.pop(name) for name in known}
    options = [
        option for name, option in known.items() if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if not own["programs"]:
        if options:
            raise InputError(f"{options[0].opts[-1]}: goes with --program only")
        return ()
    is_limited = context.get_parameter_source("time_limit") is ParameterSource.COMMANDLINE
    limits: dict[str, Any] = {"time_limit": time_limit} if is_limited else {}
    programs: list[Program] = []
    for text in own["programs"]:
        name, command = named(text)
        program = Program(
            name=name,
            command=command,
            shell="none" if own["no_shell"] else own["shell"],
            input=own["input_file"],
            output=own["stdout"],
            prepare=own["prepare"],
            conclude=own["conclude"],
            setup=own["setup"],
            cleanup=own["cleanup"],
            warmup=own["warmup"],
            ready=own["ready"],
            load=own["load"],
            expects_same_output=own["expect_same_output"],
            ignored_statuses=_statuses(own["ignore_failure"]),
            **limits,
        )
        programs += spread(program, _values(own))
    for program in programs:
        refuse_impossible(program)
    return tuple(programs)


def _statuses(text: str | None) -> tuple[int, ...] | None:
    from memtool.errors import InputError
    from memtool.programs.program import ANY_STATUS

    if text is None:
        return ()
    if text == ANY_STATUS:
        return None
    text = text.removeprefix("=")  # which click leaves before the value of a short option
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and 0 < int(word) < 256 for word in words):
        raise InputError(f"must be exit statuses from 1 to 255, is '{text}'", field="ignore_failure")
    return tuple(map(int, words))


def _values(own: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    from memtool.errors import InputError
    from memtool.programs.program import scanned

    values: dict[str, tuple[str, ...]] = {}
    if own["step"] is not None and own["scan"] is None:
        raise InputError("goes with --parameter-scan", field="step")
    if own["scan"] is not None:
        name, low, high = own["scan"]
        try:
            values[name] = scanned(low, high, own["step"])
        except InputError as problem:
            raise InputError(f"{name}: {problem}", field="scan") from None
    for name, listed in own["lists"]:
        if name in values:
            raise InputError(f"'{name}' is given twice", field="lists")
        values[name] = tuple(word.strip() for word in listed.split(","))
        if len(set(values[name])) < len(values[name]):
            raise InputError(f"{name}: names a value twice: '{listed}'", field="lists")
    used = " ".join(filter(None, (*own["programs"], *(own[key] for key in ("input_file", "load", "prepare", "setup")))))
    unused = next((name for name in values if f"{{{name}}}" not in used), None)
    if unused is not None:
        raise InputError(f"no command has {{{unused}}}", field="scan" if own["scan"] else "lists")
    return values


def spelled(said: Mapping[str, Any]) -> str:
    """Return the command-line form of a program, from a run's facts about it."""
    return shlex.join(words_of_program(said))


def words_of_program(said: Mapping[str, Any]) -> Iterator[str]:
    """Yield the command-line options of a program."""
    yield from ("--program", f"{said['name']}={said['command']}" if "[" not in said["name"] else said["command"])
    for key in ("setup", "prepare", "conclude", "cleanup", "warmup", "load", "ready", "input", "output", "shell"):
        if key in said:
            yield from ("--stdout" if key == "output" else f"--{key}", str(said[key]))
    if said.get("expects_same_output"):
        yield "--expect-same-output"
    if "ignored_statuses" in said:
        statuses = said["ignored_statuses"]
        yield "--ignore-failure" + ("" if statuses is None else f"={','.join(map(str, statuses))}")
