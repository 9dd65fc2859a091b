"""Which machine a Dask worker is on, and how one block at a time is measured there."""

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
"""Lets several Dask workers of one machine pass for as many hosts, to try a cluster: they disturb each other."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PLACES = (Path("/tmp"), Path("/var/tmp"))
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")


def identity() -> str:
    """Return what two Dask workers have in common exactly where they are on one machine.

    The kernel's boot identity: containers and network namespaces of one machine share it, whatever they are called.
    """
    variable = os.environ.get(VARIABLE)
    if variable:
        return variable
    with suppress(OSError):
        return _BOOT.read_text(encoding="ascii").strip()
    return platform.node()


def name() -> str:
    """Return what people call the machine."""
    return os.environ.get(VARIABLE) or platform.node() or "unnamed host"


@contextmanager
def alone() -> Iterator[None]:
    """Measure while nobody else does on this machine, whatever Dask worker, run or user it is of; waits for that."""
    descriptor = _lock_file()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _lock_file() -> int:
    """Return the descriptor of the file that is locked. Raises OSError where there is no place for one."""
    digest = hashlib.blake2b(identity().encode(), digest_size=6).hexdigest()
    file = next((place for place in _PLACES if place.is_dir()), Path.cwd()) / f"memtool-host-{digest}.lock"
    try:
        # Another user's file may be opened and locked, and may not be opened for making it (fs.protected_regular).
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)


def spool(run: str) -> Path:
    """Return the folder in which this machine keeps the samples of a run until they have been fetched.

    In memory where it can be: nothing is written to a disk while something is measured.
    """
    digest = hashlib.blake2b(identity().encode(), digest_size=4).hexdigest()
    folder = f"memtool-{os.getuid()}-{digest}"
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else _PLACES[1]
    return place / folder / _UNSAFE.sub("_", run)
