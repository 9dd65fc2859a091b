"""Makes the image that workers run from a graph workload."""

from __future__ import annotations

import hashlib
import mmap
import struct
from array import array
from pathlib import Path
from typing import Any

from memtool.engine.loading import EngineError
from memtool.errors import InputError
from memtool.kinds.graph import binding, script
from memtool.kinds.graph.keys import (
    SHAPES,
    BinaryTrees,
    EntryCache,
    GCBench,
    Graph,
    LinkedLists,
    MutatingGraph,
    Workload,
    YoungObjects,
)
from memtool.kinds.work import in_memory
from memtool.model import TraceInfo
from memtool.workload.trace import Trace, load_trace

HEAD = (
    "magic",
    "words",
    "roots",
    "slots",
    "operations",
    "allocations",
    "allocated_bytes",
    "peak_live_objects",
    "peak_live_bytes",
    "peak_live_with_header",
    "peak_live_with_count",
    "frees",
    "stores",
    "root_writes",
    "scopes",
    "safe_points",
    "smallest",
    "largest",
    "first_not_lifo",
    "first_not_fifo",
    "checksum",
)
"""The fields of an image's head (program/image.hpp), 8 bytes each."""
_FREES = ("death", "scope-end")
_NONE = (1 << 64) - 1
_COUNTED = ("operations", "allocations", "slots", "peak_live_bytes", "peak_live_objects", "scopes")
"""Facts about a trace that the head has under the same names."""
_ALIGNMENT = 8


def words_of(graph: Graph, seed: int) -> array[int]:
    """Return the engine's input for the program (program/shapes.cpp)."""
    name, shape = graph.shape
    return array("Q", [SHAPES.index(name), seed, _FREES.index(graph.frees), *_words(shape)])


def _words(shape: Any) -> list[int]:  # noqa: ANN401  # one of the shapes
    match shape:
        case BinaryTrees():
            return [shape.depth, shape.payload, shape.iterations]
        case GCBench():
            return [shape.depth, shape.payload, shape.array]
        case LinkedLists():
            return [shape.length, shape.payload, shape.rounds]
        case MutatingGraph():
            return [shape.nodes, shape.references, shape.operations, *shape.payload]
        case EntryCache():
            return [shape.entries, shape.requests, round(shape.misses * 1000), *shape.payload, shape.request]
        case YoungObjects():
            return [shape.objects, round(shape.survivors * 1000), shape.live, *shape.payload]
        case _:
            return script.words(shape)


def head_of(image: bytes) -> dict[str, int]:
    """Return the head of an image."""
    return dict(zip(HEAD, struct.unpack_from(f"<{len(HEAD)}Q", image), strict=True))


def make_trace(workload: Workload, path: Path, seed: int | None) -> Trace:
    """Make the program of a workload. Raises InputError."""
    seed = workload.seed if seed is None else seed
    try:
        events = workload.graph.events
        image = binding.make(words_of(workload.graph, seed)) if events is None else _of_events(workload, path, events)
    except EngineError as problem:
        raise InputError(f"{path}: graph: {problem}") from None
    event_hash = hashlib.blake2b(image, digest_size=16).hexdigest()
    info = _info(workload, path, seed, event_hash, head_of(image))
    return Trace(info, in_memory("memtool-graph", image), len(image), 0.0)


def _of_events(workload: Workload, path: Path, events: str) -> bytes:
    """Return the image of heap events in a file, whose path is relative to the workload, or in a shipped file."""
    beside = path.parent / events
    with load_trace(str(beside) if beside.is_file() else events) as trace:
        if trace.info.kind != "heap":
            raise InputError(f"{path}: graph.events: {events} has no heap events")
        with mmap.mmap(trace.image_fd, trace.image_bytes, mmap.MAP_PRIVATE) as memory, memoryview(memory) as image:
            return binding.make_of_events(image, _FREES.index(workload.graph.frees))


def _known(figure: int) -> int | None:
    return None if figure == _NONE else figure


def _info(workload: Workload, path: Path, seed: int, event_hash: str, head: dict[str, Any]) -> TraceInfo:
    name, _ = workload.graph.shape
    facts = ("allocated_bytes", "peak_live_with_header", "stores", "root_writes", "safe_points", "frees")
    return TraceInfo(
        name=workload.name,
        kind="graph",
        source=str(path),
        seed=seed,
        event_hash=event_hash,
        **{name: head[name] for name in _COUNTED},
        threads=1,
        total_bytes=head["allocated_bytes"],
        smallest_size=head["smallest"],
        largest_size=head["largest"],
        largest_alignment=_ALIGNMENT,
        first_not_lifo=_known(head["first_not_lifo"]),
        first_not_fifo=_known(head["first_not_fifo"]),
        touch="all",
        memory_limit=workload.memory_limit,
        workload_name=workload.name,
        facts={"shape": name, "frees_at": workload.graph.frees, **{fact: head[fact] for fact in facts}},
    )
