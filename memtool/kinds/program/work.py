"""Reads a workload file with the key ``program``. A program needs no image: memtool/programs runs it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from memtool.errors import InputError
from memtool.kinds.work import Inspection, Work, schema_of
from memtool.model import Mode

if TYPE_CHECKING:
    from memtool.workload.trace import Trace


def load(path: Path, *, seed: int | None, threads: int | None, rate: int | None, mode: Mode) -> Trace:
    """Raise InputError: a program has no events unless it is recorded."""
    raise _no_events(path)


def inspect(path: Path, seed: int | None) -> Inspection:
    """Raise InputError, as ``load`` does."""
    raise _no_events(path)


def _no_events(path: Path) -> InputError:
    return InputError(f"{path}: program: is run as a whole, by bench and check; `memtool record` makes a trace of one")


def listed(path: Path) -> tuple[str, str]:
    """Return that it is a program, and its description."""
    from memtool.kinds.program.keys import Workload
    from memtool.workload.language.loader import load

    return "program", load(path, Workload).description


WORK = Work(
    key="program",
    json_schema=partial(schema_of, "program", "memtool whole program"),
    load=load,
    why_not=lambda plan, trace: None,
    listed=listed,
    inspect=inspect,
    summary=lambda inspection: "",
)
