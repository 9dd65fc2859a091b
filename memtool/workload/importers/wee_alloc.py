"""Traces of wee_alloc's tests: ``Alloc(SIZE),`` and ``Free(INDEX),``, where the index counts allocations from 0."""

from __future__ import annotations

from functools import partial

from memtool.workload.importers.importer import Importer, decoded, recognised_by_line
from memtool.workload.importers.native import NativeDecoder

_decoder = partial(NativeDecoder, "wee-alloc")

IMPORTER = Importer(
    name="wee-alloc",
    summary="Traces of the tests of wee_alloc, an allocator for WebAssembly; Rust's words for a list.",
    source="https://github.com/rustwasm/wee_alloc",
    begins="Alloc(552),",
    suffix=".trace",
    recognises=recognised_by_line(rb"\s*(Alloc|Free)\(\d+\),?\s*$"),
    load=decoded(_decoder),
    decoder=_decoder,
)
