"""Other processes: what a program and its children hold, and what is loaded into them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Running:
    """A process at a moment."""

    pid: int
    program: str
    """Path of its executable."""
    resident_bytes: int


def tree(pid: int) -> Iterator[Running]:
    """Yield a process and all that descend from it, without those that end meanwhile."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                yield Running(each.pid, each.exe(), each.memory_info().rss)


def has_loaded(pid: int, library: str) -> bool | None:
    """Return whether a file of that name is mapped by a process; None where that cannot be seen."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_bytes()
    except OSError:
        return None
    return library.encode() in maps if maps else None


def peak_resident_bytes(pid: int) -> int:
    """Return the kernel's high-water mark of a process; 0 once it is gone."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").split()
        if "VmHWM:" in words:
            return 1024 * int(words[words.index("VmHWM:") + 1])
    return 0
