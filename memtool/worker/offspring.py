"""Ends a worker whole: with what it has started, in its own session or out of it.

What a worker leaves behind would go on using processors and memory beside the samples that follow. What has ended by
itself in a session of its own may stay as an entry of the process table until memtool ends.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

VARIABLE = "MEMTOOL_WORKER"
"""In the environment of each worker, and of whatever it starts: a word that no other worker has."""
_PR_SET_CHILD_SUBREAPER = 36
_MOST_GENERATIONS = 100


def adopt_orphans() -> None:
    """Become the parent of what workers leave behind, so that it can be seen and ended."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_worker(process: subprocess.Popen[bytes], word: str) -> None:
    """Kill a worker, which leads a session of its own, and what it has started; returns when all of it is gone."""
    kill_session(process)
    process.wait()
    for _ in range(_MOST_GENERATIONS):
        # Who dies hands its own children on to us: look again until there is none.
        orphans = [pid for pid in _children() if _is_of(pid, process.pid, word)]
        if not orphans:
            return
        for pid in orphans:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill the processes of a worker's own group, if it has not been waited for."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _children() -> list[int]:
    """Return this process's children, those of all its threads."""
    pids: list[int] = []
    for listing in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            pids += map(int, listing.read_text(encoding="ascii").split())
    return pids


def _is_of(pid: int, session: int, word: str) -> bool:
    """Return whether a process is of a worker's session, or was started with its environment."""
    try:
        # pid (name) state ppid pgrp session ...; the name may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        if int(fields[3]) == session:
            return True
        return f"{VARIABLE}={word}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (OSError, IndexError, ValueError):
        return False
