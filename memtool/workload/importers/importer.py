"""What an importer is, and what it makes of a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memtool.workload.sources.source import Ending, Source

if TYPE_CHECKING:
    from memtool.workload.importers.decoder import Decoder
    from memtool.workload.importers.profiles import Reader

_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported(Source):
    """A trace of another tool that is short enough to be held as a whole."""

    records: memoryview
    """Canonical events, 16 bytes each (engine/events/events.hpp); writable, for the engine reads them in place."""

    def events(self, ending: Ending) -> Iterator[memoryview]:
        """Yield all events at once."""
        yield self.records


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
    load: Callable[[Path], Source]
    """Raises InputError, with one line that names the file, the line and the column."""
    decoder: Callable[[], Decoder] | None = None
    """What reads it from a stream; None where a file is needed."""
    profile: Reader | None = None
    """Of a heap profile, which is no trace, what reads it from a stream: a workload is made of it."""


def decoded(decoder: Callable[[], Decoder]) -> Callable[[Path], Source]:
    """Return what loads a file that is decoded while it is read."""

    def load(path: Path) -> Source:
        from memtool.workload.importers.content import opened
        from memtool.workload.importers.decoded import Decoded

        return Decoded(
            name=name_of(path, "trace"),
            path=str(path),
            open=lambda: opened(path),
            decoder=decoder,
            has_threads=True,
        )

    return load


def recognised_by_line(pattern: bytes) -> Callable[[bytes], bool]:
    """Return what recognises a text whose first line that is not empty begins so."""
    line = re.compile(rb"\s*" + pattern)
    return lambda head: line.match(head.lstrip().partition(b"\n")[0].rstrip(b"\r")) is not None


def name_of(path: Path, otherwise: str) -> str:
    """Return what tables call a trace: the file's name in the letters of a workload's."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip("._-")
    return name[:_LONGEST_NAME] or otherwise
