"""What an importer is, and what it makes of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from memtool.workload.schema import Touch


@dataclass(frozen=True, slots=True)
class Imported:
    """A trace that another tool has written down. Nothing in it is drawn."""

    name: str
    """From the file's; what tables call it."""
    events: memoryview
    """Canonical, 16 bytes each (engine/events/events.hpp); writable, for the engine reads them where they are."""
    allocations: int
    notes: tuple[str, ...] = ()
    """What was left out."""
    marks: tuple[str, ...] = ()
    touch: Touch = "pages"
    memory_limit: int | None = None
    threads: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Importer:
    """Reads the files of one format."""

    name: str
    summary: str
    source: str
    begins: str
    """How its files begin, for the reader."""
    suffix: str
    """What its files' names end with; of a file of that name whose beginning nobody knows, it says what is wrong."""
    recognises: Callable[[bytes], bool]
    """Whether a file that begins so is one of its own."""
    load: Callable[[Path], Imported]
    """Raises InputError, with one line that names the file, the line and the column."""
