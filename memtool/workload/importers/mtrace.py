"""glibc's mtrace: ``@ MODULE:[CALLER] + 0xADDRESS 0xSIZE``, ``-``, ``<`` and ``>`` for a reallocation, ``!`` refused.

It does not record threads and does not order their lines, so concurrent reallocations can be interleaved.
"""

from __future__ import annotations

import re
from functools import partial

from memtool.workload.importers.importer import Importer, decoded
from memtool.workload.importers.native import NativeDecoder

_decoder = partial(NativeDecoder, "mtrace")

IMPORTER = Importer(
    name="mtrace",
    summary="What glibc writes where MALLOC_TRACE says (LD_PRELOAD=libc_malloc_debug.so); text.",
    source="https://man7.org/linux/man-pages/man3/mtrace.3.html",
    begins="= Start",
    suffix=".mtrace",
    recognises=lambda head: re.match(rb"= Start|@ \S.*\[0x[0-9a-f]+\] [-+<>!] 0x", head) is not None,
    load=decoded(_decoder),
    decoder=_decoder,
)
