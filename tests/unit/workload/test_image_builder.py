"""Event images: what is refused, and what hand-made events become."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from memtool.engine.generate.binding import ImageBuilder
from memtool.engine.loading import EngineError
from tests.events import (
    ALLOCATE,
    ALLOCATE_ZEROED,
    DEALLOCATE,
    EPILOGUE,
    MARK,
    REALLOCATE,
    SCOPE_BEGIN,
    SCOPE_CLOSED,
    SCOPE_END,
    Event,
    encode,
    read_image,
)

NEVER = 2**64 - 1


@pytest.fixture
def file() -> Iterator[int]:
    descriptor = os.memfd_create("image")
    yield descriptor
    os.close(descriptor)


def allocate(thing: int, size: int = 8, log2_alignment: int = 4) -> Event:
    return ALLOCATE, thing, size, log2_alignment


def free(thing: int) -> Event:
    return DEALLOCATE, thing, 0, 0


def bare(kind: int) -> Event:
    return kind, 0, 0, 0


def build(file: int, *events: Event) -> dict[str, int]:
    with ImageBuilder("pages", file) as builder:
        builder.append(encode(*events))
        return builder.finish()


IMPOSSIBLE: dict[str, tuple[list[Event], str]] = {
    "double free": ([allocate(0), free(0), free(0)], "object 0 is freed or resized while it is not alive"),
    "free of the unborn": ([free(7)], "object 7 is freed or resized while it is not alive"),
    "resize of the dead": (
        [allocate(0), free(0), (REALLOCATE, 0, 9, 4)],
        "object 0 is freed or resized while it is not alive",
    ),
    "a number left out": ([allocate(1)], "object 1 is not the next number"),
    "a number used again": ([allocate(0), free(0), allocate(0)], "object 0 is not the next number"),
    "a leak": ([allocate(0), allocate(1), free(1)], "1 objects are never freed"),
    "an open scope": ([bare(SCOPE_BEGIN)], "a scope is still open at the end"),
    "an end without a scope": ([bare(SCOPE_END)], "a scope is ended that was not begun"),
    "a close without an end": ([bare(SCOPE_BEGIN), bare(SCOPE_CLOSED)], "a scope is closed that was not ended"),
    "an epilogue in a scope": (
        [bare(SCOPE_BEGIN), bare(EPILOGUE)],
        "a scope is still open where the epilogue begins",
    ),
    "two epilogues": ([bare(EPILOGUE), bare(EPILOGUE)], "a second epilogue"),
    "an allocation in the epilogue": ([bare(EPILOGUE), allocate(0)], "an allocation in the epilogue"),
    "an unknown kind": ([bare(200)], "an event of the unknown kind 200"),
}


@pytest.mark.parametrize(("events", "words"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_an_impossible_sequence_is_refused_in_words(file: int, events: list[Event], words: str) -> None:
    with pytest.raises(EngineError) as caught:
        build(file, *events)
    assert str(caught.value) == words


def test_an_image_that_was_never_finished_is_none(file: int) -> None:
    with ImageBuilder("pages", file) as builder:
        builder.append(encode(allocate(0)))
    assert os.pread(file, 1000, 0) == bytes(22 * 8)


def test_a_file_that_takes_nothing_is_an_error() -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(EngineError, match="the event image cannot be written: Illegal seek"):
            ImageBuilder("pages", writer)
    finally:
        os.close(reader)
        os.close(writer)


def test_head_and_words_of_a_small_trace(file: int) -> None:
    head = build(
        file,
        allocate(0, 100),
        (ALLOCATE_ZEROED, 1, 50, 6),
        (MARK, 7, 0, 0),
        (REALLOCATE, 0, 10, 4),
        free(1),
        allocate(2, 1 << 33),
        free(2),
        allocate(3, 100),
        bare(EPILOGUE),
        free(0),
        free(3),
    )
    assert head == {
        "magic": 0x34474D494D544D4D,
        "begin_word": 0,
        "warm_operations": 0,
        "marks": 1,
        "words": 16,
        "epilogue_word": 14,
        "operations": 7,
        "epilogue_operations": 2,
        "allocations": 4,
        "reallocations": 1,
        "slots": 2,
        "peak_live_bytes": (1 << 33) + 10,
        "peak_live_word": 11,
        "peak_live_objects": 2,
        "total_bytes": 100 + 50 + 10 + (1 << 33) + 100,
        "smallest_size": 10,
        "largest_size": 1 << 33,
        "largest_alignment": 64,
        "scopes": 0,
        "first_not_lifo": 2,
        "first_not_fifo": 2,
        "touch": 2,
    }
    assert read_image(os.pread(file, 1000, 0)) == [
        (ALLOCATE, 0, 100, 16),
        (ALLOCATE_ZEROED, 1, 50, 64),
        (MARK, 7),
        (REALLOCATE, 0, 10, 16, 100),
        (DEALLOCATE, 1, 50, 64),
        (ALLOCATE, 1, 1 << 33, 16),
        (DEALLOCATE, 1, 1 << 33, 16),
        (ALLOCATE, 1, 100, 16),
        (DEALLOCATE, 0, 10, 16),
        (DEALLOCATE, 1, 100, 16),
    ]


def test_marks_know_where_they_are(file: int) -> None:
    with ImageBuilder("pages", file) as builder:
        builder.append(encode((MARK, 0, 0, 0), allocate(0, 100), (MARK, 1, 0, 0), (REALLOCATE, 0, 10, 4)))
        builder.append(encode((MARK, 2, 0, 0), free(0)))
        builder.finish()
        # Operations before it, live bytes, words before it: a reallocation has three.
        assert builder.marks() == [(0, 0, 0), (1, 100, 2), (2, 10, 6)]


def test_slots_are_recycled_youngest_first(file: int) -> None:
    build(file, allocate(0), allocate(1), free(0), free(1), allocate(2), allocate(3), free(2), free(3))
    slots = [slot for _, slot, *_ in read_image(os.pread(file, 1000, 0))]
    assert slots == [0, 1, 0, 1, 1, 0, 1, 0]


def test_frees_in_stack_order_are_known_as_such(file: int) -> None:
    head = build(file, allocate(0), allocate(1), (REALLOCATE, 1, 9, 4), free(1), allocate(2), free(2), free(0))
    assert head["first_not_lifo"] == NEVER


def test_frees_in_queue_order_are_known_as_such(file: int) -> None:
    grow = (REALLOCATE, 1, 9, 4)
    head = build(file, allocate(0), allocate(1), grow, free(0), allocate(2), free(1), bare(EPILOGUE), free(2))
    assert head["first_not_fifo"] == NEVER
    assert head["first_not_lifo"] == 3


@pytest.mark.parametrize(
    ("odd", "rest"),
    [
        (free(1), [free(0)]),
        # Only the last born can still grow: it may have to move, and what is behind another is not its to leave.
        ((REALLOCATE, 0, 9, 4), [free(0), free(1)]),
    ],
)
def test_the_first_event_out_of_queue_order_is_known(file: int, odd: Event, rest: list[Event]) -> None:
    assert build(file, allocate(0), allocate(1), odd, *rest)["first_not_fifo"] == 2


def test_a_scope_knows_how_many_words_end_it(file: int) -> None:
    inner = (bare(SCOPE_BEGIN), allocate(1, 8, 6), bare(SCOPE_END), free(1), bare(SCOPE_CLOSED))
    head = build(file, bare(SCOPE_BEGIN), allocate(0), *inner, bare(SCOPE_END), free(0), bare(SCOPE_CLOSED))
    assert head["scopes"] == 2
    skips = [word[1] for word in read_image(os.pread(file, 1000, 0)) if word[0] == SCOPE_END]
    assert skips == [2, 1]


def test_a_long_trace_is_written_as_it_comes(file: int) -> None:
    # More words than the builder keeps, so that the outer scope's end is patched in what was written before.
    count = 200_000
    events = [bare(SCOPE_BEGIN), *(allocate(thing) for thing in range(count)), bare(SCOPE_END)]
    events += [free(thing) for thing in reversed(range(count))]
    head = build(file, *events, bare(SCOPE_CLOSED))
    assert head["words"] == 2 * count + 2
    image = os.pread(file, 8 * (head["words"] + 19), 0)
    assert read_image(image)[count + 1] == (SCOPE_END, count)
    assert head["first_not_lifo"] == NEVER


def test_nothing_is_written_to_an_object_of_0_bytes(file: int) -> None:
    """WRITE is kind 13; requests of 0 bytes take the form with a word for their size."""
    with ImageBuilder("none", file) as builder:
        builder.append(encode(allocate(0, 0), allocate(1, 8), (13, 0, 5, 0), (13, 1, 5, 0), free(0), free(1)))
        head = builder.finish()
    assert (head["operations"], head["smallest_size"], head["words"]) == (4, 0, 2 + 1 + 1 + 2 + 1)
