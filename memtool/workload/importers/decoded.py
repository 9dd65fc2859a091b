"""A recording of another tool as a source: it is decoded as it is read, and its addresses are matched to objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import IO

import numpy as np

from memtool.engine.recorded.binding import Matcher
from memtool.errors import InputError
from memtool.units import plural
from memtool.workload.importers.content import Portions
from memtool.workload.importers.decoder import Decoder, Report
from memtool.workload.sources.recorded import Recorded, rows_of
from memtool.workload.sources.source import Ending, Rows

_LATEST = np.uint64(2**63 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded(Recorded):
    """A file of another tool, which is decoded anew each time its events are requested."""

    path: str
    """Path of the file, for messages."""
    open: Callable[[], AbstractContextManager[IO[bytes]]]
    decoder: Callable[[], Decoder]

    def portions(self, ending: Ending) -> Iterator[Rows]:
        """Yield the content of the file. Raises InputError for a file without events."""
        report = Report()
        with self.open() as content, Matcher() as matcher:
            portions = Portions(content)
            begin: np.uint64 | None = None  # many clocks count from the start of the machine, or from 1970
            for seen in self._seen(portions, report):
                matched = matcher.append(seen)
                if matched.events.nbytes:
                    ticks = np.frombuffer(matched.ticks, np.uint64)
                    begin = ticks[0] if begin is None else begin
                    yield replace(rows_of(matched, np.minimum(ticks - begin, _LATEST).astype(np.int64)), resident=None)
            report.matched = matcher.counts()
        report.damage, report.read_bytes = portions.damage, portions.read_bytes
        if report.damage is not None and report.first_damage is None:
            report.first_damage = report.read_bytes
        ending.report = report
        ending.threads = max(report.threads, 1)
        ending.notes += notes_of(report)
        if not report.matched["allocations"]:
            why = "" if report.damage is None else f": {report.cut_off}"
            raise InputError(f"{self.path}: holds no allocation that can be read{why}")

    def _seen(self, portions: Portions, report: Report) -> Iterator[memoryview]:
        try:
            yield from self.decoder().decode(portions, report)
        except InputError as problem:
            raise InputError(f"{self.path}: {problem}") from None


def notes_of(report: Report) -> list[str]:
    """Return what was repaired and dropped, one sentence each."""
    matched = report.matched
    counted = (
        ("free", "of what was not live dropped", matched["unmatched_frees"]),
        ("reallocation", "of what was not live kept as an allocation", matched["unmatched_reallocations"]),
        ("object", "freed unseen: another was allocated at the address", matched["implicit_frees"]),
        ("event", "with a time before the last one's: kept in the order of the file", matched["reordered"]),
        ("request", "of 2^58 bytes or more dropped", matched["oversized"]),
        ("alignment", "left out: not a power of two", report.misaligned),
        ("piece", "of the file dropped that could not be read: lines or records", report.dropped),
    )
    notes = [f"{plural(count, noun)} {words}" for noun, words, count in counted if count]
    return [*notes, *report.places()]
