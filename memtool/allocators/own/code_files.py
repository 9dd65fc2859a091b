"""Which files the code in this process comes from: what shows that every sample ran the same allocator.

A worker imports this, and nothing more than it needs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

_SYSTEM = ("/usr/", "/lib", "/bin/", "/sbin/", "/etc/")
"""What the machine brings; a package manager puts it there, and the machine's fingerprint has its versions."""

Identity = tuple[int, int, int]
"""Inode, bytes and nanoseconds of the last change: another file, or another content, has another."""
REPLACED: Identity = (0, 0, 0)
"""Of a file that is no longer where it was loaded from."""


_standing: set[str] = set()


def ignore_modules() -> None:
    """Leave out from now on the modules that are there already: site imports what installed packages ask it to."""
    _standing.update(sys.modules)


def code_files() -> dict[str, Identity]:
    """Return the files of libraries that somebody brought, and of Python's modules, and how to know each again."""
    preloaded = os.environ.get("LD_PRELOAD", "").split(":")
    paths = {path for path in _mapped() if is_brought(path, preloaded)}
    for module in [loaded for name, loaded in list(sys.modules.items()) if name not in _standing]:
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and os.path.isabs(path) and not _is_standard(path) and not _is_own(path):
            paths.add(path)
    return {path.removesuffix(DELETED): _identity(path) for path in paths}


DELETED = " (deleted)"
"""What the kernel puts behind the path of a mapped file that is no longer there."""


def _mapped() -> set[str]:
    """Return the files that are mapped to be executed; what was replaced since ends in ``(deleted)``."""
    paths = set()
    with open("/proc/self/maps", "rb") as file:  # pathlib would cost every worker milliseconds
        for line in file:
            words = line.rstrip(b"\n").split(None, 5)
            if len(words) == 6 and b"x" in words[1] and words[5].startswith(b"/"):
                paths.add(os.fsdecode(words[5]))
    return paths


def is_brought(path: str, preloaded: Sequence[str]) -> bool:
    """Return whether a mapped file does not come with the machine or with Python, or was preloaded."""
    return not path.startswith(("/memfd:", "/dev/")) and (path in preloaded or not _is_standard(path))


def _is_standard(path: str) -> bool:
    if "/site-packages/" in path:
        return False
    return path.startswith((*_SYSTEM, sys.base_prefix + "/", sys.prefix + "/")) or path == sys.executable


def _is_own(path: str) -> bool:
    """Return whether a file is a module of memtool's own."""
    allocators = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return path.startswith(os.path.dirname(allocators) + "/") and f"{allocators}/reference/" not in path


def _identity(path: str) -> Identity:
    try:
        known = os.stat(path)
    except OSError:
        return REPLACED
    return known.st_ino, known.st_size, known.st_mtime_ns
