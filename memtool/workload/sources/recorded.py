"""A recording of a program as a source: its events end where the recording does."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memtool.engine.generate.binding import (
    ALLOCATE,
    ALLOCATE_ZEROED,
    DEALLOCATE,
    EPILOGUE,
    EVENT_BYTES,
    OBJECT_SHIFT,
    THREAD_SHIFT,
)
from memtool.engine.recorded.binding import Portion
from memtool.workload.sources.source import Ending, Rows, Source


def words_of(events: memoryview) -> tuple[NDArray[np.uint64], int | None]:
    """Return the two words of each canonical event, and the index of the epilogue; None: it is not in this portion."""
    words = np.frombuffer(events, dtype="<u8").reshape(-1, EVENT_BYTES // 8)
    ends = np.flatnonzero(words[:, 0] & np.uint64(0xFF) == EPILOGUE)
    return words, int(ends[0]) if len(ends) else None


def rows_of(portion: Portion, nanoseconds: NDArray[np.int64] | None) -> Rows:
    """Return the result of a matcher for observed calls, with the times of its events."""
    callers, resident = (np.frombuffer(column, np.uint64) for column in (portion.callers, portion.resident))
    return Rows(portion.events, nanoseconds, callers, resident)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded(Source):
    """A source that has portions; an epilogue frees the objects that they leave live, in the order of birth."""

    @abstractmethod
    def portions(self, ending: Ending) -> Iterator[Rows]:
        """Yield the recorded events. Raises InputError."""

    def rows(self, ending: Ending) -> Iterator[Rows]:
        """Yield the recorded events and the epilogue. Raises InputError."""
        left = _Left()
        for rows in self.portions(ending):
            left.follow(rows.events)
            yield rows
        yield Rows(left.epilogue())

    def events(self, ending: Ending) -> Iterator[memoryview]:
        """Yield the events without further columns, and the epilogue. Raises InputError."""
        return (rows.events for rows in self.rows(ending))


class _Left:
    """The objects that are live after the events so far; memory for these alone."""

    def __init__(self) -> None:
        self._alive = np.zeros(0, dtype=np.uint64)
        self._threads = np.zeros(0, dtype=np.uint64)

    def follow(self, events: memoryview) -> None:
        heads = np.frombuffer(events, dtype="<u8")[::2]
        kinds, objects = heads & np.uint64(0xFF), heads >> np.uint64(OBJECT_SHIFT)
        is_birth = (kinds == ALLOCATE) | (kinds == ALLOCATE_ZEROED)
        threads = heads[is_birth] >> np.uint64(THREAD_SHIFT) & np.uint64(0xFFFF)
        self._alive = np.concatenate([self._alive, objects[is_birth]])
        self._threads = np.concatenate([self._threads, threads])
        if not len(self._alive):
            return
        # Numbers are assigned in order of birth, so they are sorted.
        freed = objects[kinds == DEALLOCATE]
        places = np.minimum(np.searchsorted(self._alive, freed), len(self._alive) - 1)
        stays = np.ones(len(self._alive), dtype=np.bool_)
        stays[places[self._alive[places] == freed]] = False
        self._alive, self._threads = self._alive[stays], self._threads[stays]

    def epilogue(self) -> memoryview:
        heads = (
            self._alive << np.uint64(OBJECT_SHIFT) | self._threads << np.uint64(THREAD_SHIFT) | np.uint64(DEALLOCATE)
        )
        words = np.zeros((len(heads) + 1, 2), dtype="<u8")
        words[0, 0] = EPILOGUE
        words[1:, 0] = heads | np.uint64(DEALLOCATE)
        return words.data.cast("B")
