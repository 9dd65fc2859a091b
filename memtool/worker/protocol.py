"""What parent and worker say to each other: two marshalled dictionaries, one each way.

Marshal, because it is built in: importing json would add a fifth to the start of a worker. Parent and worker are
the same interpreter and the same version of this package, so its version dependence does no harm.

The request, on standard input, is what ``WorkerExecutor._request`` (parent.py) makes of a job: what to replay (image,
strategy, parameters, region), which pass and how often, and the descriptors that the worker inherits. Its ``token``,
drawn anew for each worker, stands before and after the answer (answer.py).

The answer, on the descriptor ``result``: ``status`` (DONE and so on), ``message``, ``proof``, and the figures of
the pass. A worker that ends without an answer has crashed.
"""

from __future__ import annotations

MODES = ("serial", "lockstep", "parallel")
DONE, OUT_OF_MEMORY, WRONG, BAD_REQUEST = range(4)
