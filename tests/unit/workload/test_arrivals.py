"""Schedules of open-loop arrivals, worked by hand."""

from __future__ import annotations

import ctypes
from array import array
from math import exp
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from memtool.engine.loading import declare, load_library
from memtool.errors import InputError
from memtool.units import arrivals_in_words
from memtool.workload.language import tables
from memtool.workload.language.arrival_kinds import Arrivals
from memtool.workload.language.arrivals import compile_arrivals
from memtool.workload.sources.generated import generated
from memtool.workload.trace import load_trace, make_trace
from tests.events import workload_of

QUEUE = {"allocations": 30, "pattern": {"fifo": {"live": 3, "size": 100}}}


def starts(words: tuple[int, ...], count: int) -> list[int]:
    """Return the intended starts in picoseconds, of the engine."""
    program = (ctypes.c_uint64 * len(words))(*words)
    result = (ctypes.c_uint64 * count)()
    library = load_library()
    pointer = ctypes.c_void_p
    declare(library, {"memtool_schedule_arrivals": (None, [pointer, pointer, ctypes.c_uint64])})
    library.memtool_schedule_arrivals(program, result, count)
    return list(result)


def compiled(arrivals: object, seed: int = 42) -> tuple[int, ...]:
    return compile_arrivals(Arrivals.model_validate(arrivals), seed).words


def test_constant_arrivals_are_equally_far_apart() -> None:
    assert starts(compiled({"constant": {"rate": "2M/s"}}), 4) == [500_000, 1_000_000, 1_500_000, 2_000_000]
    # A third of a second, to the picosecond.
    assert starts(compiled({"constant": {"rate": "3/s"}}), 2) == [333_333_333_333, 666_666_666_666]


def test_what_comes_in_a_burst_comes_at_once() -> None:
    assert starts((1, 3, *tables.constant(7)), 8) == [7, 7, 7, 14, 14, 14, 21, 21]


def test_poisson_arrivals_are_memoryless_and_as_many_as_asked_for() -> None:
    count = 200_000
    result = starts(compiled({"poisson": {"rate": "2M/s"}}), count)
    gaps = [after - before for before, after in zip([0, *result], result, strict=False)]
    assert result[-1] / count == pytest.approx(500_000, rel=0.01)
    # P(gap > t) = exp(-t / mean)
    for share in (0.1, 1, 3):
        assert sum(gap > share * 500_000 for gap in gaps) / count == pytest.approx(exp(-share), rel=0.05)
    # Computed once, never to change: runs are compared by it.
    assert result[:3] == [29_779, 102_019, 1_672_271]


def test_periodic_bursts_are_equally_far_apart() -> None:
    # An audio callback: 2,666 us from one to the next, two requests each; rates need not be whole.
    schedule = compile_arrivals(Arrivals.model_validate({"bursts": {"every": "2666us", "size": 2}}), 42)
    every = 2_666_000_000
    assert starts(schedule.words, 5) == [every, every, 2 * every, 2 * every, 3 * every]
    assert schedule.described(9) == {"law": "periodic", "rate_per_s": 750.188, "burst": 2}
    assert schedule.seconds(6) == pytest.approx(3 * 2.666e-3)
    assert arrivals_in_words(schedule.described(9)) == "2 operations at once every 2.67 ms"
    four_buffers = compile_arrivals(Arrivals.model_validate({"bursts": {"every": "2666us", "size": 8}}), 42)
    assert starts(four_buffers.words, 17) == [*[every] * 8, *[2 * every] * 8, 3 * every]
    assert four_buffers.described(9)["rate_per_s"] == 3000.75


FRAMES = {"name": "w", "frames": {"count": 3, "objects_per_frame": 4}, "objects": [{"size": 8}]}
EVERY = {"arrivals": {"frames": {"every": "1ms"}}}


def test_a_frame_arrives_at_a_time() -> None:
    with make_trace(generated(workload_of({**FRAMES, **EVERY}), 7), "w.yaml") as made:
        # 24 operations in 3 ms; the schedule ends when the last frame begins.
        assert made.info.arrivals == {"law": "frames", "rate_per_s": 8000, "burst": 0, "every_ns": 1e6}
        assert arrivals_in_words(made.info.arrivals) == "a frame every 1.00 ms"
        assert made.arrivals is not None
        assert made.arrivals.seconds(24) == pytest.approx(0.003)


def test_only_frames_arrive_at_a_time(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="must go: the workload has no frames"):
        workload_of({**QUEUE, **EVERY})
    path = tmp_path / "w.yaml"
    path.write_text(yaml.safe_dump({**FRAMES, **EVERY}), encoding="utf-8")
    with pytest.raises(InputError, match="its frames arrive as a whole, and a rate is of single operations"):
        load_trace(str(path), rate=1_000)


@pytest.mark.parametrize(
    ("arrivals", "words"),
    [
        ({"size": 3}, "is missing, or every: how long it is from one burst to the next"),
        ({"size": 3, "rate": "1/s", "every": "1s"}, "must go: rate is there already"),
        ({"size": 3, "every": 5}, "must be a time such as 2666us, 16.7ms or 1s, is 5"),
        ({"size": 3, "every": "6s"}, "must be from 1ns to 5s, is '6s'"),
        ({"size": 3, "every": "0ms"}, "must be from 1ns to 5s, is '0ms'"),
    ],
)
def test_periods_that_cannot_be(arrivals: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Arrivals.model_validate({"bursts": arrivals})


SWEPT = "name: w\nallocations: 9\nobjects: [{size: 8, lifetime: 1}]\n"


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("", {"law": "poisson", "rate_per_s": 1_500_000, "burst": 1}),
        ("arrivals: {constant: {rate: 1/s}}\n", {"law": "constant", "rate_per_s": 1_500_000, "burst": 1}),
        ("arrivals: {bursts: {rate: 9/s, size: 3}}\n", {"law": "bursts", "rate_per_s": 1_500_000, "burst": 3}),
        ("arrivals: {bursts: {every: 1ms, size: 3}}\n", {"law": "periodic", "rate_per_s": 1_500_000, "burst": 3}),
    ],
)
def test_a_rate_replaces_the_workloads_own(tmp_path: Path, own: str, expected: dict[str, object]) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(SWEPT + own)
    with load_trace(str(path), rate=1_500_000) as trace:
        assert trace.info.name == "w:rate=1.5M"
        assert trace.info.arrivals == expected
    with load_trace(str(path), rate=700, threads=2) as trace:
        assert trace.info.name == "w:rate=700:threads=2"


def test_bursts_have_the_rate_of_their_operations() -> None:
    result = starts(compiled({"bursts": {"rate": "1M/s", "size": 50}}), 100_000)
    assert result[0] == result[49] < result[50]
    assert result[-1] / 100_000 == pytest.approx(1_000_000, rel=0.05)


def test_arrivals_are_part_of_the_identity_and_do_not_change_the_events() -> None:
    hashes = set()
    for arrivals in (None, "1M/s", "2M/s"):
        content = QUEUE if arrivals is None else {**QUEUE, "arrivals": {"poisson": {"rate": arrivals}}}
        for seed in (7, 8):
            with make_trace(generated(workload_of(content), seed), "w.yaml") as made:
                hashes.add(made.info.event_hash)
                assert (made.info.peak_live_bytes, made.info.operations) == (400, 57)
    # A queue's events are the same whatever the seed; its arrivals are not.
    assert len(hashes) == 5
    with make_trace(generated(workload_of({**QUEUE, "arrivals": {"constant": {"rate": "1k/s"}}}), 7), "w.yaml") as made:
        assert made.info.arrivals == {"law": "constant", "rate_per_s": 1000, "burst": 1}


def test_draws_are_apart_from_those_of_the_events() -> None:
    assert compiled({"poisson": {"rate": "1/s"}}, seed=1)[0] != 1
    assert array("Q", compiled({"poisson": {"rate": "1/s"}}, seed=2**63 - 1))[0] < 2**64
