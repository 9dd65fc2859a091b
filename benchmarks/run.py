"""memtool measured: the harness, the generator, a start, and its strategies; each figure against its goal.

    python -m benchmarks.run [NAME ...]      all unless named

harness, controls (of all kinds of work, benchmarks/controls.py), glibc, checkpoints, generator, images, start, help,
build: memtool itself. pools, mix, crowd, real-time, threads: its strategies against what is best in the field
(benchmarks/speed.py). Each figure is a ratio or a time taken in this one run. Exit code 1 when a goal is missed, or
nothing decides whether it is.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

from tabulate import tabulate

from benchmarks import controls, speed
from benchmarks.harness import ROOT, Finding, build, handwritten, take
from memtool.engine.loading import source_hash
from memtool.model import AllocatorSpec
from memtool.passes import Pass
from memtool.passes.footprint import Footprint
from memtool.passes.throughput import Throughput
from memtool.worker.parent import WorkerExecutor
from memtool.workload.trace import Trace, load_trace

PAIRS = 15
REACHED = {True: "yes", False: "NO", None: "undecided"}
NULL, GLIBC = AllocatorSpec("null"), AllocatorSpec("glibc")
# How often glibc gives the top of its heap back and faults it in again depends on where the heap happens to begin: one
# plain program takes 18 or 23 ns an operation on the quickstart, by nothing but a block of 100 bytes allocated before.
# Times are compared without that.
UNTRIMMED = AllocatorSpec("glibc", (("trim_threshold", str(1 << 30)),))
UNTRIMMED_ENVIRONMENT = {"GLIBC_TUNABLES": f"glibc.malloc.trim_threshold={1 << 30}"}


def paired_ratio(trace: Trace, program: Path, allocator: AllocatorSpec, mode: str) -> tuple[float, float, float]:
    """Return (median, least, greatest) ratio of memtool's replay to the hand-written one, taken in turn."""
    executor = WorkerExecutor(1)
    ratios = []
    for turn in range(PAIRS):
        measure: list[Callable[[], float]] = [
            lambda: float(take(executor, trace, allocator, Pass.THROUGHPUT).of(Throughput).replay_ticks),
            lambda: handwritten(program, mode, trace, environment=UNTRIMMED_ENVIRONMENT)[0],
        ]
        order = (0, 1) if turn % 2 else (1, 0)
        ticks = {index: measure[index]() for index in order}
        ratios.append(ticks[0] / ticks[1])
    return statistics.median(ratios), min(ratios), max(ratios)


def harness() -> Iterator[Finding]:
    with build("handwritten") as (program, _), load_trace("quickstart") as trace:
        middle, low, high = paired_ratio(trace, program, NULL, "null")
        figure = f"{middle:.3f} ({low:.3f} to {high:.3f}, {PAIRS} pairs)"
        yield Finding("null replay / hand-written loop", figure, "<= 1.10", middle <= 1.10)


def glibc() -> Iterator[Finding]:
    with build("handwritten") as (program, _), load_trace("quickstart") as trace:
        middle, low, high = paired_ratio(trace, program, UNTRIMMED, "malloc")
        figure = f"{middle:.3f} ({low:.3f} to {high:.3f}, {PAIRS} pairs)"
        yield Finding("glibc without trimming, memtool / plain C++", figure, "0.95 to 1.05", 0.95 <= middle <= 1.05)
        executor, draw = WorkerExecutor(1), random.Random(1)
        ours = [take(executor, trace, GLIBC, Pass.FOOTPRINT).of(Footprint) for _ in range(PAIRS)]
        plain = [handwritten(program, "malloc", trace, draw.randrange(4096)) for _ in range(PAIRS)]
        peak = statistics.median(sample.resident_at_peak_live_bytes for sample in ours)
        plain_peak = statistics.median(sample[1] for sample in plain)
        yield Finding(
            "glibc's resident growth at the peak, memtool - plain C++",
            f"{peak - plain_peak:+,.0f} of {plain_peak:,.0f} bytes",
            "1 % or 200 KiB",
            abs(peak - plain_peak) <= max(plain_peak * 0.01, 200 * 1024),
        )
        # When the heap is trimmed decides over what is left at the end, and differs from one plain run to the next.
        end = statistics.median(sample.end_resident_bytes for sample in ours)
        low, high = min(sample[2] for sample in plain), max(sample[2] for sample in plain)
        yield Finding(
            "glibc's resident growth at the end",
            f"{end:,.0f} bytes (plain C++: {low:,} to {high:,})",
            "within plain C++'s own range",
            low <= end <= high,
        )


def checkpoints() -> Iterator[Finding]:
    """What 1,000 checkpoints add to a footprint pass: the fastest of each, taken in turn, so that noise cancels."""
    with load_trace(str(ROOT / "benchmarks/checkpoints.yaml")) as trace:
        executor = WorkerExecutor(1)
        for name in ("tlsf", "first-fit", "glibc"):
            ticks: dict[int, list[float]] = {1: [], 1000: []}
            for turn in range(PAIRS):
                for count in (1, 1000) if turn % 2 else (1000, 1):
                    sample = take(executor, trace, AllocatorSpec(name), Pass.FOOTPRINT, checkpoints=count)
                    ticks[count].append(sample.of(Footprint).body_ticks[0])
            added = min(ticks[1000]) / min(ticks[1]) - 1
            nanoseconds = (min(ticks[1000]) - min(ticks[1])) / 1000
            figure = f"{added:+.2%} of {min(ticks[1]) / 1e6:.0f} ms, {nanoseconds:,.0f} ns each"
            quantity = f"1,000 checkpoints in {trace.info.operations:,} events, {name}"
            yield Finding(quantity, figure, "<= 1 %", added <= 0.01)


def generator() -> Iterator[Finding]:
    with load_trace(str(ROOT / "benchmarks/generator.yaml")) as trace:
        events = trace.info.operations + trace.info.epilogue_operations
        rate = events / trace.generation_seconds / 1e6
        yield Finding("generator", f"{rate:.1f} M events/s ({events:,} events)", ">= 20 M/s", rate >= 20)


def images() -> Iterator[Finding]:
    """The same events from an image in memory and from one on a disk, in turn."""
    path = str(ROOT / "benchmarks/generator.yaml")
    with patch("memtool.workload.image_files._MOST_IN_MEMORY", 0):
        on_disk = load_trace(path)
    with on_disk, load_trace(path) as in_memory:
        executor = WorkerExecutor(1)
        for allocator in (NULL, AllocatorSpec("tlsf")):
            times: dict[str, list[float]] = {"memory": [], "disk": []}
            for turn in range(PAIRS):
                kinds = (("memory", in_memory), ("disk", on_disk))
                for name, trace in kinds if turn % 2 else reversed(kinds):
                    ticks = take(executor, trace, allocator, Pass.THROUGHPUT).of(Throughput).replay_ticks
                    times[name].append(ticks / trace.info.operations)
            ratios = [disk / memory for disk, memory in zip(times["disk"], times["memory"], strict=True)]
            middle = statistics.median(ratios)
            figure = f"{middle:.3f} ({min(ratios):.3f} to {max(ratios):.3f}, {PAIRS} pairs)"
            quantity = f"time of an event, image on a disk / in memory, {allocator.name}"
            yield Finding(quantity, figure, "0.95 to 1.05", 0.95 <= middle <= 1.05)


def start() -> Iterator[Finding]:
    """The whole life of a worker that replays next to nothing: an upper bound of start to first event."""
    with load_trace(str(ROOT / "benchmarks/start.yaml")) as trace:
        executor = WorkerExecutor(1)
        seconds = []
        for _ in range(20):
            begin = time.perf_counter()
            take(executor, trace, NULL, Pass.THROUGHPUT)
            seconds.append(time.perf_counter() - begin)
        middle = statistics.median(seconds) * 1e3
        yield Finding("worker, from start to end", f"{middle:.1f} ms", "<= 60 ms", middle <= 60)


def help_() -> Iterator[Finding]:
    seconds = []
    for _ in range(15):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "memtool", "--help"], check=True, capture_output=True, cwd=os.sep)
        seconds.append(time.perf_counter() - begin)
    middle = statistics.median(seconds) * 1e3
    yield Finding("memtool --help", f"{middle:.0f} ms", "<= 150 ms", middle <= 150)


def build_() -> Iterator[Finding]:
    with build("memtool_engine") as (_, seconds):
        yield Finding("build from nothing", f"{seconds:.0f} s", "<= 90 s", seconds <= 90)


BENCHMARKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "harness": harness,
    "controls": controls.controls,
    "glibc": glibc,
    "checkpoints": checkpoints,
    "generator": generator,
    "images": images,
    "start": start,
    "help": help_,
    "build": build_,
    "pools": speed.pools,
    "mix": speed.mix,
    "crowd": speed.crowd,
    "real-time": speed.real_time,
    "threads": speed.threads,
}


def main() -> None:
    unknown = set(sys.argv[1:]) - set(BENCHMARKS)
    if unknown:
        sys.exit(f"unknown benchmark {', '.join(sorted(unknown))}; known: {', '.join(BENCHMARKS)}")
    findings = [finding for name in sys.argv[1:] or BENCHMARKS for finding in BENCHMARKS[name]()]
    rows = [(finding.quantity, finding.figure, finding.goal, REACHED[finding.reached]) for finding in findings]
    print(tabulate(rows, headers=("what", "figure", "goal", "reached"), disable_numparse=True))
    print(f"\nengine {source_hash()[:12]}, {os.cpu_count()} cores")
    sys.exit(0 if all(finding.reached for finding in findings) else 1)


if __name__ == "__main__":
    main()
