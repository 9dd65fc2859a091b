"""A folder in memory for what a program writes and nobody has read yet: a page costs it a third of one on a disk.

It is taken only where there is room, and no more of it than is said here: what goes beyond that goes to the disk.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from memtool.host import machine

_SHARED_MEMORY = Path("/dev/shm")  # a folder of our own in it, which nobody else may read
_PREFIX = "memtool-record-"
_FULL = ".full"
MOST_BYTES = 256 << 20
"""Of all processes together, as far as we look in time: a process alone takes MEMTOOL_MOST_IN_MEMORY (format.h)."""
_TIMES_FREE = 4
"""So many times as much must be free."""


class Memory:
    """The folder. While too much lies in it, it has another name, so that no process finds it."""

    def __init__(self, path: Path) -> None:
        """Take a folder that is there."""
        self.path = path
        """What processes are told; not always where the files are."""
        self.now = path
        """Where the files are."""

    def look(self, most_bytes: int = MOST_BYTES) -> None:
        """Hide the folder, or show it again, as far as it is filled."""
        with suppress(OSError):  # it stays as it is, and a process takes no more of it than its own share
            held = sum(512 * file.stat().st_blocks for file in self.now.iterdir())
            name = self.path.with_name(self.path.name + _FULL) if held > most_bytes else self.path
            if name != self.now:
                self.now = self.now.rename(name)


@contextmanager
def memory(shared: Path = _SHARED_MEMORY) -> Iterator[Memory | None]:
    """Yield a folder in memory, which is gone afterwards; None where there is none or too little is free."""
    _sweep(shared)
    made = _make(shared)
    if made is None:
        yield None
        return
    descriptor, path = made
    taken = Memory(path)
    try:
        yield taken
    finally:
        shutil.rmtree(taken.now, ignore_errors=True)
        os.close(descriptor)


def _make(shared: Path) -> tuple[int, Path] | None:
    """Return a folder that we hold, as an open file and its path; None: there is none or too little is free."""
    with suppress(OSError):
        free = min(shutil.disk_usage(shared).free, machine.available_memory())
        if machine.is_in_memory(shared) and free >= _TIMES_FREE * MOST_BYTES:
            while True:
                path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=shared))
                descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                # Whoever sweeps may have found it before we held it.
                if path.is_dir():
                    return descriptor, path
                os.close(descriptor)
    return None


def _sweep(shared: Path) -> None:
    """Remove what a memtool of ours that was killed has left: nobody holds it."""
    with suppress(OSError):
        for path in shared.glob(f"{_PREFIX}*"):
            with suppress(OSError):
                if path.stat(follow_symlinks=False).st_uid == os.geteuid():
                    _remove_if_left(path)


def _remove_if_left(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)
