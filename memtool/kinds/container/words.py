"""The text above and below the tables of a workload of containers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from memtool.kinds.container.image import CONTROL, EACH
from memtool.model import CellResult, TraceInfo
from memtool.units import format_count, format_size, plural

_WAYS = {
    "std": "std: a standard allocator over the heap",
    "scoped": "scoped: one in a std::scoped_allocator_adaptor, which passes it down",
    "propagated": "propagated: one that goes along where a container is assigned",
    "pmr": "pmr: a std::pmr::polymorphic_allocator",
}


def heading(info: TraceInfo) -> str:
    """Return a description of the containers and the operations on them."""
    facts = info.facts
    type_ = f"std::{facts['type']}" if "_of_" not in facts["type"] else str(facts["type"]).replace("_", " ")
    return (
        f"{info.name}: {plural(facts['containers'], 'container')} ({type_}), {format_count(info.operations)} "
        f"operations ({format_count(info.allocations)} allocations), peak {format_size(info.peak_live_bytes)}\n"
        f"seed {info.seed}, event hash {info.event_hash}; {', '.join(facts['steps'])}"
    )


def remarks(cells: Sequence[CellResult], info: TraceInfo) -> Iterator[str]:
    """Yield an explanation of the ways."""
    ways = [way for way in info.facts["ways"] if way != CONTROL]
    said = [_WAYS[way] for way in dict.fromkeys(way.removesuffix(EACH) for way in ways)]
    if any(way.endswith(EACH) for way in ways):
        said.append(f"{EACH}: every container on a heap of its own")
    if CONTROL in info.facts["ways"]:
        said.append("control: a list of free blocks for each size, and nothing else")
    yield f"Ways: {'; '.join(said)}. Each operation of a heap is called through a pointer."


def why_not(cell: CellResult, name: str, trace: TraceInfo, *, was_measured: bool) -> str | None:
    """Return why there is no footprint; None for other metrics."""
    if was_measured and name == "peak_footprint_bytes":
        return "of a heap outside the region memtool sees only the resident memory"
    return None
