"""The protocol between parent and worker.

A lean worker shares a memory file with the parent (lean_job.py). A worker in Python receives a marshalled dictionary
and answers with one. marshal is used because it is built in, and because parent and worker are the same interpreter and
the same version of this package. The request, on standard input, is made from a job by ``WorkerExecutor._request``
(parent.py): the replay (image, strategy, parameters, region), the pass and its repeats, and the inherited descriptors.
Its ``token``, random for each worker, frames the answer (answer.py).

The answer, on the descriptor ``result``, has ``status`` (DONE and so on), ``message``, ``proof``, and the figures of
the pass. A worker that ends without an answer has crashed.
"""

from __future__ import annotations

from collections.abc import Mapping

MODES = ("serial", "lockstep", "parallel")
DONE, OUT_OF_MEMORY, WRONG, BAD_REQUEST = range(4)
_TUNES = "MALLOC"
"""Part of the names of variables that tune the system's allocators: MALLOC_CONF, MIMALLOC_PURGE_DELAY..."""
_TUNING = ("GLIBC_TUNABLES", "LD_PRELOAD")


def tuning(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an environment that determine which allocator serves malloc, and tune it."""
    return {name: value for name, value in sorted(environment.items()) if _TUNES in name or name in _TUNING}
