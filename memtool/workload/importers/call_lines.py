"""Lines of calls as written by ltrace and by one-line bpftrace scripts: ``[pid 7] 0.120 app->malloc(32) = 0x55d0``.

The thread (``[pid 7]``, or a whole number) and the time in seconds (a number with a decimal point) may come before the
call.
"""

from __future__ import annotations

import re
from functools import partial

from memtool.workload.importers.importer import Importer, decoded
from memtool.workload.importers.native import CALL_NAMES, NativeDecoder

_decoder = partial(NativeDecoder, "calls")

_RECOGNISED = re.compile(
    rb"^(\[pid \d+\]\s*|\d+\s*[:,]?\s+)?(\d+\.\d+\s*[:,]?\s+)?(\S*->)?"
    rb"(" + CALL_NAMES + rb")(@[\w.]+)?\(.*\)?\s*(=\s*(0x[0-9a-f]+|<void>|nil|0)|<unfinished|\)$)",
    re.MULTILINE,
)

IMPORTER = Importer(
    name="calls",
    summary="Calls in the lines of ltrace and of one-line scripts of bpftrace: malloc(32) = 0x55d0; text.",
    source="https://man7.org/linux/man-pages/man1/ltrace.1.html",
    begins="[pid 7] app->malloc(32) = 0x55d0",
    suffix=".ltrace",
    recognises=lambda head: _RECOGNISED.search(head) is not None,
    load=decoded(_decoder),
    decoder=_decoder,
)
