"""Row 25: a new-expression is an allocation and a construction, and placement in an arena is the construction alone."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from memtool.host import counters
from memtool.host.counters import Counter
from memtool.model import Status
from memtool.options import BenchOptions
from memtool.passes import Pass
from verification.cells import ratio, run
from verification.outcome import Line, Result, Verdict

BLOCKS = 15
OBJECTS, ROUNDS = 4096, 20
_IN_CACHE = {"page": 128}
"""Objects of a type of which as many as of the others would leave the caches, and time the memory."""
SAME_AS_IN_PLACE, SAME_AS_ALLOCATOR, MOST_HARNESS = 0.05, 0.10, 1.10
MOST_ADDED_NS = 0.5
"""What an arena may add to a construction that is itself over in the time of a few instructions."""
ALLOCATORS = ("segregated-pool", "tlsf", "glibc")
_WORKLOAD = """\
name: objects
construct: {{type: {type}, objects: {objects}, rounds: {rounds}, ways: [{ways}]}}
"""
HAND_WRITTEN = Path(__file__).parent.parent / "benchmarks/native/handwritten_objects.cpp"
Samples = Mapping[str, Sequence[float]]
"""Row -> a figure of an object, block by block."""


def measure(type_: str, ways: Sequence[str], allocators: str, run_pass: Pass, *, blocks: int = BLOCKS) -> Samples:
    """Return a figure of each row: times, or instructions."""
    counts = run_pass is Pass.COUNTERS
    options = BenchOptions(
        allocators=allocators,
        passes=(run_pass,),
        blocks=blocks,
        counters="callgrind" if counts else "none",
        counter_repeats=1,
    )
    objects = _IN_CACHE.get(type_, OBJECTS)
    cells = run(_WORKLOAD.format(type=type_, objects=objects, rounds=ROUNDS, ways=", ".join(ways)), options)
    metric = "instructions_per_op" if counts else "time_per_op_ns"
    return {cell.cell.allocator: cell.metrics[metric].samples for cell in cells if cell.status is Status.OK}


def placement_line(type_: str, times: Samples) -> Line:
    """Compare placement in an arena that is dropped whole with construction in place."""
    apart = ratio(times["arena@dropped"], times["in-place"])
    return Line(
        f"time of a {type_}, placed in an arena that is dropped / constructed in place",
        f"no more than 1 + {SAME_AS_IN_PLACE:.0%}",
        f"{apart:.3f} ({_added(times):+.2f} ns on {statistics.median(times['in-place']):.1f})",
        Verdict.of(apart <= 1 + SAME_AS_IN_PLACE),
    )


def _added(times: Samples) -> float:
    return statistics.median(a - b for a, b in zip(times["arena@dropped"], times["in-place"], strict=True))


def added_line(times: Samples) -> Line:
    """Say what an arena adds to a construction of six stores, which is over in the time of its own few instructions."""
    added = _added(times)
    return Line(
        "time of a particle, placed in an arena that is dropped, less construction in place",
        f"at most {MOST_ADDED_NS} ns",
        f"{added:+.2f} ns ({statistics.median(times['in-place']):.1f} ns in place)",
        Verdict.of(added <= MOST_ADDED_NS),
    )


def new_line(allocator: str, times: Samples) -> Line:
    """Compare the time of new, less construction in place, with the time of the allocator alone on the same events.

    It may be less: a wide processor constructs an object while it allocates the next. The instructions say whether the
    work is the same.
    """
    ratio = _new_less_construction(allocator, times)
    return Line(
        f"time of new less construction in place / of the allocator alone, {allocator}",
        f"no more than 1 + {SAME_AS_ALLOCATOR:.0%}",
        f"{ratio:.3f}",
        Verdict.of(ratio <= 1 + SAME_AS_ALLOCATOR),
    )


def counted_new_line(allocator: str, counts: Samples) -> Line:
    """Compare the instructions of new, less construction in place, with those of the allocator alone."""
    ratio = _new_less_construction(allocator, counts)
    return Line(
        f"instructions of new less construction in place / of the allocator alone, {allocator}",
        f"1, ± {SAME_AS_ALLOCATOR:.0%}",
        f"{ratio:.3f}",
        Verdict.of(abs(ratio - 1) <= SAME_AS_ALLOCATOR),
    )


def _new_less_construction(allocator: str, samples: Samples) -> float:
    rows = (samples[f"{allocator}@new"], samples["in-place"], samples[f"{allocator}@memory"])
    return statistics.median((new - place) / memory for new, place, memory in zip(*rows, strict=True))


def harness_line() -> Line:
    """Compare the instructions of an object on no allocator with those of a program that was written by hand."""
    quantity, published = "instructions an object, null@placement / hand-written C++", f"<= {MOST_HARNESS}"
    reason = counters.why_not(Counter.CALLGRIND)
    if reason is not None:
        return Line(quantity, published, reason, Verdict.NOT_RUN)
    try:
        by_hand = _by_hand()
    except (subprocess.CalledProcessError, FileNotFoundError) as problem:
        return Line(quantity, published, f"no program: {problem}", Verdict.NOT_RUN)
    (own,) = measure("particle", ("placement",), "null", Pass.COUNTERS, blocks=1)["null@placement"]
    ratio = own / by_hand
    return Line(quantity, published, f"{ratio:.3f} ({own:.1f} / {by_hand:.1f})", Verdict.of(ratio <= MOST_HARNESS))


def _by_hand() -> float:
    """Return the instructions of an object: what twice the rounds take more."""
    with tempfile.TemporaryDirectory() as name:
        program = Path(name) / "objects"
        compiler = os.environ.get("CXX", "c++")
        subprocess.run([compiler, "-std=c++20", "-O2", "-o", str(program), str(HAND_WRITTEN)], check=True)
        counts = []
        for rounds in (ROUNDS, 2 * ROUNDS):
            command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, OBJECTS, rounds, 1]
            ended = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
            count = re.search(r"Collected : (\d+)", ended.stderr)
            assert count is not None, ended.stderr
            counts.append(int(count[1]))
    return (counts[1] - counts[0]) / (OBJECTS * ROUNDS)


def lines() -> Iterator[Line]:
    """Yield the harness, placement of objects small and large, and new over three allocators, counted and timed."""
    yield harness_line()
    placed = ("in-place", "dropped")
    for type_ in ("text", "page"):
        yield placement_line(type_, measure(type_, placed, "arena", Pass.THROUGHPUT))
    yield added_line(measure("particle", placed, "arena", Pass.THROUGHPUT))
    ways, allocators = ("in-place", "memory", "new"), ",".join(ALLOCATORS)
    timed = measure("particle", ways, allocators, Pass.THROUGHPUT)
    for allocator in ALLOCATORS:
        yield new_line(allocator, timed)
    if counters.why_not(Counter.CALLGRIND) is None:
        counted = measure("particle", ways, allocators, Pass.COUNTERS, blocks=1)
        for allocator in ALLOCATORS:
            yield counted_new_line(allocator, counted)


OBJECTS_ROW = Result(
    25,
    "Objects: new is an allocation and a construction; placement in an arena is the construction",
    "ISO C++20, [expr.new]",
    "ISO/IEC 14882:2020, 7.6.2.8 and 17.6.3.4; docs/placement-new.md",
    measured=lines,
)
