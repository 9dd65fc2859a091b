"""The names of the ways of file access; the kernel (kernel.cpp) uses the same."""

from __future__ import annotations

from typing import Literal, get_args

Reading = Literal["read", "pread", "preadv2", "pread-direct", "uring-read", "uring-read-direct"]
"""A system call for each access, or io_uring."""
Writing = Literal["write", "pwrite", "pwritev2-dsync", "pwrite-direct", "uring-write", "uring-write-direct"]
Mapped = Literal[
    "mmap-shared",
    "mmap-private",
    "mmap-populate",
    "mmap-sequential",
    "mmap-random",
    "mmap-willneed",
    "mmap-huge",
    "mmap-dontneed",
]
"""A mapping, with a flag or an advice."""
Pattern = Literal["scan", "random-read", "random-write", "append"]
Cache = Literal["warm", "cold", "limited"]
Sync = Literal["none", "msync", "fsync", "fdatasync"]

WRITES = ("random-write", "append")
MEMORY = "memfd"
"""Used instead of a device: memory that is mapped in the same way."""
ZERO = "/dev/zero"
_ON_APPEND = ("mmap-private", "mmap-populate", "mmap-willneed", "mmap-dontneed", "mmap-random")
_ON_DEVICES = ("read", "pread", "write", "pwrite", "mmap-shared", "mmap-private", "mmap-populate", "mmap-huge")


def serving(pattern: str, device: str | None) -> tuple[str, ...]:
    """Return the ways that can serve a pattern, of a file (``device`` is None) or a device, in the kind's order."""
    calls = get_args(Writing) if pattern in WRITES else get_args(Reading)
    mapped = [way for way in get_args(Mapped) if pattern == "scan" or way != "mmap-dontneed"]
    ways = (*calls, *mapped)
    if pattern == "append":
        ways = tuple(way for way in ways if way not in _ON_APPEND)
    return ways if device is None else tuple(way for way in ways if way in _ON_DEVICES)


def is_direct(way: str) -> bool:
    """Return whether a way bypasses the page cache."""
    return way.endswith("-direct")


def is_mapped(way: str) -> bool:
    """Return whether a way is a mapping."""
    return way in get_args(Mapped)
