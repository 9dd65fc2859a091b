"""Row 20: peaks of resident memory, against plain C++ programs of the same requests (native/peaks.cpp)."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from memtool.allocators.registry import Registry, Unavailable
from memtool.model import AllocatorPlan, AllocatorSpec
from memtool.passes import Pass
from verification.cells import measure
from verification.outcome import Line, Result, Verdict

MALLOCS = ("glibc", "jemalloc", "mimalloc", "tcmalloc")
KIB = 1024
WITHIN, LEAST = 0.05, 256 * KIB
REPEATS = 5
"""Of each: mimalloc and jemalloc give back by the clock, so what both have shown decides, and not one run of each."""
_KEPT = "objects: [{{size: {size}, lifetime: forever}}]\nphases: [{{ramp: 100%}}]\n"
_GROWS = (
    "objects: [{size: 64KiB, lifetime: 99, resize: {times: 15, factor: 1.5}}]\nphases: [{steady: 1%}, {drain: 99%}]\n"
)
PATTERNS: Mapping[str, tuple[str, int, str]] = {
    "keep-64x1000": ("1,000 blocks of 64 B, kept", 1_000, _KEPT.format(size=64)),
    "keep-64x4000": ("4,000 blocks of 64 B, kept", 4_000, _KEPT.format(size=64)),
    "keep-24x100000": ("100,000 blocks of 24 B, kept", 100_000, _KEPT.format(size=24)),
    "keep-4000x5000": ("5,000 blocks of 4,000 B, kept", 5_000, _KEPT.format(size=4000)),
    "keep-300000x100": ("100 blocks of 300,000 B, kept", 100, _KEPT.format(size=300_000)),
    "queue-1000x5000": ("a queue of 5,000 blocks of 1,000 B", 50_000, "pattern: {fifo: {live: 5000, size: 1000}}\n"),
    "stack-1000x5000": ("a stack of 5,000 blocks of 1,000 B", 50_000, "pattern: {lifo: {batch: 5000, size: 1000}}\n"),
    "grow": ("a buffer that grows by realloc to 27 MiB", 1, _GROWS),
    "grow-by-hand": ("the same by new, copy, delete", 1, _GROWS),
}
"""Name of the plain program's pattern -> what it is, allocations, and the rest of the workload."""


def _plain(program: Path, pattern: str, plan: AllocatorPlan) -> list[float]:
    """Return by how many bytes the plain program grows at most, over the malloc of the plan; one figure a run."""
    environment = {"PATH": os.defpath, "LC_ALL": "C", **dict(plan.environment)}
    if plan.preload:
        environment["LD_PRELOAD"] = ":".join(plan.preload)
    runs = [
        subprocess.run([program, pattern], env=environment, check=True, capture_output=True, text=True).stdout
        for _ in range(REPEATS)
    ]
    return [float(printed) * KIB for printed in runs]


def _spec(pattern: str, malloc: str) -> AllocatorSpec:
    if pattern != "grow-by-hand":
        return AllocatorSpec(malloc)
    return AllocatorSpec("new-delete", () if malloc == "glibc" else (("malloc", malloc),))


def _ours(pattern: str, mallocs: tuple[str, ...]) -> dict[str, Sequence[float]]:
    _, allocations, rest = PATTERNS[pattern]
    text = f"name: {pattern}\nallocations: {allocations}\ntouch: all\n{rest}"
    labels = {_spec(pattern, malloc).label: malloc for malloc in mallocs}
    cells = measure(text, (Pass.FOOTPRINT,), REPEATS, tuple(labels))
    return {malloc: cells[label].metrics["peak_resident_bytes"].samples for label, malloc in labels.items()}


def _agree(ours: Sequence[float], plain: Sequence[float]) -> bool:
    """Return whether the two ranges come as near to each other as they must."""
    return max(min(ours), min(plain)) - min(max(ours), max(plain)) <= max(WITHIN * median(plain), LEAST)


def _written(figures: Mapping[str, Sequence[float]]) -> str:
    return ", ".join(f"{malloc} {median(runs) / KIB:,.0f}" for malloc, runs in figures.items()) + " KiB"


def lines() -> Iterator[Line]:
    """Compare each pattern over the mallocs that are installed."""
    compiler = shutil.which("c++")
    plans = {}
    for malloc in MALLOCS:
        try:
            plans[malloc] = Registry().resolve(AllocatorSpec(malloc))
        except Unavailable:
            continue
    with tempfile.TemporaryDirectory() as name:
        program = Path(name) / "peaks"
        if compiler is not None:
            source = Path(__file__).with_name("native") / "peaks.cpp"
            subprocess.run([compiler, "-std=c++20", "-O1", "-fno-builtin", "-o", program, source], check=True)
        for pattern, (requests, _, _) in PATTERNS.items():
            title = f"peak of {requests}"
            if compiler is None:
                yield Line(title, "as the plain program", "no C++ compiler here", Verdict.NOT_RUN)
                continue
            plain = {malloc: _plain(program, pattern, plan) for malloc, plan in plans.items()}
            ours = _ours(pattern, tuple(plans))
            agree = all(_agree(ours[label], plain[label]) for label in plain)
            yield Line(title, f"{_written(plain)}, each ± 5 % or 256 KiB", _written(ours), Verdict.of(agree))


PEAKS = Result(
    20,
    "Peaks of resident memory of plain C++ programs",
    "plain C++",
    "verification/native/peaks.cpp: programs of the same requests that share nothing with memtool, each over the four "
    "mallocs by LD_PRELOAD; VmHWM of /proc/self/status, proc(5)",
    measured=lines,
)
