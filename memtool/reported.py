"""The page on stored runs: each with its comparisons, and with the objects of its workloads if they still exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from memtool.errors import Incomparable, InputError, MemtoolError
from memtool.gate import DEFAULT_MARGIN, policy, reports
from memtool.kinds.work import kind_of, work
from memtool.model import Report, Run
from memtool.report import selection
from memtool.report.page import page
from memtool.report.page.content import Objects, Stored
from memtool.store import run_file
from memtool.workload.description.inspection import inspect_source
from memtool.workload.trace import find_workload, open_source

_RULES = policy(None, DEFAULT_MARGIN, ())
_MOST_INSPECTED = 20_000_000
"""Largest number of operations of a workload that is read again for a chart of its objects: a second or two."""


def write(places: Sequence[Path], output: Path | None, allocators: Sequence[str] | None, reference: str | None) -> Path:
    """Write one page on stored runs and return its file, as ``memtool.api.report`` says."""
    if not places:
        raise InputError("no run to report", field="runs")
    runs = [selection.select(run_file.read(place), allocators, reference) for place in places]
    stored = [_stored(place, run, reference) for place, run in zip(places, runs, strict=True)]
    between = list(_against_the_first(stored))
    return page.write(output or stored[0].directory / "report.html", stored, between)


def _stored(place: Path, run: Run, reference: str | None) -> Stored:
    directory = place if place.is_dir() else place.parent
    try:
        compared = reports.within(run, str(place), reference, _RULES, is_choice=True)
    except (Incomparable, InputError):
        compared = None  # one allocator, or nothing measured
    return Stored(run, directory, directory.resolve().name, compared, dict(_objects_of(run)))


def _against_the_first(stored: Sequence[Stored]) -> Iterator[Report]:
    for other in stored[1:]:
        try:
            yield reports.between(stored[0].run, other.run, (stored[0].source, other.source), _RULES)
        except Incomparable:
            continue


def _objects_of(run: Run) -> Iterator[tuple[str, Objects]]:
    """Yield the objects of each workload by size and lifetime, where its file still gives the same events."""
    for info in run.workloads:
        if not info.source or info.program is not None or info.operations > _MOST_INSPECTED:
            continue
        try:
            path = find_workload(info.source)
            if kind_of(path) != info.kind or not work(info.kind).has_picture:
                continue
            now, _, characteristics = inspect_source(open_source(path, seed=info.seed), str(path), packs=False)
        except (MemtoolError, OSError):
            continue  # it is gone or unreadable, and the rest of the page does not need it
        if now.event_hash == info.event_hash and characteristics.size_by_lifetime:
            yield info.name, Objects(characteristics.size_by_lifetime)
