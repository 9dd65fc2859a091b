"""What recording costs a program, beside other recorders: `python -m benchmarks.recorders --write`.

Each program is run alone and under each recorder that is installed, in turn, in an order drawn anew for each round:
first with `memtool record`, then with the others in a third as many rounds. Ratios are of one round; the table has
their medians with exact 95 % intervals. With --write it stands in docs/recording.md. Debian has the recorders as
heaptrack, and lttng-tools with liblttng-ust-dev. gperftools' tracing branch is none of its packages: --gperftools
names the folder in which it was built. It traces its own tcmalloc, so it is held against the program under that
tcmalloc without tracing.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Protocol

from tabulate import tabulate

from benchmarks.harness import ORDERS_SQL, ROOT, cc1, git_pack, scratch, sqlite_on_two_threads, two_threads
from memtool.recorder.preload import Preload
from memtool.stats.paired import interval

PAGE = ROOT / "docs/recording.md"
MARKS = ("<!-- table of recorders -->\n", "<!-- end of the table -->\n")
HEAPTRACK = Path("/usr/lib/heaptrack/libheaptrack_preload.so")
LTTNG = "liblttng-ust-libc-wrapper.so"
ALONE = "alone"
UNTRACED = "gperftools' tcmalloc, untraced"
RECORD = "`memtool record`"
OFTEN = frozenset([ALONE, RECORD])
"""These differ so little that it takes many rounds to see by how much."""
_TIMEOUT_S = 300
_PAUSE_S = 0.3
"""Before each start, so that nothing which the previous recorder still has to do takes time from the next program."""


@dataclass(frozen=True)
class Took:
    """What a program took, and how much its recorder wrote."""

    wall: float
    processor: float
    written_bytes: int = 0
    events: int = 0
    """0: its recorder does not say."""


def run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Return the seconds of a program: wall and processor, of all that it waits for."""
    begun = time.monotonic()
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(command, env=dict(environment), stdin=nothing, stdout=nothing, stderr=nothing)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{shlex.join(command)}: ended with {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Recorder(Protocol):
    """Runs programs under a recorder."""

    @property
    def name(self) -> str: ...

    @property
    def base(self) -> str:
        """Return the name of what the program runs under without it."""
        ...

    def take(self, command: Sequence[str], folder: Path) -> Took: ...


@dataclass(frozen=True)
class Alone:
    name: str = ALONE
    base: str = ALONE

    def take(self, command: Sequence[str], folder: Path) -> Took:
        return Took(*run(command, os.environ))


@dataclass(frozen=True)
class Memtool:
    name: str
    options: tuple[str, ...] = ()
    base: str = ALONE

    def take(self, command: Sequence[str], folder: Path) -> Took:
        file = folder / "app.parquet"
        words = [sys.executable, "-m", "memtool", "record", "--format", "json", *self.options, "-o", str(file), "--"]
        done = subprocess.run(
            [*words, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=True,
            timeout=_TIMEOUT_S,
        )
        said = json.loads(done.stderr.splitlines()[-1])
        counts = [process["counts"] for process in said["processes"]]
        names = ("allocations", "frees", "reallocations", "refused", "unmatched_frees")
        events = sum(count[name] for count in counts for name in names)
        processor = said["user_seconds"] + said["system_seconds"]
        return Took(said["seconds"], processor, file.stat().st_size, events)


@dataclass(frozen=True)
class Preloaded:
    """A library that writes by itself, and nobody who reads."""

    name: str
    path: Path | None
    """Of the library; None: memtool's."""
    base: str = ALONE

    def take(self, command: Sequence[str], folder: Path) -> Took:
        output = dict.fromkeys(("DUMP_HEAPTRACK_OUTPUT", "TCMALLOC_TRACE_OUTPUT"), str(folder / "raw"))
        environment = {**os.environ, "LD_PRELOAD": str(self.path), **output}
        if self.path is None:
            environment = Preload(folder).environment(os.environ)
        return Took(*run(command, environment), size_of(folder))


@dataclass(frozen=True)
class Lttng:
    name: str = "LTTng-UST's malloc wrapper"
    base: str = ALONE

    def take(self, command: Sequence[str], folder: Path) -> Took:
        steps = (
            ("create", "recorders", f"--output={folder}"),
            ("enable-channel", "--userspace", "--subbuf-size=4M", "--num-subbuf=8", "--blocking-timeout=inf", "all"),
            ("enable-event", "--userspace", "--channel=all", "lttng_ust_libc:*"),
            ("start",),
        )
        for step in steps:
            subprocess.run(["lttng", *step], check=True, stdout=subprocess.DEVNULL)
        try:
            environment = {**os.environ, "LD_PRELOAD": LTTNG, "LTTNG_UST_ALLOW_BLOCKING": "1"}
            usage = run(command, environment)
        finally:
            subprocess.run(["lttng", "destroy", "recorders"], check=True, stdout=subprocess.DEVNULL)
        return Took(*usage, size_of(folder))


@contextmanager
def lttng_daemon() -> Iterator[None]:
    """Run LTTng's daemon, unless somebody else does."""
    with scratch() as folder:
        number = folder / "number"
        begun = subprocess.run(
            ["lttng-sessiond", "--daemonize", f"--pidfile={number}"], stderr=subprocess.DEVNULL, check=False
        )
        try:
            yield
        finally:
            if begun.returncode == 0:
                os.kill(int(number.read_text(encoding="ascii")), signal.SIGTERM)


def recorders(gperftools: Path | None) -> list[Recorder]:
    """Return those that are installed, the program alone first."""
    there: list[Recorder] = [
        Alone(),
        Memtool(RECORD),
        Memtool("`memtool record --depth 8`", ("--depth", "8")),
        Preloaded("memtool's preload, nobody reads", None),
    ]
    if HEAPTRACK.is_file():
        there.append(Preloaded("heaptrack's preload, to a file", HEAPTRACK))
    if shutil.which("lttng-sessiond"):
        there.append(Lttng())
    if gperftools is not None:
        minimal, tracing = (gperftools / f".libs/libtcmalloc_minimal{end}.so" for end in ("", "_tracing"))
        there += [Preloaded(UNTRACED, minimal), Preloaded("gperftools' tracing tcmalloc", tracing, UNTRACED)]
    return there


def programs(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield programs by name, with their commands; their inputs are made here."""
    (folder / "orders.sql").write_text(ORDERS_SQL.format(rows=30_000), encoding="utf-8")
    yield "sqlite3, 30,000 rows", ["sqlite3", ":memory:", f".read {folder}/orders.sql"]
    yield "cc1 -O2, 40 functions", cc1(folder)
    yield "sqlite3, on two threads", sqlite_on_two_threads(folder / "orders.sql")
    yield "git pack-objects, two threads", git_pack(folder)
    yield "two threads that only allocate", two_threads(folder)


def take_rounds(command: Sequence[str], there: Sequence[Recorder], rounds: int) -> dict[str, dict[int, Took]]:
    """Return what the program took under each, by round: first OFTEN, then the others in a third as many rounds."""
    often = [recorder for recorder in there if recorder.name in OFTEN]
    seldom = [recorder for recorder in there if recorder.name != RECORD]
    stages = [often] * (rounds + 1) + [seldom] * (rounds // 3 + 1)
    draw = random.Random(rounds)
    taken: dict[str, dict[int, Took]] = {recorder.name: {} for recorder in there}
    for number, stage in enumerate(stages):
        for recorder in draw.sample(stage, len(stage)):
            time.sleep(_PAUSE_S)
            with scratch() as folder:
                usage = recorder.take(command, folder)
            if number not in (0, rounds + 1):  # the first ones warm up
                taken[recorder.name][number] = usage
    return taken


def ratio(pairs: Iterable[tuple[float, float]]) -> str:
    ratios = [figure / base for figure, base in pairs]
    bounds = interval(ratios)
    return f"{median(ratios):.2f}" + (f" ({bounds[0]:.2f} to {bounds[1]:.2f})" if bounds else "")


def rows(program: str, taken: Mapping[str, Mapping[int, Took]], bases: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    events = max((usage.events for usages in taken.values() for usage in usages.values()), default=0)
    for name, usages in taken.items():
        if name in (ALONE, UNTRACED):
            continue
        pairs = [(usage, taken[bases[name]][number]) for number, usage in usages.items()]
        added = median(usage.processor - base.processor for usage, base in pairs)
        yield (
            program,
            name,
            ratio((usage.wall, base.wall) for usage, base in pairs),
            ratio((usage.processor, base.processor) for usage, base in pairs),
            f"{added / events * 1e9:.0f}",
            f"{median(usage.written_bytes for usage in usages.values()) / events:.2f}",
        )
        program = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=45)
    parser.add_argument("--only", default="", help="part of a program's name")
    parser.add_argument("--gperftools", type=Path, help="folder in which its tracing branch was built")
    parser.add_argument("--write", action="store_true", help="write the table into docs/recording.md")
    chosen = parser.parse_args()
    there = recorders(chosen.gperftools)
    bases = {recorder.name: recorder.base for recorder in there}
    table: list[tuple[str, ...]] = []
    load = os.getloadavg()[0]
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        if any(isinstance(recorder, Lttng) for recorder in there):
            stack.enter_context(lttng_daemon())
        for name, command in programs(folder):
            if chosen.only in name:
                table += rows(name, take_rounds(command, there, chosen.rounds), bases)
    heads = ("program", "recorder", "wall time", "its processor time", "ns more an event", "bytes an event")
    text = tabulate(table, heads, tablefmt="github", disable_numparse=True)
    when, processors = datetime.datetime.now(datetime.UTC), os.cpu_count()
    text += (
        f"\n\n{chosen.rounds} rounds, other recorders in a third as many, {when:%Y-%m-%d}, {processors} processors, "
        f"load average {load:.1f} at the start.\n"
    )
    print(text)
    if chosen.write:
        before, begin, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
        PAGE.write_text(f"{before}{begin}\n{text}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
