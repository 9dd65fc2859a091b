"""The limits that control groups set for this process: memory and processor time, in version 1, version 2 or both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_UNLIMITED = 1 << 62
"""Version 1 writes "no limit" as the largest number of whole pages."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The tightest limits of a group and of those that contain it; None: no limit."""

    memory_bytes: int | None = None
    free_bytes: int | None = None
    """Free memory, including page cache that the kernel can reclaim."""
    cores: float | None = None
    """Processor time, in cores."""


def allowance(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> Allowance:
    """Return the limits of this process.

    Args:
        root: where the hierarchies are mounted.
        membership: the kernel's list of the groups that this process is in.
    """
    memory, free, cores = [], [], []
    for controller, group in _groups(root, membership):
        if controller in ("memory", "") and (limit := _memory_limit(group)) is not None:
            memory.append(limit)
            free.append(max(0, limit - _used(group)))
        if controller in ("cpu", "") and (quota := _cores(group)) is not None:
            cores.append(quota)
    return Allowance(min(memory, default=None), min(free, default=None), min(cores, default=None))


def _groups(root: Path, membership: Path) -> Iterator[tuple[str, Path]]:
    """Yield (controller, folder) for each group of this process and those that contain it; "" is version 2.

    Inside a container a group may have the host's path, while its folder is the root. Folders that do not exist are
    skipped, and the root is always included.
    """
    for line in _text(membership).splitlines():
        _, controllers, name = line.split(":", 2)
        for controller in controllers.split(","):
            top = root / controller if controller else root
            inside = top / name.strip("/")
            for folder in (inside, *inside.parents):
                if folder.is_dir():
                    yield controller, folder
                if folder == top:
                    break


def _memory_limit(group: Path) -> int | None:
    limit = _number(group / "memory.max") or _number(group / "memory.limit_in_bytes")
    return limit if limit is not None and limit < _UNLIMITED else None


def _used(group: Path) -> int:
    used = _number(group / "memory.current") or _number(group / "memory.usage_in_bytes") or 0
    statistics = dict(line.split() for line in _text(group / "memory.stat").splitlines())
    cache = statistics.get("total_inactive_file", statistics.get("inactive_file", "0"))
    return max(0, used - int(cache))


def _cores(group: Path) -> float | None:
    quota, _, period = _text(group / "cpu.max").partition(" ")
    if not period:
        quota, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")
    # "max" and "-1" are no quota.
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
