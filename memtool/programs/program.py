"""A program that is measured as a whole: its command line, the commands around it, and its allowed exit statuses."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from memtool import files
from memtool.errors import InputError
from memtool.host.programs import find_program
from memtool.model import TraceInfo

SHELL = "/bin/sh"
ANY_STATUS = "all-non-zero"
_NAMED = re.compile(r"([A-Za-z{][\w.{}-]*)=(\S.*)", re.DOTALL)
_OF_A_SHELL = re.compile(r"""[|&;<>()$`*?\[\]#~{}!\n]|^\s*[A-Za-z_]\w*=""")
_BUILT_IN = frozenset(["cd", "eval", "exec", "exit", "export", "set", "ulimit", "umask", "wait", ".", ":"]) | frozenset(
    ["case", "for", "if", "until", "while"]
)
"""As in make: a command without any of these is run without a shell."""
_MOST_PROGRAMS = 1000
_COMMANDS = ("command", "prepare", "conclude", "setup", "cleanup", "ready", "load")
_SHORT_NAME = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One workload: a command line that is run under every allocator."""

    name: str
    command: str
    shell: str = "auto"
    """auto: a shell if the command needs one; none; or a shell with its options (``bash --norc``)."""
    input: str | None = None
    """File for standard input; None: it is empty."""
    output: str = "null"
    """Destination of standard output: null, pipe, inherit, or a file."""
    prepare: str | None = None
    """Command that runs before every run, untimed."""
    conclude: str | None = None
    """Command that runs after every run, untimed."""
    setup: str | None = None
    """Command that runs once, before everything else."""
    cleanup: str | None = None
    """Command that runs once, after everything else."""
    warmup: int = 0
    """Number of runs under each allocator, before the first measured one, that are not measured."""
    ready: str | None = None
    """For a server: a command that succeeds, or a port that accepts connections, once the server is ready."""
    load: str | None = None
    """For a server: the timed command. The server is asked to end afterwards."""
    expects_same_output: bool = False
    """Whether standard output (for a server, that of its load) must be equal under every allocator."""
    ignored_statuses: tuple[int, ...] | None = ()
    """Exit statuses other than 0 that are not failures; None: all."""
    time_limit: float = 600.0
    """Seconds after which a run is killed."""
    parameters: tuple[tuple[str, str], ...] = ()
    """Values of the placeholders, such as ``{x}``."""
    source: str = ""
    """Path of the workload file; empty if the command was given directly."""

    @property
    def is_server(self) -> bool:
        """Return whether it is a server with a load."""
        return self.load is not None

    @property
    def uses_shell(self) -> str | None:
        """Return the shell that runs the command; None: it runs without one."""
        return shell_of(self.command, self.shell)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Return the command line, word by word, with the shell where one is needed. Raises InputError."""
        return words_of(self.command, self.shell)

    @property
    def info(self) -> TraceInfo:
        """Return the facts about the workload for a run. Its hash covers the command, not the contents of its files."""
        said = described(self)
        text = json.dumps({key: value for key, value in said.items() if key != "name"}, sort_keys=True)
        return TraceInfo(
            name=self.name,
            seed=0,
            event_hash=hashlib.blake2b(text.encode(), digest_size=16).hexdigest(),
            operations=0,
            threads=1,
            peak_live_bytes=0,
            source=self.source,
            program=said,
            kind="program",
        )


def described(program: Program) -> dict[str, Any]:
    """Return the properties of a program that differ from the defaults, and the shell that runs it, if any."""
    usual = Program(name="", command="")
    said = {
        key: [list(part) if isinstance(part, tuple) else part for part in value] if isinstance(value, tuple) else value
        for key, value in asdict(program).items()
        if key not in ("time_limit", "source") and value != getattr(usual, key)
    }
    return said if program.uses_shell is None else {**said, "run_by": program.uses_shell}


def program_from(said: Mapping[str, Any]) -> Program:
    """Return the program from the facts that ``described`` returned."""
    known = {field.name for field in fields(Program)}
    values = {key: value for key, value in said.items() if key in known}
    for key in ("ignored_statuses", "parameters"):
        if isinstance(values.get(key), list):
            values[key] = tuple(tuple(part) if isinstance(part, list) else part for part in values[key])
    return Program(**values)


def shell_of(command: str, shell: str) -> str | None:
    """Return the shell that runs a command: the named one, or the default one if the command needs a shell."""
    if shell == "none":
        return None
    if shell == "auto":
        return SHELL if _OF_A_SHELL.search(command) or command.partition(" ")[0] in _BUILT_IN else None
    return SHELL if shell == "default" else shell


def words_of(command: str, shell: str) -> tuple[str, ...]:
    """Return a command line, word by word, with the shell where one is needed. Raises InputError."""
    own = shell_of(command, shell)
    try:
        words = tuple(shlex.split(command)) if own is None else (*shlex.split(own), "-c", command)
    except ValueError as problem:
        raise InputError(f"'{command}': {str(problem).lower()}", field="programs") from None
    if not words:
        raise InputError("is empty: give a command", field="programs")
    return words


def named(text: str) -> tuple[str, str]:
    """Return (name, command) of ``name=command``, or of a command, whose first words become its name.

    ``LANG=C sort`` sets a variable in a shell: the text after the sign is not the program.
    """
    match = _NAMED.fullmatch(text.strip())
    if match is not None and _is_program(match[2]):
        return match[1], match[2]
    return _short(text.strip()), text.strip()


def _is_program(command: str) -> bool:
    if _OF_A_SHELL.match(command.lstrip()):
        return True
    words = command.split()
    if words[0] in _BUILT_IN:
        return True
    return "=" not in words[0] and ("/" in words[0] or "{" in words[0] or shutil.which(words[0]) is not None)


def _short(command: str) -> str:
    words = command.split()
    if not words:
        raise InputError("is empty: give a command", field="programs")
    name = Path(words[0]).name
    for word in words[1:]:
        if len(name) + 1 + len(word) > _SHORT_NAME:
            return f"{name} …"
        name += f" {word}"
    return name


def scanned(low: str, high: str, step: str | None) -> tuple[str, ...]:
    """Return the numbers of a range, both ends included, as text. Raises InputError."""
    try:
        first, last, by = (Decimal(text) for text in (low, high, step or "1"))
    except InvalidOperation:
        raise InputError(f"must be numbers, are {low}, {high}{'' if step is None else f', {step}'}") from None
    if not (first.is_finite() and last.is_finite() and by.is_finite()) or by <= 0 or last < first:
        raise InputError(f"must go up from {low} to {high} by more than 0")
    count = math.floor((last - first) / by) + 1
    if count > _MOST_PROGRAMS:
        raise InputError(f"{count:,} values; at most {_MOST_PROGRAMS:,} are allowed")
    return tuple(str(first + index * by) for index in range(count))


def spread(program: Program, values: Mapping[str, Sequence[str]]) -> Iterator[Program]:
    """Yield a program with every combination of values for ``{name}`` in its commands and its input.

    Its name includes the values, except those that it contains already.
    """
    texts = {key: text for key in (*_COMMANDS, "input") if (text := getattr(program, key))}
    used = {key: listed for key, listed in values.items() if any(f"{{{key}}}" in text for text in texts.values())}
    for combination in itertools.product(*used.values()):
        chosen = tuple(zip(used, combination, strict=True))
        filled: dict[str, Any] = {key: _filled(text, chosen) for key, text in texts.items()}
        unsaid = ",".join(f"{key}={value}" for key, value in chosen if f"{{{key}}}" not in program.name)
        name = _filled(program.name, chosen) + (f"[{unsaid}]" if unsaid else "")
        yield replace(program, **filled, name=name, parameters=chosen)


def _filled(text: str, chosen: Sequence[tuple[str, str]]) -> str:
    for key, value in chosen:
        text = text.replace(f"{{{key}}}", value)
    return text


def written_in(path: Path) -> tuple[Program, ...]:
    """Return the programs in a workload file; none if the file is of another kind. Raises InputErrors."""
    from memtool.kinds.program.keys import Workload
    from memtool.kinds.work import kind_of
    from memtool.workload.language.loader import load

    if kind_of(path) != "program":
        return ()
    workload = load(path, Workload)
    keys = workload.program
    program = Program(
        name=workload.name,
        source=str(path),
        expects_same_output=keys.expect_same_output,
        ignored_statuses=None if keys.ignore_failure == ANY_STATUS else tuple(map(int, keys.ignore_failure)),
        **keys.model_dump(exclude={"expect_same_output", "ignore_failure", "parameters"}),
    )
    return tuple(spread(program, {name: tuple(map(str, values)) for name, values in keys.parameters.items()}))


def refuse_impossible(program: Program) -> Path | None:
    """Return the file of the program; None: its setup may create it. Raises InputError if it cannot be run."""
    words = program.arguments
    if program.setup is None and program.input is not None and not files.is_there(Path(program.input)):
        raise InputError(f"{program.input}: no such file", field="input_file")
    if program.ready is not None and program.load is None:
        raise InputError(f"'{program.ready}': only a server becomes ready; give its load too", field="ready")
    for key in _COMMANDS[1:]:
        if (command := getattr(program, key)) is not None:
            words_of(command, program.shell)
    return None if program.setup is not None and shutil.which(words[0]) is None else find_program(words[0])
