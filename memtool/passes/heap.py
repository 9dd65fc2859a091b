"""The heap pass: who holds which addresses at the peak, at marks and at the end, and what is given back later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from memtool.passes.declaration import CellSamples, Declaration, Figure, Figures, Phase, Summary, taken

DRAIN_WAITS = ("0ms", "100ms", "1s", "5s")


@dataclass(frozen=True, slots=True)
class Own:
    """What the malloc under a strategy says of itself; bytes, None where it does not say."""

    in_use_bytes: int | None
    """By its count of what the program has, rounding included."""
    free_bytes: int | None
    """Held for reuse."""
    metadata_bytes: int | None
    mapped_bytes: int | None
    """Taken from the kernel and not given back."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Addresses that lie together."""

    address: int
    """Of a region: from its base."""
    bytes: int
    first_bucket: int


@dataclass(frozen=True, slots=True)
class HeapMap:
    """A heap at one moment (docs/metrics.md, "Heap maps")."""

    moment: str
    """``peak``, ``end``, or the name of a mark."""
    clock: int
    """Operations done."""
    live_bytes: int
    walked: bool
    """Whether the strategy said what is free and what is metadata."""
    bucket_bytes: int
    left_out_bytes: int
    """Resident, in extents beyond the most."""
    extents: tuple[Extent, ...]
    buckets: Mapping[str, tuple[int, ...]]
    """used, free, metadata, resident, before -> bytes of each bucket."""
    own: Own


@dataclass(frozen=True, slots=True)
class Heap(Figures):
    """The maps, and bytes that are resident four times after everything was freed."""

    maps: tuple[HeapMap, ...]
    after_drain_resident_bytes: tuple[int, ...]
    own_after_drain: Own


def summarise(samples: CellSamples) -> Summary:
    """Return what is resident a while after the drain, and for the proof what the malloc says of itself."""
    heaps = taken(samples.own, Heap)
    # At once is the footprint pass's, which is taken more often. What is read later compares with what the same
    # process had at once: two processes differ by more than idling does.
    names = ["resident_before_idle_bytes", *(f"resident_after_drain_{wait}_bytes" for wait in DRAIN_WAITS[1:])]
    figures = {
        name: Figure([(sample.block, sample.figures.after_drain_resident_bytes[index]) for sample in heaps])
        for index, name in enumerate(names)
        if heaps
    }
    return Summary(figures, proof=next(filter(None, (_own_statistics(sample.figures) for sample in heaps)), {}))


def _own_statistics(heap: Heap) -> dict[str, Any]:
    """Return what the malloc says of itself at each moment, in bytes; nothing where it says nothing."""
    moments = {heap_map.moment: asdict(heap_map.own) for heap_map in heap.maps}
    moments["after drain"] = asdict(heap.own_after_drain)
    says = any(figure is not None for figure in moments.get("peak", {}).values())
    return {"own_statistics": moments} if says else {}


PASS = Declaration(
    name="heap",
    figures=Heap,
    phase=Phase.WAITING,
    summarise=summarise,
    usual=6.0,
    lean=True,
    pinned=False,
)
