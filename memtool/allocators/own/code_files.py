"""The files from which the code in this process comes: they prove that every sample ran the same allocator.

A worker imports this, so it imports as little as possible.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

_SYSTEM = ("/usr/", "/lib", "/bin/", "/sbin/", "/etc/")
"""Folders of the machine's own files: a package manager installs them, and the fingerprint has their versions."""

Identity = tuple[int, int, int]
"""Inode, bytes and nanoseconds of the last change, which identify a file with its content."""
REPLACED: Identity = (0, 0, 0)
"""Identity of a file that is no longer where it was loaded from."""


_standing: set[str] = set()


def ignore_modules() -> None:
    """Ignore the modules that are loaded already: site imports those that installed packages request."""
    _standing.update(sys.modules)


def code_files() -> dict[str, Identity]:
    """Return the files of the user's libraries, and of Python modules, with their identities."""
    preloaded = os.environ.get("LD_PRELOAD", "").split(":")
    paths = {path for path in _mapped() if is_brought(path, preloaded)}
    for module in [loaded for name, loaded in list(sys.modules.items()) if name not in _standing]:
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and os.path.isabs(path) and not _is_standard(path) and not _is_own(path):
            paths.add(path)
    return {path.removesuffix(DELETED): _identity(path) for path in paths}


DELETED = " (deleted)"
"""The kernel's suffix for the path of a mapped file that no longer exists."""


def _mapped() -> set[str]:
    """Return the mapped executable files; those that were replaced since end in ``(deleted)``."""
    paths = set()
    with open("/proc/self/maps", "rb") as file:  # pathlib would cost every worker milliseconds
        for line in file:
            words = line.rstrip(b"\n").split(None, 5)
            if len(words) == 6 and b"x" in words[1] and words[5].startswith(b"/"):
                paths.add(os.fsdecode(words[5]))
    return paths


def is_brought(path: str, preloaded: Sequence[str]) -> bool:
    """Return whether a mapped file does not belong to the machine or to Python, or was preloaded."""
    return not path.startswith(("/memfd:", "/dev/")) and (path in preloaded or not _is_standard(path))


def _is_standard(path: str) -> bool:
    if "/site-packages/" in path:
        return False
    return path.startswith((*_SYSTEM, sys.base_prefix + "/", sys.prefix + "/")) or path == sys.executable


def _is_own(path: str) -> bool:
    """Return whether a file is one of memtool's own modules."""
    allocators = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return path.startswith(os.path.dirname(allocators) + "/") and f"{allocators}/reference/" not in path


def _identity(path: str) -> Identity:
    try:
        known = os.stat(path)
    except OSError:
        return REPLACED
    return known.st_ino, known.st_size, known.st_mtime_ns
