"""A cluster of four workers, each in a network namespace of its own, held against the same run without one.

    python scripts/cluster_namespaces.py [--strikes 10] [--stall] [--seed N]      (as root)

Three workloads and eight allocators are measured twice, here and there: what is exact must be the same to the last bit.
Then again, while at random moments workers are killed and the scheduler restarts, and with ``--stall`` the network of
one host is down for a minute: every sample must be there once. Namespaces, bridge and addresses (10.77.0.0/24) exist
within a namespace of the script's own, which nothing leaves.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from memtool.api import bench
from memtool.cluster import launch, machine
from memtool.host.processes import tree
from memtool.model import Determinism, Run
from memtool.options import BenchOptions
from memtool.passes import Pass

HOSTS = ("h1", "h2", "h3", "h4")
WORKLOADS = ("quickstart", "chapter/game-frame", "chapter/frequent-small-objects")
ALLOCATORS = "first-fit,best-fit,tlsf,buddy,half-fit,segregated-pool,slab,arena"
PASSES = (Pass.CHECK, Pass.THROUGHPUT, Pass.FOOTPRINT)
ADDRESS, PORT = "10.77.0.1", 8786
_STALL_SECONDS = 60.0


def _do(command: str) -> None:
    subprocess.run(command.split(), check=True)


@dataclass
class Namespaces:
    """A scheduler at the bridge, and a host in each namespace."""

    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def begin(self) -> None:
        _do("mount -t tmpfs tmpfs /run/netns")
        _do("ip link set lo up")
        _do("ip link add bridge type bridge")
        _do(f"ip addr add {ADDRESS}/24 dev bridge")
        _do("ip link set bridge up")
        for number, host in enumerate(HOSTS, 11):
            _do(f"ip netns add {host}")
            _do(f"ip link add {host} type veth peer name eth0 netns {host}")
            _do(f"ip link set {host} master bridge up")
            _do(f"ip -n {host} addr add 10.77.0.{number}/24 dev eth0")
            _do(f"ip -n {host} link set eth0 up")
            _do(f"ip -n {host} link set lo up")
        self.scheduler()
        for host in HOSTS:
            command = ["ip", "netns", "exec", host, sys.executable, "-m", "memtool", "cluster", "join"]
            self._start(host, [*command, f"tcp://{ADDRESS}:{PORT}"], {machine.VARIABLE: host})

    def scheduler(self) -> None:
        own = [*launch.scheduler_command(PORT, self.folder / "cluster.json"), "--host", ADDRESS]
        self._start("scheduler", own, {})

    def _start(self, name: str, command: list[str], own: dict[str, str]) -> None:
        environment = {**launch.environment(), **own, "TMPDIR": str(self.folder)}
        self.processes[name] = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)

    def kill_worker(self, host: str) -> None:
        """Kill the Dask worker; who joined starts another."""
        for pid in [process.pid for process in tree(self.processes[host].pid)][1:]:
            with suppress(ProcessLookupError):  # it has ended by itself meanwhile
                os.kill(pid, signal.SIGKILL)

    def restart_scheduler(self) -> None:
        process = self.processes.pop("scheduler")
        process.kill()
        process.wait()
        self.scheduler()

    @contextmanager
    def stalled(self, host: str) -> Iterator[None]:
        _do(f"ip link set {host} down")
        yield
        _do(f"ip link set {host} up")

    def end(self) -> None:
        for name, process in self.processes.items():
            if name != "scheduler":
                self.kill_worker(name)
            process.kill()
            process.wait()


def options(folder: Path, blocks: int, cluster: str | None = None) -> BenchOptions:
    return BenchOptions(
        workloads=WORKLOADS,
        allocators=ALLOCATORS,
        blocks=blocks,
        footprint_repeats=2,
        passes=PASSES,
        counters="none",
        packs=False,
        draw_plots=False,
        output=folder,
        cluster=cluster,
    )


def exact(run: Run) -> dict[str, tuple[float, ...]]:
    return {
        f"{result.cell.workload} · {result.cell.allocator} · {name}": metric.samples
        for result in run.cells
        for name, metric in result.metrics.items()
        if metric.determinism is Determinism.EXACT
    }


def keys(folder: Path) -> list[str]:
    lines = map(json.loads, (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines())
    samples = [line["sample"] for line in lines if "sample" in line]
    return [f"{sample['cell']}, {sample['block']}, {sample['run_pass']}" for sample in samples]


def strike(namespaces: Namespaces, folder: Path, strikes: int, draw: random.Random, done: threading.Event) -> list[str]:
    """Do what a bad day does, at random moments, until it has been done so often."""
    faults: list[str] = []
    while len(faults) < strikes and not done.wait(draw.uniform(1, 4)):
        if not (folder / "journal.jsonl").exists() or len(keys(folder)) < 20:
            continue
        if draw.random() < 0.3:
            namespaces.restart_scheduler()
            faults.append("scheduler")
        else:
            host = draw.choice(HOSTS)
            namespaces.kill_worker(host)
            faults.append(host)
    return faults


def inside(arguments: argparse.Namespace) -> int:
    draw = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        namespaces = Namespaces(folder)
        cluster = f"tcp://{ADDRESS}:{PORT}"
        try:
            namespaces.begin()
            here = bench(options(folder / "here", 3)).run
            time.sleep(3)
            there = bench(options(folder / "there", 3, cluster=cluster), announce=print).run
            own, other = exact(here), exact(there)
            differing = [key for key in own if own[key] != other.get(key)] + [key for key in other if key not in own]
            hosts = {host: known["blocks"] for host, known in there.machine["hosts"].items()}
            print(f"exact figures: {len(own):,} here, {len(other):,} on {hosts}; {len(differing)} differ")
            faults: list[str] = []
            done = threading.Event()
            again = folder / "again"

            def spoil() -> None:
                if arguments.stall:
                    while not again.exists() or len(keys(again)) < 30:
                        time.sleep(0.2)
                    with namespaces.stalled(HOSTS[0]):
                        time.sleep(_STALL_SECONDS)
                faults.extend(strike(namespaces, again, arguments.strikes, draw, done))

            thread = threading.Thread(target=spoil)
            thread.start()
            outcome = bench(options(again, arguments.blocks, cluster=cluster), announce=print)
            done.set()
            thread.join()
            taken = keys(again)
            wanted = len(WORKLOADS) * 8 + arguments.blocks * len(WORKLOADS) * 9 + 2 * len(WORKLOADS) * 8
            print(f"faults: {', '.join(faults)}")
            print(f"samples: {len(taken):,}, of which {len(set(taken)):,} differ; {wanted:,} were asked for")
            print(f"failed cells: {sum(result.reason is not None for result in outcome.run.cells)}")
            is_whole = len(taken) == len(set(taken)) == wanted and len(faults) == arguments.strikes
            return 0 if is_whole and not differing and not outcome.failed else 1
        finally:
            namespaces.end()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strikes", type=int, default=10)
    parser.add_argument("--blocks", type=int, default=20, help="of the run that is spoiled")
    parser.add_argument("--stall", action="store_true", help="the network of one host is down for a minute, too")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        return inside(arguments)
    Path("/run/netns").mkdir(exist_ok=True)
    own = ["unshare", "--net", "--mount", sys.executable, __file__, "--inside", *sys.argv[1:]]
    return subprocess.run(own, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
