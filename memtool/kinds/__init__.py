"""The kinds of work, one folder each: the keys of their workload files, and everything that follows from them.

``KINDS`` is the one list of them. A kind has two halves, modules of its folder that are imported on demand: ``results``
declares what workers measure and how that is shown (declaration.py), and ``work`` makes a worker's input from a file
(work.py; None for a kind without files). Showing a stored run needs only the first.
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
"""Name -> package. The first kind reads every file that does not have the key of another kind."""
FIRST = next(iter(KINDS))


@cache
def results(kind: str) -> Results:
    """Return what workers measure of a kind, and how it is shown."""
    declared: Results = importlib.import_module(f"{KINDS[kind]}.results").RESULTS
    return declared


def places_blocks(kind: str, passes: Iterable[Pass]) -> bool:
    """Return whether any of these passes measures the footprint of a kind."""
    measures = results(kind).measures
    return any(measures[run_pass].places_blocks for run_pass in passes if run_pass in measures)


def metrics_of(kind: str, passes: Iterable[Pass]) -> frozenset[str]:
    """Return the names of the metrics that these passes can measure of a kind: its own, and those of the first kind."""
    declared = results(kind)
    taken = {run_pass for run_pass in passes if run_pass in declared.measures}
    return frozenset(info.name for info in (*results(FIRST).metrics, *declared.metrics) if info.measured_by in taken)
