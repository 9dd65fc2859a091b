"""The library that is preloaded into a program to record it, and its settings (recorder.c)."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LIBRARY = "libmemtool-record.so"


@dataclass(frozen=True, slots=True)
class Preload:
    """Settings of the recorder."""

    folder: Path
    """Folder for the files of all processes; absolute, because a program may change its working directory."""
    memory: Path | None = None
    """A folder in memory for their files while there is room; None: they go to ``folder`` at once."""
    counts_nanoseconds: bool = False
    """Whether events have CLOCK_MONOTONIC as timestamp, because the time stamp counter is not reliable."""
    is_strict: bool = False
    """Whether a reading of the counter is ordered with the instructions before and after it."""
    follows: bool = True
    """Whether programs that the program starts are recorded, too."""
    starts_off: bool = False
    """Whether nothing is recorded until the signal arrives."""
    depth: int = 1
    """Largest number of return addresses in the call stack of a request; 1: the call site alone."""
    signal: int | None = None
    """Signal that switches recording on and off; None: none."""

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return the environment for the program: the recorder is placed before libraries that it preloads itself."""
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
