"""Runs memtool in a process of its own that is forked from a server, which has imported everything already.

A test that wants an exit code, what was written, an environment or a folder needs no fresh interpreter, and most of
the time of a short command goes into starting one: SciPy, Matplotlib and pydantic alone take half a second.
"""

from __future__ import annotations

import atexit
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

from tests import fork_client

TUNING = ("MEMTOOL_", "MALLOC_", "MIMALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
"""Beginnings of variables that a developer may have set, and that would change what tests find."""
LITTLE_WORK = 1_000_000
"""Steps of a search for a packing, about a millisecond: its quality has tests of its own."""


def run_memtool(
    *arguments: object,
    environment: Mapping[str, str] | None = None,
    folder: Path | str | None = None,
    timeout: float = 600,
) -> subprocess.CompletedProcess[str]:
    """Return what ``python -m memtool ARGUMENT ...`` says and how it ends, as ``subprocess.run`` does.

    Raises subprocess.TimeoutExpired.
    """
    with tempfile.TemporaryDirectory(prefix="memtool-started-") as own:
        # Files, because a pipe that nobody reads would fill.
        output, errors = Path(own, "output"), Path(own, "errors")
        asked = ask_for_memtool(*arguments, environment=environment, folder=folder, output=output, errors=errors)
        code = _exit_code(asked, timeout)
        said, complained = output.read_text(), errors.read_text()
    command = [sys.executable, "-m", "memtool", *map(str, arguments)]
    if code is None:
        raise subprocess.TimeoutExpired(command, timeout, said, complained)
    return subprocess.CompletedProcess(command, code, said, complained)


def ask_for_memtool(
    *arguments: object,
    environment: Mapping[str, str] | None = None,
    folder: Path | str | None = None,
    output: Path,
    errors: Path,
) -> fork_client.Asked:
    """Return ``python -m memtool ARGUMENT ...``, which goes on and writes into files."""
    variables = dict(os.environ if environment is None else environment)
    with Path(os.devnull).open() as nothing, output.open("a") as said, errors.open("a") as complained:
        files = [nothing.fileno(), said.fileno(), complained.fileno()]
        words = [*map(str, arguments)]
        return fork_client.Asked(_address(), words, variables, str(folder or Path.cwd()), LITTLE_WORK, files)


@cache
def shell_memtool(work: int = LITTLE_WORK) -> Path:
    """Return a ``memtool`` for shells, alone in a folder for their PATH; ``work``: see fork_server.py."""
    folder = Path(_address()).with_name(str(work))
    folder.mkdir()
    client = [sys.executable, "-SI", fork_client.__file__, _address(), str(work)]
    (folder / "memtool").write_text(f'#!/bin/sh\nexec {shlex.join(client)} "$@"\n', encoding="utf-8")
    (folder / "memtool").chmod(0o755)
    return folder / "memtool"


def _exit_code(asked: fork_client.Asked, timeout: float) -> int | None:
    """Return the exit code, below zero for a signal; None after the timeout."""
    code = None
    with closing(asked):
        try:
            with suppress(TimeoutError):
                code = asked.exit_code(timeout)
        finally:
            if code is None:  # it is late, or the tests are interrupted
                with suppress(ProcessLookupError):
                    os.kill(asked.process, signal.SIGKILL)
                asked.exit_code()
    return code


def without_tuning(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for subprocesses of tests, without what a developer may have set."""
    return {name: value for name, value in environment.items() if not name.startswith(TUNING)}


@cache
def server() -> tuple[int, str]:
    """Return process and address of this process's server, which ends when this process does."""
    folder = tempfile.TemporaryDirectory(prefix="memtool-server-")
    address = f"{folder.name}/socket"
    environment = {name: value for name, value in without_tuning(os.environ).items() if name != "PYTHONPATH"}
    started = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fork_server.py")), address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd="/",  # the folder of a test is not its folder
        env=environment,
    )
    assert started.stdin is not None
    assert started.stdout is not None
    assert started.stdout.read() == b""
    started.stdout.close()
    atexit.register(folder.cleanup)
    atexit.register(started.wait)
    atexit.register(started.stdin.close)
    return started.pid, address


def _address() -> str:
    return server()[1]
