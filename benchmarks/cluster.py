"""memtool measured through a cluster: what an idle worker disturbs, whether unchanged code turns red, what Dask costs.

    python -m benchmarks.cluster [idle] [unchanged] [scheduler] [--keep FILE]        all unless named

idle: 32 replays with a Dask worker on the machine that runs, and with one that is stopped, in turns; the worker of
`memtool cluster join`, and one as Dask starts it. unchanged: allocators against themselves, measured here and through a
scheduler and a worker on this machine, in turns, and 200 suites of 20 cells drawn from either; with --keep what has
been measured goes into a file, and is not measured again. scheduler: 50 hosts that measure
nothing have 1,000 cells in 10 blocks; processor time and memory of a real scheduler. idle and scheduler want a quiet
machine. Exit code 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import psutil
from tabulate import tabulate

from benchmarks import fake_hosts
from benchmarks.harness import ROOT, Finding, scratch, take
from memtool import gate
from memtool.api import bench
from memtool.cluster import launch, quiet, remote
from memtool.cluster.connection import DaskConnection
from memtool.cluster.dispatcher import Dispatcher, Host
from memtool.cluster.ledger import Ledger
from memtool.model import AllocatorSpec, Basis, Comparison, Run
from memtool.options import BenchOptions
from memtool.passes import Pass, Sample
from memtool.passes.throughput import Throughput
from memtool.stats import compare, paired
from memtool.worker.parent import WorkerExecutor
from memtool.workload.trace import Trace, load_trace

PAIRS, REPLAYS = 101, 32
_ADDR_NO_RANDOMIZE = 0x0040000
WORKLOADS, ALLOCATORS = ("quickstart", "chapter/game-frame"), ("tlsf", "best-fit", "glibc", "arena", "buddy")
BLOCKS = 31
SUITES, CELLS = 200, 20
HOSTS, BLOCKS_OF_THE_FLEET = 50, 10
METRIC = "time_per_op_ns"


@contextmanager
def running(command: Sequence[str], **changed: str) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that ends with the block."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=_known({**launch.environment(), **changed}),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _known(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the variables that are empty: Dask takes an empty one for a value."""
    return {name: value for name, value in environment.items() if value}


@contextmanager
def scheduler() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Yield a scheduler and its address."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cluster.json"
        with running([*launch.scheduler_command(0, file), "--host", "127.0.0.1"]) as process:
            while not file.exists() or not file.read_text(encoding="utf-8"):
                time.sleep(0.05)
            yield process, str(json.loads(file.read_text(encoding="utf-8"))["address"])


def idle() -> Iterator[Finding]:
    as_dask_has_it = [sys.executable, "-m", "distributed.cli.dask_worker", "--no-dashboard", "--nthreads", "4"]
    loud = dict.fromkeys(quiet.SETTINGS, "")
    for what, command, changed, goal in (
        ("beside an idle worker of memtool / without", launch.worker_command, {}, "<= 1.01"),
        ("beside an idle worker as Dask has it / without", lambda address: [*as_dask_has_it, address], loud, "-"),
    ):
        with (
            same_layout(),
            load_trace("quickstart") as trace,
            scheduler() as (_, address),
            running(command(address), **changed) as own,
        ):
            time.sleep(5)
            worker = psutil.Process(own.pid)
            pids = [process.pid for process in (worker, *worker.children(recursive=True))]
            ratio, low, high = in_turns(partial(_ticks, trace), pids)
        figure = f"{ratio:.4f} ({low:.4f} to {high:.4f}, {PAIRS} pairs)"
        yield Finding(what, figure, goal, None if goal == "-" else ratio <= 1.01)


def _ticks(trace: Trace) -> float:
    """Return the mean of several replays: the fastest, which a cell has, hides what happens a few times a second."""
    sample = take(WorkerExecutor(1), trace, AllocatorSpec("tlsf"), Pass.THROUGHPUT, replays=REPLAYS)
    return statistics.fmean(sample.of(Throughput).body_ticks)


@contextmanager
def same_layout() -> Iterator[None]:
    """Lay out processes that begin within the block alike: where a heap lies scatters more than what is looked for."""
    personality = ctypes.CDLL(None).personality
    before = personality(0xFFFFFFFF)
    personality(before | _ADDR_NO_RANDOMIZE)
    try:
        yield
    finally:
        personality(before)


def in_turns(measure: Callable[[], float], pids: Sequence[int]) -> tuple[float, float, float]:
    """Return (median, low, high) of the ratio with these processes to without; stopped, they are not there."""
    effects = []
    for turn in range(PAIRS):
        ticks = {}
        for is_there in (True, False) if turn % 2 else (False, True):
            for pid in pids:
                os.kill(pid, signal.SIGCONT if is_there else signal.SIGSTOP)
            time.sleep(0.05)
            ticks[is_there] = measure()
        effects.append(math.log(ticks[True] / ticks[False]))
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    low, high = paired.interval(effects) or (math.nan, math.nan)
    return math.exp(statistics.median(effects)), math.exp(low), math.exp(high)


def unchanged(keep: Path | None = None) -> Iterator[Finding]:
    effects: dict[str, dict[str, tuple[float, ...]]] = {"here": {}, "through a cluster": {}}
    if keep is not None and keep.exists():
        effects |= json.loads(keep.read_text(encoding="utf-8"))
    with scratch() as folder, scheduler() as (_, address), running(launch.worker_command(address)):
        for turn, name in enumerate(ALLOCATORS):
            for where, cells in list(effects.items())[:: 1 if turn % 2 else -1]:
                if any(cell.endswith(f" {name}") for cell in cells):
                    continue
                output = folder / f"{name}-{where[:4]}"
                cells.update(_against_itself(name, output, None if where == "here" else address))
                if keep is not None:
                    keep.write_text(json.dumps(effects), encoding="utf-8")
    for where, cells in effects.items():
        scatter = statistics.median(paired.scatter(own) for own in cells.values())
        red = sum(_is_red(Random(suite), list(cells.values())) for suite in range(SUITES))
        figure = f"{red} of {SUITES} suites of {CELLS} cells (pairs scatter by {scatter:.1%})"
        yield Finding(f"unchanged code that turns red, measured {where}", figure, "<= 1", red <= 1)


def _against_itself(name: str, output: Path, cluster: str | None) -> Mapping[str, tuple[float, ...]]:
    """Return the effects of each block of an allocator against itself, by cell."""
    options = BenchOptions(
        workloads=WORKLOADS,
        specs=(AllocatorSpec(name), AllocatorSpec(name, again=True)),
        blocks=BLOCKS,
        passes=(Pass.THROUGHPUT,),
        counters="none",
        packs=False,
        draw_plots=False,
        output=output,
        cluster=cluster,
    )
    run: Run = bench(options).run
    effects = {f"{own.workload} {name}": own.effects for own in compare.within(run, name, (METRIC,))}
    if len(effects) < len(WORKLOADS) or not all(effects.values()):
        sys.exit(f"{name}: not all of its samples were taken: {[result.reason for result in run.cells]}")
    return effects


def _is_red(draw: Random, cells: Sequence[tuple[float, ...]]) -> bool:
    """Return whether a check over cells drawn from these finds a regression: two looks, as a check has them."""
    rules = gate.Policy((METRIC,))
    chosen = [draw.choice(cells) for _ in range(CELLS)]

    def look(which: Sequence[int]) -> list[Comparison]:
        return [_drawn(draw, str(index), chosen[index]) for index in which]

    first = gate.screen(look(range(CELLS)), rules)
    judged = gate.confirm(first, look([index for index, item in enumerate(first) if item.is_suspect]), rules)
    return any(judgement.verdict == "regression" for judgement in judged)


def _drawn(draw: Random, name: str, effects: Sequence[float]) -> Comparison:
    own = tuple(draw.choice(effects) * draw.choice((-1, 1)) for _ in range(BLOCKS))
    middle = math.expm1(statistics.median(own))
    cell = (name, "anonymous", "serial", "a", "b", METRIC)
    return Comparison(*cell, Basis.PAIRED, True, 10.0, 10.0, own, middle, samples=len(own))


@dataclass
class _Fleet:
    """Who makes a run of it, and keeps nothing but the count."""

    plan: Any
    run: str = "fleet"
    order: str = "{}"
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    taken: int = 0

    def refusal(self, facts: Mapping[str, Any]) -> str | None:
        return None

    def group_of(self, host: str, described: Mapping[str, Any]) -> str:
        if not self.ledgers:
            self.ledgers["fleet"] = Ledger("fleet", self.plan, self.record)
        return "fleet"

    def record(self, sample: Sample) -> None:
        self.taken += 1

    def announce(self, words: str) -> None:
        print(words, file=sys.stderr)

    def changed(self, hosts: Sequence[Host]) -> None:
        """Show nothing."""


def fleet() -> Iterator[Finding]:
    plan = fake_hosts.plan_of(HOSTS, 20, BLOCKS_OF_THE_FLEET)
    units = len(plan.measurables) * BLOCKS_OF_THE_FLEET
    names = ("look", "prepare", "collect", "release")
    with ExitStack() as stack:
        process, address = stack.enter_context(scheduler())
        hosts = stack.enter_context(running([sys.executable, "-m", "benchmarks.fake_hosts", address, str(HOSTS)]))
        assert hosts.stdout is not None
        assert hosts.stdout.readline() == b"ready\n"
        for name in names:
            stack.enter_context(patch.object(remote, name, getattr(fake_hosts, name)))
        connection = DaskConnection(address)
        stack.callback(connection.close)
        listener = _Fleet(plan)
        watched = psutil.Process(process.pid)
        before, resident, start = watched.cpu_times(), watched.memory_info().rss, time.monotonic()
        dispatcher = Dispatcher(connection, listener, listener.ledgers)
        dispatcher.run()
        seconds = time.monotonic() - start
        after, grown = watched.cpu_times(), watched.memory_info().rss - resident
        dispatcher.release(keep=False)
    assert listener.taken == len(plan.plans) * BLOCKS_OF_THE_FLEET + units
    used = (after.user + after.system - before.user - before.system) / units
    figure = f"{1e3 * used:.1f} ms ({HOSTS} hosts, {len(plan.plans):,} cells, {units} blocks in {seconds:.1f} s)"
    yield Finding("processor time of the scheduler a block", figure, "<= 50 ms", used <= 0.05)
    most = 100 << 20
    yield Finding("growth of the scheduler", f"{grown / (1 << 20):.1f} MiB", "<= 100 MiB", grown <= most)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--keep", type=Path, help="a file for what `unchanged` has measured")
    chosen = parser.parse_args()
    parts: Mapping[str, Callable[[], Iterator[Finding]]] = {
        "idle": idle,
        "unchanged": partial(unchanged, chosen.keep),
        "scheduler": fleet,
    }
    names = chosen.parts or list(parts)
    unknown = [name for name in names if name not in parts]
    if unknown:
        sys.exit(f"no part {unknown[0]}: {', '.join(parts)}")
    findings = [finding for name in names for finding in parts[name]()]
    rows = [
        (finding.quantity, finding.figure, finding.goal, {True: "yes", False: "NO", None: ""}[finding.reached])
        for finding in findings
    ]
    print(tabulate(rows, headers=("quantity", "figure", "goal", "reached")))
    return 1 if any(finding.reached is False for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
