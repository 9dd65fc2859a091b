"""A real scheduler and real Dask workers on this machine: the same figures as without, and one line for each fault."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from memtool import __version__
from memtool.api import bench, check, policy, standings
from memtool.check import CheckOptions
from memtool.cluster import launch, machine
from memtool.errors import InputError
from memtool.model import Run
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.store import run_file
from memtool.workload.trace import find_workload

# Not imported here: each process that collects tests would take a third of a second for it.
pytestmark = pytest.mark.skipif(find_spec("distributed") is None, reason="the extra 'cluster' is not installed")

SECONDS = 300.0
WORKLOAD = """
name: {name}
seed: 7
allocations: 2000
objects: [{{size: {{uniform: [16, 512]}}, lifetime: {{exponential: {{mean: 100}}}}}}]
"""
NANNY = {"MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1", "DASK_TEMPORARY_DIRECTORY": "/var/tmp"}
"""What Dask's nanny puts into the environment of a worker, or a user for Dask."""
EXACT = ("peak_footprint_bytes", "peak_granted_bytes", "internal_fragmentation", "metadata_bytes", "holes_ratio")


@dataclass
class Cluster:
    """A scheduler and two workers that pass for two hosts."""

    file: Path
    port: int
    folder: Path
    processes: dict[str, subprocess.Popen[bytes]]

    def scheduler(self) -> None:
        self.file.unlink(missing_ok=True)
        self._start("scheduler", launch.scheduler_command(self.port, self.file))
        wait_until(self.file.exists)

    def worker(self, name: str, preload: str = "", **changed: str) -> None:
        own = {machine.VARIABLE: name, "TMPDIR": str(self.folder), **changed}
        options = ("--preload", preload) if preload else ()
        self._start(name, launch.worker_command(f"tcp://127.0.0.1:{self.port}", options), own)

    def _start(self, name: str, command: list[str], own: dict[str, str] | None = None) -> None:
        self.processes[name] = subprocess.Popen(
            command, env={**launch.environment(), **(own or {})}, stderr=subprocess.DEVNULL, cwd=self.folder
        )

    def kill(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes.pop(name).wait()

    def close(self) -> None:
        for name in list(self.processes):
            self.kill(name)


def wait_until(is_so: Any) -> None:
    end = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = Cluster(folder / "cluster.json", port, folder, {})
    try:
        made.scheduler()
        made.worker("a")
        made.worker("b", **NANNY)
        yield made
    finally:
        made.close()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a busy machine the time that it takes to answer."""
    monkeypatch.setattr("memtool.cluster.connection._CONNECT_SECONDS", SECONDS)


@pytest.fixture
def workload(tmp_path: Path) -> str:
    file = tmp_path / "churn.yaml"
    file.write_text(WORKLOAD.format(name="churn"), encoding="utf-8")
    return str(file)


def options(workload: str, folder: Path, **changed: Any) -> BenchOptions:
    own: dict[str, Any] = {
        "workloads": (workload,),
        "allocators": "tlsf,best-fit",
        "blocks": 3,
        "footprint_repeats": 2,
        "passes": (Pass.CHECK, Pass.THROUGHPUT, Pass.FOOTPRINT),
        "counters": "none",
        "packs": False,
        "draw_plots": False,
        "output": folder,
    }
    return BenchOptions(**{**own, **changed})


def exact(run: Run) -> dict[tuple[str, str], Any]:
    return {
        (result.cell.allocator, name): result.metrics[name].samples
        for result in run.cells
        for name in EXACT
        if name in result.metrics
    }


def keys(folder: Path) -> list[tuple[str, int, str]]:
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    samples = [line["sample"] for line in lines if "sample" in line]
    return [(sample["cell"]["allocator"], sample["block"], sample["run_pass"]) for sample in samples]


def test_figures_are_those_of_one_machine_and_say_which_host_took_them(
    cluster: Cluster, workload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memtool.cluster.spread._WATCH_SECONDS", 0.0)
    said: list[str] = []
    seen: list[Run] = []  # as `bench --watch` shows it
    steps: list[str] = []
    measuring: dict[int, set[str]] = {}

    def progress(what: str, done: int, total: int, left: float | None) -> None:
        steps.append(f"{what} {done}/{total}")
        measuring.update(variables_of_what_measures(cluster))

    here = bench(options(workload, tmp_path / "here"))
    there = bench(
        options(workload, tmp_path / "there", cluster=str(cluster.file)),
        announce=said.append,
        progress=progress,
        seen=seen.append,
    )
    counts = [
        sum(len(result.metrics["time_per_op_ns"].samples) for result in run.cells if result.metrics) for run in seen
    ]
    assert counts == sorted(counts)
    assert counts[-1] == 2 * 3
    assert standings(seen[-1]) == standings(there.run)
    assert exact(there.run) == exact(here.run) != {}
    assert [result.cell for result in there.run.cells] == [result.cell for result in here.run.cells]
    hosts = there.run.machine["hosts"]
    assert set(hosts) <= {"a", "b"}
    time = there.run.cells[0].metrics["time_per_op_ns"]
    assert set(time.hosts) == set(hosts)
    assert len(time.hosts) == 3
    assert len(keys(tmp_path / "there")) == len(set(keys(tmp_path / "there"))) == 2 + 3 * 3 + 2 * 2
    assert said == [words for words in said if "for a later" in words]
    assert steps[-1].endswith("15/15")
    assert measuring  # one host may be done with all blocks before the other has begun
    assert not {name for names in measuring.values() for name in names} & {*NANNY}
    assert run_file.read(tmp_path / "there") == there.run
    assert not list(machine.spool("x").parent.glob("*"))  # fetched, so gone


def variables_of_what_measures(cluster: Cluster) -> dict[int, set[str]]:
    """Return the names in the environments of the processes that measure for a cluster."""
    names: dict[int, set[str]] = {}
    for worker in cluster.processes.values():
        for process in psutil.Process(worker.pid).children():
            with suppress(psutil.Error):  # it has ended meanwhile
                if "memtool.cluster.serving" in process.cmdline():
                    names[process.pid] = {*process.environ()}
    return names


@contextmanager
def struck(cluster: Cluster, folder: Path, strike: Any) -> Iterator[None]:
    """Do something to the cluster once a few samples are there."""

    def wait() -> None:
        wait_until(lambda: (folder / "journal.jsonl").exists() and len(keys(folder)) >= 5)
        strike()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    yield
    thread.join()


def test_a_killed_worker_and_a_scheduler_that_restarts_lose_no_finished_sample(
    cluster: Cluster, workload: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    said: list[str] = []

    def strike() -> None:
        cluster.kill("a")
        cluster.kill("scheduler")
        cluster.scheduler()
        if cluster.processes["b"].poll() is not None:
            del cluster.processes["b"]
        else:
            cluster.kill("b")
        cluster.worker("a")
        cluster.worker("b")

    with struck(cluster, folder, strike):
        outcome = bench(options(workload, folder, blocks=8, cluster=str(cluster.file)), announce=said.append)
    taken = keys(folder)
    assert len(taken) == len(set(taken)) == 2 + 8 * 3 + 2 * 2
    assert not outcome.failed
    assert not any("samples were not taken" in note for note in outcome.run.notes)


WITHOUT_MEMTOOL = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, *rest):
        return None if name.partition(".")[0] == "memtool" else self.finder.find_spec(name, *rest)

sys.meta_path[:] = map(Without, sys.meta_path)
"""
FAULTS = {
    "bare": WITHOUT_MEMTOOL,
    "old": "import memtool\nmemtool.__version__ = '0.0.1'",
    "other": "from memtool.engine import loading\nloading.source_hash = lambda: 'f00'",
    "late": "import time, types\nfrom memtool.cluster import remote\n"
    "remote.time = types.SimpleNamespace(time=lambda: time.time() + 7200)",
}
"""What a worker does before it joins, so that its host is one on which something is wrong."""
REFUSING = """
import errno, os, sys

def refuse(event, arguments):
    if event not in ("open", "os.mkdir") or not isinstance(arguments[0], (str, os.PathLike)):
        return
    path = os.fspath(arguments[0])
    if path == os.environ.get("ABSENT"):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    makes = event == "os.mkdir" or arguments[2] & os.O_CREAT
    if makes and os.environ.get("FULL", "nothing") in path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

sys.addaudithook(refuse)
"""
"""A sitecustomize: a file is not there, or none can be made in some places, whichever process of the host it is."""


ALL_THE_SAME = "what is finished is sent all the same"


def test_each_host_with_a_fault_costs_a_line_and_the_rest_of_the_run_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    """No memtool, another version, another engine, no trace, a full disk (two kinds of it), a clock that is off."""
    (tmp_path / "sitecustomize.py").write_text(REFUSING, encoding="utf-8")
    trace = tmp_path / "ours.parquet"
    trace.write_bytes(find_workload("recorded/sqlite3").read_bytes())
    own = {"PYTHONPATH": str(tmp_path)}
    said: list[str] = []
    try:
        for name, preload in FAULTS.items():
            cluster.worker(name, preload)
        cluster.worker("without", ABSENT=str(trace), **own)
        cluster.worker("full", FULL="/memtool-host-", **own)
        cluster.worker("spool", FULL="/dev/shm/memtool-", **own)
        wait_until(lambda: len(workers(cluster)) == 2 + len(FAULTS) + 3)
        folder = tmp_path / "run"
        outcome = bench(options(str(trace), folder, blocks=6, cluster=str(cluster.file)), announce=said.append)
    finally:
        for name in (*FAULTS, "without", "full", "spool"):
            cluster.kill(name)
    taken = keys(folder)
    assert len(taken) == len(set(taken)) == 2 + 6 * 3 + 2 * 2
    assert not outcome.failed
    assert set(outcome.run.machine["hosts"]) <= {"a", "b", "late", "spool"}
    for line in (
        "bare: has no memtool; it is left out",
        f"old: has memtool 0.0.1, not {__version__}; it is left out",
        "other: its engine was built from other sources than this one; it is left out",
        "late: its clock is 2 h 0 min ahead; no figure depends on it",
        f"without: {trace}: the trace cannot be read there: No such file or directory; it is left out",
    ):
        assert said.count(line) == 1, (line, said)
    (full,) = (words for words in said if words.startswith("full: "))
    assert full.endswith(": No space left on device; it is left out")
    spool = [words for words in said if words.startswith("spool: ")]
    assert len(spool) <= len([host for host in outcome.run.machine["hosts"] if host == "spool"]) <= 1
    assert all(words.endswith("cannot keep samples: No space left on device; " + ALL_THE_SAME) for words in spool)


def workers(cluster: Cluster) -> Any:
    from distributed import Client

    make: Any = Client
    with make(f"tcp://127.0.0.1:{cluster.port}", timeout=SECONDS, set_as_default=False) as client:
        return client.nthreads()


def test_a_network_that_stalls_loses_nothing_and_costs_two_lines(
    cluster: Cluster, workload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler, through which all calls go, says nothing until the run has noticed."""
    monkeypatch.setattr("memtool.cluster.connection._ANSWER_SECONDS", 1.0)
    folder = tmp_path / "run"
    said: list[str] = []

    def strike() -> None:
        cluster.processes["scheduler"].send_signal(signal.SIGSTOP)
        try:
            wait_until(lambda: any("cannot be reached" in words for words in said))
        finally:
            cluster.processes["scheduler"].send_signal(signal.SIGCONT)

    with struck(cluster, folder, strike):
        outcome = bench(options(workload, folder, blocks=8, cluster=str(cluster.file)), announce=said.append)
    taken = keys(folder)
    assert len(taken) == len(set(taken)) == 2 + 8 * 3 + 2 * 2
    assert not outcome.failed
    assert said[:2] == [
        "the cluster cannot be reached; what hosts have begun goes on",
        "the cluster is reached again",
    ]
    assert not any("left out" in words for words in said)


def test_an_interrupted_run_is_gone_on_with_on_another_cluster(cluster: Cluster, workload: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    own = options(workload, folder, blocks=6, cluster=str(cluster.file))

    def interrupt(what: str, done: int, total: int, left: float | None) -> None:
        if done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench(own, progress=interrupt)
    before = keys(folder)
    assert 8 <= len(before) < 2 + 6 * 3 + 4
    cluster.close()
    cluster.scheduler()
    cluster.worker("c")
    outcome = bench(replace(own, resume=True))
    taken = keys(folder)
    assert "c" in outcome.run.machine["hosts"]
    assert taken[: len(before)] == before
    assert len(taken) == len(set(taken)) == 2 + 6 * 3 + 4


def test_a_check_is_judged_as_on_one_machine(cluster: Cluster, workload: str, tmp_path: Path) -> None:
    rules = policy(["peak_footprint_bytes"])
    own = options(workload, tmp_path / "check", allocators=None, cluster=str(cluster.file))
    checked = check(CheckOptions(own, rules, against="tlsf", candidate="best-fit"))
    (judged,) = checked.report.judgements
    assert judged.comparison.basis == "exact"
    assert judged.comparison.hosts == ()
    assert judged.verdict in ("pass", "regression")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("tcp://127.0.0.1:9", "tcp://127.0.0.1:9: nobody answers there"),
        ("absent.json", "absent.json: no such file, and no address such as tcp://HOST:8786"),
        ("{here}", "is not a scheduler file of Dask"),
    ],
)
def test_where_nobody_answers_one_line_says_so(
    address: str, why: str, workload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memtool.cluster.connection._CONNECT_SECONDS", 0.3)
    with pytest.raises(InputError, match=why) as refused:
        bench(options(workload, tmp_path / "run", cluster=address.format(here=workload)))
    assert refused.value.field == "cluster"


def test_a_cluster_over_ssh_starts_and_ends_with_its_command(tmp_path: Path) -> None:
    """With a script in place of ssh, which runs the command here."""
    hosts = tmp_path / "hosts"
    hosts.write_text("# ours\none\ntwo  # the other\n", encoding="utf-8")
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nshift\nhost=$1\nshift\nMEMTOOL_CLUSTER_HOST=$host exec sh -c "$*"\n', encoding="utf-8")
    ssh.chmod(0o755)
    memtool = Path(sys.executable).parent / "memtool"
    words = ["cluster", "up", "--hosts", hosts, "--ssh", ssh, "--memtool", memtool, "--port", "0"]
    command = [str(memtool), *map(str, words)]
    environment = {**os.environ, "DASK_DISTRIBUTED__COMM__DEFAULT_SCHEME": "tcp"}
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("scheduler at tcp://")
        from distributed import Client

        make: Any = Client
        with make(line.split()[2].rstrip(";"), timeout=SECONDS) as client:
            client.wait_for_workers(2, timeout=SECONDS)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(SECONDS)
    assert not (tmp_path / "cluster.json").exists()
