"""memtool's own trace files (workload/sources/trace_file.py)."""

from __future__ import annotations

from pathlib import Path

from memtool.errors import InputError
from memtool.workload.importers.content import is_packed
from memtool.workload.importers.importer import Importer
from memtool.workload.sources.source import Source


def load(path: Path) -> Source:
    """Return the trace in a file or a folder of parts. Raises InputError, MemtoolError."""
    # Imported here, because pyarrow takes longer than everything else that a list of importers needs.
    from memtool.workload.sources import trace_file

    if path.is_file() and is_packed(path):
        raise InputError(f"{path}: is a trace file that has been compressed once more: unpack it")
    return trace_file.load(path)


IMPORTER = Importer(
    name="memtool",
    summary="Traces that memtool has recorded or imported; Parquet.",
    source="docs/traces.md",
    begins="PAR1",
    suffix=".parquet",
    recognises=lambda head: head.startswith(b"PAR1"),
    load=load,
)
