"""Other processes: the memory of a program and its children, their mapped libraries, and running them to the end."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_SLEEP_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Running:
    """A process at one moment."""

    pid: int
    program: str
    """Path of its executable."""
    resident_bytes: int


def tree(pid: int) -> Iterator[Running]:
    """Yield a process and all its descendants, except those that end meanwhile."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for running in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                yield Running(running.pid, running.exe(), running.memory_info().rss)


def has_loaded(pid: int, library: str) -> bool | None:
    """Return whether a process maps a file of this name; None where that cannot be determined."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_bytes()
    except OSError:
        return None
    return library.encode() in maps if maps else None


def is_running(pid: int) -> bool:
    """Return whether a process exists and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] not in (b"Z", b"X", b"")
    except OSError:
        return False


def peak_resident_bytes(pid: int) -> int:
    """Return the kernel's high-water mark of a process; 0 once it is gone."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").split()
        if "VmHWM:" in words:
            return 1024 * int(words[words.index("VmHWM:") + 1])
    return 0


def wait(process: subprocess.Popen[bytes], seconds: float) -> tuple[int, resource.struct_rusage] | None:
    """Return (exit status, resource usage) of a program; None if it is still running after this time.

    The status is negative if a signal killed the program, as in subprocess.
    """
    deadline = time.monotonic() + seconds
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage
        if time.monotonic() >= deadline:
            return None
        time.sleep(_SLEEP_SECONDS)


class End:
    """Records when a child ends, in a thread. Nothing else may wait for the child before it has ended."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Start watching."""
        self._process = process
        self._at = 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        # A child that had to be killed is waited for by the code that killed it.
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        self._at = time.monotonic()

    def came_within(self, seconds: float) -> bool:
        """Return whether it has ended, or ends within this time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def take(self) -> tuple[float, int, resource.struct_rusage]:
        """Return (end by time.monotonic(), exit status as in subprocess, resource usage)."""
        self._thread.join()
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._at, self._process.returncode, usage


@contextmanager
def left_to_itself(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Leave a terminal's signals to the program, pass on signals sent only to this process, kill it on an error."""
    before = {}
    try:
        for interrupt in (signal.SIGINT, signal.SIGQUIT):
            before[interrupt] = signal.signal(interrupt, signal.SIG_IGN)
        for ending in (signal.SIGTERM, signal.SIGHUP):
            before[ending] = signal.signal(ending, lambda number, _: process.send_signal(number))
        yield
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        for value, handler in before.items():
            signal.signal(value, handler)


def exit_code(status: int) -> int:
    """Return the exit status that a shell reports for a program that ended with this status."""
    return status if status >= 0 else 128 - status
