"""Replays at the recorded pace and from a warm heap: what is put between the events, and what their image says."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from memtool.errors import InputError
from memtool.model import Mark, Mode
from memtool.workload.sources.generated import generated
from memtool.workload.sources.source import Ending, Rows, Source
from memtool.workload.sources.staged import Stages, staged
from memtool.workload.trace import make_trace
from tests.events import ALLOCATE, DEALLOCATE, EPILOGUE, MARK, Event, decode, encode, workload_of

PACE, BEGIN = 14, 15
EVENTS: tuple[Event, ...] = (
    (ALLOCATE, 0, 100, 4),
    (ALLOCATE, 1, 300, 4),
    (MARK, 0, 0, 0),
    (DEALLOCATE, 1, 0, 0),
    (ALLOCATE, 2, 50, 4),
    (MARK, 1, 0, 0),
    (DEALLOCATE, 2, 0, 0),
    (EPILOGUE, 0, 0, 0),
    (DEALLOCATE, 0, 0, 0),
)
MICROSECONDS = (0, 10, 10, 1000, 1050, 1060, 5000, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording(Source):
    """The events above, in portions of so many."""

    portion: int = 100
    has_times: bool = True

    def events(self, ending: Ending) -> Iterator[memoryview]:
        return (rows.events for rows in self.rows(ending))

    def rows(self, ending: Ending) -> Iterator[Rows]:
        for at in (*range(0, 7, self.portion), 7):
            until = min(at + self.portion, 7) if at < 7 else 9
            portion = EVENTS[at:until]
            times = np.array(MICROSECONDS[at:until], dtype=np.int64) * 1000
            # Nobody recorded when the epilogue was.
            has_times = self.has_times and portion[0][0] != EPILOGUE
            yield Rows(encode(*portion), times if has_times else None)


def recording(portion: int = 100, *, has_times: bool = True) -> Recording:
    return Recording(name="told", marks=("full", "late"), portion=portion, has_times=has_times)


def events(source: Source) -> list[tuple[int, int]]:
    """Return (kind, object) of all events."""
    return [(kind, thing) for portion in source.events(Ending()) for kind, thing, *_ in decode(portion)]


@pytest.mark.parametrize("portion", [1, 2, 100])
def test_times_are_said_a_tenth_of_a_millisecond_apart(portion: int) -> None:
    assert events(staged(recording(portion), "t", Stages(speed=1))) == [
        (ALLOCATE, 0),
        (ALLOCATE, 1),
        (MARK, 0),
        (PACE, 1000),
        (DEALLOCATE, 1),
        (ALLOCATE, 2),
        (MARK, 1),
        (PACE, 5000),
        (DEALLOCATE, 2),
        (EPILOGUE, 0),
        (DEALLOCATE, 0),
    ]
    faster = events(staged(recording(portion), "t", Stages(speed=10)))
    assert [thing for kind, thing in faster if kind == PACE] == [100, 500]
    assert [thing for kind, thing in events(staged(recording(portion), "t", Stages(speed=0.5))) if kind == PACE] == [
        2000,
        2100,
        10000,
    ]


@pytest.mark.parametrize("portion", [1, 2, 100])
@pytest.mark.parametrize(
    ("begin", "warm"), [("2", 2), ("40%", 2), ("full", 2), ("4", 4), ("late", 4), ("1.05ms", 3), ("0.0011s", 4)]
)
def test_figures_begin_at_a_moment(begin: str, warm: int, portion: int) -> None:
    ending = Ending()
    source = staged(recording(portion), "t", Stages(begin=begin))
    kinds = [kind for piece in source.events(ending) for kind, *_ in decode(piece)]
    before = kinds[: kinds.index(BEGIN)]
    assert len([kind for kind in before if kind < 4]) == warm
    assert kinds.count(BEGIN) == 1
    assert ending.begins == {"at": begin, "operation": warm}
    assert source.name == f"told:from={begin}"


def test_marks_before_the_beginning_are_gone() -> None:
    source = staged(recording(), "t", Stages(begin="full"))
    assert source.marks == ("late",)
    assert [(kind, thing) for kind, thing in events(source) if kind in (MARK, BEGIN)] == [(BEGIN, 0), (MARK, 0)]


def test_a_pace_counts_from_the_beginning() -> None:
    ending = Ending()
    source = staged(recording(), "t", Stages(speed=1, begin="3"))
    kinds = [event[:2] for piece in source.events(ending) for event in decode(piece)]
    assert kinds[3:] == [
        (DEALLOCATE, 1),
        (BEGIN, 0),
        (ALLOCATE, 2),
        (MARK, 1),
        (PACE, 3950),
        (DEALLOCATE, 2),
        (EPILOGUE, 0),
        (DEALLOCATE, 0),
    ]
    assert ending.pace == {"speed": 1, "seconds": 0.00395}
    assert source.name == "told:paced:from=3"


def test_the_image_of_what_begins_later() -> None:
    with make_trace(staged(recording(), "t", Stages(begin="2")), "t") as trace:
        info, image = trace.info, os.pread(trace.image_fd, trace.image_bytes, 0)
    # Of two allocations 400 bytes are alive; then 300 go, 50 come and go.
    assert (info.operations, info.epilogue_operations, info.allocations) == (3, 1, 3)
    assert (info.peak_live_bytes, info.peak_live_objects, info.total_bytes) == (400, 2, 450)
    assert info.begins == {"at": "2", "operation": 2}
    # The first mark lies before what is measured, if only just: it is at its very beginning.
    assert info.marks == (Mark("full", 0, 400, 0.0), Mark("late", 2, 150, 2 / 4))
    words, epilogue_word, begin_word, warm = struct.unpack_from("<4Q", image, 8)
    assert (words, epilogue_word, begin_word, warm) == (8, 7, 3, 2)


def test_what_is_replayed_otherwise_has_other_events_and_another_name() -> None:
    traces = []
    for stages in (Stages(), Stages(speed=1), Stages(speed=2), Stages(begin="2")):
        with make_trace(staged(recording(), "t", stages), "t") as trace:
            traces.append(trace.info)
    assert len({info.event_hash for info in traces}) == 4
    assert [info.name for info in traces] == ["told", "told:paced", "told:paced=2", "told:from=2"]


@pytest.mark.parametrize(
    ("stages", "has_times", "words"),
    [
        (Stages(speed=1), False, "t: with paced: it does not say when its events took place"),
        (Stages(begin="1s"), False, "t: with begin: it does not say when its events took place"),
        (Stages(begin="5"), True, "t: with begin 5: nothing comes after that"),
        (Stages(begin="1h"), True, "t: with begin 1h: nothing comes after that"),
        (
            Stages(begin="middle"),
            True,
            "t: with begin middle: must be the number of an operation, a share such as 50%, a time such as 2.5s, or "
            "one of its marks (full, late)",
        ),
    ],
)
def test_what_cannot_be_is_refused(stages: Stages, has_times: bool, words: str) -> None:
    with pytest.raises(InputError) as caught:
        make_trace(staged(recording(has_times=has_times), "t", stages), "t", Mode.SERIAL)
    assert str(caught.value) == words


def test_arrivals_are_a_pace_of_their_own() -> None:
    content = {"allocations": 10, "objects": [{"size": 8, "lifetime": 2}], "arrivals": {"poisson": {"rate": "1k/s"}}}
    with pytest.raises(InputError, match="it has arrivals, which are its pace"):
        staged(generated(workload_of(content), 1), "t", Stages(speed=1))


class InTurn(Recording):
    """Two threads in turn."""

    def rows(self, ending: Ending) -> Iterator[Rows]:
        times = np.array([0, 0, 300, 310, 600, 650], np.int64) * 1000
        yield Rows(encode(*((ALLOCATE | (number % 2) << 8, number, 8, 4) for number in range(6))), times)


def test_each_thread_looks_at_the_clock_for_itself() -> None:
    source = staged(InTurn(name="t", threads=2), "t", Stages(speed=1.0))
    made = b"".join(bytes(part) for part in source.events(Ending()))
    heads = np.frombuffer(made, "<u8")[::2].tolist()
    paces = [(head >> 8 & 0xFFFF, head >> 24) for head in heads if head & 0xFF == PACE]
    assert paces == [(0, 300), (1, 310), (0, 600), (1, 650)]
