"""The importers there are, and which one a file is for."""

from __future__ import annotations

from pathlib import Path

from memtool.workload.importers import minimalloc, trace
from memtool.workload.importers.importer import Importer

IMPORTERS: tuple[Importer, ...] = (trace.IMPORTER, minimalloc.IMPORTER)
_HEAD_BYTES = 4096


def importer_of(path: Path) -> Importer | None:
    """Return the importer of a trace file, by its content; None: it is a workload, if anything."""
    if path.is_dir() and any(path.glob("*.parquet")):
        return trace.IMPORTER  # parts of a trace that was never completed
    if not path.is_file():
        return None  # what can be read once only is left to whoever reads it whole
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    by_content = (each for each in IMPORTERS if each.recognises(head))
    by_name = (each for each in IMPORTERS if path.suffix == each.suffix)
    return next(by_content, None) or next(by_name, None)
