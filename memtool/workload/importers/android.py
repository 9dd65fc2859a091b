"""Android's malloc_debug and memory_replay: ``TID: malloc 0xADDRESS SIZE [BEGIN_NS END_NS]``, in text."""

from __future__ import annotations

from memtool.workload.importers.importer import Importer, decoded, recognised_by_line
from memtool.workload.importers.native import NativeDecoder


def _decoder() -> NativeDecoder:
    return NativeDecoder("android")


IMPORTER = Importer(
    name="android",
    summary="Every call of all threads, of Android's malloc_debug and memory_replay; text, also zipped.",
    source="https://android.googlesource.com/platform/system/extras/+/refs/heads/main/memory_replay/",
    begins="186: malloc 0xb6027400 1024",
    suffix=".txt",
    recognises=recognised_by_line(rb"\d+: (malloc|calloc|realloc|memalign|free|thread_done) 0x[0-9a-f]+"),
    load=decoded(_decoder),
    decoder=_decoder,
)
