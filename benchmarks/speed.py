"""The strategies against what is best in the field: boost's pool, the system's allocators, the harness itself.

Every figure is the median of ratios that were taken next to each other: in each turn every allocator is measured once,
in an order drawn anew.
"""

from __future__ import annotations

import random
import statistics
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.harness import NOT_BUILT_IN, ROOT, Finding, build, handwritten, take
from memtool.allocators.registry import Registry, Unavailable
from memtool.model import AllocatorSpec, Mode
from memtool.passes import Pass, histogram
from memtool.passes.latency import Latency
from memtool.passes.throughput import Throughput
from memtool.worker.parent import WorkerExecutor
from memtool.workload.trace import Trace, load_trace

TURNS = 21
SYSTEM = ("glibc", "jemalloc", "mimalloc", "tcmalloc")
Measure = Callable[[], float]


def in_turns(measures: Mapping[str, Measure], turns: int = TURNS) -> dict[str, list[float]]:
    """Return what each measure found in each turn."""
    draw = random.Random(1)
    figures: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(turns):
        for name in draw.sample(list(measures), len(measures)):
            figures[name].append(measures[name]())
    return figures


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def against(figures: Mapping[str, Sequence[float]], ours: str, theirs: Sequence[str], goal: float) -> Finding:
    """Return how an allocator compares with the one of several that comes out best."""
    ratios = {name: ratio(figures[ours], figures[name]) for name in theirs if name in figures}
    best = max(ratios, key=lambda name: ratios[name])
    spread = sorted(mine / other for mine, other in zip(figures[ours], figures[best], strict=True))
    quartiles = f"{spread[len(spread) // 4]:.3f} to {spread[-1 - len(spread) // 4]:.3f}"
    quantity = f"{ours} / {best}" + (f", the fastest of {len(ratios)}" if len(theirs) > 1 else "")
    return Finding(
        quantity, f"{ratios[best]:.3f} (half of {len(spread)} turns: {quartiles})", f"<= {goal}", ratios[best] <= goal
    )


def replay(trace: Trace, name: str, replays: int) -> Measure:
    executor, spec = WorkerExecutor(1), AllocatorSpec(name)
    return lambda: float(take(executor, trace, spec, Pass.THROUGHPUT, replays).of(Throughput).replay_ticks)


def measured(trace: Trace, *names: str, replays: int = 9) -> dict[str, Measure]:
    """Return how to measure each of the allocators that this machine has."""
    return {name: replay(trace, name, replays) for name in names if _is_here(name)}


def _is_here(name: str) -> bool:
    try:
        Registry().resolve(AllocatorSpec(name))
    except Unavailable:
        return False
    return True


def pools() -> Iterator[Finding]:
    with build("handwritten") as (program, _), load_trace(str(ROOT / "benchmarks/small.yaml")) as trace:
        measures = measured(trace, "pool", "null", *SYSTEM)
        if _has_boost(program, trace):
            measures["boost::pool"] = lambda: handwritten(program, "boost", trace)[0]
        figures = in_turns(measures)
        if "boost::pool" in figures:
            yield against(figures, "pool", ("boost::pool",), 1.05)
        else:
            yield Finding(
                "pool / boost::pool", "skipped: no <boost/pool/pool.hpp> (Debian: libboost-dev)", "<= 1.05", True
            )
        yield against(figures, "pool", ("null",), 1.05)
        yield against(figures, "pool", SYSTEM, 0.75)


def _has_boost(program: Path, trace: Trace) -> bool:
    try:
        handwritten(program, "boost", trace)
    except subprocess.CalledProcessError as problem:
        if problem.returncode != NOT_BUILT_IN:
            raise
        return False
    return True


def mix() -> Iterator[Finding]:
    with load_trace(str(ROOT / "benchmarks/mix.yaml")) as trace:
        figures = in_turns(measured(trace, "segregated-pool", *SYSTEM))
        yield against(figures, "segregated-pool", SYSTEM, 1.0)


def crowd() -> Iterator[Finding]:
    strategies = ("buddy", "slab", "best-fit", "first-fit")
    with load_trace(str(ROOT / "benchmarks/crowd.yaml")) as trace:
        figures = in_turns(measured(trace, "glibc", *strategies, replays=2), turns=9)
        for strategy in strategies:
            yield against(figures, strategy, ("glibc",), 5.0)


def threads() -> Iterator[Finding]:
    """xmalloc on two threads, side by side: one allocates, the other frees."""
    with load_trace("classic/xmalloc", threads=2, mode=Mode.PARALLEL) as trace:
        figures = in_turns(measured(trace, "thread-cache", "thread-heaps", "null", *SYSTEM, replays=3), turns=11)
        yield against(figures, "thread-cache", SYSTEM, 1.0)
        harness = f"{ratio(figures['null'], figures['thread-cache']):.3f} of thread-cache's time is the harness"
        yield Finding("null / thread-cache", harness, "for the record", True)


def real_time() -> Iterator[Finding]:
    executor = WorkerExecutor(1)

    def tail(trace: Trace, name: str) -> Measure:
        def measure() -> float:
            sample = take(executor, trace, AllocatorSpec(name), Pass.LATENCY)
            figures = sample.of(Latency).histograms["allocate"]
            return histogram.percentile(histogram.merge([figures.buckets]), 99.99, figures.maximum)

        return measure

    with load_trace("chapter/real-time-loop") as trace:
        figures = in_turns({name: tail(trace, name) for name in ("tlsf", "glibc")})
        finding = against(figures, "tlsf", ("glibc",), 1.0)
        yield Finding("p99.99 of allocate, tlsf / glibc", finding.figure, finding.goal, finding.reached)
