"""heaptrack's raw recordings (``heaptrack --raw``), versions 2 and 3. They do not record threads.

heaptrack's other files are interpreted: allocations are counted by call site and size, and it is lost which object a
free refers to.
"""

from __future__ import annotations

import re

from memtool.workload.importers.importer import Importer, decoded
from memtool.workload.importers.native import NativeDecoder


def _decoder() -> NativeDecoder:
    return NativeDecoder(
        "heaptrack",
        "is interpreted by heaptrack, which has lost what a free is of: record it with `heaptrack --raw`",
    )


IMPORTER = Importer(
    name="heaptrack",
    summary="Raw recordings of heaptrack (heaptrack --raw), also compressed; text.",
    source="https://github.com/KDE/heaptrack",
    begins="v 10550 3",
    suffix=".raw",
    recognises=lambda head: re.match(rb"v [0-9a-f]+ [0-9a-f]+\n", head) is not None,
    load=decoded(_decoder),
    decoder=_decoder,
)
