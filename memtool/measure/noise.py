"""How quiet the machine is around a measurement.

A worker reads this: it imports nothing but the smallest parts of the standard library.
"""

from __future__ import annotations

import os
import resource

_STEAL_FIELD = 8
"""Of the first line of /proc/stat: "cpu user nice system idle iowait irq softirq steal ..."."""


def read() -> dict[str, int]:
    """Return counters that only grow: the machine's steal time in clock ticks, this process's switches."""
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
    return int(fields[_STEAL_FIELD]) if len(fields) > _STEAL_FIELD else 0
