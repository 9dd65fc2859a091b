"""A source that is replayed at its recorded pace, or measured from a given moment on, with all before it as warm-up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from memtool.engine.generate.binding import (
    BEGIN,
    MARK,
    OBJECT_SHIFT,
    PACE,
    REALLOCATE,
    THREAD_SHIFT,
)
from memtool.errors import InputError, option
from memtool.units import format_count, format_duration
from memtool.workload.sources.recorded import words_of
from memtool.workload.sources.source import Ending, Rows, Source

_GRAIN_US = 100
"""Microseconds of a replay between two looks at the clock: events closer together follow each other at once."""
_LONGEST_PACED = 86_400
"""Seconds: a replay that waits for a day is not a measurement."""
_TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|us|s|min|h)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Stages:
    """Pace of a replay, and the moment from which it counts."""

    speed: float | None = None
    """Speed as a multiple of the recorded one; None: full speed."""
    begin: str | None = None
    """Start of the figures: the name of a mark, the number of an operation, a share (``50%``) or a time (``2.5s``)."""

    @property
    def name(self) -> str:
        """Return the suffix for the name of a source with these stages."""
        pace = "" if self.speed is None else ":paced" + (f"={self.speed:g}" if self.speed != 1 else "")
        return pace + (f":from={self.begin}" if self.begin is not None else "")


def staged(source: Source, path: str, stages: Stages) -> Source:
    """Return a source with these stages. Raises InputError for a moment that it cannot have."""
    if not stages.name:
        return source
    if stages.speed is not None and source.arrivals is not None:
        raise InputError(f"{path}: with {option('paced')}: it has arrivals, which are its pace")
    own = {field.name: getattr(source, field.name) for field in fields(Source)}
    begun = _mark_of(source, stages.begin)
    marks = source.marks if begun is None else source.marks[begun + 1 :]
    return Staged(**{**own, "name": source.name + stages.name, "marks": marks}, of=source, path=path, stages=stages)


def _mark_of(source: Source, begin: str | None) -> int | None:
    """Return the number of the mark with this name; None: there is none."""
    return source.marks.index(begin) if begin is not None and begin in source.marks else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged(Source):
    """The events of another source, with added looks at the clock and the mark from which they count."""

    of: Source
    path: str
    stages: Stages

    def events(self, ending: Ending) -> Iterator[memoryview]:
        """Yield the events alone. Raises InputError."""
        return (rows.events for rows in self.rows(ending))

    def rows(self, ending: Ending) -> Iterator[Rows]:
        """Yield the events. Raises InputError where the source knows no times, or the moment never comes."""
        stage = _Stage(self, _Moment.of(self))
        is_over = False
        for rows in self.of.rows(ending):
            words, epilogue = words_of(rows.events)
            count = 0 if is_over else len(words) if epilogue is None else epilogue
            is_over = is_over or epilogue is not None
            body = stage.take(words[:count], None if rows.nanoseconds is None else rows.nanoseconds[:count])
            whole = np.concatenate([body, words[count:]])
            if len(whole):
                yield Rows(whole.data.cast("B"))
        stage.end(ending)


@dataclass(slots=True)
class _Moment:
    """The start of the figures, as far as it is known before the events are read; by default, the first event."""

    operation: int | None = None
    mark: int | None = None
    nanoseconds: int | None = None

    @classmethod
    def of(cls, source: Staged) -> _Moment:
        begin = source.stages.begin
        mark = _mark_of(source.of, begin)
        if begin is None:
            return cls(operation=0)
        if mark is not None:
            return cls(mark=mark)
        if begin.isdecimal():
            return cls(operation=int(begin))
        if (time := _TIME.fullmatch(begin)) is not None:
            return cls(nanoseconds=round(float(time[1]) * _SECONDS[time[2]] * 1e9))
        if re.fullmatch(r"\d+(\.\d+)?%", begin) is not None and float(begin[:-1]) < 100:
            return cls(operation=int(_operations(source.of) * float(begin[:-1]) / 100))
        marks = f"one of its marks ({', '.join(source.of.marks)})" if source.of.marks else "a mark (it has none)"
        words = f"must be the number of an operation, a share such as 50%, a time such as 2.5s, or {marks}"
        raise InputError(f"{source.path}: with {option('begin')} {begin}: {words}")


def _operations(source: Source) -> int:
    """Return the number of operations of a source before its epilogue."""
    count = 0
    for rows in source.rows(Ending()):
        words, epilogue = words_of(rows.events)
        count += int((words[:epilogue, 0] & np.uint64(0xFF) <= REALLOCATE).sum())
        if epilogue is not None:
            break
    return count


class _Stage:
    """Processes the events of a source."""

    def __init__(self, source: Staged, moment: _Moment) -> None:
        self._source, self._moment = source, moment
        self._has_begun = moment.operation == 0
        self._done = 0
        self._warm = 0
        self._origin = 0
        self._last = 0
        self._buckets = np.zeros(1 << 16, dtype=np.int64)
        self._most = 0

    def take(self, words: _Words, nanoseconds: NDArray[np.int64] | None) -> _Words:
        """Return events with the added ones between them."""
        if not len(words):
            return words
        if self._source.stages.speed is not None or self._moment.nanoseconds is not None:
            if nanoseconds is None:
                self._refuse_timeless()
            nanoseconds = np.maximum(np.maximum.accumulate(nanoseconds), self._most)
            self._most = int(nanoseconds[-1])
        kinds = words[:, 0] & np.uint64(0xFF)
        places, put = np.zeros(0, dtype=np.int64), np.zeros((0, 2), dtype="<u8")
        begin = 0
        if not self._has_begun:
            place = self._find(words, kinds, nanoseconds)
            begin = len(words) if place is None else place
            self._warm += int((kinds[:begin] <= REALLOCATE).sum())
            if place is not None:
                self._has_begun = True
                self._origin = 0 if nanoseconds is None else int(nanoseconds[begin])
                places, put = np.array([begin]), self._between(words[begin : begin + 1], BEGIN, 0)
        if self._has_begun and self._source.stages.speed is not None:
            assert nanoseconds is not None
            times = (nanoseconds[begin:] - self._origin) / (1000 * self._source.stages.speed)
            buckets = (times / _GRAIN_US).astype(np.int64)
            due = self._due(words[begin:], buckets)
            if len(buckets):
                self._last = int(times[-1])
            paces = self._between(words[begin:][due], PACE, times[due].astype(np.uint64))
            places, put = np.concatenate([places, due + begin]), np.concatenate([put, paces])
        self._done += int((kinds <= REALLOCATE).sum())
        return self._without_marks(np.insert(words, places, put, axis=0))

    def _due(self, words: _Words, buckets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the indices of events before which their threads look at the clock: each thread has its own pace."""
        threads = (words[:, 0] >> np.uint64(THREAD_SHIFT) & np.uint64(0xFFFF)).astype(np.int64)
        order = np.argsort(threads, kind="stable")
        of, then = threads[order], buckets[order]
        is_first = np.diff(of, prepend=-1) > 0
        before = np.where(is_first, self._buckets[of], np.roll(then, 1))
        is_last = np.diff(of, append=1 << 16) > 0
        self._buckets[of[is_last]] = then[is_last]
        return np.sort(order[then > before])

    @staticmethod
    def _between(next_words: _Words, kind: int, objects: _Words | int) -> _Words:
        """Return new events that have the threads of the events that follow them."""
        events = np.zeros((len(next_words), 2), dtype="<u8")
        threads = next_words[:, 0] & np.uint64(0xFFFF << THREAD_SHIFT)
        events[:, 0] = threads | np.uint64(kind) | np.asarray(objects, dtype=np.uint64) << np.uint64(OBJECT_SHIFT)
        return events

    def _find(self, words: _Words, kinds: _Words, nanoseconds: NDArray[np.int64] | None) -> int | None:
        """Return the index of the event at which the figures begin; None: it is not in this portion."""
        moment = self._moment
        if moment.operation is not None:
            operations = np.flatnonzero(kinds <= REALLOCATE)
            index = moment.operation - self._done
            return int(operations[index]) if index < len(operations) else None
        if moment.mark is not None:
            is_here = (kinds == MARK) & (words[:, 0] >> np.uint64(OBJECT_SHIFT) == moment.mark)
        else:
            assert nanoseconds is not None
            assert moment.nanoseconds is not None
            is_here = nanoseconds >= moment.nanoseconds
        places = np.flatnonzero(is_here)
        return int(places[0]) if len(places) else None

    def _without_marks(self, words: _Words) -> _Words:
        """Return events without the marks before the start of the figures; later marks are numbered from 0 again."""
        gone = len(self._source.of.marks) - len(self._source.marks)
        if not gone:
            return words
        is_mark = words[:, 0] & np.uint64(0xFF) == MARK
        is_gone = is_mark & (words[:, 0] >> np.uint64(OBJECT_SHIFT) < gone)
        words[is_mark & ~is_gone, 0] -= np.uint64(gone << OBJECT_SHIFT)
        kept: _Words = words[~is_gone]
        return kept

    def end(self, ending: Ending) -> None:
        """Report the outcome. Raises InputError where the figures never began."""
        path, stages = self._source.path, self._source.stages
        if not self._has_begun or self._warm >= self._done:
            raise InputError(f"{path}: with {option('begin')} {stages.begin}: nothing comes after that")
        if stages.speed is not None:
            if not self._most:
                self._refuse_timeless()
            seconds = self._last / 1e6
            if seconds > _LONGEST_PACED:
                raise InputError(f"{path}: with {option('paced')}: takes {format_duration(seconds)}, more than a day")
            ending.pace = {"speed": stages.speed, "seconds": seconds}
            faster = "at its recorded pace" if stages.speed == 1 else f"at {stages.speed:g} times its recorded pace"
            ending.notes.append(f"replayed {faster}, over {seconds:.3g} s; what it waits is no part of any time")
        if stages.begin is not None:
            ending.begins = {"at": stages.begin, "operation": self._warm}
            ending.notes.append(
                f"from a warm heap: {format_count(self._warm)} operations before {stages.begin} are replayed untimed, "
                "and figures are of what follows"
            )

    def _refuse_timeless(self) -> NoReturn:
        needs = "paced" if self._source.stages.speed is not None else "begin"
        raise InputError(f"{self._source.path}: with {option(needs)}: it does not say when its events took place")
