"""The files that images of events lie in: in memory as long as they leave enough of it, then on a disk."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from memtool.errors import MemtoolError
from memtool.host import machine
from memtool.units import format_size

_MOST_OF_MEMORY = 0.75
"""The share of what is available that images may take: the rest is for what is replayed."""
_MOST_IN_MEMORY = 768 << 20
"""Bytes that images take at most: what is longer is read front to back from a disk, and leaves memory to what it
measures. With what memtool takes besides, all of its own stays within 1 GiB."""
_PORTION_BYTES = 1 << 20
_COPIED_BYTES = 64 << 20


class ImageFiles:
    """Files of one trace, by their descriptors. What finds no room in memory goes to a nameless file on a disk.

    A descriptor stays the same when its file moves, so that whoever writes to it need not know.
    """

    def __init__(self, source: str) -> None:
        """``source``: what the trace comes from, for messages."""
        self._source = source
        self._available = machine.available_memory()
        self._room = min(int(self._available * _MOST_OF_MEMORY), _MOST_IN_MEMORY)
        self._in_memory: list[int] = []
        self._open: list[int] = []

    def create(self) -> int:
        """Return the descriptor of a new, empty file in memory."""
        descriptor = os.memfd_create("memtool-image", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._in_memory.append(descriptor)
        self._open.append(descriptor)
        return descriptor

    def expect(self, size: int) -> None:
        """Say before it begins that so many bytes go neither into memory nor onto the disk. Raises MemtoolError."""
        if size <= self._room:
            return
        folder = _folder()
        free = shutil.disk_usage(folder).free
        if size > free:
            raise MemtoolError(
                f"{self._source}: the image of its events takes at least {format_size(size)}; {format_size(free)} are "
                f"free in {folder}, and {format_size(self._available)} of memory are available"
            )

    def settle(self) -> None:
        """Move the largest files onto a disk while those in memory take too much of it. Raises MemtoolError."""
        sizes = {descriptor: os.fstat(descriptor).st_size for descriptor in self._in_memory}
        while sum(sizes.values()) > self._room:
            largest = max(sizes, key=lambda descriptor: sizes[descriptor])
            self.expect(sizes.pop(largest) + self._room)
            self._move(largest)

    def _move(self, descriptor: int) -> None:
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        with tempfile.TemporaryFile(dir=_folder()) as file:
            copied = 0
            while count := os.sendfile(file.fileno(), descriptor, copied, _COPIED_BYTES):
                copied += count
            os.dup2(file.fileno(), descriptor, inheritable=False)
        os.lseek(descriptor, place, os.SEEK_SET)
        self._in_memory.remove(descriptor)

    def forget(self, descriptor: int) -> None:
        """Give back what a file holds, and what is still to be written to it: nobody will read it."""
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(null, descriptor, inheritable=False)
        os.close(null)
        if descriptor in self._in_memory:
            self._in_memory.remove(descriptor)

    def seal(self, descriptor: int) -> None:
        """See to it that a file can neither grow nor shrink, where it lies in memory: a mapping of it then holds."""
        if descriptor in self._in_memory:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)

    def drop(self, descriptor: int) -> None:
        """Close a file that is needed no more."""
        self._open.remove(descriptor)
        if descriptor in self._in_memory:
            self._in_memory.remove(descriptor)
        os.close(descriptor)

    def drop_all(self) -> None:
        """Close what is still open: the trace was not made."""
        for descriptor in list(self._open):
            self.drop(descriptor)


def is_in_memory(descriptor: int) -> bool:
    """Return whether a file may be mapped at once: one on a disk is there because memory has no room for it.

    Only files in memory have seals.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:
        return False
    return True


def portions_of(descriptor: int) -> Iterator[memoryview]:
    """Yield what a file holds from its beginning; each portion is valid until the next is asked for."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    buffer = memoryview(bytearray(_PORTION_BYTES))
    while count := os.readv(descriptor, [buffer]):
        yield buffer[:count]


def _folder() -> Path:
    """Return where files go that are too large for memory. /tmp often is memory."""
    lasting = Path("/var/tmp")
    return Path(tempfile.gettempdir()) if "TMPDIR" in os.environ or not lasting.is_dir() else lasting
