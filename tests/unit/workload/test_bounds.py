"""A few characters of a workload file do not make a run of any size: what would is refused in one line, at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from memtool.errors import InputError
from memtool.workload.language import law_tables
from memtool.workload.language.law_tables import law_mean
from memtool.workload.language.laws import Law
from memtool.workload.language.loader import load_workload
from memtool.workload.language.program import compile_workload
from memtool.workload.trace import load_trace
from tests.events import workload_of

HEAD = "name: w\nallocations: %s\n"
PHASES = HEAD % "100" + "objects: [{size: 8, lifetime: 3}]\nphases: [%s]\n"
RESIZE = HEAD % "%s" + "objects: [{size: 8, lifetime: %s, resize: {times: %s, factor: 1%s}}]\n"
FRAMES = "name: w\nframes: {count: %s, objects_per_frame: %s}\nobjects: [{size: 8}]\n"
SCOPES = "name: w\nframes: {count: %s, objects_per_frame: %s, scopes: {per_frame: %s, objects: %s, depth: %s}}\n"
OBJECTS = "objects: [{size: 8}]\n"
PATTERN = HEAD + "threads: %s\npattern: {%s}\n"

REFUSED = {
    "a drain of a million times the run": (
        PHASES % "{steady: 0.0001%}, {drain: 99.9999%}",
        None,
    ),
    "a drain of a hundred million times the run": (
        PHASES % "{steady: 0.000001%}, {drain: 99.999999%}",
        "phases: would be 9,999,999,900 ticks of the clock in drains, more than 134,217,728: "
        "the other phases are 1e-08 of the run",
    ),
    "a ramp of all that a count can be": (
        HEAD % "2G" + "objects: [{size: 8, lifetime: 3}]\nphases: [{ramp: 100%}]\n",
        "phases: would be 2,000,000,000 objects alive at the end of the ramp, more than 268,435,456",
    ),
    "one object resized as often as a count can be": (
        RESIZE % (1, "2G", "2147483648", ""),
        "objects[0].resize.times: would be 2,000,000,000 reallocations, more than 4,194,304",
    ),
    "resized at once": (
        RESIZE % (1, "1", "2147483648", ", when: at_birth"),
        "objects[0].resize.times: would be 2,147,483,648 reallocations, more than 4,194,304",
    ),
    "resized in frames": (
        "name: w\nframes: {count: 10, objects_per_frame: 9}\nobjects: [{size: 8, resize: {times: 1G}}]\n",
        "objects[0].resize.times: would be 90,000,000,000 reallocations, more than 4,194,304",
    ),
    "as many resizes as a law may draw": (
        RESIZE % (1000, "{pareto: {minimum: 1000000, alpha: 0.1}}", "{pareto: {minimum: 1000000, alpha: 0.1}}", ""),
        "objects[0].resize.times: would be ",
    ),
    "frames of nothing": (
        FRAMES % (9, 0),
        "frames.objects_per_frame: must not always be 0: nothing would be allocated",
    ),
    "frames of a law of nothing": (
        FRAMES % (9, "{choice: {0: 1}}"),
        "frames.objects_per_frame: must not always be 0: nothing would be allocated",
    ),
    "frames of too much": (
        FRAMES % (9, "1G"),
        "frames.objects_per_frame: would be 1,000,000,000 objects alive at once, more than 268,435,456",
    ),
    "too many frames": (
        FRAMES % ("1G", 1000),
        "frames: would be 1,000,000,000,000 allocations, more than 2,147,483,648",
    ),
    "scopes within scopes": (
        SCOPES % (9, 1, 1000, 1, 16) + OBJECTS,
        "frames.scopes.per_frame: would be 9.0e+48 scopes, more than 4,194,304",
    ),
    "empty scopes": (
        SCOPES % (9, 1, "1G", 0, 1) + OBJECTS,
        "frames.scopes.per_frame: would be 9,000,000,000 scopes, more than 4,194,304",
    ),
    "a scope of too much": (
        SCOPES % (9, 1, 1, "2G", 1) + OBJECTS,
        "frames.scopes.objects: would be 2,000,000,000 objects alive at once, more than 268,435,456",
    ),
    "slots of every thread": (
        PATTERN % ("1k", 1000, "toggle: {slots: 10M, size: 8}"),
        "pattern.toggle.slots: would be 10,000,000,000 slots of all threads, more than 16,777,216",
    ),
    "writes of every object": (
        PATTERN % ("1k", 2, "false-sharing: {writes: 1G, size: 8}"),
        "pattern.false-sharing.writes: would be 1,000,000,000,000 writes in all, more than 17,179,869,184",
    ),
    "buffers that keep nearly all": (
        PATTERN % ("100M", 1, "buffer: {slots: 1M, kept: 99.9999%, size: 8}"),
        "pattern.buffer.kept: would be 100,000,000,000,000 slots passed over, more than 6,400,000,000",
    ),
    "slots emptied again and again": (
        PATTERN % ("1k", 1, "refill: {slots: 9, emptied: 2G, filled: 1, size: 8}"),
        "pattern.refill.emptied: would be 2,000,000,000,000 slots emptied, more than 268,435,456",
    ),
    "slots of every round": (
        HEAD % "1k" + "rounds: 10000\npattern: {exchange: {slots: 10M, size: 8}}\n",
        "pattern.exchange.slots: would be 100,000,000,000 slots of all rounds, more than 268,435,456",
    ),
    "a sweep over a sixth of the square": (
        PATTERN % ("60k", 1, "sweep: {settled: 9, size: 8}"),
        "pattern.sweep.settled: would be 600,000,000 reallocations, more than 16,777,216",
    ),
    "more alive than an image has slots": (
        PATTERN % ("2G", 1, "fifo: {live: 1G, size: 8}"),
        "pattern.fifo.live: would be 1,000,000,000 objects alive at once, more than 268,435,456",
    ),
    "a ramp of them": (
        PATTERN % ("1G", 1, "ramp: {size: 8}"),
        "allocations: would be 1,000,000,000 objects alive at once, more than 268,435,456",
    ),
    "a hundred continuous laws": (
        HEAD % "9"
        + "objects:\n"
        + "".join(f"  - {{size: {{normal: {{mean: {i + 1}, deviation: 1}}}}, lifetime: 3}}\n" for i in range(129)),
        "objects[128].size: is one of more than 128 continuous laws that differ",
    ),
    "more memory than can be reserved": (
        HEAD % "9" + "memory_limit: 128TiB\nobjects: [{size: 8, lifetime: 3}]\n",
        "memory_limit: must be at most 64.0 TiB, is '128TiB'",
    ),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("content", "words"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_out_of_proportion_is_refused(tmp_path: Path, content: str, words: str | None) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(content)
    if words is None:
        load_workload(path)
        return
    with pytest.raises(InputError) as caught:
        load_workload(path)
    place, _, refusal = str(caught.value).partition(": ")
    assert place.startswith(f"{path}:")
    assert refusal.startswith(words)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "content",
    [
        PHASES % "{steady: 1%}, {drain: 99%}",
        RESIZE % (1, "99", "15", ""),
        RESIZE % (1000, "2G", "64", ""),
        SCOPES % (9, 0, 2, 5, 2) + OBJECTS,
        PATTERN % ("1G", 1, "fifo: {live: 100, size: 8}"),
        HEAD % "9" + "memory_limit: 64TiB\nobjects: [{size: 8, lifetime: 3}]\n",
    ],
)
def test_what_people_write_is_not(tmp_path: Path, content: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(content)
    load_workload(path)


def test_the_table_of_a_law_is_computed_once_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    real = law_tables._compute

    def compute(law: Law[int], least: int) -> list[int]:
        calls.append(law)
        return real(law, least)

    monkeypatch.setattr(law_tables, "_compute", compute)
    pattern = {"lifo": {"batch": {"uniform": [1, 9]}, "size": {"exponential": {"mean": 9}}}}
    compile_workload(workload_of({"allocations": 9000, "threads": 1024, "pattern": pattern}), 1)
    assert len(calls) == 2


def test_frames_that_happen_to_be_empty_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(FRAMES % (1, "{choice: {0: 1000000000, 1: 1}}"))
    with pytest.raises(InputError) as caught:
        load_trace(str(path), seed=7)
    assert str(caught.value) == f"{path}: allocates nothing (with seed 7), so there is nothing to measure"


def test_arrivals_over_days_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(HEAD % "50k" + "objects: [{size: 8, lifetime: 1}]\narrivals: {constant: {rate: 1/s}}\n")
    with pytest.raises(InputError) as caught:
        load_trace(str(path))
    # The last of the 50,000 is freed by the epilogue.
    words = f"{path}: arrivals: its 99,999 operations would arrive over 1 d 4 h, more than a day"
    assert str(caught.value) == words


def test_more_bytes_than_can_be_counted_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(HEAD % "40k" + "objects: [{size: 128TiB, lifetime: forever}]\n")
    with pytest.raises(InputError) as caught:
        load_trace(str(path))
    assert str(caught.value) == f"{path}: more than 2^62 bytes are alive at once"


MEANS = [
    (5, 5),
    ({"uniform": [0, 9]}, 4.5),
    ({"choice": {1: 3, 5: 1}}, 2),
    ({"histogram": [[0, 2, 1], [10, 10, 3]]}, 7.75),
    ({"exponential": {"mean": 1000}}, 1000),
    ({"normal": {"mean": 1000, "deviation": 10}}, 1000),
    ({"lognormal": {"median": 1000, "sigma": 1}}, 1648.72),
    ({"pareto": {"minimum": 1000, "alpha": 3}}, 1500),
]


@pytest.mark.parametrize(("law", "mean"), MEANS)
def test_means_of_laws(law: object, mean: float) -> None:
    frames = workload_of({"frames": {"count": 1, "objects_per_frame": law}, "objects": [{"size": 8}]}).frames
    assert frames is not None
    result: Law[int] = frames.objects_per_frame
    assert law_mean(result, 0) == pytest.approx(mean, rel=1e-3)
