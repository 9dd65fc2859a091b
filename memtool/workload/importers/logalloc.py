"""Firefox's logalloc: ``PID TID malloc(32)=0x7f00``; the thread is left out by older ones."""

from __future__ import annotations

import re

from memtool.workload.importers.call_syntax import CALL, NAMES, note
from memtool.workload.importers.decoder import LineDecoder
from memtool.workload.importers.importer import Importer, decoded, recognised_by_line

_LINE = re.compile(rb"\d+(?: (\d+))? (\w+\(.*)")


class Decoder(LineDecoder):
    """A call a line."""

    def take(self, line: bytes) -> bool:
        """Note one call; those that say nothing of blocks (jemalloc_stats) are passed over."""
        match = _LINE.fullmatch(line)
        call = CALL.fullmatch(match[2].strip()) if match is not None else None
        if match is None or call is None:
            return False
        return note(self.calls, int(match[1] or 0), call[1].decode("ascii"), call[2], call[3]) or True


IMPORTER = Importer(
    name="logalloc",
    summary="What Firefox writes where MALLOC_LOG says; text.",
    source="https://searchfox.org/mozilla-central/source/memory/replace/logalloc",
    begins="185 185 malloc(32)=0x7f9049",
    suffix=".log",
    recognises=recognised_by_line(rb"\d+( \d+)? (" + NAMES + rb"|jemalloc_\w+)\([^()]*\)(=\S+)?\s*$"),
    load=decoded(Decoder),
    decoder=Decoder,
)
