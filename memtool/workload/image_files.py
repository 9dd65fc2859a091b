"""The files that hold event images: in memory as long as enough of it remains, otherwise on a disk."""

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
"""Share of the available memory that images may take; the rest is for the replayed allocators."""
_MOST_IN_MEMORY = 768 << 20
"""Bytes that images may take at most. A longer image is read sequentially from a disk, which leaves the memory to the
measurement. Together with everything else, memtool itself stays within 1 GiB."""
_PORTION_BYTES = 1 << 20
_COPIED_BYTES = 64 << 20


class ImageFiles:
    """Files of one trace, by their descriptors. A file for which memory has no room moves to a nameless file on a disk.

    A descriptor stays the same when its file moves, so that its writers need not know.
    """

    def __init__(self, source: str) -> None:
        """``source``: where the trace comes from, for messages."""
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
        """Check in advance whether this many bytes fit into memory or onto the disk. Raises MemtoolError if not."""
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
        """Move the largest files onto a disk while the files in memory take too much of it. Raises MemtoolError."""
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
        """Release the content of a file, and the data not yet written to it: nobody will read it."""
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(null, descriptor, inheritable=False)
        os.close(null)
        if descriptor in self._in_memory:
            self._in_memory.remove(descriptor)

    def seal(self, descriptor: int) -> None:
        """Seal the size of a file in memory, so that a mapping of it stays valid."""
        if descriptor in self._in_memory:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)

    def drop(self, descriptor: int) -> None:
        """Close a file that is no longer needed."""
        self._open.remove(descriptor)
        if descriptor in self._in_memory:
            self._in_memory.remove(descriptor)
        os.close(descriptor)

    def drop_all(self) -> None:
        """Close all open files: the trace was not completed."""
        for descriptor in list(self._open):
            self.drop(descriptor)


def is_in_memory(descriptor: int) -> bool:
    """Return whether a file may be mapped at once; a file is on a disk because memory has no room for it.

    Only files in memory have seals.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:
        return False
    return True


def portions_of(descriptor: int) -> Iterator[memoryview]:
    """Yield the content of a file from its beginning; each portion is valid until the next is requested."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    buffer = memoryview(bytearray(_PORTION_BYTES))
    while count := os.readv(descriptor, [buffer]):
        yield buffer[:count]


def _folder() -> Path:
    """Return the folder for files that are too large for memory. /tmp is often in memory."""
    lasting = Path("/var/tmp")
    return Path(tempfile.gettempdir()) if "TMPDIR" in os.environ or not lasting.is_dir() else lasting
