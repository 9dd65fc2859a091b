"""Valgrind's ``--trace-malloc=yes``: ``--PID-- malloc(10) = 0x4A33040``, between whatever else it says."""

from __future__ import annotations

import re

from memtool.workload.importers.call_syntax import CALL, NAMES, note
from memtool.workload.importers.decoder import LineDecoder
from memtool.workload.importers.importer import Importer, decoded

_LINE = re.compile(rb"--\d+-- (.*)")
_REALLOC_OF_NOTHING = re.compile(rb"realloc\(0x0,\s*\d+\)(malloc\(.*)")
_REALLOC_TO_NOTHING = re.compile(rb"realloc\(0x[0-9A-Fa-f]+,\s*0\)(free\(.*)")


class Decoder(LineDecoder):
    """A call a line; a reallocation of nothing, or to nothing, names the call that it becomes as well."""

    def take(self, line: bytes) -> bool:
        """Note one call. What Valgrind and the program say besides is no damage."""
        match = _LINE.match(line)
        if match is None:
            return line.startswith((b"==", b" = ")) or not line.startswith(b"--")
        said = match[1]
        for odd in (_REALLOC_OF_NOTHING, _REALLOC_TO_NOTHING):
            if becomes := odd.match(said):
                said = becomes[1]
        call = CALL.match(said)
        if call is None:
            return not said.startswith((b"malloc(", b"calloc(", b"realloc(", b"free(", b"memalign("))
        return note(self.calls, 0, call[1].decode("ascii"), call[2], call[3]) or True


IMPORTER = Importer(
    name="valgrind",
    summary="What valgrind --trace-malloc=yes writes to standard error; text. It says nothing of threads.",
    source="https://valgrind.org/docs/manual/manual-core.html",
    begins="--4211-- malloc(8) = 0x4A33040",
    suffix=".valgrind",
    recognises=lambda head: re.search(rb"^--\d+-- (" + NAMES + rb")\(", head, re.MULTILINE) is not None,
    load=decoded(Decoder),
    decoder=Decoder,
)
