"""What machine this is: everything that figures depend on and that does not change from second to second."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import psutil

_CLOCKSOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_ASLR = Path("/proc/sys/kernel/randomize_va_space")
_CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
_CGROUP_USED = Path("/sys/fs/cgroup/memory.current")
_OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")


def fingerprint() -> dict[str, Any]:
    """Return the machine as run.json has it. No frequencies: they change while one looks."""
    return {
        "cpu": _cpu_model(),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "physical_cores": psutil.cpu_count(logical=False),
        "memory_bytes": psutil.virtual_memory().total,
        "memory_limit_bytes": _cgroup_limit(),
        "page_bytes": os.sysconf("SC_PAGESIZE"),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()).strip() or "unknown libc",
        "python": platform.python_version(),
        "clocksource": text_of(_CLOCKSOURCE),
        "transparent_huge_pages": bracketed(text_of(_THP)),
        "aslr": text_of(_ASLR),
        "governor": text_of(_GOVERNOR),
        "overcommit": text_of(_OVERCOMMIT),
        "virtual_machine": _is_virtual(),
    }


def text_of(path: Path) -> str | None:
    """Return the one line of a kernel file; None where there is no such file."""
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None


def bracketed(text: str | None) -> str | None:
    """Return the chosen word of a kernel setting: ``always [madvise] never`` -> ``madvise``."""
    if text is None or "[" not in text:
        return text
    return text[text.index("[") + 1 : text.index("]")]


def _cpu_info(keys: tuple[str, ...]) -> str | None:
    for line in (text_of(Path("/proc/cpuinfo")) or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in keys:
            return value.strip()
    return None


def _cpu_model() -> str:
    return _cpu_info(("model name", "CPU part")) or platform.processor() or "unknown processor"


def _is_virtual() -> bool:
    return "hypervisor" in (_cpu_info(("flags",)) or "").split()


def _cgroup_limit() -> int | None:
    limit = text_of(_CGROUP_MEMORY)
    return int(limit) if limit and limit.isdigit() else None


def available_memory() -> int:
    """Return the bytes that can still be used without swapping, within the cgroup's limit."""
    available = int(psutil.virtual_memory().available)
    limit, used = _cgroup_limit(), text_of(_CGROUP_USED)
    if limit is not None and used is not None:
        available = min(available, max(0, limit - int(used)))
    return available


