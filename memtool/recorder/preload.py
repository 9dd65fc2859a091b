"""The library that records the program into which it is preloaded, and how it is told what to do (recorder.c)."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LIBRARY = "libmemtool-record.so"


@dataclass(frozen=True, slots=True)
class Preload:
    """What the recorder is asked for."""

    folder: Path
    """Where the files of all processes go; absolute, since a program may change to another."""
    memory: Path | None = None
    """A folder in memory, which their files go to while there is room; None: they go to ``folder`` at once."""
    counts_nanoseconds: bool = False
    """Whether events are stamped by CLOCK_MONOTONIC, where the time stamp counter cannot be trusted."""
    is_strict: bool = False
    """Whether a reading of the counter waits for what is before it and keeps out what comes after it."""
    follows: bool = True
    """Whether programs that the program starts are recorded, too."""
    starts_off: bool = False
    """Whether nothing is recorded until the signal comes."""
    depth: int = 1
    """Return addresses of the call stack of each request, at most; 1: the call site alone."""
    signal: int | None = None
    """What switches recording on and off; None: nothing does."""

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return the environment that the program is started with: ours stands before what it preloads itself."""
        options = (
            "n" * self.counts_nanoseconds + "s" * self.is_strict + "l" * (not self.follows) + "o" * self.starts_off
        )
        before = base.get("LD_PRELOAD")
        environment = {
            **base,
            "LD_PRELOAD": f"{library()}:{before}" if before else str(library()),
            "MEMTOOL_RECORD": str(self.folder),
            "MEMTOOL_RECORD_OPTIONS": options,
            "MEMTOOL_RECORD_DEPTH": str(self.depth),
        }
        if self.memory is not None:
            environment["MEMTOOL_RECORD_MEMORY"] = str(self.memory)
        if self.signal is not None:
            environment["MEMTOOL_RECORD_SIGNAL"] = str(self.signal)
        return environment


def library() -> Path:
    """Return the path of the library. Raises FileNotFoundError where it was not built."""
    path = Path(str(importlib.resources.files("memtool.recorder").joinpath(LIBRARY)))
    if not path.is_file():
        raise FileNotFoundError(f"{path}: run `make native`")
    return path
