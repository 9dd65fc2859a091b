"""Kills a worker with all its descendants, whether they are in its session or not.

Remaining processes would use processors and memory during the following samples. A process that ended by itself in its
own session may stay as an entry of the process table until memtool ends.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

VARIABLE = "MEMTOOL_WORKER"
"""Variable in the environment of each worker and its descendants, with a unique value for each worker."""
_PR_SET_CHILD_SUBREAPER = 36
_MOST_GENERATIONS = 100


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants of workers, so that they can be found and killed."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_worker(process: subprocess.Popen[bytes], word: str) -> None:
    """Kill a worker, which leads its own session, and its descendants; returns when all of them are gone."""
    kill_session(process)
    process.wait()
    for _ in range(_MOST_GENERATIONS):
        # The children of a killed process become ours, so repeat until there are none.
        orphans = [pid for pid in _children() if _is_of(pid, process.pid, word)]
        if not orphans:
            return
        for pid in orphans:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill the process group of a worker that has not been waited for."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _children() -> list[int]:
    """Return the children of all threads of this process."""
    pids: list[int] = []
    for listing in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            pids += map(int, listing.read_text(encoding="ascii").split())
    return pids


def _is_of(pid: int, session: int, word: str) -> bool:
    """Return whether a process is in a worker's session, or was started with its environment."""
    try:
        # pid (name) state ppid pgrp session ...; the name may contain anything.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        if int(fields[3]) == session:
            return True
        return f"{VARIABLE}={word}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (OSError, IndexError, ValueError):
        return False
