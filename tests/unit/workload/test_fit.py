"""A workload that is fitted to a trace of known laws has these laws again; a trace that is none is refused."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytest

from memtool.engine.loading import EngineError
from memtool.workload.fit import bins
from memtool.workload.fit.distances import distances
from memtool.workload.fit.merge import merge_adjacent
from memtool.workload.fit.model import Fitted, fit
from memtool.workload.fit.sketch import Sketch, sketch
from memtool.workload.sources.generated import generated
from memtool.workload.sources.source import Ending
from tests.events import ALLOCATE, DEALLOCATE, encode, workload_of


def sketched(content: Mapping[str, Any], seed: int = 42) -> Sketch:
    return sketch(generated(workload_of(content), seed).events(Ending()))


def fitted(content: Mapping[str, Any]) -> tuple[Sketch, Fitted, Sketch]:
    """Return what is kept of a workload's trace, the workload fitted to it, and what is kept of that one's trace."""
    trace = sketched(content)
    made = fit(trace, "fit", "pages")
    return trace, made, sketched(made.definition, seed=7)


def by_name(trace: Sketch, again: Sketch) -> dict[str, float]:
    return {distance.name: distance.value for distance in distances(trace, again)}


def objects_of(made: Fitted) -> list[dict[str, Any]]:
    classes: list[dict[str, Any]] = made.definition["objects"]
    return classes


def test_constants_come_back_as_they_are() -> None:
    trace, made, again = fitted({"allocations": 5000, "objects": [{"size": 48, "lifetime": 7}]})
    assert objects_of(made) == [{"name": "p1-plain", "size": 48, "lifetime": 7}]
    assert trace.seen.peak_live_bytes == again.seen.peak_live_bytes == 336


MIXES: dict[str, dict[str, Any]] = {
    "sizes by weight, lifetimes of a range": {
        "allocations": 40_000,
        "objects": [{"size": {"choice": {64: 3, 256: 1}}, "lifetime": {"uniform": [10, 200]}}],
    },
    "a lognormal law, memoryless": {
        "allocations": 40_000,
        "objects": [{"size": {"lognormal": {"median": 100, "sigma": 1}}, "lifetime": {"exponential": {"mean": 2000}}}],
    },
    "small ones die young, large ones late": {
        "allocations": 40_000,
        "objects": [
            {"weight": 9, "size": {"uniform": [16, 128]}, "lifetime": {"uniform": [1, 20]}},
            {"weight": 1, "size": {"uniform": [1024, 4096]}, "lifetime": {"uniform": [2000, 4000]}},
        ],
    },
    "other mixes in two phases, and a drain": {
        "allocations": 40_000,
        "objects": [
            {"name": "small", "size": 32, "lifetime": {"uniform": [100, 5000]}},
            {"name": "large", "size": {"uniform": [500, 900]}, "lifetime": {"uniform": [100, 5000]}},
        ],
        "phases": [{"steady": "40%", "mix": {"small": 1}}, {"steady": "40%", "mix": {"large": 1}}, {"drain": "20%"}],
    },
    "half of them die together, in the middle and at the end": {
        "allocations": 40_000,
        "objects": [
            {"name": "node", "weight": 3, "size": {"uniform": [32, 64]}, "lifetime": {"until": "50%"}},
            {"name": "leaf", "weight": 3, "size": {"uniform": [32, 64]}, "lifetime": {"until": "100%"}},
            {"name": "text", "weight": 4, "size": {"uniform": [16, 500]}, "lifetime": {"uniform": [1, 50]}},
        ],
        "phases": [
            {"steady": "50%", "mix": {"node": 3, "text": 4}},
            {"steady": "40%", "mix": {"leaf": 3, "text": 4}},
            {"drain": "10%"},
        ],
    },
    "doubled twice, a part of them": {
        "allocations": 20_000,
        "objects": [{"size": 64, "lifetime": {"uniform": [50, 500]}, "resize": {"share": "30%", "times": 2}}],
    },
}


@pytest.mark.parametrize("content", MIXES.values(), ids=MIXES)
def test_a_workload_of_known_laws_gives_them_back(content: dict[str, Any]) -> None:
    trace, _, again = fitted(content)
    far = by_name(trace, again)
    assert far["size_ks"] <= 0.025
    assert far["size_octaves"] <= 0.08
    assert far["lifetime_ks"] <= 0.03
    assert far["lifetime_octaves"] <= 0.1
    assert far["joint_variation"] <= 0.05
    assert far["live_mean_error"] <= 0.1
    assert 0.93 <= far["peak_live_bytes_ratio"] <= 1.07
    assert 0.95 <= far["mean_live_bytes_ratio"] <= 1.05
    assert far["allocations_ratio"] == 1
    assert 0.85 <= far.get("never_freed_ratio", 1) <= 1.15
    assert 0.95 <= far.get("reallocations_ratio", 1) <= 1.05


def test_another_workload_is_far_from_the_trace() -> None:
    first = sketched({"allocations": 10_000, "objects": [{"size": 64, "lifetime": 100}]})
    second = sketched({"allocations": 10_000, "objects": [{"size": 128, "lifetime": 400}]})
    far = by_name(first, second)
    assert far["size_ks"] == 1
    assert far["size_octaves"] == pytest.approx(1)
    assert far["lifetime_ks"] == pytest.approx(0.96, abs=0.05)
    assert far["joint_variation"] == pytest.approx(1, abs=0.02)
    assert far["peak_live_bytes_ratio"] == pytest.approx(8)
    assert not any(distance.is_close for distance in distances(first, second) if distance.name.startswith("size"))


def test_shares_of_what_is_zeroed_and_aligned_come_back() -> None:
    trace, made, again = fitted(
        {
            "allocations": 10_000,
            "objects": [
                {"weight": 6, "size": 64, "lifetime": 50},
                {"weight": 3, "size": 64, "lifetime": 50, "zeroed": True},
                {"weight": 1, "size": 64, "lifetime": 50, "alignment": 256},
            ],
        }
    )
    assert any(declared.get("zeroed") for declared in objects_of(made))
    assert any(declared.get("alignment") == 256 for declared in objects_of(made))
    for of in (trace, again):
        total = of.counts.sum()
        assert of.counts[of.keys[:, 1] & 1 == 1].sum() / total == pytest.approx(0.3, abs=0.02)
        assert of.counts[of.keys[:, 1] >> 2 & 63 == 8].sum() / total == pytest.approx(0.1, abs=0.02)


def test_threads_and_frees_of_other_threads_come_back() -> None:
    trace, made, again = fitted(
        {
            "allocations": 10_000,
            "threads": 4,
            "objects": [
                {"weight": 3, "size": 64, "lifetime": 50},
                {"weight": 1, "size": 256, "lifetime": 50, "freed_by": "other_thread"},
            ],
        }
    )
    assert made.definition["threads"] == 4
    assert any(note.startswith("4 threads allocate") for note in made.notes)
    assert by_name(trace, again)["remote_frees_ratio"] == pytest.approx(1, abs=0.1)


def test_what_dies_together_dies_at_its_moment_and_not_by_its_age() -> None:
    content = MIXES["half of them die together, in the middle and at the end"]
    _, made, _ = fitted(content)
    untils = {
        str(lifetime["until"])
        for declared in objects_of(made)
        for lifetime in declared.get("matrix", {}).get("lifetimes", [declared.get("lifetime")])
        if isinstance(lifetime, dict) and "until" in lifetime
    }
    assert {"50%", "100%"} <= untils


def test_many_large_objects_that_die_young_are_drawn() -> None:
    """Told one by one they would stand next to each other at the start of the phase, and be alive together."""
    content = {
        "allocations": 40_000,
        "objects": [
            {"weight": 1000, "size": 64, "lifetime": 20},
            {"weight": 1, "size": "512KiB", "lifetime": 30},
        ],
    }
    trace, _, again = fitted(content)
    assert again.seen.peak_live_bytes <= 2.5 * trace.seen.peak_live_bytes


def test_one_large_object_is_told_by_itself() -> None:
    """Drawn by weight it would be there twice, or not at all, in most runs."""
    content = {
        "allocations": 20_000,
        "objects": [
            {"name": "table", "size": "1MiB", "lifetime": "forever"},
            {"name": "small", "size": 64, "lifetime": 20},
        ],
        "phases": [{"ramp": "0.005%", "mix": {"table": 1}}, {"steady": "99.995%", "mix": {"small": 1}}],
    }
    trace, made, again = fitted(content)
    assert {"ramp": "0.005%", "mix": {"p1-large-plain": 1}} in made.definition["phases"]
    assert trace.seen.peak_live_bytes == (1 << 20) + 64 * 20
    assert again.seen.peak_live_bytes == pytest.approx((1 << 20) + 64 * 20, rel=0.01)


def test_the_same_mix_all_along_is_one_phase() -> None:
    _, made, _ = fitted({"allocations": 30_000, "objects": [{"size": {"uniform": [16, 500]}, "lifetime": 40}]})
    assert [*made.definition["phases"]] == [{"steady": "100%", "mix": {"p1-plain": 30_000}}]


def test_memory_is_for_what_is_alive_whatever_the_length() -> None:
    """Two million objects, of which ten are alive at a time."""
    content = {"allocations": 2_000_000, "objects": [{"size": {"uniform": [16, 64]}, "lifetime": 10}]}
    portions = generated(workload_of(content), 1).events(Ending())
    tracemalloc.start()
    try:
        kept = sketch(portions)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert kept.seen.allocations == 2_000_000
    # A byte an object would be as much as this; inspect's books take 22 bytes of each.
    assert peak < 40 << 20


def test_a_trace_of_one_event() -> None:
    kept = sketch([encode((ALLOCATE, 0, 100, 4))])
    assert (kept.seen.allocations, kept.seen.never_freed, kept.seen.peak_live_bytes) == (1, 1, 100)
    made = fit(kept, "one", "pages")
    assert sketched(made.definition).seen.peak_live_bytes == 100


def test_a_free_of_what_is_not_alive_is_damage() -> None:
    twice = encode((ALLOCATE, 0, 8, 4), (DEALLOCATE, 0, 0, 0), (DEALLOCATE, 0, 0, 0))
    with pytest.raises(EngineError):
        sketch([twice])
    with pytest.raises(EngineError):
        sketch([encode((ALLOCATE, 0, 8, 4)), encode((DEALLOCATE, 0, 0, 0)), encode((DEALLOCATE, 0, 0, 0))])
    with pytest.raises(EngineError):
        sketch([encode((DEALLOCATE, 3, 0, 0))])


@pytest.mark.parametrize("lived", [1, 8, 9, 11, 12, 15, 16, 24, 1000, 123_456_789])
def test_a_lifetime_lies_within_its_class(lived: int) -> None:
    [index] = bins.lifetime_classes(np.array([lived]))
    low, high = bins.lifetime_range(int(index))
    assert low <= lived <= high
    assert high < 1.5 * low + 1


def test_sizes_up_to_a_kibibyte_have_classes_of_their_own_and_larger_ones_lie_within_a_thirtysecond() -> None:
    assert bins.size_classes(np.array([0, 1, 1023, 1024])).tolist() == [0, 1, 1023, 1024]
    sizes = np.arange(1025, 100_000)
    classes = bins.size_classes(sizes)
    assert (np.diff(classes) >= 0).all()
    assert classes[0] == 1025
    for index in (1025, 1100, 1200):
        within = sizes[classes == index]
        assert within.max() <= within.min() * (1 + 1 / 32)
    assert bins.size_classes(np.array([(1 << 58) - 1])).tolist() == [bins.SIZES - 1]


def test_neighbours_that_are_alike_merge_and_others_do_not() -> None:
    rows = np.array(list(chain(repeat([30.0, 10.0], 3), repeat([10.0, 30.0], 2))))
    ranges = merge_adjacent(rows / rows.sum(), rows, 5, 0.01)
    assert ranges == [(0, 3), (3, 5)]
    assert merge_adjacent(rows / rows.sum(), rows, 1, 0.01) == [(0, 5)]


def test_what_chance_makes_of_a_few_objects_is_no_difference() -> None:
    few = np.array([[505.0, 495.0], [495.0, 505.0]])
    many = few * 1000
    assert merge_adjacent(few / few.sum(), few, 2, 1e-5) == [(0, 2)]
    assert merge_adjacent(many / many.sum(), many, 2, 1e-5) == [(0, 1), (1, 2)]
