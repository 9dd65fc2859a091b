"""The malloc lab of CS:APP: ``.rep`` files, four numbers and then ``a ID SIZE``, ``r ID SIZE``, ``f ID``."""

from __future__ import annotations

import re

from memtool.workload.importers.decoder import LineDecoder
from memtool.workload.importers.importer import Importer, decoded


class Decoder(LineDecoder):
    """Requests by the numbers of blocks, which take the place of addresses."""

    _head = 4

    def take(self, line: bytes) -> bool:
        """Note one request; the four numbers of the head say nothing that the requests do not."""
        fields = line.split()
        if self._head and len(fields) == 1 and fields[0].isdigit():
            self._head -= 1
            return True
        self._head = 0
        call = fields[0].decode("ascii")
        block = int(fields[1]) + 1
        if call == "a":
            self.calls.allocate(0, block, int(fields[2]))
        elif call == "r":
            self.calls.reallocate(0, block, block, int(fields[2]))
        elif call == "f":
            self.calls.free(0, block)
        else:
            return False
        self.calls.counts[call] += 1
        return True


IMPORTER = Importer(
    name="malloc-lab",
    summary="Traces of the malloc lab that goes with a textbook; .rep.",
    source="Bryant and O'Hallaron, \"Computer Systems: A Programmer's Perspective\", Malloc Lab",
    begins="20000 / 1 / 2 / 1 / a 0 512",
    suffix=".rep",
    recognises=lambda head: re.match(rb"\s*(\d+\s+){4}[arf] \d+", head) is not None,
    load=decoded(Decoder),
    decoder=Decoder,
)
