"""What docs/workloads.md says of lifetimes, phases, patterns and frames, event by event."""

from __future__ import annotations

from typing import Any

import pytest

from tests.events import ALLOCATE, DEALLOCATE, MARK, REALLOCATE, events_of, in_words

EXAMPLES: dict[str, tuple[dict[str, Any], str]] = {
    "lifetime 2: freed immediately before the second next allocation": (
        {"allocations": 5, "objects": [{"size": 8, "lifetime": 2}]},
        "A0 A1 F0 A2 F1 A3 F2 A4 | F3 F4",
    ),
    "lifetime 1: a pair of allocate and free": (
        {"allocations": 3, "objects": [{"size": 8, "lifetime": 1}]},
        "A0 F0 A1 F1 A2 | F2",
    ),
    "forever: the epilogue frees in order of birth": (
        {"allocations": 3, "objects": [{"size": 8, "lifetime": "forever"}]},
        "A0 A1 A2 | F0 F1 F2",
    ),
    "a ramp holds lifetimes back": (
        {
            "allocations": 5,
            "objects": [{"size": 8, "lifetime": 2}],
            "phases": [{"ramp": "40%"}, {"steady": "60%"}],
        },
        "A0 A1 A2 F1 F0 A3 F2 A4 | F3 F4",
    ),
    "a drain goes on without allocations": (
        {
            "allocations": 4,
            "objects": [{"size": 8, "lifetime": 3}],
            "phases": [{"steady": "50%"}, {"drain": "50%"}],
        },
        "A0 A1 A2 F0 A3 F1 F2 F3",
    ),
    "a short drain leaves the rest to the epilogue": (
        {
            "allocations": 4,
            "objects": [{"size": 8, "lifetime": 3}],
            "phases": [{"steady": "80%"}, {"drain": "20%"}],
        },
        "A0 A1 A2 F0 A3 F1 | F2 F3",
    ),
    "until a moment of the run": (
        {
            "allocations": 4,
            "objects": [{"size": 8, "lifetime": {"until": "50%"}}],
        },
        "A0 A1 F1 F0 A2 F2 A3 | F3",
    ),
    "until the last allocation, whatever the ramp": (
        {
            "allocations": 4,
            "objects": [{"size": 8, "lifetime": {"until": "100%"}}],
            "phases": [{"ramp": "40%"}, {"steady": "40%"}, {"drain": "20%"}],
        },
        "A0 A1 A2 A3 F3 F2 F1 F0",
    ),
    "until a moment between two drains": (
        {
            "allocations": 4,
            "objects": [{"size": 8, "lifetime": {"until": "50%"}}],
            "phases": [{"steady": "40%"}, {"drain": "20%"}, {"steady": "40%"}],
        },
        "A0 A1 F1 F0 A2 F2 A3 | F3",
    ),
    "resizes spread up to that moment": (
        {"allocations": 5, "objects": [{"size": 8, "lifetime": {"until": "80%"}, "resize": {"share": "100%"}}]},
        "A0 A1 R1 R0 A2 R2 A3 F3 F2 F0 F1 A4 | F4",
    ),
    "phases with mixes of their own": (
        {
            "allocations": 4,
            "objects": [
                {"name": "table", "size": 8, "lifetime": "forever"},
                {"name": "row", "size": 8, "lifetime": 1, "zeroed": True},
            ],
            "phases": [{"ramp": "50%", "mix": {"table": 1}}, {"steady": "50%", "mix": {"row": 2}}],
        },
        "A0 A1 Z2 F2 Z3 | F0 F1 F3",
    ),
    "two drains": (
        {
            "allocations": 2,
            "objects": [{"size": 8, "lifetime": 1}],
            "phases": [{"steady": "25%"}, {"drain": "25%"}, {"steady": "25%"}, {"drain": "25%"}],
        },
        "A0 F0 A1 F1",
    ),
    "a resize halfway through life": (
        {"allocations": 5, "objects": [{"size": 8, "lifetime": 4, "resize": {}}]},
        "A0 A1 R0 A2 R1 A3 R2 F0 A4 | F1 F2 F3 F4",
    ),
    "resizes right after the birth need no time": (
        {"allocations": 2, "objects": [{"size": 8, "lifetime": 1, "resize": {"times": 3, "when": "at_birth"}}]},
        "A0 R0 R0 R0 F0 A1 R1 R1 R1 | F1",
    ),
    "so may grow what lives for ever": (
        {"allocations": 2, "objects": [{"size": 8, "lifetime": "forever", "resize": {"when": "at_birth"}}]},
        "A0 R0 A1 R1 | F0 F1",
    ),
    "two resizes, spread over the life": (
        {"allocations": 7, "objects": [{"size": 8, "lifetime": 6, "resize": {"times": 2}}]},
        "A0 A1 R0 A2 R1 A3 R2 R0 A4 R3 R1 A5 R4 F0 R2 A6 | F1 F2 F3 F4 F5 F6",
    ),
    "no more resizes than the life has ticks for": (
        {"allocations": 3, "objects": [{"size": 8, "lifetime": 2, "resize": {"times": 9}}]},
        "A0 R0 A1 R1 F0 A2 | F1 F2",
    ),
    "zeroed": (
        {"allocations": 1, "objects": [{"size": 8, "lifetime": 2, "zeroed": True}]},
        "Z0 | F0",
    ),
    "lifo": (
        {"allocations": 5, "pattern": {"lifo": {"batch": 3, "size": 8}}},
        "A0 A1 A2 F2 F1 F0 A3 A4 F4 F3",
    ),
    "batches, oldest first": (
        {"allocations": 3, "pattern": {"batches": {"batch": 3, "size": 8}}},
        "A0 A1 A2 F0 F1 F2",
    ),
    "batches, from both ends": (
        {"allocations": 5, "pattern": {"batches": {"batch": 5, "size": 8, "order": "both-ends"}}},
        "A0 A1 A2 A3 A4 F0 F1 F4 F3 F2",
    ),
    "fifo: in, then out": (
        {"allocations": 4, "pattern": {"fifo": {"live": 2, "size": 8}}},
        "A0 A1 A2 F0 A3 F1 | F2 F3",
    ),
    "ring: out, then in": (
        {"allocations": 4, "pattern": {"ring": {"live": 2, "size": 8}}},
        "A0 A1 F0 A2 F1 A3 F2 | F3",
    ),
    "ramp": (
        {"allocations": 3, "pattern": {"ramp": {"size": 8, "order": "youngest"}}},
        "A0 A1 A2 F2 F1 F0",
    ),
    "sawtooth, a middle kept": (
        {"allocations": 6, "pattern": {"sawtooth": {"high": 4, "low": 2, "size": 8, "order": "both-ends"}}},
        "A0 A1 A2 A3 F0 F3 A4 A5 F1 F5 | F2 F4",
    ),
    "producer and consumer": (
        {"allocations": 6, "pattern": {"producer-consumer": {"batch": 2, "depth": 2, "size": 8}}},
        "A0 A1 A2 A3 F0 F1 A4 A5 F2 F3 | F4 F5",
    ),
    "toggle with one slot": (
        {"allocations": 3, "pattern": {"toggle": {"slots": 1, "size": 8}}},
        "A0 F0 A1 F1 A2 | F2",
    ),
    "toggle, filled at first": (
        {"allocations": 2, "pattern": {"toggle": {"slots": 2, "filled": "100%", "size": 8}}},
        "A0 A1 | F0 F1",
    ),
    "a slot is filled before its old object goes": (
        {"allocations": 4, "pattern": {"larson": {"live": 1, "allocate_first": True, "size": 8}}},
        "A0 A1 F0 A2 F1 A3 F2 | F3",
    ),
    "a buffer keeps its next fifth": (
        {"allocations": 12, "pattern": {"buffer": {"slots": 5, "size": 8}}},
        "A0 A1 A2 A3 A4 F4 F3 F2 F1 A5 A6 A7 A8 F0 F8 F7 F6 A9 A10 A11 | F5 F9 F10 F11",
    ),
    "a forgetful buffer overwrites its first fifth": (
        {"allocations": 12, "pattern": {"buffer": {"slots": 5, "size": 8, "forgetful": True}}},
        "A0 A1 A2 A3 A4 F4 F3 F2 F1 A5 A6 A7 A8 A9 F5 F9 F8 F7 A10 A11 | F0 F6 F10 F11",
    ),
    "slots are emptied in strides of 11 and filled in strides of 7": (
        {"allocations": 12, "pattern": {"refill": {"slots": 5, "emptied": 2, "filled": 3, "size": 8}}},
        "A0 A1 A2 F1 A3 A4 F0 A5 F2 F5 A6 A7 F3 A8 F8 F6 F4 A9 A10 A11 | F7 F9 F10 F11",
    ),
    "a sweep": (
        {"allocations": 2, "pattern": {"sweep": {"settled": 1, "size": 8}}},
        "A0 A1 R0 | F0 F1",
    ),
    "frames end with the youngest": (
        {"frames": {"count": 2, "objects_per_frame": 2}, "objects": [{"size": 8}]},
        "( A0 A1 [ F1 F0 ]) ( A2 A3 [ F3 F2 ])",
    ),
    "scopes within a frame": (
        {
            "frames": {"count": 1, "objects_per_frame": 1, "scopes": {"per_frame": 2, "objects": 1}},
            "objects": [{"size": 8}],
        },
        "( A0 ( A1 [ F1 ]) ( A2 [ F2 ]) [ F0 ])",
    ),
    "scopes within scopes": (
        {
            "frames": {"count": 1, "objects_per_frame": 0, "scopes": {"per_frame": 1, "objects": 1, "depth": 2}},
            "objects": [{"size": 8}],
        },
        "( ( A0 ( A1 [ F1 ]) [ F0 ]) [ ])",
    ),
    "a mark after so many allocations, before what is freed next": (
        {"allocations": 5, "objects": [{"size": 8, "lifetime": 2}], "marks": {"most": "60%"}},
        "A0 A1 F0 A2 *0 F1 A3 F2 A4 | F3 F4",
    ),
    "marks are numbered in the order of the run, and share a place in that of the file": (
        {
            "allocations": 5,
            "objects": [{"size": 8, "lifetime": "forever"}],
            "marks": {"c": 4, "a": "39.9%", "b": "20%", "d": "80%"},
        },
        "A0 *0 *1 A1 A2 A3 *2 *3 A4 | F0 F1 F2 F3 F4",
    ),
    "no share is before the first allocation, and the last one is a count": (
        {"allocations": 3, "pattern": {"ramp": {"size": 8}}, "marks": {"first": "1%", "full": 3}},
        "A0 *0 A1 A2 *1 F0 F1 F2",
    ),
    "a mark of a pattern": (
        {"allocations": 4, "pattern": {"ring": {"live": 2, "size": 8}}, "marks": {"half": "50%"}},
        "A0 A1 *0 F0 A2 F1 A3 F2 | F3",
    ),
    "a mark of frames is at the end of one, before its objects are freed": (
        {
            "frames": {"count": 2, "objects_per_frame": 2},
            "objects": [{"size": 8}],
            "marks": {"first": "50%", "last": 2},
        },
        "( A0 A1 *0 [ F1 F0 ]) ( A2 A3 *1 [ F3 F2 ])",
    ),
    "a mark of frames is not in the scopes": (
        {
            "frames": {"count": 1, "objects_per_frame": 1, "scopes": {"per_frame": 2, "objects": 1}},
            "objects": [{"size": 8}],
            "marks": {"end-of-frame": 1},
        },
        "( A0 ( A1 [ F1 ]) ( A2 [ F2 ]) *0 [ F0 ])",
    ),
    "in a frame an object grows at once": (
        {"frames": {"count": 1, "objects_per_frame": 2}, "objects": [{"size": 8, "resize": {"times": 2}}]},
        "( A0 R0 R0 A1 R1 R1 [ F1 F0 ])",
    ),
}


@pytest.mark.parametrize(("content", "expected"), EXAMPLES.values(), ids=EXAMPLES)
def test_worked_examples(content: dict[str, Any], expected: str) -> None:
    assert in_words(events_of(content)) == expected


def test_a_profile_populates_first_and_forgets_nothing() -> None:
    events = events_of({"allocations": 10, "profile": {"heap": 800, "rows": [[8, 1, 1]]}})
    kinds = [kind for kind, *_ in events]
    assert kinds[:100] == [ALLOCATE] * 100
    assert kinds.count(ALLOCATE) == 110
    assert kinds.count(DEALLOCATE) == 110


def test_marks_of_a_profile_count_what_is_populated() -> None:
    marks = {"half": "50%", "populated": 100, "last": 110}
    events = events_of({"allocations": 10, "profile": {"heap": 800, "rows": [[8, 1, 1]]}, "marks": marks})
    allocated = [
        sum(kind == ALLOCATE for kind, *_ in events[:at]) for at, (kind, *_) in enumerate(events) if kind == MARK
    ]
    assert allocated == [55, 100, 110]


# A buffer that is reallocated for every element of 8 bytes could not be said.
@pytest.mark.parametrize(
    ("resize", "sizes"),
    [
        ({"by": 8}, [16, 24, 32]),
        ({"by": "4KiB"}, [4104, 8200, 12296]),
        ({"by": 1, "factor": 2}, [17, 35, 71]),
        ({"by": 1, "factor": 0.5}, [5, 3, 2]),
        ({"factor": 1}, [8, 8, 8]),
        ({}, [16, 32, 64]),
    ],
)
def test_resized_objects_grow_by_so_many_bytes(resize: dict[str, Any], sizes: list[int]) -> None:
    grows = {"size": 8, "lifetime": "forever", "resize": {"times": 3, "when": "at_birth", **resize}}
    content = {"allocations": 1, "objects": [grows]}
    assert [size for kind, _, size, _ in events_of(content) if kind == REALLOCATE] == sizes


@pytest.mark.parametrize(
    ("resize", "sizes"),
    [({"factor": 2}, [0, 0]), ({"factor": 0.1}, [0, 0]), ({"by": 8}, [8, 16]), ({"by": 3, "factor": 2}, [3, 9])],
)
def test_nothing_stays_nothing_unless_bytes_are_added(resize: dict[str, Any], sizes: list[int]) -> None:
    grows = {"size": 0, "lifetime": "forever", "resize": {"times": 2, "when": "at_birth", **resize}}
    events = events_of({"allocations": 1, "objects": [grows]})
    assert [size for kind, _, size, _ in events if kind == REALLOCATE] == sizes


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (0, [0, 0, 0, 0]),
        ({"cycle": [[1, 0], [2, 64]]}, [0, 64, 64, 0]),
        ({"choice": {0: 1}}, [0, 0, 0, 0]),
        ({"uniform": [0, 0]}, [0, 0, 0, 0]),
        ({"histogram": [[0, 0, 1]]}, [0, 0, 0, 0]),
    ],
)
def test_requests_of_nothing_are_events_like_others(size: object, sizes: list[int]) -> None:
    events = events_of({"allocations": 4, "objects": [{"size": size, "lifetime": 2}]})
    assert in_words(events) == "A0 A1 F0 A2 F1 A3 | F2 F3"
    assert [size for kind, _, size, _ in events if kind == ALLOCATE] == sizes


def test_a_law_that_begins_at_0_draws_it() -> None:
    events = events_of({"allocations": 400, "objects": [{"size": {"uniform": [0, 3]}, "lifetime": 1}]})
    assert {size for kind, _, size, _ in events if kind == ALLOCATE} == {0, 1, 2, 3}


def test_a_continuous_law_draws_at_least_1() -> None:
    events = events_of({"allocations": 400, "objects": [{"size": {"exponential": {"mean": 1}}, "lifetime": 1}]})
    assert min(size for kind, _, size, _ in events if kind == ALLOCATE) == 1


def test_resized_objects_grow_by_the_factor() -> None:
    resize = {"times": 3, "factor": 1.5}
    events = events_of({"allocations": 20, "objects": [{"size": 100, "lifetime": 8, "resize": resize}]})
    assert [size for kind, thing, size, _ in events if thing == 0 and kind in (ALLOCATE, REALLOCATE)] == [
        100,
        150,
        225,
        337,
    ]


def test_the_largest_size_is_not_grown_beyond() -> None:
    events = events_of({"allocations": 3, "objects": [{"size": "100TiB", "lifetime": 2, "resize": {"factor": 1000}}]})
    assert max(size for _, _, size, _ in events) == 1 << 47
