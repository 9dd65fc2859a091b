"""Starts a program under memtool-supervisor (supervisor.c) and reads its report."""

from __future__ import annotations

import importlib.resources
import os
import select
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from memtool.host.waiting import MOMENT_SECONDS
from memtool.worker.offspring import VARIABLE, adopt_orphans, end_worker

SUPERVISOR = "memtool-supervisor"
_SECONDS_TO_KILL = 10.0
_LONGEST_REPORT = 1 << 20


class Refused(Exception):
    """The program could not be started; the message says why."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The outcome of a program and of all its descendants."""

    figures: Mapping[str, int]
    """Figures that the supervisor reports."""
    bare: tuple[str, ...]
    """Programs that ran without the library that every process must load."""

    @property
    def status(self) -> int:
        """Return the exit status; negative: the number of the signal that ended it."""
        return self.figures["exit_status"]


def supervisor_path() -> Path:
    """Return the path of the supervisor. Raises FileNotFoundError where it was not built."""
    path = Path(str(importlib.resources.files("memtool.programs").joinpath(SUPERVISOR)))
    if not path.is_file():
        raise FileNotFoundError(f"{path}: run `make native`")
    return path


class Supervised:
    """A running program; at the end of the block, all its descendants are killed."""

    def __init__(
        self,
        path: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        wanted: str = "",
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = subprocess.DEVNULL,
        stderr: int | None = subprocess.DEVNULL,
    ) -> None:
        """Start it. ``wanted``: part of the name of a file that each of its processes must map. Raises OSError."""
        self._text = b""
        adopt_orphans()
        self._control, theirs = socket.socketpair()
        variables = os.memfd_create("environment")
        self._word = os.urandom(16).hex()
        try:
            block = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in environment.items())
            with os.fdopen(os.dup(variables), "wb") as file:
                file.write(block)
            self._process = subprocess.Popen(
                [supervisor_path(), str(theirs.fileno()), str(variables), wanted, str(path), *arguments],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env={VARIABLE: self._word},
                pass_fds=(theirs.fileno(), variables),
                start_new_session=True,
            )
        except BaseException:
            self._control.close()
            raise
        finally:
            theirs.close()
            os.close(variables)

    def wait(self, seconds: float) -> Ended | None:
        """Return the outcome; None: it is still running after this time. Raises Refused if it was not started."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._control], [], [], min(left, MOMENT_SECONDS))
            if ready:
                part = self._control.recv(1 << 16)
                self._text += part
                if not part or len(self._text) > _LONGEST_REPORT:
                    return self._ended()
            elif left <= MOMENT_SECONDS:
                return None

    def _ended(self) -> Ended:
        pairs = [line.partition(" ")[::2] for line in self._text.decode(errors="replace").splitlines()]
        figures = {name: int(value) for name, value in pairs if name != "bare"}
        if "refused" in figures:
            raise Refused(os.strerror(figures["refused"]).lower())
        if "done" not in figures:
            raise Refused("its supervisor was ended by something else than memtool")
        return Ended(figures, tuple(value for name, value in pairs if name == "bare"))

    def ask_to_end(self) -> None:
        """Ask the program to end with SIGTERM."""
        with suppress(OSError):
            self._control.send(b"t")

    def close(self) -> None:
        """Kill the remaining processes, and wait until they are gone."""
        self._control.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS_TO_KILL)
        end_worker(self._process, self._word)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()
