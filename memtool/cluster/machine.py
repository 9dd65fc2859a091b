"""Identifies the machine of a Dask worker, and permits one measurement at a time on it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VARIABLE = "MEMTOOL_CLUSTER_HOST"
"""Lets several Dask workers of one machine count as separate hosts, to try out a cluster; they disturb each other."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PLACES = (Path("/tmp"), Path("/var/tmp"))
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")


def identity() -> str:
    """Return an identity that two Dask workers share exactly if they are on one machine.

    It is the kernel's boot identity, which containers and network namespaces of a machine share under all names.
    """
    variable = os.environ.get(VARIABLE)
    if variable:
        return variable
    with suppress(OSError):
        return _BOOT.read_text(encoding="ascii").strip()
    return platform.node()


def name() -> str:
    """Return the name of the machine for people."""
    return os.environ.get(VARIABLE) or platform.node() or "unnamed host"


@contextmanager
def alone() -> Iterator[None]:
    """Wait until nobody else measures on this machine, in any Dask worker, run or user account, and then measure."""
    descriptor = _lock_file()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _lock_file() -> int:
    """Return the descriptor of the lock file. Raises OSError where there is no place for one."""
    digest = hashlib.blake2b(identity().encode(), digest_size=6).hexdigest()
    file = next((place for place in _PLACES if place.is_dir()), Path.cwd()) / f"memtool-host-{digest}.lock"
    try:
        # Another user's file may be opened and locked, but not opened with O_CREAT (fs.protected_regular).
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)


def spool(run: str) -> Path:
    """Return the folder in which this machine keeps the samples of a run until they are fetched.

    It is in memory if possible, so that nothing is written to a disk during a measurement.
    """
    digest = hashlib.blake2b(identity().encode(), digest_size=4).hexdigest()
    folder = f"memtool-{os.getuid()}-{digest}"
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else _PLACES[1]
    return place / folder / _UNSAFE.sub("_", run)
