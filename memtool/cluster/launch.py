"""A simple way to start a cluster: a scheduler here, and a quiet Dask worker on each host, over SSH."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from memtool.cluster import quiet
from memtool.cluster.connection import address_of, refuse_without_dask
from memtool.errors import InputError, MemtoolError

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:\[\]-]*")
_AGAIN_SECONDS = 2.0
"""Seconds before a worker that has ended is restarted: a restarting scheduler is away for some seconds."""
_START_SECONDS = 120.0
_DEATH_SECONDS = 60
"""Seconds after which a worker without a scheduler ends, and is restarted."""
_END_SECONDS = 5.0


def hosts_in(file: Path) -> list[str]:
    """Return the hosts in a file, one per line, as ``ssh`` takes them; ``#`` begins a comment. Raises InputError."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(f"{file}: cannot be read: {getattr(problem, 'strerror', None) or problem}") from None
    hosts = []
    for number, line in enumerate(lines, 1):
        host = line.partition("#")[0].strip()
        if host and not _HOST.fullmatch(host):
            raise InputError(f"{file}:{number}: must be one host, as ssh takes it, is '{host}'")
        if host in hosts:
            raise InputError(f"{file}:{number}: {host} is there twice")
        hosts += [host] if host else []
    if not hosts:
        raise InputError(f"{file}: names no host")
    return hosts


def scheduler_command(port: int, file: Path) -> list[str]:
    """Return the command that starts a scheduler, which writes its address into a file."""
    own = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", str(port), "--scheduler-file", str(file)]
    return [*own, "--no-dashboard", "--no-show"]


def worker_command(address: str, options: Sequence[str] = ()) -> list[str]:
    """Return the command that starts a worker without a memory limit or a nanny, whose environment changes malloc."""
    own = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard"]
    return [*own, "--nthreads", "4", "--memory-limit", "0", "--death-timeout", str(_DEATH_SECONDS), *options]


def environment() -> dict[str, str]:
    """Return the environment in which schedulers and workers start quiet."""
    return {**os.environ, **quiet.SETTINGS}


def join(cluster: str, say: Callable[[str], None]) -> None:
    """Serve as a host of a cluster until interrupted; a worker that ends with its scheduler is restarted."""
    refuse_without_dask()
    address = address_of(cluster)
    say(f"joins {address}")
    while True:
        worker = subprocess.Popen(
            worker_command(address), env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            worker.wait()
        finally:
            _end(worker)
        time.sleep(_AGAIN_SECONDS)
        address = address_of(cluster)


def _end(*processes: subprocess.Popen[bytes]) -> None:
    """End processes, by force if they do not end within some seconds."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    end = time.monotonic() + _END_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(slots=True)
class Cluster:
    """A scheduler on this machine, and a worker on each of some hosts."""

    file: Path
    """File for the scheduler's address: ``bench --cluster FILE``."""
    ssh: str = "ssh -o BatchMode=yes"
    memtool: str = "memtool"
    """Name of the command on the hosts."""
    port: int = 8786
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def up(self, hosts: Sequence[str], say: Callable[[str], None]) -> None:
        """Start it, and keep it until interrupted. Raises MemtoolError where the scheduler does not start."""
        refuse_without_dask()
        self.file.unlink(missing_ok=True)
        with_quiet: Mapping[str, str] = environment()
        scheduler = subprocess.Popen(
            scheduler_command(self.port, self.file), env=with_quiet, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        self._processes["scheduler"] = scheduler
        try:
            address = self._address(scheduler)
            say(f"scheduler at {address}; memtool bench --cluster {self.file}")
            for host in hosts:
                self._start(host, address)
            self._watch(say)
        finally:
            _end(*self._processes.values())
            self.file.unlink(missing_ok=True)

    def _address(self, scheduler: subprocess.Popen[bytes]) -> str:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if scheduler.poll() is not None:
                assert scheduler.stderr is not None
                last = scheduler.stderr.read().decode(errors="replace").strip().splitlines() or ["no word why"]
                raise MemtoolError(f"the scheduler does not start: {last[-1]}")
            if self.file.exists() and self.file.read_text(encoding="utf-8").strip():
                return address_of(str(self.file))
            time.sleep(0.05)
        raise MemtoolError(f"the scheduler does not start within {_START_SECONDS:.0f} s")

    def _start(self, host: str, address: str) -> None:
        # The command ends with its connection, because -tt gives it a terminal that hangs up.
        remote = f"exec {self.memtool} cluster join {shlex.quote(address)}"
        self._processes[host] = subprocess.Popen(
            [*shlex.split(self.ssh), "-tt", host, remote],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def _watch(self, say: Callable[[str], None]) -> None:
        """Report why each ended host has ended, and continue with the others. Raises MemtoolError if none is left."""
        while any(name != "scheduler" for name in self._processes):
            for name, process in list(self._processes.items()):
                if process.poll() is None:
                    continue
                assert process.stderr is not None
                last = process.stderr.read().decode(errors="replace").strip().splitlines()
                why = last[-1] if last else f"status {process.returncode}"
                if name == "scheduler":
                    raise MemtoolError(f"the scheduler has ended: {why}")
                say(f"{name}: has ended: {why}")
                del self._processes[name]
            time.sleep(0.2)
        raise MemtoolError("no host is left")
