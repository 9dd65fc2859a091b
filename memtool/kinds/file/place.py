"""The folder for a workload's file, the abilities of its file system, and the control group that bounds the cache."""

from __future__ import annotations

import mmap
import os
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from memtool.engine.instruments.binding import cached_bytes
from memtool.errors import InputError

_TRIAL_BYTES = 1 << 20
_ALIGNMENT = 4096
_PERMITTED = "run memtool as root, or in a control group that is delegated to you (systemd-run --user --scope)"


def default_folder() -> str:
    """Return the folder for files unless a workload names one: on a disk rather than in memory."""
    return os.environ.get("TMPDIR") or "/var/tmp"  # files in it have no name


def nameless(folder: str) -> int:
    """Return the descriptor of a new nameless file, which is deleted with the last process that has it open.

    Raises OSError.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.dup(file.fileno())


@dataclass(frozen=True, slots=True)
class Ground:
    """The abilities of a file system, found with a test file. None means that it has one, a text why it has not."""

    no_file: str | None = None
    no_direct: str | None = None
    no_dropping: str | None = None
    """Reason why files cannot be dropped from the page cache."""
    no_holes: str | None = None
    free_bytes: int | None = 0
    """None: the file system does not report its free space, as one in memory without a bound."""


@cache
def ground(folder: str) -> Ground:
    """Test a folder with a file of one mebibyte."""
    try:
        file = nameless(folder)
    except OSError as problem:
        return Ground(no_file=f"no file can be made in {folder}: {problem.strerror}")
    try:
        return _ground_of(folder, file)
    except OSError as problem:
        return Ground(no_file=f"no file can be written in {folder}: {problem.strerror}")
    finally:
        os.close(file)


def _ground_of(folder: str, file: int) -> Ground:
    os.ftruncate(file, _TRIAL_BYTES)
    has_holes = os.fstat(file).st_blocks * 512 < _TRIAL_BYTES
    os.pwrite(file, os.urandom(_TRIAL_BYTES), 0)
    os.fsync(file)
    known = os.fstatvfs(file)
    return Ground(
        no_direct=_why_no_direct(folder, file),
        no_dropping=_why_not_dropped(folder, file),
        no_holes=None if has_holes else f"the file system of {folder} has no holes: a file has to be written to grow",
        free_bytes=known.f_bavail * known.f_frsize if known.f_blocks else None,
    )


def _why_no_direct(folder: str, file: int) -> str | None:
    try:
        direct = os.open(f"/proc/self/fd/{file}", os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
        try:
            with mmap.mmap(-1, _ALIGNMENT) as aligned:
                os.preadv(direct, [aligned], 0)
        finally:
            os.close(direct)
    except OSError as problem:
        return f"the file system of {folder} has no O_DIRECT ({problem.strerror}): choose another folder"
    return None


def _why_not_dropped(folder: str, file: int) -> str | None:
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    if cached_bytes(file) != _TRIAL_BYTES:
        return None  # a worker reads all of its file before each round
    return f"the page cache of {folder} cannot be emptied (a file system in memory?): choose another folder"


@dataclass(frozen=True, slots=True)
class Groups:
    """The place where a control group that bounds memory can be created."""

    folder: str = ""
    home: str = ""
    """Folder of the control group of this process."""
    refusal: str | None = None
    """Reason why there is none."""


@cache
def groups(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> Groups:
    """Try to create a group below that of this process; in version 2, beside it if that group holds processes."""
    own = _own_group(root, membership)
    if own is None:
        return Groups(refusal="no control group here can limit memory: the controller is not mounted")
    why = f"no control group can be made below {own}"
    for parent in (own, *((own.parent,) if (own / "cgroup.controllers").exists() and own != root else ())):
        _sweep(parent)
        trial = parent / f"memtool-{os.getpid()}"
        try:
            trial.mkdir()
        except OSError as problem:
            why = f"no control group can be made below {parent} ({problem.strerror}): {_PERMITTED}"
            continue
        try:
            has_limit = any((trial / name).exists() for name in ("memory.max", "memory.limit_in_bytes"))
        finally:
            trial.rmdir()
        if has_limit:
            return Groups(str(parent), str(own))
        why = f"a control group below {parent} cannot limit memory: {_PERMITTED}"
    return Groups(refusal=why)


def _own_group(root: Path, membership: Path) -> Path | None:
    """Return the folder of the group that bounds this process's memory, of version 1 or 2."""
    try:
        lines = [line.split(":", 2) for line in membership.read_text(encoding="ascii").splitlines()]
    except OSError:
        return None
    first = next((name for _, controllers, name in lines if "memory" in controllers.split(",")), None)
    if first is not None:
        return _inside(root / "memory", first)
    second = next((name for _, controllers, name in lines if not controllers), None)
    return _inside(root, second) if second is not None and (root / "cgroup.controllers").exists() else None


def _inside(top: Path, name: str) -> Path | None:
    """Return the path of a group as it is seen here; in a container the host's path may be that of the root."""
    folder = top / name.strip("/")
    return folder if folder.is_dir() else top if top.is_dir() else None


def _sweep(parent: Path) -> None:
    """Remove the groups of workers that were killed."""
    for left in parent.glob("memtool-*"):
        if not Path("/proc", left.name.removeprefix("memtool-")).exists():
            try:
                left.rmdir()
            except OSError:
                continue


def why_no_device(device: str, size: int) -> str | None:
    """Return why a device cannot be mapped; None: it can. Raises InputError for a path that is not a device."""
    try:
        if not Path(device).is_char_device() and Path(device).exists():
            raise InputError(f"{device}: is not a character device")
        number = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return f"this machine has no {device}"
    except OSError as problem:
        return f"{device} cannot be opened: {problem.strerror} (as root, or as a member of the group that owns it)"
    try:
        with mmap.mmap(number, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ):
            return None
    except (OSError, ValueError) as problem:
        return f"{device} serves no mapping of {size} bytes: {getattr(problem, 'strerror', None) or problem}"
    finally:
        os.close(number)
