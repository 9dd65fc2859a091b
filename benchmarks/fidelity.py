"""Whether a replay says of a program what the program says itself: `python -m benchmarks.fidelity --write`.

Each program is recorded, its trace is replayed under four mallocs, and the program itself is run under them. What is
compared are differences between two mallocs, in processor time and in peak resident memory: what the program does
besides is in both of two runs, and what the harness does is in both of two replays, so that neither is in a difference.
What a malloc's library takes to be loaded and to begin is no part of a replay: what an empty program takes under the
same malloc, in the same block, is taken off the program's figures.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tabulate import tabulate

from benchmarks.harness import ORDERS_SQL, ROOT, cc1, scratch, two_threads
from memtool import api
from memtool.allocators.registry import Registry
from memtool.measure.metrics import error_of
from memtool.model import AllocatorSpec, Mode, Run
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.preload import launch
from memtool.programs.program import Program
from memtool.stats.paired import interval

PAGE = ROOT / "docs/fidelity.md"
DATA = ROOT / "docs/data/fidelity.json"
MALLOCS = ("glibc", "jemalloc", "mimalloc", "tcmalloc")
EMPTY = "empty"
MIB = 1 << 20
PERL = """
my %kept;
for my $i (1 .. 250_000) {
  my $key = ($i * 7919) % 30_000;
  if (exists $kept{$key}) { delete $kept{$key} } else { $kept{$key} = "x" x (10 + $i % 300) }
}
print scalar(keys %kept), " ", length(join(",", sort values %kept)), "\\n";
"""
PYTHON = """
import json
kept = {}
for i in range(100_000):
    key = i * 7919 % 15_000
    if key in kept:
        del kept[key]
    else:
        kept[key] = {"id": i, "name": "customer %d" % i, "items": [i, i + 1, str(i)]}
print(len(kept), len(json.dumps(list(kept.values()))))
"""


@dataclass(frozen=True)
class Subject:
    """A program to be recorded and run."""

    name: str
    command: str
    words: str
    mode: Mode = Mode.SERIAL


@dataclass(frozen=True)
class Difference:
    """Of two mallocs, by block; the interval has 95 %."""

    value: float
    low: float
    high: float
    error: float = 0.0
    """By how much two figures may differ though the truth does not."""

    @property
    def sign(self) -> int:
        """Return 1 or -1 where it is known which one is more, else 0."""
        return (self.low > self.error) - (self.high < -self.error)

    def __str__(self) -> str:
        return f"{self.value:+.2f}" + (f" ({self.low:+.2f} to {self.high:+.2f})" if self.low < self.high else "")


def subjects(folder: Path) -> Iterator[Subject]:
    (folder / "empty.c").write_text("#include <stdlib.h>\nint main(void) { free(malloc(100)); }\n", encoding="utf-8")
    subprocess.run(["gcc", "-O0", "-o", folder / EMPTY, folder / "empty.c"], check=True)
    (folder / "orders.sql").write_text(ORDERS_SQL.format(rows=60_000), encoding="utf-8")
    yield Subject(
        "sqlite3", f"sqlite3 :memory: '.read {folder}/orders.sql'", "`sqlite3`: 60,000 rows, an index, a group"
    )
    yield Subject("cc1", shlex.join(cc1(folder)), "`cc1 -O2`: 40 functions")
    (folder / "kept.pl").write_text(PERL, encoding="utf-8")
    yield Subject("perl", f"perl {folder}/kept.pl", "`perl`: a hash of strings that come and go")
    (folder / "kept.py").write_text(PYTHON, encoding="utf-8")
    python = Path(sys.executable).resolve()
    yield Subject("python", f"{python} -S {folder}/kept.py", "`python3` with PYTHONMALLOC=malloc: dictionaries, JSON")
    command = shlex.join(two_threads(folder))
    yield Subject("two-threads", command, "two threads that hand strings over", Mode.PARALLEL)


def by_block(run: Run, workload: str, malloc: str, metric: str, scale: float) -> dict[int, float]:
    """Return the samples of a metric by their blocks, in other units."""
    for cell in run.cells:
        if (cell.cell.workload, cell.cell.allocator) == (workload, malloc) and metric in cell.metrics:
            figure = cell.metrics[metric]
            return {block: scale * sample for block, sample in zip(figure.blocks, figure.samples, strict=True)}
    raise SystemExit(f"{workload} under {malloc}: no {metric}: {[cell.reason for cell in run.cells if cell.reason]}")


def less(figures: Mapping[int, float], others: Mapping[int, float]) -> dict[int, float]:
    """Return figures without others of the same blocks."""
    return {block: figures[block] - others[block] for block in figures.keys() & others.keys()}


def difference(first: Mapping[int, float], second: Mapping[int, float]) -> Difference:
    """Return how much more the second takes, paired by block."""
    effects = [second[block] - first[block] for block in sorted(first.keys() & second.keys())]
    bounds = interval(effects)
    if len(effects) == 1:
        return Difference(effects[0], effects[0], effects[0])
    assert bounds is not None, "fewer than six blocks"
    return Difference(median(effects), *bounds)


def verdict(whole: Difference, replayed: Difference) -> str:
    """Return whether two differences put two mallocs in the same order."""
    if 0 in (whole.sign, replayed.sign):
        return "not told apart" if whole.sign == replayed.sign else "not told apart by one"
    return "same" if whole.sign == replayed.sign else "OPPOSITE"


def record(subject: Subject, folder: Path, environment: Mapping[str, str]) -> Path:
    trace = folder / f"{subject.name}.parquet"
    options = ["record", "--quiet", "--no-callers", "-o", str(trace), "--"]
    words = Program(name=subject.name, command=subject.command, shell="none").arguments
    command = [sys.executable, "-m", "memtool", *options, *words]
    subprocess.run(command, check=True, env=dict(environment), stdout=subprocess.DEVNULL)
    return trace


def instructions(subject: Subject, command: str) -> dict[str, dict[int, float]]:
    """Return the instructions of a program under each malloc, in millions, counted once; nothing of threads."""
    if subject.mode is not Mode.SERIAL:
        return {}
    known, counts = Registry(), {}
    for malloc in MALLOCS:
        plan = known.resolve(AllocatorSpec(malloc))
        run = subprocess.run(
            ["setarch", "-R", "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *shlex.split(command)],
            env=launch.environment(plan, os.environ),
            check=True,
            capture_output=True,
            text=True,
        )
        counts[malloc] = {0: int(run.stderr.rpartition("Collected : ")[2].split()[0]) / 1e6}
    return counts


def measured(subject: Subject, trace: Path, folder: Path, blocks: int) -> tuple[Run, Run]:
    """Return (the program under each malloc, the replays of its trace)."""
    program = Program(name=subject.name, command=subject.command, shell="none", warmup=1, expects_same_output=True)
    whole = api.bench(
        BenchOptions(
            programs=(program, Program(name=EMPTY, command=str(folder / EMPTY), shell="none", warmup=1)),
            allocators=",".join(MALLOCS),
            blocks=blocks,
            output=folder / f"{subject.name}-program",
            draw_plots=False,
        )
    )
    replays = api.bench(
        BenchOptions(
            workloads=(str(trace),),
            allocators=",".join(MALLOCS),
            blocks=blocks,
            passes=(Pass.THROUGHPUT, Pass.FOOTPRINT, *([Pass.COUNTERS] if subject.mode is Mode.SERIAL else [])),
            counters="callgrind" if subject.mode is Mode.SERIAL else "none",
            counter_repeats=1,
            mode=subject.mode,
            cold=True,
            output=folder / f"{subject.name}-replay",
            draw_plots=False,
        )
    )
    return whole.run, replays.run


Counts = Mapping[str, Mapping[int, float]]


def rows(
    subject: str, whole: Run, replays: Run, counted: Counts, empty: Counts
) -> Iterator[tuple[str, str, Difference, Difference]]:
    """Yield (what, pair, difference of the program, difference of the replay) of every two mallocs."""
    operations = replays.workloads[0].operations
    name = replays.workloads[0].name
    for pair in itertools.combinations(counted, 2):
        program = [less(counted[malloc], empty[malloc]) for malloc in pair]
        replayed = [by_block(replays, name, malloc, "instructions_per_op", operations / 1e6) for malloc in pair]
        yield "instructions, M", f"{pair[1]} - {pair[0]}", difference(*program), difference(*replayed)
    for quantity, of_program, of_replay, scale, scale_of_replay in (
        ("processor time, ms", "cpu_time_ns", "cpu_ns_per_op", 1e-6, operations * 1e-6),
        ("peak resident, MiB", "tree_peak_resident_bytes", "peak_resident_bytes", 1 / MIB, 1 / MIB),
    ):
        for first, second in itertools.combinations(MALLOCS, 2):
            program = [
                less(*(by_block(whole, of, name, of_program, scale) for of in (subject, EMPTY)))
                for name in (first, second)
            ]
            replayed = [
                by_block(replays, replays.workloads[0].name, name, of_replay, scale_of_replay)
                for name in (first, second)
            ]
            yield quantity, f"{second} - {first}", difference(*program), difference(*replayed)


def said_of(subject: Subject, whole: Run, replays: Run, counted: Counts, empty: Counts) -> dict[str, Any]:
    """Return what was found of a program, as the data file has it."""
    info = replays.workloads[0]
    return {
        "name": subject.name,
        "shown": subject.words,
        "operations": info.operations,
        "peak_live_mib": info.peak_live_bytes / MIB,
        "cpu_ms": median(by_block(whole, subject.name, "glibc", "cpu_time_ns", 1e-6).values()),
        "empty": {
            malloc: {
                "cpu_ms": median(by_block(whole, EMPTY, malloc, "cpu_time_ns", 1e-6).values()),
                "peak_mib": median(by_block(whole, EMPTY, malloc, "tree_peak_resident_bytes", 1 / MIB).values()),
            }
            for malloc in MALLOCS
        },
        "rows": [
            [quantity, pair, [first.value, first.low, first.high], [second.value, second.low, second.high]]
            for quantity, pair, first, second in rows(subject.name, whole, replays, counted, empty)
        ],
        "load": os.getloadavg()[0],
    }


def pairs_of(said: Mapping[str, Any]) -> Iterator[tuple[str, str, Difference, Difference, str]]:
    """Yield (what, pair, difference of the program, difference of the replay, verdict) of what was found."""
    first: list[float]
    second: list[float]
    for quantity, pair, first, second in said["rows"]:
        error = error_of("peak_resident_bytes", processors=2).within / MIB if quantity.startswith("peak") else 0.0
        whole, replayed = (Difference(value, low, high, error) for value, low, high in (first, second))
        yield quantity, pair, whole, replayed, verdict(whole, replayed)


def summary_of(said: Mapping[str, Any]) -> Iterator[str]:
    for quantity in dict.fromkeys(row[0] for row in said["rows"]):
        verdicts = [(pair, order) for of, pair, *_, order in pairs_of(said) if of == quantity]
        opposite = [pair for pair, order in verdicts if order == "OPPOSITE"]
        same, untold = (sum(order.startswith(word) for _, order in verdicts) for word in ("same", "not"))
        reversed_pairs = ", ".join(opposite) or "none"
        yield f"| {said['shown']} | {quantity.partition(',')[0]} | {same} | {untold} | {reversed_pairs} |"


def section(said: Mapping[str, Any]) -> str:
    text = tabulate(
        [(quantity, pair, str(first), str(second), order) for quantity, pair, first, second, order in pairs_of(said)],
        headers=("what", "pair", "the program", "its replay", "order"),
        tablefmt="github",
        disable_numparse=True,
    )
    words = (
        f"{said['shown']}. {said['operations']:,} operations, at most {said['peak_live_mib']:.1f} MiB live; the whole "
        f"program takes {said['cpu_ms']:.0f} ms of processor time under glibc."
    )
    return f"## {said['name']}\n\n{textwrap.fill(words, 120)}\n\n{text}\n"


INTRODUCTION = """\
# Does a replay say what the program says?

This page measures how far a replay agrees with the program that was recorded; `python -m benchmarks.fidelity --write`
writes it. Each program is recorded (`memtool record`). Its trace is replayed under glibc, jemalloc, mimalloc and
tcmalloc (`memtool bench TRACE --cold`), and the program itself is run under each of them (`memtool bench --program`).
The page compares the *differences* between two mallocs. The rest of the program's work is in both of its runs, and the
harness is in both replays, so neither is part of a difference. A replay does not contain loading a malloc's library and
its first steps, so what an empty program takes under the same malloc, in the same block, is subtracted from the
program's figures.

- **instructions**, millions: those of the whole program under callgrind, counted once, and `instructions_per_op` of the
  replay times its operations. No noise affects them, so every difference is decided. They are not counted for threads,
  which spin while they wait.
- **processor time**, ms: `cpu_time_ns`, and `cpu_ns_per_op` times the operations.
- **peak resident**, MiB: `tree_peak_resident_bytes` and `peak_resident_bytes`. Differences below 0.14 MiB count as
  none, because the kernel's counters are no more exact.

{blocks} blocks, interleaved, differences paired by block, each with its exact 95 % interval. {date}, two cores that
other work shared (load average {load:.1f}): processor time is moved less by that than wall time is, and small
differences are not told apart.

- *same*: both show, each beyond its interval, that the same malloc takes more.
- *not told apart*: the interval of one or of both includes zero, so nothing follows about the order.
- *OPPOSITE*: both differ beyond their intervals, in opposite directions.

| program | what | same | not told apart | opposite |
|---|---|---|---|---|
"""


REMARKS = """\
## Conclusions

**Which malloc is more work?** A replay says so, and by how much. In instructions, all 24 pairs of the four
single-threaded programs have the same order in the replay, and the difference itself is within 15 % of the program's in
23 of them (within 5 % in half of them). What a malloc does for a program, it does for its trace.

**Which malloc is faster?** A replay says so where it can be decided, but understates the difference. No pair is in the
opposite order; for two threads and for Python, all pairs that can be decided are the same. In Perl and Python a replay
shows little more than half of the program's difference, with the same instructions: between two calls, a program's own
data displaces the malloc's tables and free lists from the caches, and a replay has no such data. In sqlite3 the other
mallocs execute 6 to 9 million instructions less than glibc, and yet the program takes 2 to 3 ms of 84 longer under
them, which is hardly distinguishable from noise. Where blocks lie decides how fast a *program* gets at them, and a
replay cannot know that.

**Which malloc needs less memory?** A replay says so where they differ by more than half a MiB. One pair of 30 is in the
opposite order: mimalloc and jemalloc in cc1 (2.6 MiB live). The replay of mimalloc has 0.9 MiB more than the program,
and that of jemalloc the same as the program. Two things differ there. An empty program already has the first pages of
its malloc (0.4 MiB for mimalloc, see below), which are subtracted here and are included in the replay. And a replay
writes to every page of a block below 32 KiB, because the recorder does not say how much of it the program has touched.

So a replay says which malloc is less work, and shows large differences of time and memory. Whether a small difference
exists in the program, `memtool bench --program` says.
"""


def page(data: Mapping[str, Any]) -> str:
    programs = data["programs"]
    load = median(said["load"] for said in programs)
    head = INTRODUCTION.format(blocks=data["blocks"], date=data["date"], load=load)
    starts = [
        (malloc, f"{median(said['empty'][malloc]['cpu_ms'] for said in programs if said['empty']):.2f}", f"{peak:.2f}")
        for malloc in MALLOCS
        if (peak := median(said["empty"][malloc]["peak_mib"] for said in programs if said["empty"]))
    ]
    start = tabulate(starts, ("malloc", "processor time, ms", "peak resident, MiB"), "github", disable_numparse=True)
    parts = ["\n".join(line for said in programs for line in summary_of(said)), REMARKS, "## An empty program", start]
    return (
        head + "\n\n".join([*(part.strip() for part in parts), *(section(said) for said in programs)]).rstrip() + "\n"
    )


def measure(names: Sequence[str], blocks: int) -> Iterator[dict[str, Any]]:
    os.environ["PYTHONMALLOC"] = "malloc"
    empty: Counts = {}
    with scratch() as folder:
        for subject in subjects(folder):
            if names and subject.name not in names:
                continue
            trace = record(subject, folder, os.environ)
            whole, replays = measured(subject, trace, folder, blocks)
            empty = empty or instructions(subject, str(folder / EMPTY))
            yield said_of(subject, whole, replays, instructions(subject, subject.command), empty)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("programs", nargs="*", help="all unless named")
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--write", action="store_true", help=f"keep what is found, and write {PAGE.relative_to(ROOT)}")
    parser.add_argument("--page", action="store_true", help="measure nothing: write the page from what was kept")
    chosen = parser.parse_args()
    if not chosen.page:
        programs = []
        for said in measure(chosen.programs, chosen.blocks):
            programs.append(said)
            print(section(said), flush=True)
        date = datetime.datetime.now().astimezone().strftime("%Y-%m-%d")
        if chosen.write:
            kept = {"date": date, "blocks": chosen.blocks, "programs": programs}
            DATA.write_text(json.dumps(kept) + "\n", encoding="utf-8")
    if chosen.write or chosen.page:
        PAGE.write_text(page(json.loads(DATA.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
