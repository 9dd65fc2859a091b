"""Writes docs/custom-allocators.md: whether a custom allocator beats the best malloc, on each shipped recording.

python scripts/custom_allocators.py                 # measures first: half an hour on two cores
python scripts/custom_allocators.py --runs FOLDER   # from what it measured before
"""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
from tabulate import tabulate

from memtool import api
from memtool.model import Comparison, Run
from memtool.workload.trace import shipped_recordings

PAGE = Path(__file__).parent.parent / "docs/custom-allocators.md"
TIME, MEMORY = "cpu_ns_per_op", "peak_resident_bytes"
MALLOCS = ("glibc", "jemalloc", "mimalloc", "tcmalloc")
POOLS = ("segregated-pool", "slab")
ARENA = "arena"
AS_MALLOC = "segregated-pool+as-malloc"
KINDS = {"once": ("--cold",), "again": ()}
"""Name of a run -> options: a program that runs once in a fresh process, and a heap that has served it before."""


@dataclass(frozen=True, slots=True)
class Row:
    """A program, the fastest malloc there, and how others compare with it."""

    program: str
    malloc: str
    nanoseconds: float
    changes: Mapping[str, tuple[Comparison, Comparison]]
    """Allocator -> (time, memory), paired with the malloc."""

    @property
    def pool(self) -> str:
        """Return the fastest pool."""
        return min(POOLS, key=lambda name: self.changes[name][0].change or 0.0)


def measure(folder: Path, blocks: int) -> None:
    """Measure all recordings; what was interrupted goes on where it stopped."""
    allocators = ",".join((*MALLOCS, *POOLS, ARENA, AS_MALLOC))
    for kind, options in KINDS.items():
        place = folder / kind
        begun = ["--resume"] if (place / "journal.jsonl").exists() else []
        command = [sys.executable, "-m", "memtool", "bench", *shipped_recordings(), "-a", allocators, *options]
        command += ["--blocks", str(blocks), "--passes", "throughput,footprint", "--no-plots", "-o", str(place), *begun]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def rows(place: Path) -> Iterator[Row]:
    """Yield a row for each program of a run."""
    run = api.show(place)
    rules = api.policy([TIME, MEMORY])
    compared: dict[tuple[str, str, str], dict[str, Comparison]] = {}
    for malloc in MALLOCS:
        for judgement in api.compare(place, reference=malloc, rules=rules).judgements:
            of = judgement.comparison
            compared.setdefault((of.workload, malloc, of.head), {})[of.metric] = of
    for info in run.workloads:
        times = {malloc: _time(run, info.name, malloc) for malloc in MALLOCS}
        malloc = min(times, key=times.__getitem__)
        changes = {
            head: (ratios[TIME], ratios[MEMORY])
            for (workload, base, head), ratios in compared.items()
            if (workload, base) == (info.name, malloc) and {TIME, MEMORY} <= ratios.keys()
        }
        yield Row(info.name, malloc, times[malloc], changes)


def _time(run: Run, workload: str, allocator: str) -> float:
    (cell,) = (result for result in run.cells if (result.cell.workload, result.cell.allocator) == (workload, allocator))
    value = cell.metrics[TIME].value
    return math.inf if value is None else value


def _ratio(of: Comparison) -> str:
    if of.change is None:
        return "n/a"
    interval = "" if of.low is None or of.high is None else f" ({1 + of.low:.2f} to {1 + of.high:.2f})"
    return f"{1 + of.change:.2f}{interval}"


def verdict(of: Comparison) -> str:
    """Return whether the head is faster than its base, as far as the interval of the pairs says."""
    if of.low is None or of.high is None or of.low <= 0 <= of.high:
        return "undecided"
    return "faster" if of.high < 0 else "slower"


def table(rows: list[Row]) -> str:
    """Return the table of a run."""
    cells = [
        {
            "program": row.program,
            "fastest malloc": f"{row.malloc}, {row.nanoseconds:.1f} ns",
            "pool": row.pool,
            "its time": _ratio(row.changes[row.pool][0]),
            "its memory": _ratio(row.changes[row.pool][1]).partition(" ")[0],
            "the pool as a malloc, time": _ratio(row.changes[AS_MALLOC][0]),
            "arena, time": _ratio(row.changes[ARENA][0]),
            "arena, memory": _ratio(row.changes[ARENA][1]).partition(" ")[0],
        }
        for row in rows
    ]
    return tabulate(cells, headers="keys", tablefmt="pipe", disable_numparse=True)


def summary(rows: list[Row]) -> Iterator[str]:
    """Yield what a run comes to, a sentence for each kind of custom allocator."""
    candidates: Mapping[str, Callable[[Row], tuple[Comparison, Comparison]]] = {
        "The faster of the two pools": lambda row: row.changes[row.pool],
        "`segregated-pool` on a malloc's footing": lambda row: row.changes[AS_MALLOC],
        "The arena": lambda row: row.changes[ARENA],
    }
    for what, chosen in candidates.items():
        pairs = [chosen(row) for row in rows]
        counts = {word: sum(verdict(time) == word for time, _ in pairs) for word in ("faster", "slower", "undecided")}
        time, memory = (
            math.exp(sum(math.log1p(pair[at].change or 0.0) for pair in pairs) / len(pairs)) for at in (0, 1)
        )
        sentence = (
            f"- {what} is faster than the fastest malloc on {counts['faster']} of {len(pairs)} programs, slower on "
            f"{counts['slower']}, undecided on {counts['undecided']}; time {time:.2f} and memory {memory:.2f} of the "
            "malloc's, in the geometric mean."
        )
        yield textwrap.fill(sentence, 120, subsequent_indent="  ")


_PAGE = """\
# Does a custom allocator beat the best malloc?

Berger, Zorn and McKinley (*Reconsidering Custom Memory Allocation*, OOPSLA 2002) replaced the custom allocators of
eight programs by a good general-purpose malloc. Six of the programs ran as fast as before, or faster. The other two
used regions, which free many objects at once; regions had made them up to 44 % faster, but can take much memory. This
page asks the opposite question about the [shipped recordings](../workloads/recorded/README.md): how do two pools and an
arena serve each program's requests, compared with the fastest of four mallocs? `scripts/custom_allocators.py` wrote the
page, from runs of {date} ({machine}, {blocks} blocks).

In short: a pool that is compiled into the program takes less time than the best malloc, with about the same memory.
Called as a malloc is called, the same pool is not faster on any of the programs. So its advantage comes from an inlined
call that knows the size, and not from custom allocation. An arena that frees nothing pays off if the heap serves the
same work again and memory does not matter; a program that runs once pays for every fresh page.

Times are processor times of an operation, which other work on the machine affects least. They include the replay loop,
which is the same for all and hides a part of each difference. Each ratio is paired, block by block, with the fastest
malloc of the same run; below 1 is faster, or less. Its 95 % interval is in brackets. Memory is peak resident memory.
The pools and the arena are called as a part of a C++ program would call them: inlined, told the size at a free, and
used by one thread at a time. *As a malloc* is `segregated-pool` behind one indirect call, with a bare pointer and a
lock, as a preloaded malloc would be.

## A program that runs once

Each replay is the first of a fresh process (`--cold`): all allocators pay for the page faults of their first touch.

{once_table}

{once_summary}

## A heap that has served it before

These are the best of three replays after a warm-up, in one process, as in a server that does the same work again. An
allocator that gives memory back to the kernel in between takes its page faults again each time; one that keeps it does
not.

{again_table}

{again_summary}

## What the table does not say

- The arena frees nothing before the end, because a recording does not say which objects could end together. A program
  that is written for regions frees them in between, so its memory lies between that of the arena here and the live
  bytes.
- A replay contains none of the program's work between two requests. The caches are warmer for the allocator than in the
  program, and the placement of blocks relative to each other costs nothing. Both favour allocators with much metadata,
  and disfavour arenas.
- The fastest malloc and the faster pool are chosen from the same figures that are compared, which favours both.
"""


@click.command()
@click.option("--runs", type=click.Path(path_type=Path, exists=True), help="Folder of the runs; measured unless given.")
@click.option("--blocks", default=13, show_default=True)
def main(runs: Path | None, blocks: int) -> None:
    """Measure, and write the page."""
    folder = runs or Path("results/custom-allocators")
    if runs is None:
        measure(folder, blocks)
    parts: dict[str, str] = {}
    for kind in KINDS:
        compared = list(rows(folder / kind))
        parts |= {f"{kind}_table": table(compared), f"{kind}_summary": "\n".join(summary(compared))}
    run = api.show(folder / "once")
    machine = f"{run.machine['cpu']}, {run.machine['cores']} cores"
    PAGE.write_text(_PAGE.format(date=run.started[:10], machine=machine, blocks=run.blocks, **parts), encoding="utf-8")


if __name__ == "__main__":
    main()
