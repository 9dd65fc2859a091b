"""The command line as a whole: what it loads, how it fails, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from memtool import __version__
from memtool import cli as module
from memtool.cli import run
from memtool.errors import InputError, Interrupted, MemtoolError

COMMANDS = (
    "bench",
    "show",
    "report",
    "plot",
    "compare",
    "history",
    "check",
    "record",
    "run",
    "cluster",
    "list",
    "import",
    "inspect",
    "fit",
    "schema",
    "completion",
    "doctor",
)
Shell = Callable[..., "subprocess.CompletedProcess[str]"]
Fails = Callable[[BaseException], None]


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> Fails:
    """Return what makes every command raise."""

    def make(problem: BaseException) -> None:
        def body() -> None:
            raise problem

        command = click.Command("list", callback=body)
        monkeypatch.setattr(module._LazyGroup, "get_command", lambda self, context, name: command)

    return make


def test_the_help_lists_the_commands_and_loads_none_of_them(memtool_environment: dict[str, str]) -> None:
    """It must come at once, also where SciPy takes a second to load."""
    script = "import sys; from memtool.cli import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=memtool_environment
    )
    lines = ended.stdout.partition("Commands:\n")[2].splitlines()
    listed = [line.split()[0] for line in lines if not line.startswith("   ")]  # what goes on is indented further
    assert tuple(listed) == COMMANDS
    loaded = ended.stderr.split()
    assert not [name for name in loaded if name.startswith("memtool.commands")]
    roots = {name.partition(".")[0] for name in loaded}
    assert not roots & {"matplotlib", "numpy", "psutil", "pydantic", "rich", "scipy", "tabulate", "yaml"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    output = capsys.readouterr().out
    assert output.startswith(f"Usage: memtool {command} ")
    assert run([command, "-h"]) == 0
    assert capsys.readouterr().out == output


def test_the_version(shell: Shell) -> None:
    ended = shell("--version")
    assert (ended.returncode, ended.stdout) == (0, f"memtool, version {__version__}\n")


def test_another_system_is_told_in_one_line() -> None:
    script = "import sys; sys.platform = 'darwin'; from memtool.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "memtool: runs on Linux only; on macOS and Windows use a Linux container, a virtual machine or WSL 2\n"
    )


def test_no_argument_shows_the_help_and_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert capsys.readouterr().out.startswith("Usage: memtool [OPTIONS] COMMAND")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["benhc"], "no command 'benhc'; did you mean 'bench'? (memtool --help)"),
        (["zzz"], "no command 'zzz' (memtool --help)"),
        (["list"], "Missing argument 'WHAT'."),
        (["list", "alocators"], "Invalid value for 'WHAT': 'alocators' is not one of 'allocators', "),
        (["list", "regions", "--fromat", "json"], "No such option '--fromat'"),
        (["bench", "--blocks", "0"], "Invalid value for '--blocks': 0 is not in the range 1<=x<=1000"),
        (["schema", "run", "x"], "Got unexpected extra argument (x) (memtool schema --help)"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert output.err.replace(": --fromat", " '--fromat'").startswith(f"memtool: {line}")


@pytest.mark.parametrize(
    ("problem", "code", "line"),
    [
        (InputError("w.yaml:3:7: objects[1].size: is -3"), 2, "w.yaml:3:7: objects[1].size: is -3"),
        (MemtoolError("needs at least 64.0 GiB"), 1, "needs at least 64.0 GiB"),
        (MemtoolError("two\n  lines"), 1, "two lines"),
        (ValueError("unforeseen"), 1, "ValueError: unforeseen (--debug shows where)"),
        (OSError(5, "Input/output error"), 1, "OSError: [Errno 5] Input/output error (--debug shows where)"),
        (OSError(28, "No space left"), 1, "standard output: cannot be written: No space left"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Interrupted("no sample was finished"), 130, "interrupted: no sample was finished"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    fails: Fails, problem: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(problem)
    assert run(["list"]) == code
    assert capsys.readouterr().err.strip("\n") == f"memtool: {line}"


def test_an_exit_code_of_a_command_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    leave = click.Command("list", callback=lambda: click.get_current_context().exit(4))
    monkeypatch.setattr(module._LazyGroup, "get_command", lambda self, context, name: leave)
    assert run(["list"]) == 4


@pytest.mark.parametrize("arguments", [("--debug", "bench", "gone.yaml"), ("bench", "gone.yaml", "--debug")])
def test_debug_shows_where_wherever_it_stands(arguments: tuple[str, ...], shell: Shell) -> None:
    ended = shell(*arguments)
    assert ended.returncode == 2
    assert ended.stderr.startswith("Traceback (most recent call last):")
    assert ended.stderr.splitlines()[-1].startswith("memtool: gone.yaml: ")
    plain = shell("bench", "gone.yaml")
    assert (plain.returncode, plain.stderr) == (2, ended.stderr.splitlines()[-1] + "\n")


def test_debug_after_two_dashes_is_not_ours() -> None:
    assert module._split(["run", "--debug", "--", "program", "--debug"]) == (
        ["run", "--debug"],
        ["--", "program", "--debug"],
    )


def test_an_engine_that_is_not_there_says_so(shell: Shell, tmp_path: Path) -> None:
    gone = tmp_path / "libmemtool_engine.so"
    ended = shell("list", "allocators", MEMTOOL_ENGINE=str(gone))
    assert ended.returncode == 1
    assert ended.stderr == f"memtool: MEMTOOL_ENGINE names {gone}, which does not exist\n"


def test_a_reader_that_has_gone_is_no_error_to_speak_of(memtool_environment: dict[str, str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as output:
        ended = subprocess.run(
            [sys.executable, "-m", "memtool", "list", "metrics"],
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
            env=memtool_environment,
        )
    assert (ended.returncode, ended.stderr) == (1, b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_descriptor_is_taken_by_nothing_that_matters(closed: str, tmp_path: Path) -> None:
    # What is opened first would have its number: an event image, the pipe of a worker.
    words = "bench chapter/nested-lifetimes -a stack --blocks 1 --passes footprint --no-plots -o out"
    command = ["sh", "-c", f"{sys.executable} -m memtool {words} {closed}"]
    ended = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, timeout=600)
    assert ended.returncode == 0, ended.stderr
    assert [cell["status"] for cell in json.loads((tmp_path / "out/run.json").read_text())["cells"]] == ["ok"]
