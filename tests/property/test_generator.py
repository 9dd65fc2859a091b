"""Random workloads: their events are possible, their images say the same, and their heads are right."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from memtool.workload.description.characterise import characterise
from memtool.workload.sources.generated import generated
from memtool.workload.sources.source import Ending
from memtool.workload.trace import make_trace
from tests.events import (
    ALLOCATE,
    ALLOCATE_ZEROED,
    DEALLOCATE,
    MARK,
    REALLOCATE,
    Oracle,
    events_of,
    read_image,
    workload_of,
)

SIZES = st.one_of(
    st.integers(1, 1 << 20),
    st.just("8TiB"),
    st.builds(lambda low, more: {"uniform": [low, low + more]}, st.integers(1, 4096), st.integers(0, 4096)),
    st.just({"choice": {16: 3, "4KiB": 1}}),
    st.just({"histogram": [[1, 8, 5], [100, 200, 0.5]]}),
    st.just({"cycle": [[1, 8], [2, 0]]}),  # never 0 alone: a workload of nothing else is refused
    st.just({"lognormal": {"median": 64, "sigma": 1.5, "max": "1MiB"}}),
    st.just({"normal": {"mean": 100, "deviation": 60, "min": 3}}),
    st.just({"pareto": {"minimum": 16, "alpha": 1.1}}),
)
LIFETIMES = st.one_of(
    st.integers(1, 50),
    st.just("forever"),
    st.just({"exponential": {"mean": 20}}),
    st.just({"pareto": {"minimum": 3, "alpha": 0.7}}),
    st.just({"cycle": [[2, 3], [1, 500]]}),
)
RESIZES = st.fixed_dictionaries(
    {"share": st.sampled_from(["30%", "100%"]), "factor": st.sampled_from([0.5, 2, 1.1]), "times": st.integers(1, 4)}
)
ALIGNMENTS = st.sampled_from([1, 16, 64, 4096, "2MiB"])


@st.composite
def object_classes(draw: st.DrawFn, in_frames: bool = False) -> dict[str, Any]:
    result: dict[str, Any] = {
        "size": draw(SIZES),
        "weight": draw(st.sampled_from([1, 0.25, 7])),
        "alignment": draw(ALIGNMENTS),
        "zeroed": draw(st.booleans()),
    }
    if not in_frames:
        result["lifetime"] = draw(LIFETIMES)
    if draw(st.booleans()) and result.get("lifetime") != "forever":
        result["resize"] = draw(RESIZES)
    return result


@st.composite
def patterns(draw: st.DrawFn) -> dict[str, Any]:
    size, few, order = draw(SIZES), st.integers(1, 9), st.sampled_from(["oldest", "youngest", "random", "both-ends"])
    low = draw(st.integers(0, 8))
    kinds: dict[str, dict[str, Any]] = {
        "lifo": {"batch": draw(few)},
        "batches": {"batch": {"uniform": [1, draw(few)]}, "order": draw(order)},
        "fifo": {"live": draw(few)},
        "ring": {"live": draw(few)},
        "random-victim": {"live": draw(few)},
        "larson": {"live": draw(few), "allocate_first": draw(st.booleans())},
        "ramp": {"order": draw(order)},
        "sawtooth": {"low": low, "high": low + draw(few), "order": draw(order)},
        "producer-consumer": {"batch": draw(few), "depth": draw(few)},
        "toggle": {"slots": draw(few), **draw(st.sampled_from([{}, {"skew": "80%"}, {"filled": "50%"}]))},
        "buffer": {"slots": draw(few), "kept": draw(st.sampled_from(["20%", "75%"])), "forgetful": draw(st.booleans())},
        "refill": {"slots": draw(few), "emptied": draw(st.integers(0, 9)), "filled": draw(few)},
        "sweep": {"settled": draw(few)},
    }
    name = draw(st.sampled_from(sorted(kinds)))
    return {name: {**kinds[name], "size": size, "alignment": draw(ALIGNMENTS)}}


PHASES = st.sampled_from(
    [
        [{"steady": "100%"}],
        [{"ramp": "100%"}],
        [{"ramp": "20%"}, {"steady": "60%"}, {"drain": "20%"}],
        [{"steady": "33%"}, {"drain": "34%"}, {"ramp": "33%"}],
    ]
)
MIXES = st.fixed_dictionaries(
    {
        "allocations": st.integers(1, 300),
        "objects": st.lists(object_classes(), min_size=1, max_size=4),
        "phases": PHASES,
    }
)
FRAMES = st.fixed_dictionaries(
    {
        "frames": st.fixed_dictionaries(
            {
                "count": st.integers(1, 5),
                # Never 0: a workload that allocates nothing is refused.
                "objects_per_frame": st.one_of(st.integers(1, 9), st.just({"uniform": [1, 9]})),
            },
            optional={
                "scopes": st.fixed_dictionaries(
                    {
                        "per_frame": st.integers(0, 3),
                        "objects": st.just({"uniform": [0, 4]}),
                        "depth": st.integers(1, 3),
                    }
                )
            },
        ),
        "objects": st.lists(object_classes(in_frames=True), min_size=1, max_size=3),
    }
)
PATTERNS = st.fixed_dictionaries({"allocations": st.integers(1, 200), "pattern": patterns()})
WORKLOADS = st.one_of(MIXES, FRAMES, PATTERNS)
SEEDS = st.integers(0, 2**63 - 1)
SHARES = st.integers(1, 999).map(lambda tenths: f"{tenths / 10}%")
MARKS = st.dictionaries(st.sampled_from("abcdef"), st.one_of(SHARES, st.just(1)), min_size=1)
THREADS = st.fixed_dictionaries(
    {
        "allocations": st.integers(8, 200),
        "threads": st.integers(2, 4),
        "rounds": st.integers(1, 2),
        "pattern": st.sampled_from(
            [
                {"larson": {"live": 2, "size": 8}},
                {"exchange": {"size": 8}},
                {"exchange": {"size": 8, "retained": "40%", "uneven": True, "first_thread": True, "survivors": "50%"}},
                {"batches": {"batch": 2, "size": 8}},
                {"buffer": {"slots": 5, "size": 8}},
                {"refill": {"slots": 5, "emptied": 2, "filled": 3, "handed_on": 2, "wait": 2, "size": 8}},
                {"sweep": {"settled": 4, "size": 8}},
            ]
        ),
    }
)


@settings(max_examples=150)
@given(content=WORKLOADS, seed=SEEDS)
@example(  # requests of 0 take a second word, which the end of a scope skips too
    content={
        "frames": {"count": 1, "objects_per_frame": {"uniform": [1, 9]}},
        "objects": [{"size": {"cycle": [[1, 8], [2, 0]]}}],
    },
    seed=0,
)
def test_events_are_possible_and_the_image_says_the_same(content: dict[str, Any], seed: int) -> None:
    events = events_of(content, seed)
    oracle = Oracle().follow(events)
    with make_trace(generated(workload_of(content), seed), "test.yaml") as trace:
        assert read_image(os.pread(trace.image_fd, trace.image_bytes, 0)) == oracle.words
        info = trace.info
    kinds = [kind for kind, *_ in events]
    assert info.allocations == kinds.count(ALLOCATE) + kinds.count(ALLOCATE_ZEROED) == len(oracle.alignments)
    assert info.reallocations == kinds.count(REALLOCATE)
    assert info.operations + info.epilogue_operations == sum(kind <= REALLOCATE for kind in kinds)
    assert (info.peak_live_bytes, info.peak_live_objects) == (oracle.peak, oracle.most)
    assert info.slots == oracle.most
    assert info.total_bytes == oracle.total
    sizes = [size for kind, _, size, _ in events if kind not in (DEALLOCATE,) and kind <= REALLOCATE]
    assert (info.smallest_size, info.largest_size) == (min(sizes, default=0), max(sizes, default=0))
    assert info.largest_alignment == max([1, *oracle.alignments.values()])
    assert info.scopes == oracle.scopes
    assert info.first_not_lifo == oracle.first_not_lifo
    assert info.first_not_fifo == oracle.first_not_fifo
    if oracle.epilogue_at is not None:
        after = sum(len(word) > 2 for word in oracle.words) - info.operations
        assert info.epilogue_operations == after


@settings(max_examples=150)
@given(content=st.one_of(WORKLOADS, THREADS), marks=MARKS, seed=SEEDS)
def test_marks_change_nothing_but_that_they_are_there(
    content: dict[str, Any], marks: dict[str, Any], seed: int
) -> None:
    events = events_of({**content, "marks": marks}, seed)
    assert [event for event in events if event[0] != MARK] == events_of(content, seed)
    assert [event for event in events if event[0] == MARK] == [(MARK, number, 0, 0) for number in range(len(marks))]


@settings(max_examples=60)
@given(content=WORKLOADS, marks=MARKS, seed=SEEDS)
def test_the_image_says_where_marks_are(content: dict[str, Any], marks: dict[str, Any], seed: int) -> None:
    workload = workload_of({**content, "marks": marks})
    oracle = Oracle().follow(events_of({**content, "marks": marks}, seed))
    with make_trace(generated(workload, seed), "test.yaml") as trace:
        assert read_image(os.pread(trace.image_fd, trace.image_bytes, 0)) == oracle.words
        result = trace.info.marks
    assert sorted(mark.name for mark in result) == sorted(marks)
    assert [(mark.operation, mark.live_bytes) for mark in result] == [mark[:2] for mark in oracle.marks]
    assert all(0 <= mark.progress <= 1 for mark in result)


@settings(max_examples=60)
@given(content=st.one_of(MIXES, PATTERNS), seed=SEEDS)
def test_allocations_are_exact(content: dict[str, Any], seed: int) -> None:
    allocations = [kind for kind, *_ in events_of(content, seed) if kind in (ALLOCATE, ALLOCATE_ZEROED)]
    assert len(allocations) == content["allocations"]


@settings(max_examples=60)
@given(content=WORKLOADS, seed=SEEDS)
def test_the_same_seed_gives_the_same_events(content: dict[str, Any], seed: int) -> None:
    assert events_of(content, seed) == events_of(workload_of(content).effective(), seed)


@settings(max_examples=60)
@given(lifetime=st.integers(1, 40), allocations=st.integers(1, 120), seed=SEEDS)
def test_lifetimes_count_in_allocations(lifetime: int, allocations: int, seed: int) -> None:
    content = {"allocations": allocations, "objects": [{"size": 8, "lifetime": lifetime}]}
    born = 0
    for kind, thing, _, _ in events_of(content, seed)[: 2 * allocations - min(lifetime, allocations)]:
        if kind == ALLOCATE:
            born += 1
        else:
            assert thing + lifetime == born


@settings(max_examples=60)
@given(content=WORKLOADS, seed=SEEDS)
def test_characteristics_agree_with_a_plain_count(content: dict[str, Any], seed: int) -> None:
    result = characterise(generated(workload_of(content), seed).rows(Ending()))
    live: dict[int, int] = {}
    sizes: dict[int, int] = {}
    lifetimes: dict[int, int] = {}
    course, resizes, born = [], dict[int, int](), 0
    for kind, thing, size, _ in events_of(content, seed):
        if kind == 8:
            break
        if kind > REALLOCATE:
            continue
        if kind == DEALLOCATE:
            level = (born - thing).bit_length() - 1
            lifetimes[level] = lifetimes.get(level, 0) + 1
            del live[thing]
        else:
            live[thing] = size
            if kind == REALLOCATE:
                resizes[thing] = resizes.get(thing, 0) + 1
            else:
                born += 1
                level = size.bit_length() - 1
                sizes[level] = sizes.get(level, 0) + 1
        course.append(sum(live.values()))
    assert result.allocations == born
    assert result.empty == sizes.pop(-1, 0)
    assert result.sizes == sizes
    assert result.lifetimes == lifetimes
    assert sum(lifetimes.values()) == born - result.never_freed
    if result.empty == 0:
        assert sum(map(sum, result.size_by_lifetime)) == sum(lifetimes.values())
    assert result.resize_chains == {times: list(resizes.values()).count(times) for times in set(resizes.values())}
    assert result.peak_live_bytes == max(course, default=0)
    assert result.operations == len(course)
    assert result.live_bytes == [course[done - 1] for done in result.clock]
    assert result.clock[-1:] == ([len(course)] if course else [])
