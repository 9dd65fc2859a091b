"""Measures disturbances by the machine around a measurement.

Workers import this, so it imports only the smallest parts of the standard library.
"""

from __future__ import annotations

import os
import resource
import time

_STEAL_FIELD = 8
"""Index in the first line of /proc/stat: "cpu user nice system idle iowait irq softirq steal ..."."""


def read() -> dict[str, int]:
    """Return increasing counters: clock ticks of the machine's processors, time, and this process's switches."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    ticks = _machine_ticks()
    return {
        "elapsed_ns": time.monotonic_ns(),
        "machine_ticks": sum(ticks),
        "steal_ticks": ticks[_STEAL_FIELD - 1] if len(ticks) >= _STEAL_FIELD else 0,
        "involuntary_switches": usage.ru_nivcsw,
        "voluntary_switches": usage.ru_nvcsw,
    }


def _machine_ticks() -> list[int]:
    """Return the total ticks of all processors, from "user" to "steal"; guests are part of "user"."""
    try:
        descriptor = os.open("/proc/stat", os.O_RDONLY)
    except OSError:
        return []
    try:
        fields = os.read(descriptor, 256).split(b"\n", 1)[0].split()
    finally:
        os.close(descriptor)
    return [int(ticks) for ticks in fields[1 : _STEAL_FIELD + 1]]
