"""memtool's own trace files (workload/trace_file.py)."""

from __future__ import annotations

from pathlib import Path

from memtool.workload.importers.importer import Importer
from memtool.workload.source import Source


def load(path: Path) -> Source:
    """Return the trace in a file or a folder of parts. Raises InputError, MemtoolError."""
    from memtool.workload import trace_file  # here, for pyarrow takes longer than all else that listing importers needs

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
