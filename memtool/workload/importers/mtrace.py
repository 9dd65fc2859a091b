"""glibc's mtrace: ``@ MODULE:[CALLER] + 0xADDRESS 0xSIZE``, ``-``, ``<`` and ``>`` for a reallocation, ``!`` refused.

It says nothing of threads, and writes what several of them do in no order: reallocations of two can be torn apart.
"""

from __future__ import annotations

import re

from memtool.workload.importers.decoder import LineDecoder
from memtool.workload.importers.importer import Importer, decoded

_LINE = re.compile(rb"(?:@ .*?\[(0x[0-9a-f]+)\] )?([-+<>!]) \(?(0x[0-9a-f]+|nil)\)?(?: (0x[0-9a-f]+|0))?\s*")
_NAMES = {"+": "malloc", "-": "free", ">": "realloc", "!": "realloc"}


class Decoder(LineDecoder):
    """A call a line, but for reallocations: these are two."""

    _moving = 0

    def take(self, line: bytes) -> bool:
        """Note one call."""
        if line.startswith(b"= "):  # Start, End
            return True
        match = _LINE.fullmatch(line)
        if match is None:
            return False
        caller = int(match[1], 16) if match[1] else 0
        kind, address = match[2].decode("ascii"), 0 if match[3] == b"nil" else int(match[3], 16)
        if kind == "-":
            self.calls.free(0, address, caller=caller)
        elif kind == "<":
            self._moving = address
        elif kind == "!":
            self.calls.reallocate(0, address, 0, int(match[4], 16), caller=caller)
        elif kind == "+":
            self.calls.allocate(0, address, int(match[4], 16), caller=caller)
        else:
            self.calls.reallocate(0, self._moving, address, int(match[4], 16), caller=caller)
            self._moving = 0
        if kind != "<":
            self.calls.counts[_NAMES[kind]] += 1
        return True


IMPORTER = Importer(
    name="mtrace",
    summary="What glibc writes where MALLOC_TRACE says (LD_PRELOAD=libc_malloc_debug.so); text.",
    source="https://man7.org/linux/man-pages/man3/mtrace.3.html",
    begins="= Start",
    suffix=".mtrace",
    recognises=lambda head: re.match(rb"= Start|@ \S.*\[0x[0-9a-f]+\] [-+<>!] 0x", head) is not None,
    load=decoded(Decoder),
    decoder=Decoder,
)
