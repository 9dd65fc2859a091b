"""Commands around a program, and servers: when they are ready, and how long a load takes."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress

from memtool.errors import InputError
from memtool.host.programs import find_program
from memtool.programs.program import words_of
from memtool.programs.supervised import Ended, Refused, Supervised
from memtool.units import printable

_PORT = re.compile(r"(?:(?P<host>[^\s:]+):)?(?P<port>\d{1,5})")
_BETWEEN_TRIES = 0.01
_LAST_BYTES = 4096


class Failed(Exception):
    """A failure outside of the program, in words, which no allocator has caused."""


def run_command(
    step: str, command: str, shell: str, environment: Mapping[str, str], seconds: float, stdout: int | None = None
) -> Ended:
    """Run a command to its end and kill what it leaves running. Raises Failed unless it ends with 0 in time."""
    with tempfile.TemporaryFile() as errors:
        ended = _run(step, command, shell, environment, seconds, stdout or subprocess.DEVNULL, errors.fileno())
        if ended is None:
            raise Failed(f"{step} had not ended after {seconds:.0f} s (--time-limit SECONDS allows more): {command}")
        if ended.status != 0:
            raise Failed(f"{step} {ended_with(ended.status)}{_because(errors.fileno())}: {command}")
    return ended


def _run(
    step: str, command: str, shell: str, environment: Mapping[str, str], seconds: float, stdout: int, stderr: int
) -> Ended | None:
    try:
        words = words_of(command, shell)
        with Supervised(find_program(words[0]), words, environment, stdout=stdout, stderr=stderr) as running:
            return running.wait(seconds)
    except (InputError, Refused, OSError) as problem:
        raise Failed(f"{step} cannot be run: {problem}: {command}") from None


def _because(errors: int) -> str:
    last = last_line(errors)
    return f" ({last})" if last else ""


def last_line(descriptor: int) -> str:
    """Return the last line that a program has written to a file."""
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, _LAST_BYTES, max(0, size - _LAST_BYTES)).decode(errors="replace").strip()
    return printable(tail.splitlines()[-1].strip()) if tail else ""


def ended_with(status: int) -> str:
    """Return in words how a program has ended."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def wait_until_ready(
    server: Supervised, ready: str | None, shell: str, environment: Mapping[str, str], seconds: float
) -> int:
    """Return the nanoseconds until a server was ready: a port accepts connections, or a command ends with 0.

    Raises Failed if that takes too long or the server ends before. Without ``ready`` the server is ready at once.
    """
    begun = time.monotonic_ns()
    while ready is not None and not _is_ready(ready, shell, environment, seconds):
        if server.wait(_BETWEEN_TRIES) is not None:
            raise Failed("the server had ended before it was ready")
        if time.monotonic_ns() - begun > 1e9 * seconds:
            raise Failed(f"the server was not ready after {seconds:.0f} s (--time-limit SECONDS allows more): {ready}")
    return time.monotonic_ns() - begun


def _is_ready(ready: str, shell: str, environment: Mapping[str, str], seconds: float) -> bool:
    port = _PORT.fullmatch(ready.strip())
    if port is None:
        ended = _run("ready", ready, shell, environment, seconds, subprocess.DEVNULL, subprocess.DEVNULL)
        return ended is not None and ended.status == 0
    with suppress(OSError), socket.create_connection((port["host"] or "localhost", int(port["port"])), timeout=1):
        return True
    return False
