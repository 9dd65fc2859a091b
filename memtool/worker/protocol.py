"""What parent and worker say to each other: two marshalled dictionaries, one each way.

Marshal, because it is built in: importing json would add a fifth to the start of a worker. Parent and worker are
the same interpreter and the same version of this package, so its version dependence does no harm.

The request, on standard input:

========================  ================================================================================
``parent``                process id that must still be the parent, or the worker ends at once
``package_root``          directory to import memtool from
``library``               path of the engine library
``run_pass``              index into PASSES
``image``                 (descriptor, bytes) of the event image, inherited
``strategy``              name in the engine, and ``parameters`` as it takes them
``region``                (bytes, alignment, advice, populate bytes, flags, descriptor): advice is a tuple of madvise
                          numbers, flags are the engine's, descriptor is that of the file to map, or None
``warmups``               replays thrown away, and ``iterations`` kept
``checkpoints``           of the footprint pass
``drain_waits_ms``        when the heap pass reads resident memory after the drain: a tuple, ascending
``use_counter``           whether the processor's counter may be used as clock
``counter``               what counts instructions, as the engine numbers it; of the counters pass
``ns_per_tick``           length of the clock's ticks
``slow_ticks``            from what on an operation counts as slow, in three degrees; of the latency pass
``arrivals``              None, or when operations arrive (workload/arrivals.py); of the latency pass
``system_calls_socket``   descriptor to send the listener for system calls over, or -1; of the calls pass
``result``                descriptor to write the answer to
``adopted``               None, or what the worker makes the engine's adopted strategy, see allocators/adoption.py
``path``                  what to add to the import path, for allocators in Python
``version``               how to ask the allocator for its version: None or (symbol, kind), see allocators/system.py
========================  ================================================================================

The answer, on the descriptor ``result``: ``status`` (DONE and so on), ``message``, ``proof``, and the figures of
the pass. A worker that ends without an answer has crashed.
"""

from __future__ import annotations

PASSES = ("check", "throughput", "latency", "footprint", "counters", "heap", "calls")
DONE, OUT_OF_MEMORY, WRONG, BAD_REQUEST = range(4)
