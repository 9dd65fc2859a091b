"""What parent and worker say to each other.

A lean worker shares a memory file with the parent (lean_job.py). A worker in Python is sent a marshalled dictionary and
answers with one: marshal, because it is built in, and parent and worker are the same interpreter and the same version
of this package. The request, on standard input, is what ``WorkerExecutor._request`` (parent.py) makes of a job: what to
replay (image, strategy, parameters, region), which pass and how often, and the descriptors that the worker inherits.
Its ``token``, drawn anew for each worker, stands before and after the answer (answer.py).

The answer, on the descriptor ``result``: ``status`` (DONE and so on), ``message``, ``proof``, and the figures of
the pass. A worker that ends without an answer has crashed.
"""

from __future__ import annotations

from collections.abc import Mapping

MODES = ("serial", "lockstep", "parallel")
DONE, OUT_OF_MEMORY, WRONG, BAD_REQUEST = range(4)
_TUNES = "MALLOC"
"""In the names of the variables by which the system's allocators are tuned: MALLOC_CONF, MIMALLOC_PURGE_DELAY..."""
_TUNING = ("GLIBC_TUNABLES", "LD_PRELOAD")


def tuning(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what of an environment decides which allocator serves malloc, and how it is tuned."""
    return {name: value for name, value in sorted(environment.items()) if _TUNES in name or name in _TUNING}
