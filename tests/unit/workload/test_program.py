"""From a workload to the generator's program: phases, Little's law, skewed slots, and what is said of rounding."""

from __future__ import annotations

import struct
from collections import Counter
from fractions import Fraction
from statistics import mean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtool.workload.language.program import _phases, _slot_law, compile_workload
from memtool.workload.language.schema import Phase
from memtool.workload.sources.generated import generated
from memtool.workload.sources.source import Ending
from tests.events import ALLOCATE, DEALLOCATE, EPILOGUE, REALLOCATE, events_of, workload_of

RAMP, STEADY, DRAIN = range(3)


def phases(*shares: tuple[str, int]) -> list[Phase]:
    return [Phase.model_validate({kind: f"{percent}%"}) for kind, percent in shares]


def test_allocations_are_shared_out_over_ramp_and_steady() -> None:
    given_phases = phases(("ramp", 20), ("steady", 60), ("drain", 20))
    assert _phases(given_phases, 1000) == [(RAMP, 250), (STEADY, 750), (DRAIN, 250)]


@given(
    st.lists(st.tuples(st.sampled_from(["ramp", "steady", "drain"]), st.integers(1, 30)), min_size=1, max_size=6),
    st.integers(1, 10**9),
)
def test_rounding_loses_no_allocation(shares: list[tuple[str, int]], allocations: int) -> None:
    shares = [("steady", 5), *shares]
    ticks = _phases(phases(*shares), allocations)
    assert sum(count for kind, count in ticks if kind != DRAIN) == allocations
    assert all(count >= 0 for _, count in ticks)


def test_skewed_slots_are_hot_in_fifths_of_fifths() -> None:
    law = list(_slot_law(15_625, Fraction(4, 5)))
    count = law[1]
    lows, thresholds, aliases, widths = (law[2 + part * count : 2 + (part + 1) * count] for part in range(4))
    # Of 5^6 slots: 4^6 are of the colder part six times out of six, 6 * 4^5 five times, and so on down to one.
    assert widths == [4096, 6144, 3840, 1280, 240, 24, 1]
    assert lows == [0, 4096, 10_240, 14_080, 15_360, 15_600, 15_624]
    chosen = [threshold / 2**64 / count for threshold in thresholds]
    for threshold, alias in zip(thresholds, aliases, strict=True):
        chosen[alias] += (1 - threshold / 2**64) / count
    assert chosen == pytest.approx([0.000064, 0.001536, 0.01536, 0.08192, 0.24576, 0.393216, 0.262144])


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_few_slots_can_be_skewed(slots: int) -> None:
    content = {"allocations": 20, "pattern": {"toggle": {"slots": slots, "skew": "80%", "size": 8}}}
    assert sum(kind == ALLOCATE for kind, *_ in events_of(content)) == 20


# A profile of two rows: 10,000 small live objects, allocated often, and 100 large ones, allocated seldom.
PROFILE: dict[str, Any] = {
    "allocations": 100_000,
    "profile": {"heap": "1000KiB", "rows": [[64, 9, 10_000], ["3840", 1, 100]]},
}


def test_a_profile_is_populated_and_stays_in_its_steady_state() -> None:
    events = events_of(PROFILE)
    # 64 * 10,000 + 3,840 * 100 bytes are 1,000 KiB: the profile as it stands.
    populated = next(index for index, event in enumerate(events) if event[0] == DEALLOCATE)
    assert populated == pytest.approx(10_100, abs=3)
    sizes: dict[int, int] = {}
    live: Counter[int] = Counter()
    course = []
    for kind, thing, size, _ in events:
        if kind == EPILOGUE:
            break
        if kind == ALLOCATE:
            sizes[thing] = size
            live[size] += 1
        else:
            live[sizes[thing]] -= 1
        course.append(dict(live))
    steady = course[populated:]
    # Two and a half standard deviations of the counts, which are correlated over a lifetime.
    assert mean(item[64] for item in steady) == pytest.approx(10_000, rel=0.025)
    assert mean(item[3840] for item in steady) == pytest.approx(100, rel=0.25)
    allocated = Counter(size for kind, _, size, _ in events[populated:] if kind == ALLOCATE)
    assert allocated[64] / allocated[3840] == pytest.approx(9, rel=0.04)


def test_a_profile_says_what_it_rounded() -> None:
    rows = [[64, 9, 1000], [128, 1, 0.1], ["1MiB", 1, 0.125]]
    content = {"allocations": 10, "profile": {"heap": "62.5KiB", "largest": "1KiB", "rows": rows}}
    assert compile_workload(workload_of(content), 42).notes == (
        "1,000 objects are allocated before the steady phase, which so begins with about 62.5 KiB live",
        "1 of 2 rows hold less than one object on average at this scale",
        "1 row above 1.00 KiB left out: 67.2% of the live bytes",
    )


def test_rows_of_nothing_live_and_of_what_is_not_allocated_any_more() -> None:
    # As dumps have them: sixteen bytes that are gone at once, and fifty objects of long ago, never allocated again.
    rows = [[16, 1, 0], [32, 1, 50], [64, 0, 50], [128, 0, 0]]
    content = {"allocations": 200, "profile": {"heap": 4800, "rows": rows}}
    assert compile_workload(workload_of(content), 42).notes[1:] == (
        "1 of 4 rows have no live objects: theirs die before the next allocation",
        "1 of 4 rows are not allocated any more: what is live of them lives to the end",
    )
    born: dict[int, int] = {}
    sizes: dict[int, int] = {}
    lifetimes: dict[int, set[int]] = {16: set(), 32: set(), 64: set()}
    for kind, thing, size, _ in events_of(content):
        if kind == EPILOGUE:
            break
        if kind == ALLOCATE:
            born[thing], sizes[thing] = len(born), size
        else:
            lifetimes[sizes[thing]].add(len(born) - born[thing])
    assert lifetimes[16] == {1}
    assert lifetimes[64] == set()
    assert 30 < sum(size == 64 for size in sizes.values()) < 70
    assert all(born[thing] < 100 for thing, size in sizes.items() if size == 64)


@pytest.mark.parametrize(
    ("rows", "words"),
    [([[8, 0, 3]], "has no row of at most 1024 bytes that is allocated"), ([[8, 3, 0]], "that is live: all are 0")],
)
def test_a_profile_of_nothing_is_refused(rows: list[list[int]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        workload_of({"allocations": 9, "profile": {"heap": 1024, "rows": rows}})


def test_a_matrix_joins_sizes_and_lifetimes() -> None:
    matrix = {"sizes": [8, 64], "lifetimes": [1, 5], "weights": [[3, 0], [0, 1]]}
    events = events_of({"allocations": 4000, "objects": [{"matrix": matrix}]})
    born, sizes, pairs = 0, {}, Counter[tuple[int, int]]()
    for kind, thing, size, _ in events:
        if kind == EPILOGUE:
            break
        if kind == ALLOCATE:
            sizes[thing] = size
            born += 1
        else:
            pairs[sizes[thing], born - thing] += 1
    assert set(pairs) == {(8, 1), (64, 5)}
    assert pairs[8, 1] / pairs[64, 5] == pytest.approx(3, rel=0.15)


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        ({"exponential": {"mean": 1000}}, 1000),
        ({"uniform": [100, 300]}, 200),
        ({"choice": {10: 1, 40: 2}}, 30),
        ({"histogram": [[1, 9, 1], [91, 109, 1]]}, 52.5),
        ({"normal": {"mean": 500, "deviation": 50}}, 500),
        # exp(sigma^2 / 2) times the median
        ({"lognormal": {"median": 1000, "sigma": 0.5}}, 1133.15),
        # alpha / (alpha - 1) times the minimum
        ({"pareto": {"minimum": 1000, "alpha": 4}}, 1333.3),
    ],
)
def test_draws_have_the_mean_of_their_law(law: dict[str, Any], expected: float) -> None:
    events = events_of({"allocations": 40_000, "objects": [{"size": law, "lifetime": 1}]})
    assert mean(size for kind, _, size, _ in events if kind == ALLOCATE) == pytest.approx(expected, rel=0.025)


def test_draws_are_clamped() -> None:
    law = {"exponential": {"mean": 1000, "min": 500, "max": 1500}}
    events = events_of({"allocations": 20_000, "objects": [{"size": law, "lifetime": 1}]})
    sizes = [size for kind, _, size, _ in events if kind == ALLOCATE]
    assert (min(sizes), max(sizes)) == (500, 1500)
    # 1 - exp(-1/2) of the draws lie below, exp(-3/2) above.
    assert sizes.count(500) / 20_000 == pytest.approx(0.3935, abs=0.02)
    assert sizes.count(1500) / 20_000 == pytest.approx(0.2231, abs=0.02)


def test_a_cycle_goes_through_its_values_again_and_again() -> None:
    law = {"cycle": [[2, 8], [1, "1KiB"]]}
    events = events_of({"allocations": 7, "objects": [{"size": law, "lifetime": 1}]})
    assert [size for kind, _, size, _ in events if kind == ALLOCATE] == [8, 8, 1024, 8, 8, 1024, 8]


def test_a_sweep_doubles_small_objects_and_quarters_large_ones() -> None:
    # Only the first object is passed: the sweep leaves out the one that was just made.
    for size, resized in ((8, 16), (1024, 2048), (1025, 256), (4000, 1000)):
        events = events_of({"allocations": 2, "pattern": {"sweep": {"settled": 1, "size": size}}})
        assert [(thing, bytes_) for kind, thing, bytes_, _ in events if kind == REALLOCATE] == [(0, resized)]


def threads_of(content: dict[str, Any]) -> list[str]:
    """Return allocations, frees, starts and joins, each with the thread that does it: ``1:A0`` is by thread 1."""
    letters = {ALLOCATE: "A", DEALLOCATE: "F", 16: "start ", 17: "join "}
    return [
        f"{head >> 8 & 0xFFFF}:{letters[head & 0xFF]}{head >> 24}"
        for portion in generated(workload_of(content), 42).events(Ending())
        for head, _ in struct.iter_unpack("<QQ", portion)
        if head & 0xFF != EPILOGUE
    ]


def test_threads_that_leave_an_object_in_a_slot_and_free_what_was_there() -> None:
    pattern = {"exchange": {"slots": 1, "freed": "0%", "exchanged": "100%", "size": 8}}
    assert threads_of({"allocations": 3, "rounds": 3, "pattern": pattern}) == [
        *("0:start 1", "1:A0", "0:join 1"),
        *("0:start 2", "2:A1", "2:F0", "0:join 2"),
        *("0:start 3", "3:A2", "3:F1", "0:join 3", "0:F2"),
    ]


def test_between_rounds_the_first_thread_frees_what_does_not_survive() -> None:
    pattern = {"exchange": {"slots": 1, "freed": "0%", "exchanged": "100%", "survivors": "0%", "size": 8}}
    events = threads_of({"allocations": 2, "rounds": 2, "pattern": pattern})
    assert [event for event in events if event[2] in "AF"] == ["1:A0", "0:F0", "2:A1", "0:F1"]


def test_a_share_of_the_objects_is_retained_to_the_end_of_the_thread() -> None:
    # What is not retained is freed at once: the only place that was ever used is chosen, and full.
    exchange = {"slots": 1, "freed": "100%", "exchanged": "0%", "retained": "50%", "size": 8, "retained_size": 64}
    events = [item for item in events_of({"allocations": 8, "pattern": {"exchange": exchange}}) if item[0] <= 1]
    sizes = {thing: size for kind, thing, size, _ in events if kind == ALLOCATE}
    assert sorted(sizes.values()) == [8] * 4 + [64] * 4
    freed = [thing for kind, thing, *_ in events if kind == DEALLOCATE]
    # The retained ones before what is left in places, each in order of birth.
    retained = [thing for thing in sizes if sizes[thing] == 64]
    first = freed.index(retained[0])
    assert freed[first : first + 4] == retained


def test_the_first_thread_works_too_and_the_second_twice_as_much() -> None:
    exchange = {"slots": 1, "freed": "0%", "exchanged": "0%", "uneven": True, "first_thread": True, "size": 8}
    events = threads_of({"allocations": 18, "threads": 2, "rounds": 2, "pattern": {"exchange": exchange}})
    allocated = Counter(event.split(":")[0] for event in events if ":A" in event)
    assert allocated == {"0": 6, "1": 6, "2": 6}
    assert [event for event in events if "start" in event or "join" in event] == [
        *("0:start 1", "0:join 1", "0:start 2", "0:join 2")
    ]


def test_what_a_refill_hands_on_waits_for_some_loops() -> None:
    refill = {"slots": 9, "emptied": 0, "filled": 1, "handed_on": 1, "wait": 3, "size": 8}
    events = threads_of({"allocations": 24, "threads": 2, "pattern": {"refill": refill}})
    own = [event for event in events if event[:2] == "0:" or event[:3] == "1:F"]
    # Three loops of an object for the slots and one for the other thread, of which all three then go.
    assert own[:9] == ["0:A0", "0:A1", "0:A2", "0:A3", "0:A4", "0:A5", "1:F1", "1:F3", "1:F5"]


def test_every_second_loop_of_a_refill_is_for_the_next_thread() -> None:
    refill = {"slots": 5, "emptied": 0, "filled": 2, "handed_on": 2, "size": 8}
    events = threads_of({"allocations": 12, "threads": 2, "pattern": {"refill": refill}})
    assert [event for event in events if event[0] == "0"][:6] == ["0:A0", "0:A1", "0:A2", "0:A3", "0:A4", "0:A5"]
    assert [event for event in events if event[:3] == "1:F"][:2] == ["1:F2", "1:F3"]
