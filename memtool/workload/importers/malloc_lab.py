"""The malloc lab of CS:APP: ``.rep`` files, four numbers and then ``a ID SIZE``, ``r ID SIZE``, ``f ID``."""

from __future__ import annotations

import re
from functools import partial

from memtool.workload.importers.importer import Importer, decoded
from memtool.workload.importers.native import NativeDecoder

_decoder = partial(NativeDecoder, "malloc-lab")

IMPORTER = Importer(
    name="malloc-lab",
    summary="Traces of the malloc lab that goes with a textbook; .rep.",
    source="Bryant and O'Hallaron, \"Computer Systems: A Programmer's Perspective\", Malloc Lab",
    begins="20000 / 1 / 2 / 1 / a 0 512",
    suffix=".rep",
    recognises=lambda head: re.match(rb"\s*(\d+\s+){4}[arf] \d+", head) is not None,
    load=decoded(_decoder),
    decoder=_decoder,
)
