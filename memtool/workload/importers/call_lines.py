"""Lines of calls as ltrace, and one-line scripts of bpftrace, write them: ``[pid 7] 0.120 app->malloc(32) = 0x55d0``.

What comes before the call may say the thread (``[pid 7]``, or one whole number) and the time in seconds (a number with
a point).
"""

from __future__ import annotations

import re

from memtool.workload.importers.call_syntax import CALL, NAMES, note
from memtool.workload.importers.decoder import LineDecoder
from memtool.workload.importers.importer import Importer, decoded

_PREFIX = re.compile(
    rb"(?:\[pid (\d+)\]\s*|(\d+)(?:\s*[:,]\s*|\s+))?"  # the thread
    rb"(?:(\d+\.\d+)\s*[:,]?\s+)?"  # the time
    rb"(?:[^\s()]*->)?"
)
_BEGUN = re.compile(rb"(\w+)(?:@[\w.]+)?\((.*?),?\s*<unfinished \.\.\.>\s*")
_RESUMED = re.compile(rb"<\.\.\. (\w+) resumed>\s*(.*?)\)?\s*=\s*(\S+).*")
_OURS = re.compile(rb"(" + NAMES + rb")\(")
_VERSION = re.compile(rb"@[\w.]+\(")


class Decoder(LineDecoder):
    """A call a line; one that another thread interrupts is two."""

    def __init__(self) -> None:
        super().__init__()
        self._begun: dict[int, tuple[str, bytes]] = {}

    def take(self, line: bytes) -> bool:
        """Note one call; what is no call of a malloc is passed over."""
        prefix = _PREFIX.match(line)
        assert prefix is not None
        thread = int(prefix[1] or prefix[2] or 0)
        time = int(float(prefix[3]) * 1e9) if prefix[3] else 0
        said = _VERSION.sub(b"(", line[prefix.end() :])
        if begun := _BEGUN.fullmatch(said):
            if len(self._begun) < _MOST_BEGUN:
                self._begun[thread] = begun[1].decode("ascii"), begun[2]
            return True
        if resumed := _RESUMED.fullmatch(said):
            name, arguments = self._begun.pop(thread)
            return note(self.calls, thread, name, arguments, resumed[3], time) or True
        call = CALL.match(said.replace(b"(nil)", b"0"))
        if call is None:
            return _OURS.match(said) is None
        return note(self.calls, thread, call[1].decode("ascii"), call[2], call[3], time) or True


_MOST_BEGUN = 1 << 16
_RECOGNISED = re.compile(
    rb"^(\[pid \d+\]\s*|\d+\s*[:,]?\s+)?(\d+\.\d+\s*[:,]?\s+)?(\S*->)?"
    rb"(" + NAMES + rb")(@[\w.]+)?\(.*\)?\s*(=\s*(0x[0-9a-f]+|<void>|nil|0)|<unfinished|\)$)",
    re.MULTILINE,
)

IMPORTER = Importer(
    name="calls",
    summary="Calls in the lines of ltrace and of one-line scripts of bpftrace: malloc(32) = 0x55d0; text.",
    source="https://man7.org/linux/man-pages/man1/ltrace.1.html",
    begins="[pid 7] app->malloc(32) = 0x55d0",
    suffix=".ltrace",
    recognises=lambda head: _RECOGNISED.search(head) is not None,
    load=decoded(Decoder),
    decoder=Decoder,
)
