"""The control of each kind of work against the same work written by hand: instructions of both, and times in pairs.

A control is the row of a kind in which nothing is measured but memtool itself: the null strategy, a list of free blocks
or a moving pointer in place of an allocator, reads of a cached file. benchmarks/native/handwritten*.cpp do the same.
"""

from __future__ import annotations

import os
import random
import re
import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.harness import Finding, build, scratch, take
from memtool.allocators.registry import Registry
from memtool.host import counters
from memtool.host.counters import Counter
from memtool.kinds.container.results import Times
from memtool.kinds.ways import of_trace, plan_alone
from memtool.kinds.work import kind_of, load_trace, work
from memtool.model import AllocatorPlan, AllocatorSpec, Mode
from memtool.passes import Pass, Sample
from memtool.passes.counters import Instructions
from memtool.passes.throughput import Throughput
from memtool.stats import paired
from memtool.worker.parent import WorkerExecutor
from memtool.workload.trace import Trace, find_workload

MOST = 1.10
PAIRS = int(os.environ.get("PAIRS", "21"))
"""Of processes, one of memtool's and one of the program's; PAIRS=101 where so many decide nothing."""
ROUNDS = 9
"""In each process; the fastest counts."""
OBJECTS, TIMES = 4096, 20
HEAP = (
    "allocations: 100k\nobjects: [{size: {uniform: [16, 512]}, lifetime: {exponential: {mean: 1000}}}]\ntouch: none\n"
)
CONTAINER = """\
container:
  type: {type}
  containers: 8
  ways: [control]
  script: [{{push: 2000}}, {{traverse: 5}}, {{churn: 2000}}, {{traverse: 5}}, {{clear: 1}}]
"""
ACCESS = "access: {ways: [read-sequential, write-sequential, chase], blocks: 100k, size: 64, accesses: 100k}\n"
FILE = "file: {{pattern: {pattern}, size: 16MiB, accesses: 4k, ways: [{way}]}}\n"
OBJECT = f"construct: {{type: particle, objects: {OBJECTS}, rounds: {TIMES}, ways: [placement]}}\n"
GRAPH = "graph:\n  {shape}\n"


@dataclass(frozen=True, slots=True)
class Control:
    """A row, and the program that does the same."""

    row: AllocatorSpec
    workload: str
    program: str
    words: Callable[[Trace], Sequence[object]]
    """Of its command line, before how many rounds."""


def _image(trace: Trace) -> str:
    return f"/proc/self/fd/{trace.image_fd}"


def _access(way: str, name: str) -> Control:
    row = AllocatorSpec("null", way=way)
    return Control(row, ACCESS, "handwritten_accesses", lambda trace: (name, trace.info.operations))


def _file(pattern: str, way: str, name: str) -> Control:
    def words(trace: Trace) -> Sequence[object]:
        # The very file that memtool's worker has made and read: how large its pages are in the cache is decided there.
        file = f"/proc/self/fd/{trace.held[0]}"
        return name, file, trace.info.facts["block"], trace.info.operations, trace.info.seed

    return Control(AllocatorSpec("", way=way), FILE.format(pattern=pattern, way=way), "handwritten_files", words)


def _graph(shape: str) -> Control:
    row, workload = AllocatorSpec("null"), GRAPH.format(shape=shape)
    return Control(row, workload, "handwritten_graphs", lambda trace: (_image(trace),))


def _container(type_: str) -> Control:
    row = AllocatorSpec("", way="control")
    return Control(row, CONTAINER.format(type=type_), "handwritten_containers", lambda trace: (_image(trace),))


CONTROLS = (
    Control(AllocatorSpec("null"), HEAP, "handwritten", lambda trace: ("null", _image(trace), 0)),
    Control(AllocatorSpec("null", way="placement"), OBJECT, "handwritten_objects", lambda _: (OBJECTS, TIMES)),
    *map(_container, ("list", "map", "vector")),
    _access("read-sequential", "read"),
    _access("write-sequential", "write"),
    _access("chase", "chase"),
    _file("random-read", "pread", "pread"),
    _file("random-read", "mmap-random", "mmap"),
    _file("random-write", "pwrite", "pwrite"),
    Control(
        AllocatorSpec("null", way="opencl-buffer"),
        HEAP.replace("touch: none\n", "device: {}\n"),
        "handwritten",
        lambda trace: ("pointer", _image(trace), 0),
    ),
    _graph("binary-trees: {depth: 10}"),
    _graph("mutating: {nodes: 2k, operations: 100k}"),
)


def controls() -> Iterator[Finding]:
    """Compare all of them."""
    with build(*{control.program for control in CONTROLS}) as (programs, _):
        for control in CONTROLS:
            yield from _compare(control, programs / control.program)


def _compare(control: Control, program: Path) -> Iterator[Finding]:
    with scratch() as folder:
        path = folder / "control.yaml"
        path.write_text(f"name: control\n{control.workload}", encoding="utf-8")
        with load_trace(str(path), seed=None, threads=None, rate=None, mode=Mode.SERIAL) as trace:
            kind = kind_of(find_workload(str(path)))
            of = trace.info.facts.get("type" if kind == "container" else "shape", "")
            name = f"{kind} {of} {control.row.label} / by hand".replace("  ", " ")
            yield _instructions(control, kind, program, trace, name)
            yield _times(control, kind, program, trace, name)


def _instructions(control: Control, kind: str, program: Path, trace: Trace, name: str) -> Finding:
    reason = counters.why_not(Counter.CALLGRIND)
    if reason is not None:
        return Finding(f"{name}: instructions", reason, f"<= {MOST:.2f}", None)
    ours = _ours(control, kind, trace, Pass.COUNTERS).of(Instructions).instructions
    theirs = _counted(control, program, trace)
    figure = f"{ours / theirs:.3f} ({ours:,} / {theirs:,})"
    return Finding(f"{name}: instructions", figure, f"<= {MOST:.2f}", ours <= MOST * theirs)


def _times(control: Control, kind: str, program: Path, trace: Trace, name: str) -> Finding:
    draw, record = random.Random(1), Times if kind == "container" else Throughput
    measures: dict[str, Callable[[], float]] = {
        "ours": lambda: float(_ours(control, kind, trace, Pass.THROUGHPUT).of(record).replay_ticks),
        "theirs": lambda: _theirs(control, program, trace),
    }
    measures["ours"]()  # whoever comes first makes what both work on
    ratios = []
    for _ in range(PAIRS):
        times = {which: measures[which]() for which in draw.sample(sorted(measures), 2)}
        ratios.append(times["ours"] / times["theirs"])
    middle, known = statistics.median(ratios), paired.interval(ratios)
    assert known is not None, "too few pairs"
    low, high = known
    reached = True if high <= MOST else False if low > MOST else None
    figure = f"{middle:.3f} ({low:.3f} to {high:.3f}, {PAIRS} pairs)"
    return Finding(f"{name}: time", figure, f"<= {MOST:.2f}", reached)


def _theirs(control: Control, program: Path, trace: Trace) -> float:
    """Return the nanoseconds of the fastest round of a program."""
    command = [str(program), *map(str, control.words(trace)), str(ROUNDS)]
    done = subprocess.run(command, pass_fds=_files(trace), check=True, capture_output=True, text=True)
    return min(float(line) for line in done.stdout.splitlines() if " " not in line)


def _counted(control: Control, program: Path, trace: Trace) -> int:
    """Return the instructions of the second round of a program."""
    with scratch() as folder:
        counts = folder / "callgrind.out"
        command = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={counts}"]
        command += [str(program), *map(str, control.words(trace)), "2"]
        subprocess.run(command, pass_fds=_files(trace), check=True, capture_output=True)
        totals = re.search(r"^totals: (\d+)$", counts.read_text(encoding="ascii"), re.MULTILINE)
    assert totals is not None, "callgrind has counted nothing"
    return int(totals[1])


def _files(trace: Trace) -> tuple[int, ...]:
    return trace.image_fd, *trace.held


def _ours(control: Control, kind: str, trace: Trace, run_pass: Pass) -> Sample:
    replays, counter = (1, Counter.CALLGRIND) if run_pass is Pass.COUNTERS else (ROUNDS, Counter.NONE)
    plan = _plan(control.row, kind, trace)
    return take(WorkerExecutor(1), trace, control.row, run_pass, replays, 0, 1 << 30, plan, counter)


def _plan(row: AllocatorSpec, kind: str, trace: Trace) -> AllocatorPlan:
    if not row.name:
        return plan_alone(row, of_trace(work(kind).ways, trace.info))
    return replace(Registry().resolve(AllocatorSpec(row.name)), spec=row)
