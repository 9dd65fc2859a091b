"""How quiet the machine is around a measurement. A worker reads this, so it imports nothing but the standard library's smallest parts."""

from __future__ import annotations

import os
import resource


def read() -> dict[str, int]:
    """Return counters that only grow: steal time of the machine in clock ticks, this process's context switches."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "steal_ticks": _steal(),
        "involuntary_switches": usage.ru_nivcsw,
        "voluntary_switches": usage.ru_nvcsw,
    }


def _steal() -> int:
    try:
        descriptor = os.open("/proc/stat", os.O_RDONLY)
    except OSError:
        return 0
    try:
        fields = os.read(descriptor, 256).split(b"\n", 1)[0].split()
    finally:
        os.close(descriptor)
    return int(fields[8]) if len(fields) > 8 else 0
