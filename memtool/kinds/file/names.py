"""The ways to a file, by their names; the kernel (kernel.cpp) has the same."""

from __future__ import annotations

from typing import Literal, get_args

Reading = Literal["read", "pread", "preadv2", "pread-direct", "uring-read", "uring-read-direct"]
"""A call for each access, or io_uring."""
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
"""In place of a device: memory that is mapped as one."""
ZERO = "/dev/zero"
_ON_APPEND = ("mmap-private", "mmap-populate", "mmap-willneed", "mmap-dontneed", "mmap-random")
_ON_DEVICES = ("read", "pread", "write", "pwrite", "mmap-shared", "mmap-private", "mmap-populate", "mmap-huge")


def serving(pattern: str, device: str | None) -> tuple[str, ...]:
    """Return the ways in which a pattern can be served, of a file (None) or a device, in the order of the kind."""
    calls = get_args(Writing) if pattern in WRITES else get_args(Reading)
    mapped = [way for way in get_args(Mapped) if pattern == "scan" or way != "mmap-dontneed"]
    ways = (*calls, *mapped)
    if pattern == "append":
        ways = tuple(way for way in ways if way not in _ON_APPEND)
    return ways if device is None else tuple(way for way in ways if way in _ON_DEVICES)


def is_direct(way: str) -> bool:
    """Return whether a way goes past the page cache."""
    return way.endswith("-direct")


def is_mapped(way: str) -> bool:
    """Return whether a way is a mapping."""
    return way in get_args(Mapped)
