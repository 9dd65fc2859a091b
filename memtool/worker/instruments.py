"""Instruments outside of a worker: callgrind, under which it runs, and the listener to its system calls."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtool.engine.instruments.binding import count_system_calls
from memtool.host.counters import Counter
from memtool.passes import Instrument

if TYPE_CHECKING:
    from memtool.worker.parent import Job

Count = Callable[[subprocess.Popen[bytes]], dict[str, Any]]


@contextmanager
def counted(job: Job) -> Iterator[tuple[list[str], Count, int]]:
    """Yield (beginning of the lean worker's command, function that returns the counts, a descriptor for it or -1)."""
    if job.counter is Counter.CALLGRIND:
        with _instructions_counted(job) as (under, count):
            yield under, count, -1
    elif job.run_pass.declared.instrument is Instrument.SYSTEM_CALLS:
        with _calls_counted(job) as (count, descriptor):
            yield [], count, descriptor
    else:
        yield [], lambda _: {}, -1


@contextmanager
def _instructions_counted(job: Job) -> Iterator[tuple[list[str], Count]]:
    """Yield (beginning of the lean worker's command, function that returns the count of callgrind).

    callgrind counts nothing until the worker tells it to, and writes its count when the worker ends.
    """
    with tempfile.TemporaryDirectory(prefix="memtool-") as folder:
        counts = Path(folder) / "callgrind.out"

        def read(process: subprocess.Popen[bytes]) -> dict[str, Any]:
            process.wait(job.time_limit)
            totals = re.search(r"^totals: (\d+)$", counts.read_text(encoding="ascii"), re.MULTILINE)
            return {"instructions": int(totals[1])} if totals else {}

        without_randomisation = [shutil.which("setarch") or "setarch", platform.machine(), "-R"]
        options = ["-q", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={counts}"]
        if job.threads is not None:
            # Each thread turns counting on for itself; fair scheduling prevents the starvation of a waiting thread.
            options += ["--collect-atstart=no", "--fair-sched=try"]
        # By absolute path: the worker's environment has only the system's PATH, and valgrind may be elsewhere.
        yield [*without_randomisation, shutil.which("valgrind") or "valgrind", *options], read


@contextmanager
def _calls_counted(job: Job) -> Iterator[tuple[Count, int]]:
    """Yield (function that returns the counts of system calls, the socket through which the worker sends its listener).

    Once a worker has installed its filter, every counted call blocks until the thread here lets it continue
    (engine/instruments/system_calls.hpp).
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.settimeout(job.time_limit)
    ended = ctypes.c_uint32(0)

    def serve() -> dict[str, int]:
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        if not descriptors:
            return {}
        try:
            return count_system_calls(descriptors[0], ended)
        finally:
            os.close(descriptors[0])

    with ours, theirs, ThreadPoolExecutor(1) as pool:
        counted = pool.submit(serve)

        def read(process: subprocess.Popen[bytes]) -> dict[str, Any]:
            process.kill()
            return {"system_calls": counted.result()}

        try:
            yield read, theirs.fileno()
        finally:
            ended.value = 1
            with suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)
