"""The kinds of work, a folder each: what of a workload file is of one, and everything that follows from it.

``KINDS`` is THE list. A kind has two halves, each a module of its folder and imported when it is asked for: ``results``
is what workers find and how that is shown (declaration.py), ``work`` how a file becomes what a worker runs (work.py),
None where no file does. Showing a stored run needs the first alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from functools import cache

from memtool.kinds.declaration import Results
from memtool.passes import Pass

KINDS = {
    "heap": "memtool.kinds.heap",
    "program": "memtool.kinds.program",
    "construct": "memtool.kinds.construct",
    "container": "memtool.kinds.container",
    "access": "memtool.kinds.access",
    "device": "memtool.kinds.device",
    "graph": "memtool.kinds.graph",
    "file": "memtool.kinds.file",
}
"""Name -> package. The first reads every file that has the key of no other."""
FIRST = next(iter(KINDS))


@cache
def results(kind: str) -> Results:
    """Return what workers find of a kind, and how that is shown."""
    declared: Results = importlib.import_module(f"{KINDS[kind]}.results").RESULTS
    return declared


def places_blocks(kind: str, passes: Iterable[Pass]) -> bool:
    """Return whether any of these passes finds a footprint of a kind."""
    measures = results(kind).measures
    return any(measures[run_pass].places_blocks for run_pass in passes if run_pass in measures)


def metrics_of(kind: str, passes: Iterable[Pass]) -> frozenset[str]:
    """Return the names of the metrics that these passes may find of a kind: its own, and those of the first."""
    declared = results(kind)
    taken = {run_pass for run_pass in passes if run_pass in declared.measures}
    return frozenset(info.name for info in (*results(FIRST).metrics, *declared.metrics) if info.measured_by in taken)
