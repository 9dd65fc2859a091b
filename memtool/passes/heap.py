"""The heap pass: heap maps at the peak, at marks and at the end, and the memory that is released later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from memtool.passes.declaration import CellSamples, Declaration, Figure, Figures, Measure, Phase, Summary, taken
from memtool.passes.layout import U64, Array, Asked, Given, Layout

DRAIN_WAITS = ("0ms", "100ms", "1s", "5s")


@dataclass(frozen=True, slots=True)
class Own:
    """Figures that the malloc under a strategy reports about itself; bytes, None where it does not report them."""

    in_use_bytes: int | None
    """Bytes in use by the program, rounding included, by its own count."""
    free_bytes: int | None
    """Bytes held for reuse."""
    metadata_bytes: int | None
    mapped_bytes: int | None
    """Bytes taken from the kernel and not returned."""


@dataclass(frozen=True, slots=True)
class Extent:
    """A contiguous range of addresses."""

    address: int
    """Its beginning; in a region, the offset from the base."""
    bytes: int
    first_bucket: int


@dataclass(frozen=True, slots=True)
class HeapMap:
    """A heap at one moment (docs/metrics.md, "Heap maps")."""

    moment: str
    """``peak``, ``end``, or the name of a mark."""
    clock: int
    """Number of operations before this moment."""
    live_bytes: int
    walked: bool
    """Whether the strategy reported what is free and what is metadata."""
    bucket_bytes: int
    left_out_bytes: int
    """Resident bytes in extents beyond the largest number of extents."""
    extents: tuple[Extent, ...]
    buckets: Mapping[str, tuple[int, ...]]
    """used, free, metadata, resident, before, and for collectors ``AGES`` -> bytes in each bucket."""
    own: Own


@dataclass(frozen=True, slots=True)
class Maps(Figures):
    """Heap maps at several moments."""

    maps: tuple[HeapMap, ...]


@dataclass(frozen=True, slots=True)
class Heap(Maps):
    """The maps, and the bytes that are resident at four moments after everything was freed."""

    after_drain_resident_bytes: tuple[int, ...]
    own_after_drain: Own


def summarise(samples: CellSamples) -> Summary:
    """Return the resident memory a while after the drain, and for the proof the malloc's figures about itself."""
    heaps = taken(samples.own, Heap)
    # The figure right after the drain comes from the footprint pass, which is taken more often. Later ones are compared
    # with the same process right after the drain, because two processes differ by more than idling does.
    names = ["resident_before_idle_bytes", *(f"resident_after_drain_{wait}_bytes" for wait in DRAIN_WAITS[1:])]
    figures = {
        name: Figure([(sample.block, sample.figures.after_drain_resident_bytes[index]) for sample in heaps])
        for index, name in enumerate(names)
        if heaps
    }
    return Summary(figures, proof=next(filter(None, (_own_statistics(sample.figures) for sample in heaps)), {}))


def _own_statistics(heap: Heap) -> dict[str, Any]:
    """Return the malloc's figures about itself at each moment, in bytes; empty where it reports none."""
    moments = {heap_map.moment: asdict(heap_map.own) for heap_map in heap.maps}
    moments["after drain"] = asdict(heap.own_after_drain)
    says = any(figure is not None for figure in moments.get("peak", {}).values())
    return {"own_statistics": moments} if says else {}


_OWN = Layout.like(Own)
_EXTENT = ("address", "bytes", "first_bucket")
_BUCKET = ("used", "free", "metadata", "resident", "before")
MOST_MAPS = 8
MOST_BUCKETS = 2048
AGES = ("used_once", "used_more", "dead", "dead_kept")
"""Parts of the used memory that outlived one collection, or several; then dead memory since the last collection, and
dead memory that it kept."""
MAP = Layout.of(
    moment=U64,
    clock=U64,
    live_bytes=U64,
    walked=U64,
    bucket_bytes=U64,
    extents=U64,
    buckets=U64,
    left_out_bytes=U64,
    own=_OWN,
    extent=Array(U64, 256 * len(_EXTENT)),
    bucket=Array(U64, MOST_BUCKETS * len(_BUCKET)),
)
LAYOUT = Layout.of(
    drain_waits_ms=Array(U64, 4),
    after_drain_resident_bytes=Array(U64, 4),
    own_after_drain=_OWN,
    maps=U64,
    map=Array(MAP, MOST_MAPS),
)
_MOMENTS = {2**64 - 1: "peak", 2**64 - 2: "end"}


def unpack(held: Any, parts: Mapping[str, Sequence[int]], asked: Asked) -> dict[str, Any]:  # noqa: ANN401  # as LAYOUT
    """Return the fields of a Heap."""
    return {
        "maps": unpacked(held, asked.marks),
        "after_drain_resident_bytes": held["after_drain_resident_bytes"],
        "own_after_drain": held["own_after_drain"],
    }


def unpacked(held: Any, marks: Sequence[str]) -> list[dict[str, Any]]:  # noqa: ANN401  # maps, and an array map of MAP
    """Return the fields of each HeapMap; a map that ``has_ages`` has parts for those, too."""
    moments = _MOMENTS | dict(enumerate(marks))
    return [_map(heap_map, moments[heap_map["moment"]]) for heap_map in held["map"][: held["maps"]]]


def _map(held: Any, moment: str) -> dict[str, Any]:  # noqa: ANN401  # as MAP
    extent, buckets = held["extent"], held["buckets"]
    parts = {name: held["bucket"][index :: len(_BUCKET)][:buckets] for index, name in enumerate(_BUCKET)}
    if held.get("has_ages"):
        parts |= {name: held["ages"][index :: len(AGES)][:buckets] for index, name in enumerate(AGES)}
    plain = ("clock", "live_bytes", "walked", "bucket_bytes", "left_out_bytes", "own")
    return {name: held[name] for name in plain} | {
        "moment": moment,
        "extents": [dict(zip(_EXTENT, extent[3 * at : 3 * at + 3], strict=True)) for at in range(held["extents"])],
        "buckets": parts,
    }


PASS = Declaration(
    name="heap",
    phase=Phase.WAITING,
    usual=6.0,
    slower=10,
    resident=True,
    pinned=False,
    paced=True,
)
MEASURE = Measure(
    figures=Heap,
    layout=LAYOUT,
    given=lambda asked: Given({"drain_waits_ms": asked.drain_waits_ms}),
    unpack=unpack,
    summarise=summarise,
)
