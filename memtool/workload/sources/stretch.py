"""A stretch of a trace as a source: the objects that are live at its start are allocated first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtool.engine.generate.binding import (
    ALLOCATE,
    ALLOCATE_ZEROED,
    DEALLOCATE,
    OBJECT_SHIFT,
    REALLOCATE,
    SIZE_BITS,
    THREAD_SHIFT,
)
from memtool.workload.sources.recorded import Recorded, words_of
from memtool.workload.sources.source import Ending, Rows, Source

START = "start"
"""Name of the mark between the objects that are live at the start of a stretch and its first event."""
_MARK, _WRITE, _THREAD_START = 7, 13, 16
_KIND = np.uint64(0xFF)
_THREAD = np.uint64(0xFFFF)
_BELOW_OBJECT = np.uint64((1 << OBJECT_SHIFT) - 1)
_SIZE = np.uint64((1 << SIZE_BITS) - 1)
_NOT_COUNTED = 2**64 - 1
_Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch(Recorded):
    """The events of ``whole`` from number ``skip`` on, ``take`` of them; None: all.

    The objects that are live at the start are allocated at time 0, in the order of birth and with their sizes at that
    moment. Scopes and marks of the whole trace are left out.
    """

    whole: Source
    skip: int = 0
    take: int | None = None

    def portions(self, ending: Ending) -> Iterator[Rows]:
        """Yield the live objects, and then the stretch. Raises InputError."""
        live, at = _Live(), 0
        start: int | None = None
        threads = np.zeros(1 << 16, dtype=np.bool_)
        for rows in self.whole.portions(ending):
            words, epilogue = words_of(rows.events)
            count = len(words) if epilogue is None else epilogue
            begin = min(max(self.skip - at, 0), count)
            end = count if self.take is None else min(self.skip + self.take - at, count)
            at += count
            live.follow(words[:begin], rows)
            if begin < end and start is None:
                start = 0 if rows.nanoseconds is None else int(rows.nanoseconds[begin])
                if self.skip:
                    yield live.as_rows(rows)
                    yield mark_rows(rows)
            if begin < end:
                threads[(words[begin:end, 0] >> np.uint64(THREAD_SHIFT) & _THREAD).astype(np.intp)] = True
                yield _renumbered(rows, begin, end, live, start or 0)
            if epilogue is not None or (self.take is not None and at >= self.skip + self.take):
                break
        ending.threads = max(int(threads.sum()), 1)


class _Live:
    """The objects that are live after the events so far; memory for these alone."""

    def __init__(self) -> None:
        self.born = 0
        """Number of objects so far."""
        self._words = np.zeros((0, 2), dtype="<u8")
        """The allocation of each live object, in order of birth, with its current size."""
        self._callers = np.zeros(0, dtype=np.uint64)
        self._stacks = np.zeros(0, dtype=np.uint64)

    def __len__(self) -> int:
        return len(self._words)

    def follow(self, words: _Words, rows: Rows) -> None:
        """Process events; ``rows`` begin with these."""
        kinds, objects = words[:, 0] & _KIND, words[:, 0] >> np.uint64(OBJECT_SHIFT)
        is_birth = (kinds == ALLOCATE) | (kinds == ALLOCATE_ZEROED)
        callers, stacks = (
            np.zeros(len(words), np.uint64) if column is None else column[: len(words)]
            for column in (rows.callers, rows.stacks)
        )
        self.born += int(is_birth.sum())
        self._words = np.concatenate([self._words, words[is_birth]])
        self._callers = np.concatenate([self._callers, callers[is_birth]])
        self._stacks = np.concatenate([self._stacks, stacks[is_birth]])
        is_resize = kinds == REALLOCATE
        places = self.places(objects[is_resize])
        # Of several resizes of an object the last one counts.
        self._words[places, 1] = self._words[places, 1] & ~_SIZE | words[is_resize, 1] & _SIZE
        stays = np.ones(len(self._words), dtype=np.bool_)
        stays[self.places(objects[kinds == DEALLOCATE])] = False
        self._words, self._callers, self._stacks = self._words[stays], self._callers[stays], self._stacks[stays]

    def places(self, objects: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Return the indices of live objects; their numbers ascend."""
        return np.searchsorted(self._words[:, 0] >> np.uint64(OBJECT_SHIFT), objects)

    def as_rows(self, like: Rows) -> Rows:
        """Return the allocation of each live object, with the columns that other rows have."""
        words = np.empty((len(self), 2), dtype="<u8")
        numbers = np.arange(len(self), dtype=np.uint64) << np.uint64(OBJECT_SHIFT)
        words[:, 0] = self._words[:, 0] & _BELOW_OBJECT | numbers
        words[:, 1] = self._words[:, 1]
        return _with_columns(words, like, self._callers, self._stacks)


def mark_rows(like: Rows) -> Rows:
    """Return the mark at the start of the stretch proper, with the columns that other rows have."""
    nothing = np.zeros(1, np.uint64)
    return _with_columns(np.array([[_MARK, 0]], dtype="<u8"), like, nothing, nothing)


def _with_columns(words: _Words, like: Rows, callers: _Words, stacks: _Words) -> Rows:
    """Return events at time 0, with the columns that other rows have."""

    def column(like_column: object, values: NDArray[Any]) -> NDArray[Any] | None:
        return None if like_column is None else values

    return Rows(
        words.data.cast("B"),
        column(like.nanoseconds, np.zeros(len(words), np.int64)),
        column(like.callers, callers),
        column(like.resident, np.full(len(words), _NOT_COUNTED, np.uint64)),
        column(like.stacks, stacks),
        like.frames,
    )


def _renumbered(rows: Rows, begin: int, end: int, live: _Live, start: int) -> Rows:
    """Return events with the numbers that objects have in the stretch, and with times since its start."""
    whole = words_of(rows.events)[0][begin:end]
    kinds, objects = whole[:, 0] & _KIND, whole[:, 0] >> np.uint64(OBJECT_SHIFT)
    is_named = (kinds <= REALLOCATE) | (kinds == _WRITE)
    is_kept = is_named | (kinds >= _THREAD_START)
    is_older = is_named & (objects < live.born)
    numbers = np.where(is_named, objects - np.uint64(live.born - len(live)), objects)
    numbers[is_older] = live.places(objects[is_older])
    words = np.column_stack([whole[:, 0] & _BELOW_OBJECT | numbers << np.uint64(OBJECT_SHIFT), whole[:, 1]])[is_kept]

    def cut(column: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if column is None else column[begin:end][is_kept]

    times = cut(rows.nanoseconds)
    return Rows(
        np.ascontiguousarray(words, dtype="<u8").data.cast("B"),
        None if times is None else times - start,
        cut(rows.callers),
        cut(rows.resident),
        cut(rows.stacks),
        rows.frames,
    )


def stretch_of(whole: Source, skip: int, take: int | None) -> Stretch:
    """Return a stretch of a source: from event number ``skip`` on, ``take`` of them; None: all."""
    return Stretch(
        name=whole.name,
        touch=whole.touch,
        threads=whole.threads,
        has_threads=whole.has_threads,
        marks=(START,) if skip else (),
        notes=whole.notes,
        whole=whole,
        skip=skip,
        take=take,
    )
