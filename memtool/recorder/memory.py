"""A folder in memory for data that a program writes and memtool has not read: it costs a third of the time of a disk.

It is used only if there is room, up to the limits here; data beyond them goes to the disk.
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

_SHARED_MEMORY = Path("/dev/shm")  # in it a folder is created that nobody else may read
_PREFIX = "memtool-record-"
_FULL = ".full"
MOST_BYTES = 256 << 20
"""Total of all processes, checked periodically; a single process may use MEMTOOL_MOST_IN_MEMORY (format.h)."""
_TIMES_FREE = 4
"""Multiple of that which must be free."""


class Memory:
    """The folder. While it is too full it has another name, so that processes do not find it."""

    def __init__(self, path: Path) -> None:
        """``path``: an existing folder."""
        self.path = path
        """Path that processes are told; the files may be elsewhere."""
        self.now = path
        """Current path of the files."""

    def look(self, most_bytes: int = MOST_BYTES) -> None:
        """Hide the folder if it is too full, or show it again."""
        with suppress(OSError):  # the folder stays as it is, and each process keeps to its own limit
            held = sum(512 * file.stat().st_blocks for file in self.now.iterdir())
            name = self.path.with_name(self.path.name + _FULL) if held > most_bytes else self.path
            if name != self.now:
                self.now = self.now.rename(name)


@contextmanager
def memory(shared: Path = _SHARED_MEMORY) -> Iterator[Memory | None]:
    """Yield a folder in memory, which is deleted afterwards; None if there is none or too little is free."""
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
    """Return a folder that this process has locked, as an open file and its path; None: none, or too little is free."""
    with suppress(OSError):
        free = min(shutil.disk_usage(shared).free, machine.available_memory())
        if machine.is_in_memory(shared) and free >= _TIMES_FREE * MOST_BYTES:
            while True:
                path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=shared))
                descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                # Another memtool may have removed it before it was locked.
                if path.is_dir():
                    return descriptor, path
                os.close(descriptor)
    return None


def _sweep(shared: Path) -> None:
    """Remove the folders of killed memtools of this user: nobody has locked them."""
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
