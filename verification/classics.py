"""Row 21: the classics that memtool ships against the programs whose names they bear.

What the originals took, each beside four mallocs, is literal here, as it was measured with the programs themselves: see
docs/classics.md for how, and for all the classics. Here those are replayed whose figures lie so far apart that no noise
turns their order. Time: two allocators that the original puts apart by CLEAR or more must be in that order in the
replay, and as far apart within a factor of NEAR; what lies closer is shown, and nothing is asserted of it. Memory: that
of each allocator must be the original's within a factor of ALIKE, where the original takes more than SMALL: below that,
what a process has at its start decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations

from memtool.allocators.system import why_missing
from memtool.model import Mode
from memtool.options import BenchOptions
from memtool.passes import Pass
from verification.cells import run, value
from verification.outcome import Line, Result, Verdict

ALLOCATORS = ("glibc", "jemalloc", "mimalloc", "tcmalloc")
CLEAR = 1.4
NEAR = 2.5
ALIKE = 1.5
SMALL = 3.0
"""MiB."""
BLOCKS = 3
Figures = tuple[float, float, float, float]
"""Of glibc 2.36, jemalloc 5.3.0, mimalloc 2.0.9 and gperftools' tcmalloc 2.10, as Debian 12 has them."""


@dataclass(frozen=True, slots=True)
class Original:
    """What a program took: medians of at least five runs in turns, 2026-11-28, AMD EPYC, 2 cores, Linux 6.18.

    The time of mstress: of nine, 2026-11-29, while nothing else ran; its threads wait for each other.
    """

    command: str
    time: Figures
    """Processor time of the process; ms, or ns an operation where the program runs for a fixed time."""
    memory: Figures
    """VmHWM less that of an empty program with the same library, and less the arrays that a program keeps its blocks in
    where they are 0.5 MiB or more (sh8bench: 0.9); MiB."""


ORIGINALS: Mapping[str, Original] = {
    "malloc-large": Original("malloc-large, 100 iterations", (437, 909, 834, 327), (449.0, 412.1, 409.5, 442.8)),
    "mstress": Original("mstress 2 50 25", (71.1, 119.0, 58.4, 60.7), (10.3, 10.3, 14.4, 12.8)),
    "sh6bench": Original("sh6bench 4, 25 repeats", (44.7, 26.4, 17.0, 19.5), (5.9, 4.7, 4.6, 4.3)),
    "sh8bench": Original("sh8bench 4, 100,000 slots, 1,400 iterations", (31.0, 17.4, 11.4, 15.0), (7.7, 4.1, 4.6, 3.5)),
    "glibc-thread": Original("glibc-thread 2", (21.3, 13.7, 13.5, 12.5), (1.1, 0.9, 1.7, 1.2)),
    "phong": Original("phong -a8000 -t4", (167.6, 125.3, 86.4, 67.1), (10.4, 9.4, 11.5, 9.2)),
}
"""By the name of the classic."""
Measure = Callable[[str], Mapping[str, tuple[float, float]]]
"""Classic -> allocator -> (time, memory)."""


def replay(classic: str) -> dict[str, tuple[float, float]]:
    """Return (processor ns an operation, MiB that resident memory grows by at its peak) of each malloc.

    As a process has it: each replay is the first and only one of its worker, on threads side by side.
    """
    options = BenchOptions(
        workloads=(f"classic/{classic}",),
        allocators=",".join(ALLOCATORS),
        mode=Mode.PARALLEL,
        cold=True,
        passes=(Pass.THROUGHPUT, Pass.FOOTPRINT),
        blocks=BLOCKS,
        footprint_repeats=1,
    )
    figures = ((cell, value(cell, "cpu_ns_per_op"), value(cell, "peak_resident_bytes")) for cell in run(None, options))
    return {cell.cell.allocator: (time, memory / 2**20) for cell, time, memory in figures}


def lines(originals: Mapping[str, Original] = ORIGINALS, measure: Measure = replay) -> Iterator[Line]:
    """Compare the order of the allocators and how far they are apart in time, and their memory, with the originals'."""
    missing = [name for name in ALLOCATORS if why_missing(name) is not None]
    for classic, original in originals.items():
        if missing:
            quantity = f"{classic}: time and memory"
            yield Line(quantity, _ratios(original.time), f"no {', '.join(missing)}", Verdict.NOT_RUN)
            continue
        figures = measure(classic)
        yield time_line(classic, original.time, tuple(figures[name][0] for name in ALLOCATORS))
        if min(original.memory) > SMALL:
            yield memory_line(classic, original.memory, tuple(figures[name][1] for name in ALLOCATORS))


def time_line(classic: str, theirs: tuple[float, ...], ours: tuple[float, ...]) -> Line:
    """Compare ratios: the unit of a time is the program's own."""
    clear = [
        (theirs[more] / theirs[less], ours[more] / ours[less])
        for more, less in permutations(range(len(theirs)), 2)
        if theirs[more] / theirs[less] >= CLEAR
    ]
    agrees = all(apart > 1 and 1 / NEAR <= apart / published <= NEAR for published, apart in clear)
    quantity = f"{classic}: time with {', '.join(ALLOCATORS[1:])}, of glibc's"
    return Line(
        quantity,
        f"{_ratios(theirs)}; {len(clear)} of 6 pairs are clear",
        _ratios(ours),
        Verdict.of(agrees and bool(clear)),
    )


def memory_line(classic: str, theirs: tuple[float, ...], ours: tuple[float, ...]) -> Line:
    """Compare MiB."""
    agrees = all(1 / ALIKE <= mine / published <= ALIKE for published, mine in zip(theirs, ours, strict=True))
    quantity = f"{classic}: memory with {', '.join(ALLOCATORS)}, MiB"
    return Line(quantity, _written(theirs), _written(ours), Verdict.of(agrees))


def _ratios(figures: tuple[float, ...]) -> str:
    return ", ".join(f"{figure / figures[0]:.2f}" for figure in figures[1:])


def _written(figures: tuple[float, ...]) -> str:
    return ", ".join(f"{figure:.1f}" for figure in figures)


CLASSICS = Result(
    21,
    "The classics against their originals",
    "mimalloc-bench, Hoard, shbench",
    "daanx/mimalloc-bench at ce5784f1, emeryberger/Hoard (benchmarks/phong) and MicroQuill's shbench, built and run "
    "beside memtool on 2026-11-28: docs/classics.md",
    measured=lines,
)
