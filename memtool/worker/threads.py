"""The state of a worker's threads, which the parent reads when it has to kill them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

from memtool.engine.replay.binding import ThreadPlace
from memtool.model import Mode

NOTHING, REPLAY, ALLOCATE, DEALLOCATE, REALLOCATE, OBJECT, JOIN, TURN, END = range(9)
_INSIDE = {ALLOCATE: "allocate", DEALLOCATE: "deallocate", REALLOCATE: "reallocate"}
_MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class ThreadPlan:
    """How a job's threads are replayed; the image is a thread image."""

    mode: Mode
    lanes: int
    """Threads in all."""
    at_once: int
    processors: int
    """Number of processors to which they are pinned, one each; 0: the kernel schedules them."""

    @property
    def places_bytes(self) -> int:
        """Return the length of the memory in which the threads report their state."""
        return self.lanes * ctypes.sizeof(ThreadPlace)


@dataclass(frozen=True, slots=True)
class Place:
    """The state of one thread."""

    thread: int
    at: int
    thing: int
    """The object for which it waits."""
    other: int
    """The thread for which it waits."""
    operations: int
    """Number of finished operations; counted in the check pass."""


def read_places(data: bytes) -> list[Place]:
    """Return the state of each thread."""
    size = ctypes.sizeof(ThreadPlace)
    places = (ThreadPlace.from_buffer_copy(data, at) for at in range(0, len(data), size))
    return [Place(thread, place.at, place.object, place.other, place.operations) for thread, place in enumerate(places)]


def places_in_words(places: Sequence[Place]) -> str:
    """Describe the threads that had not ended: which waits for which, and which are in the allocator."""
    unfinished = [place for place in places if place.at not in (NOTHING, END)]
    words = [_in_words(place) for place in unfinished[:_MOST_NAMED]]
    if len(unfinished) > _MOST_NAMED:
        words.append(f"and {len(unfinished) - _MOST_NAMED} more")
    return "; ".join(words)


def _in_words(place: Place) -> str:
    if place.at in _INSIDE:
        return f"thread {place.thread} is inside {_INSIDE[place.at]}, operation {place.operations} of its own"
    if place.at == OBJECT:
        return f"thread {place.thread} waits for object {place.thing} of thread {place.other}"
    if place.at == JOIN:
        return f"thread {place.thread} waits for the end of thread {place.other}"
    if place.at == TURN:
        return f"thread {place.thread} waits for its turn"
    return f"thread {place.thread} replays, or is inside the allocator"
