"""The interface of importers, and the result of importing a file."""

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
    """A trace of another tool that is short enough to be held in memory."""

    records: memoryview
    """Canonical events, 16 bytes each (engine/events/events.hpp); writable, because the engine reads them in place."""

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
    """Description of the first bytes of such a file, for people."""
    suffix: str
    """Suffix of such files' names. If the beginning of such a file is unknown, the importer explains the fault."""
    recognises: Callable[[bytes], bool]
    """Returns whether a file with this beginning has the format."""
    load: Callable[[Path], Source]
    """Loads a file. Raises InputError, with one line that names the file, the line and the column."""
    decoder: Callable[[], Decoder] | None = None
    """Makes a decoder that reads the format from a stream; None: the format needs a file."""
    profile: Reader | None = None
    """For a heap profile, which is no trace: reads it from a stream, and a workload is made from it."""


def decoded(decoder: Callable[[], Decoder]) -> Callable[[Path], Source]:
    """Return a loader of files that are decoded as they are read."""

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
    """Return a recogniser of texts whose first non-empty line has such a beginning."""
    line = re.compile(rb"\s*" + pattern)
    return lambda head: line.match(head.lstrip().partition(b"\n")[0].rstrip(b"\r")) is not None


def name_of(path: Path, otherwise: str) -> str:
    """Return the name of a trace in tables: the file's name, in the characters that a workload's name may have."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip("._-")
    return name[:_LONGEST_NAME] or otherwise
