"""Firefox's logalloc: ``PID TID malloc(32)=0x7f00``; older versions omit the thread."""

from __future__ import annotations

from functools import partial

from memtool.workload.importers.importer import Importer, decoded, recognised_by_line
from memtool.workload.importers.native import CALL_NAMES, NativeDecoder

_decoder = partial(NativeDecoder, "logalloc")

IMPORTER = Importer(
    name="logalloc",
    summary="What Firefox writes where MALLOC_LOG says; text.",
    source="https://searchfox.org/mozilla-central/source/memory/replace/logalloc",
    begins="185 185 malloc(32)=0x7f9049",
    suffix=".log",
    recognises=recognised_by_line(rb"\d+( \d+)? (" + CALL_NAMES + rb"|jemalloc_\w+)\([^()]*\)(=\S+)?\s*$"),
    load=decoded(_decoder),
    decoder=_decoder,
)
