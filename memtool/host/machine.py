"""Describes the machine: everything on which figures depend and which does not change from second to second."""

from __future__ import annotations

import os
import platform
import resource
from pathlib import Path
from typing import Any

import psutil

from memtool.host.cgroup import allowance

_SYSTEM = Path("/sys/devices/system")
_CLOCKSOURCE = _SYSTEM / "clocksource/clocksource0/current_clocksource"
_GOVERNOR = _SYSTEM / "cpu/cpu0/cpufreq/scaling_governor"
_CACHES = _SYSTEM / "cpu/cpu0/cache"
_NODES = _SYSTEM / "node"
_THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_CPU_INFO = Path("/proc/cpuinfo")
_ASLR = Path("/proc/sys/kernel/randomize_va_space")
_OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")
_CACHE_KINDS = {"Data": "d", "Instruction": "i", "Unified": ""}


def fingerprint() -> dict[str, Any]:
    """Return the machine in the form of run.json: bytes, counts and words; None where the kernel does not say.

    Frequencies are left out, because they change all the time.
    """
    allowed = allowance()
    return {
        "cpu": cpu_model(),
        "architecture": architecture(),
        "cores": usable_cores(),
        "processors": os.cpu_count(),
        "physical_cores": psutil.cpu_count(logical=False),
        "core_quota": allowed.cores,
        "caches": caches(),
        "numa_nodes": len(list(_NODES.glob("node[0-9]*"))) or None,
        "virtual_machine": "hypervisor" in processor_flags(),
        "memory_bytes": psutil.virtual_memory().total,
        "memory_limit_bytes": allowed.memory_bytes,
        "page_bytes": os.sysconf("SC_PAGESIZE"),
        "kernel": platform.release(),
        "libc": os.confstr("CS_GNU_LIBC_VERSION") or "unknown libc",
        "python": platform.python_version(),
        "clocksource": text_of(_CLOCKSOURCE),
        "transparent_huge_pages": bracketed(text_of(_THP)),
        "aslr": text_of(_ASLR),
        "governor": text_of(_GOVERNOR),
        "overcommit": text_of(_OVERCOMMIT),
    }


def available_memory() -> int:
    """Return the bytes that can still be used without swapping, within the limits of control groups."""
    available = int(psutil.virtual_memory().available)
    free = allowance().free_bytes
    return available if free is None else min(available, free)


def is_in_memory(folder: Path) -> bool:
    """Return whether a folder lies in memory (tmpfs). Raises OSError."""
    device = folder.stat().st_dev
    mounts = (Path(mount.mountpoint) for mount in psutil.disk_partitions(all=True) if mount.fstype == "tmpfs")
    return any(mount.stat().st_dev == device for mount in mounts if mount.exists())


def usable_cores() -> int:
    """Return how many processors this process may run on; a quota of processor time does not count."""
    return len(os.sched_getaffinity(0))


def processes_at_once() -> int:
    """Return how many processes may run at a time, each on its own processor, within the quota of processor time."""
    quota = allowance().cores
    return usable_cores() if quota is None else max(1, min(usable_cores(), int(quota)))


def soft_limit(which: int) -> int | None:
    """Return this process's soft limit, such as that of ``resource.RLIMIT_AS``; None: no limit."""
    limit = resource.getrlimit(which)[0]
    return None if limit in (resource.RLIM_INFINITY, -1) else limit


def processor_use(seconds: float) -> tuple[float, float]:
    """Watch all processors for this long; return the per cent of time in use and the per cent that the host took."""
    times = psutil.cpu_times_percent(interval=seconds)
    return 100 - times.idle - times.iowait, getattr(times, "steal", 0.0)


def text_of(path: Path) -> str | None:
    """Return the text in a small file of the kernel; None where there is no such file."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None


def bracketed(text: str | None) -> str | None:
    """Return the selected word of a kernel setting: ``always [madvise] never`` -> ``madvise``."""
    if text is None or "[" not in text:
        return text
    return text[text.index("[") + 1 : text.index("]")]


def cpu_model(information: Path = _CPU_INFO) -> str:
    """Return the kernel's name of the processor; on Arm, where it has no name, its numbers."""
    facts = _cpu_facts(information)
    if "model name" in facts:
        return facts["model name"]
    if "CPU part" in facts:
        return f"Arm implementer {facts.get('CPU implementer', '?')} part {facts['CPU part']}"
    return platform.processor() or "unknown processor"


def architecture() -> str:
    """Return the processor's architecture: ``x86_64``, ``aarch64``."""
    return platform.machine()


def processor_flags(information: Path = _CPU_INFO) -> frozenset[str]:
    """Return the features of the first processor, in the kernel's names: ``avx2``."""
    facts = _cpu_facts(information)
    return frozenset(facts.get("flags", facts.get("Features", "")).split())


def caches(folder: Path = _CACHES) -> dict[str, int]:
    """Return the bytes of each cache that the first core sees: ``{"L1d": 49152, "L2": 1048576}``."""
    sizes = {}
    for index in sorted(folder.glob("index[0-9]*")):
        level, kind, size = (text_of(index / name) for name in ("level", "type", "size"))
        if level and size and kind in _CACHE_KINDS and size.endswith("K"):
            sizes[f"L{level}{_CACHE_KINDS[kind]}"] = int(size[:-1]) * 1024
    return sizes


def _cpu_facts(information: Path = _CPU_INFO) -> dict[str, str]:
    """Return the entries of /proc/cpuinfo for the first processor."""
    first, _, _ = (text_of(information) or "").partition("\n\n")
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
