"""Turns off the parts of Dask that would disturb a measurement.

An idle worker wakes up about 150 times a second: it samples stacks, measures its event loop, and watches the memory of
the machine. In addition, a nanny sets environment variables in its worker that change glibc's malloc.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Worker

_STILL = ("tick", "ticks", "monitor", "profile", "profile-cycle", "memory_monitor", "shift_counters", "find-missing")
"""Callbacks of a worker that are not needed if it only starts processes; the others report that it is alive."""
SETTINGS: Mapping[str, str] = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1h",
    "DASK_DISTRIBUTED__ADMIN__TICK__CYCLE": "1h",
    "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "2h",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "1h",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__GIL__ENABLED": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__TARGET": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "False",
    "DASK_DISTRIBUTED__SCHEDULER__WORK_STEALING": "False",
    "DASK_DISTRIBUTED__SCHEDULER__ACTIVE_MEMORY_MANAGER__START": "False",
    "DASK_DISTRIBUTED__DIAGNOSTICS__NVML": "False",
}
"""The same as a configuration, for workers and schedulers that ``memtool cluster`` starts."""
_OF_A_NANNY = ("MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def without_dask(environment: Mapping[str, str], nanny: Mapping[str, Any]) -> dict[str, str]:
    """Return an environment without the variables that Dask has set.

    ``nanny``: variables that a nanny is configured to set, by name.
    """
    named = {*_OF_A_NANNY, *nanny}
    return {name: value for name, value in environment.items() if name not in named and not name.startswith("DASK_")}


def environment() -> dict[str, str]:
    """Return the environment for processes that are started from a Dask worker."""
    import dask.config

    set_by_nanny: dict[str, Any] = {}
    for key in ("distributed.nanny.pre-spawn-environ", "distributed.nanny.environ"):
        set_by_nanny |= dask.config.get(key, {}) or {}
    return without_dask(os.environ, set_by_nanny)


def hush(worker: Worker) -> None:
    """Stop everything that a worker does besides keeping its connection; its other users may miss it."""

    def stop() -> None:
        for name in _STILL:
            callback = worker.periodic_callbacks.get(name)
            if callback is not None:
                callback.stop()

    loop = worker.loop.asyncio_loop  # type: ignore[attr-defined]  # of tornado's loop on asyncio
    assert isinstance(loop, asyncio.AbstractEventLoop)
    loop.call_soon_threadsafe(stop)
