"""The list of importers, and the choice of the one for a file."""

from __future__ import annotations

from pathlib import Path

from memtool.workload.importers import (
    malloc_trace_utils,
    memray,
    minimalloc,
    native,
    plain,
    pprof,
    profiles,
    trace,
)
from memtool.workload.importers.content import head_of
from memtool.workload.importers.importer import Importer

IMPORTERS: tuple[Importer, ...] = (
    trace.IMPORTER,
    plain.IMPORTER,
    minimalloc.IMPORTER,
    malloc_trace_utils.IMPORTER,
    memray.IMPORTER,
    *native.FORMATS,
    profiles.JEMALLOC,
    profiles.STATISTICS,
    profiles.GPERFTOOLS,
    pprof.IMPORTER,
    native.CALLS,
)
"""In the order in which they are asked whether a file is theirs; the most specific formats come first."""


def importer_of(path: Path) -> Importer | None:
    """Return the importer of a trace file by its content; None: if anything, the file is a workload."""
    if path.is_dir() and any(path.glob("*.parquet")):
        return trace.IMPORTER  # parts of a trace that was never completed
    if not path.is_file():
        return None  # a file that can be read only once is left to the code that reads all of it
    return by_content(head_of(path)) or next(
        (importer for importer in IMPORTERS if importer.suffix == path.suffix == ".csv"), None
    )


def by_content(head: bytes) -> Importer | None:
    """Return the importer for a decompressed beginning."""
    return next((importer for importer in IMPORTERS if importer.recognises(head)), None)
