"""Valgrind's ``--trace-malloc=yes``: ``--PID-- malloc(10) = 0x4A33040``, among Valgrind's other output."""

from __future__ import annotations

import re
from functools import partial

from memtool.workload.importers.importer import Importer, decoded
from memtool.workload.importers.native import CALL_NAMES, NativeDecoder

_decoder = partial(NativeDecoder, "valgrind")

IMPORTER = Importer(
    name="valgrind",
    summary="What valgrind --trace-malloc=yes writes to standard error; text. It says nothing of threads.",
    source="https://valgrind.org/docs/manual/manual-core.html",
    begins="--4211-- malloc(8) = 0x4A33040",
    suffix=".valgrind",
    recognises=lambda head: re.search(rb"^--\d+-- (" + CALL_NAMES + rb")\(", head, re.MULTILINE) is not None,
    load=decoded(_decoder),
    decoder=_decoder,
)
