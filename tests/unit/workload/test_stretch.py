"""A stretch of a trace: what lives at its start comes first, and objects keep being the ones that they were."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from memtool.workload.sources.recorded import Recorded
from memtool.workload.sources.source import Ending, Rows
from memtool.workload.sources.stretch import stretch_of
from tests.events import ALLOCATE, ALLOCATE_ZEROED, DEALLOCATE, REALLOCATE, Event, decode, encode

NEVER = 2**64 - 1
EVENTS: tuple[Event, ...] = (
    (ALLOCATE, 0, 100, 4),
    (ALLOCATE_ZEROED, 1, 64, 6),
    (REALLOCATE, 0, 200, 0),
    (DEALLOCATE, 1, 0, 0),
    (ALLOCATE, 2, 8, 4),
    (REALLOCATE, 0, 300, 0),
    # Here the stretch begins: 0 with 300 bytes and 2 live.
    (ALLOCATE, 3, 16, 4),
    (DEALLOCATE, 2, 0, 0),
    (REALLOCATE, 0, 400, 0),
    (13, 3, 5, 0),
    (DEALLOCATE, 0, 0, 0),
    (ALLOCATE, 4, 32, 4),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given(Recorded):
    """Events of a test, in portions of a size, with a time, a call site and resident bytes each."""

    portion: int

    def portions(self, ending: Ending) -> Iterator[Rows]:
        for at in range(0, len(EVENTS), self.portion):
            events = EVENTS[at : at + self.portion]
            numbers = np.arange(at, at + len(events))
            yield Rows(encode(*events), numbers * 10, numbers.astype(np.uint64) + 1, np.full(len(events), 7, np.uint64))


def taken(skip: int, take: int | None, portion: int = 3) -> list[Rows]:
    return list(stretch_of(Given(name="given", portion=portion), skip, take).portions(Ending()))


def events(rows: list[Rows]) -> list[Event]:
    return [event for row in rows for event in decode(row.events)]


@pytest.mark.parametrize("portion", [1, 3, 5, 12])
def test_what_lives_is_allocated_first_with_the_size_that_it_has(portion: int) -> None:
    assert events(taken(6, 5, portion)) == [
        (ALLOCATE, 0, 300, 4),
        (ALLOCATE, 1, 8, 4),
        (7, 0, 0, 0),
        (ALLOCATE, 2, 16, 4),
        (DEALLOCATE, 1, 0, 0),
        (REALLOCATE, 0, 400, 0),
        (13, 2, 5, 0),
        (DEALLOCATE, 0, 0, 0),
    ]


def test_a_zeroed_object_and_an_alignment_stay_what_they_are() -> None:
    assert events(taken(3, 1))[:2] == [(ALLOCATE, 0, 200, 4), (ALLOCATE_ZEROED, 1, 64, 6)]


def test_from_the_beginning_nothing_stands_before_it() -> None:
    assert events(taken(0, 4)) == list(EVENTS[:4])
    assert events(taken(0, None)) == list(EVENTS)
    assert stretch_of(Given(name="given", portion=3), 0, 4).marks == ()


def test_times_begin_with_the_stretch_and_call_sites_stay() -> None:
    times, callers, resident = _columns(taken(6, 3, 12))
    assert times == [0, 0, 0, 0, 10, 20]
    assert callers == [1, 5, 0, 7, 8, 9]
    assert resident == [NEVER, NEVER, NEVER, 7, 7, 7]


def test_one_mark_says_where_it_starts_and_the_rest_is_of_the_whole() -> None:
    whole = Given(name="given", portion=3, touch="all", threads=2, has_threads=True)
    stretch = stretch_of(whole, 6, None)
    assert (stretch.name, stretch.marks, stretch.touch, stretch.has_threads) == ("given", ("start",), "all", True)
    ending = Ending()
    list(stretch.portions(ending))
    assert ending.threads == 1


def _columns(rows: list[Rows]) -> tuple[list[int], list[int], list[int]]:
    times: list[int] = []
    callers: list[int] = []
    resident: list[int] = []
    for row in rows:
        assert row.nanoseconds is not None
        assert row.callers is not None
        assert row.resident is not None
        times += row.nanoseconds.tolist()
        callers += row.callers.tolist()
        resident += row.resident.tolist()
    return times, callers, resident
