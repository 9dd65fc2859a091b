"""Traces of wee_alloc's tests: ``Alloc(SIZE),`` and ``Free(INDEX),``, where the index counts allocations from 0."""

from __future__ import annotations

import re

from memtool.workload.importers.decoder import LineDecoder
from memtool.workload.importers.importer import Importer, decoded, recognised_by_line

_LINE = re.compile(rb"\s*(Alloc|Free)\((\d+)\),?\s*")


class Decoder(LineDecoder):
    """Requests by the numbers of allocations, which take the place of addresses."""

    _allocations = 0

    def take(self, line: bytes) -> bool:
        """Note one request."""
        match = _LINE.fullmatch(line)
        if match is None:
            return line.strip() in (b"[", b"]", b"")
        number = int(match[2])
        if match[1] == b"Alloc":
            self._allocations += 1
            self.calls.allocate(0, self._allocations, number)
        else:
            self.calls.free(0, number + 1)
        self.calls.counts[match[1].decode("ascii")] += 1
        return True


IMPORTER = Importer(
    name="wee-alloc",
    summary="Traces of the tests of wee_alloc, an allocator for WebAssembly; Rust's words for a list.",
    source="https://github.com/rustwasm/wee_alloc",
    begins="Alloc(552),",
    suffix=".trace",
    recognises=recognised_by_line(rb"\s*(Alloc|Free)\(\d+\),?\s*$"),
    load=decoded(Decoder),
    decoder=Decoder,
)
