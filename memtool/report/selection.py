"""A part of a stored run: some of its allocators, another reference, some metrics. Nothing is measured again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from memtool.errors import AllocatorError, InputError, did_you_mean
from memtool.kinds.sheet import Column, Quantity, SheetInfo
from memtool.measure.metrics import METRICS
from memtool.model import Run
from memtool.stats.limits import Limits


def select(run: Run, names: Sequence[str] | None, reference: str | None) -> Run:
    """Return the run with only the allocators in ``names``, and with another reference if one is given.

    A name is a label of the run (``pool:block=64+lock@new``), its first part (``pool``), or a pattern (``*@new``).
    Raises InputError for a name that no cell has.
    """
    labels = list(dict.fromkeys(cell.cell.allocator for cell in run.cells))
    if reference is not None and reference not in labels:
        raise InputError(f"the run has no '{reference}'{did_you_mean(reference, labels)}", field="reference")
    kept = _chosen(labels, names)
    cells = tuple(cell for cell in run.cells if cell.cell.allocator in kept)
    return replace(run, cells=cells, reference=reference or (run.reference if run.reference in kept else None))


def select_limits(limits: Limits, names: Sequence[str] | None) -> Limits:
    """Return a search for limits with only the allocators in ``names``, as ``select`` does."""
    kept = _chosen([row.cell.allocator for row in limits.rows], names)
    return replace(limits, rows=tuple(row for row in limits.rows if row.cell.allocator in kept))


def select_of_all(runs: Sequence[tuple[str, Run]], names: Sequence[str] | None) -> list[tuple[str, Run]]:
    """Return (file, run) pairs with only the allocators in ``names``, each of which at least one run has."""
    kept = _chosen([cell.cell.allocator for _, run in runs for cell in run.cells], names)
    return [
        (file, replace(run, cells=tuple(cell for cell in run.cells if cell.cell.allocator in kept)))
        for file, run in runs
    ]


def _chosen(labels: Sequence[str], names: Sequence[str] | None) -> set[str]:
    """Return the labels that ``names`` select; None selects all."""
    known = list(dict.fromkeys(labels))
    for name in names or ():
        if not any(_is_named(label, name) for label in known):
            meant = did_you_mean(name, known) or f"; it has {', '.join(known)}"
            raise AllocatorError(f"the run has no '{name}'{meant}")
    return {label for label in known if names is None or any(_is_named(label, name) for name in names)}


def _is_named(label: str, name: str) -> bool:
    first = label.partition("@")[0].partition("+")[0].partition(":")[0]
    return name in (label, first) or fnmatchcase(label, name)


def sheet_of(names: Sequence[str]) -> SheetInfo:
    """Return a sheet of the metrics with these names. Raises InputError for an unknown name."""
    for name in names:
        if name not in METRICS:
            raise InputError(
                f"no metric '{name}' (`memtool list metrics`){did_you_mean(name, METRICS)}", field="metrics"
            )
    return SheetInfo(
        "Chosen figures (bytes in {unit}, times in ns)", tuple(_column(name) for name in names), tuple(names)
    )


def _column(name: str) -> Column:
    metric = METRICS[name]
    heading = name.removesuffix("_ns").removesuffix("_bytes").replace("_", "\n")
    if metric.unit == "B":
        return Column(heading, name, Quantity.BYTES)
    if metric.unit == "ns":
        return Column(heading, name, Quantity.TIME)
    return Column(heading, name, Quantity.SHARE if metric.is_share else Quantity.NUMBER, 3)
